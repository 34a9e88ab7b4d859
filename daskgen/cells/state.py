"""What was done with a store: kept under ``uns['daskgen']``, beside the data that it is about.

X always holds what it held when the store was made. Normalised values are views: the record says which step divided
cells by what, and whether logarithms were taken; the numbers are made when they are asked for. Each step notes its
parameters, the fields that it wrote and the steps that it relied on. When a step is done again, what relied on it is
marked stale until it is done again too.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from daskgen.stores.anndata import AnnDataStore

__all__ = ["COUNTS", "LOG_VALUES", "OTHER_VALUES", "RECORDS", "State", "Step"]

log = logging.getLogger("daskgen.cells")

COUNTS, LOG_VALUES, OTHER_VALUES = "counts", "log1p", "values"
"""What X holds: counts; log values (``uns['log1p']`` is there); numbers that are no whole numbers."""

_STATE = "daskgen/state"
RECORDS = (_STATE, "daskgen/x_fingerprint")
"""Elements of uns that say what X holds and which X it is."""

_STATISTICS = "daskgen/statistics"
_LOOKED_AT = 1 << 16  # values by which a store of somebody else is judged


@dataclass
class Step:
    """A step that was done: its parameters, the fields it wrote ("obs/total_counts"), the steps it relied on, and
    whether one of those was done again since."""

    parameters: dict[str, Any] = field(default_factory=dict)
    fields: list[str] = field(default_factory=list)
    depends_on: list[str] = field(default_factory=list)
    stale: bool = False


class State:
    """The record of a store. `load` reads it, `record` notes a step, `save` writes it."""

    def __init__(self, store: AnnDataStore, x_holds: str, steps: dict[str, Step]):
        self.store = store
        self.x_holds = x_holds
        self.steps = steps

    @classmethod
    def load(cls, store: AnnDataStore) -> State:
        """The record of the store; an empty one where daskgen has not worked on it.

        Where another process has changed X since, every step is stale, and that is logged.
        """
        text = store.uns(_STATE)
        kept = json.loads(text) if isinstance(text, str) else {}
        steps = {name: Step(**about) for name, about in kept.get("steps", {}).items()}
        state = cls(store, str(kept.get("x_holds") or _holds(store)), steps)
        if steps and store.x_changed():
            log.warning("X of %s was changed since; results of daskgen are stale", store.location.name)
            state.x_holds = _holds(store)
            for step in steps.values():
                step.stale = True
        return state

    def record(
        self,
        name: str,
        *,
        parameters: Mapping[str, Any] | None = None,
        fields: Iterable[str] = (),
        depends_on: Sequence[str] = (),
    ) -> None:
        """Note that the step `name` was done just now, and mark what relied on it as stale.

        depends_on: steps that it relied on; those that were not done are left out.
        """
        self.mark_stale(name)
        relied = [other for other in depends_on if other in self.steps]
        self.steps[name] = Step(_plain(dict(parameters or {})), list(fields), relied)

    def mark_stale(self, name: str) -> list[str]:
        """Mark every step that relied on `name`, however indirectly; returns them."""
        found: list[str] = []
        reached = {name}
        while True:
            more = [s for s, step in self.steps.items() if s not in reached and reached.intersection(step.depends_on)]
            if not more:
                return found
            for other in more:
                self.steps[other].stale = True
            reached.update(more)
            found.extend(more)

    def forget(self, name: str) -> None:
        """Drop a step from the record."""
        self.mark_stale(name)
        self.steps.pop(name, None)

    def stale_fields(self) -> dict[str, str]:
        """Field -> the step that wrote it, of the steps that are stale."""
        return {written: name for name, step in self.steps.items() if step.stale for written in step.fields}

    def save(self, store: AnnDataStore | None = None) -> None:
        """Write the record, and take X as it is for the one that it is about."""
        place = store or self.store
        about = {"x_holds": self.x_holds, "steps": {name: asdict(step) for name, step in self.steps.items()}}
        with place.writing():
            place.write_uns(_STATE, json.dumps(about))
            place.keep_fingerprint()

    # -- statistics of a pass --------------------------------------------------------------------------------------
    def statistics(self, key: str) -> dict[str, np.ndarray] | None:
        """What `keep_statistics` kept under `key`; None if nothing."""
        kept = self.store.uns(f"{_STATISTICS}/{key}")
        return None if kept is None else {name: np.asarray(values) for name, values in kept.items()}

    def keep_statistics(self, key: str, arrays: Mapping[str, np.ndarray]) -> None:
        """Keep the results of a pass in the place of those that were there. key: says what they depend on."""
        with self.store.writing():
            others = (f"uns/{_STATISTICS}/{old}" for old in self.store.members(f"uns/{_STATISTICS}") if old != key)
            self.store.remove(*others)
            self.store.write_uns(f"{_STATISTICS}/{key}", dict(arrays))


def _holds(store: AnnDataStore) -> str:
    """What the X of a store that has no record holds, by the mark of log values and by its first values."""
    if "X" not in store.group:
        return OTHER_VALUES
    if "log1p" in store.members("uns"):
        return LOG_VALUES
    rows = store.rows()
    start, stop = next(iter(rows.blocks(_LOOKED_AT)), (0, 0))
    if stop == start:
        return COUNTS
    values = rows.reader().read(start, stop).data[:_LOOKED_AT]
    whole = values.dtype.kind in "ui" or bool((values == np.floor(values)).all())
    return COUNTS if whole else OTHER_VALUES


def _plain(value: Any) -> Any:
    """`value` as JSON types."""
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, np.ndarray):
        return _plain(value.tolist())
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    if isinstance(value, np.generic):
        return value.item()
    return value if value is None or isinstance(value, (bool, int, float, str)) else str(value)
