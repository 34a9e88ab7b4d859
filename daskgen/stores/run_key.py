"""The identity of a run: what was asked of which inputs. A resumed run must have the same one."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

__all__ = ["FORMAT", "RunKey"]

FORMAT = 1
"""Number of the store format that this version writes, kept in the root attribute `daskgen_format`."""


def _plain(value: Any) -> Any:
    """`value` as JSON types; arrays are replaced by their shape, dtype and hash."""
    if isinstance(value, Mapping):
        return {str(k): _plain(v) for k, v in sorted(value.items(), key=lambda item: str(item[0]))}
    if isinstance(value, np.ndarray):
        if value.dtype.kind in "OTU":
            data = "\0".join(map(str, value.ravel().tolist())).encode()
        else:
            data = np.ascontiguousarray(value).tobytes()
        return {"shape": list(value.shape), "dtype": str(value.dtype), "sha256": hashlib.sha256(data).hexdigest()}
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, (list, tuple)):
        return [_plain(v) for v in value]
    if isinstance(value, (set, frozenset)):
        return sorted(_plain(v) for v in value)
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    return str(value)


@dataclass(frozen=True)
class RunKey:
    """Command, arguments that affect numbers, and ids of the inputs (store ids, samples of files)."""

    command: str
    arguments: Mapping[str, Any] = field(default_factory=dict)
    inputs: Sequence[Any] = ()

    def as_dict(self) -> dict[str, Any]:
        """What is hashed, as JSON types; kept in the store so that a difference can be shown."""
        return {
            "command": self.command,
            "format": FORMAT,
            "arguments": _plain(self.arguments),
            "inputs": _plain(list(self.inputs)),
        }

    @property
    def digest(self) -> str:
        text = json.dumps(self.as_dict(), sort_keys=True, separators=(",", ":"), allow_nan=True)
        return hashlib.sha256(text.encode()).hexdigest()

    def differences(self, recorded: Mapping[str, Any]) -> list[str]:
        """Lines that say how this key differs from one that `as_dict` gave earlier."""
        mine, lines = self.as_dict(), []
        for part in ("command", "format", "inputs"):
            if mine[part] != recorded.get(part):
                lines.append(f"{part}: {recorded.get(part)} before, {mine[part]} now")
        before, now = recorded.get("arguments", {}), mine["arguments"]
        for name in sorted(set(before) | set(now)):
            if before.get(name) != now.get(name):
                lines.append(f"{name}: {before.get(name)} before, {now.get(name)} now")
        return lines
