"""Where fits stand between two passes, in one checkpoint, so that a killed run goes on with the same bits.

A fit names its parts; each part is a function that gives the arrays to be kept. They are written together before a
pass, when it is time. A run that goes on asks for a part by its name before it computes it.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Mapping
from dataclasses import fields
from typing import Any

import numpy as np

from daskgen.passes import Checkpoint
from daskgen.reml.estimates import Estimates

__all__ = ["Journal"]

Arrays = Mapping[str, Any]


class Journal:
    """The parts of one fit, or those `within` a name of it."""

    def __init__(self, checkpoint: Checkpoint | None = None):
        self._checkpoint = checkpoint
        self._parts: dict[str, Callable[[], Arrays]] = {}
        self._prefix = ""
        self._begun = False
        loaded: dict[str, dict[str, np.ndarray]] = {}
        for name, array in ((None if checkpoint is None else checkpoint.load()) or {}).items():
            part, _, own = name.rpartition("/")
            loaded.setdefault(part, {})[own] = array
        for part, arrays in loaded.items():
            self._parts[part] = lambda arrays=arrays: arrays  # type: ignore[misc]

    def within(self, name: object) -> Journal:
        """The same journal for the parts of a part."""
        own = copy.copy(self)
        own._prefix = f"{self._prefix}{name}/"
        return own

    def known(self, name: str) -> Arrays | None:
        """What was kept under the name, None if nothing was."""
        part = self._parts.get(self._prefix + name)
        return None if part is None else part()

    def keep(self, name: str, arrays: Callable[[], Arrays]) -> None:
        """From now on keep what `arrays` gives at the time of writing."""
        self._parts[self._prefix + name] = arrays

    def forget(self, name: str = "") -> None:
        """Keep the part no longer, nor those within it."""
        start = self._prefix + name
        for part in [p for p in self._parts if p == start or p.startswith(f"{start}/" if name else start)]:
            del self._parts[part]

    def write(self, *, force: bool = False) -> None:
        """Write all parts if it is time, the first time in any case."""
        if self._checkpoint is None or not self._parts:
            return
        state = {f"{part}/{name}": value for part, arrays in self._parts.items() for name, value in arrays().items()}
        self._checkpoint.save(state, force=force or not self._begun)
        self._begun = True

    def remove(self) -> None:
        """Remove the file."""
        if self._checkpoint is not None:
            self._checkpoint.remove()

    def estimates(self, name: str) -> Estimates | None:
        """Estimates that were kept."""
        arrays = self.known(name)
        if arrays is None:
            return None
        values: dict[str, Any] = {}
        for field in fields(Estimates):
            value = arrays[field.name]
            values[field.name] = json.loads(str(value)) if field.name == "history" else _plain(value)
        return Estimates(**values)

    def keep_estimates(self, name: str, estimates: Estimates) -> None:
        """Keep what a part of the fit ended with."""
        arrays = {field.name: getattr(estimates, field.name) for field in fields(Estimates)}
        arrays["history"] = json.dumps(estimates.history)
        self.keep(name, lambda: arrays)


def _plain(value: Any) -> Any:
    """Scalars of a file as Python's."""
    array = np.asarray(value)
    return array.item() if array.ndim == 0 else array
