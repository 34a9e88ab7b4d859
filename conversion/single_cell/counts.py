"""Where the counts are: which matrix of a file holds numbers that can be counts."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from conversion.single_cell.source import Rows
from daskgen.errors import InputError, UsageError

__all__ = ["Look", "choose_counts", "look_at"]

_LOOKED_AT = 1 << 18  # values of a matrix that are looked at
_PLACES = 4  # where in the matrix
LOG_LIMIT = 20.0
"""Numbers that are not whole and never above this are taken for logarithms: e^20 is more than any count."""


@dataclass(frozen=True)
class Look:
    """What a sample of a matrix's values is like."""

    smallest: float
    largest: float
    whole: bool
    finite: bool
    any: bool

    @property
    def verdict(self) -> str:
        """In words, for messages."""
        if not self.any:
            return "no values"
        text = f"{self.smallest:.3g} to {self.largest:.3g}"
        if not self.finite:
            return f"{text}, with NaN or infinity"
        if self.smallest < 0:
            return f"{text}: negative, so scaled or corrected values"
        if self.whole:
            return f"{text}, whole numbers"
        if self.largest <= LOG_LIMIT:
            return f"{text}, not whole: probably logarithms"
        return f"{text}, not whole"

    @property
    def rank(self) -> int:
        """2 where these are counts, 1 where they may be, 0 where they are none."""
        if not self.any:
            return 1
        if self.smallest < 0 or not self.finite:
            return 0
        return 2 if self.whole else int(self.largest > LOG_LIMIT)


def look_at(rows: Rows) -> Look:
    """Look at some rows at the beginning, in the middle and at the end."""
    blocks = rows.blocks(_LOOKED_AT // _PLACES)
    chosen = sorted({round(k * (len(blocks) - 1) / (_PLACES - 1)) for k in range(_PLACES)}) if blocks else []
    smallest, largest, whole, finite, found = np.inf, -np.inf, True, True, False
    reader = rows.reader()
    for k in chosen:
        values = reader.read(*blocks[k]).data
        if not len(values):
            continue
        found = True
        if values.dtype.kind == "f":
            good = np.isfinite(values)
            finite &= bool(good.all())
            values = values[good]
            whole &= bool((values == np.rint(values)).all())
        if len(values):
            smallest, largest = min(smallest, float(values.min())), max(largest, float(values.max()))
    return Look(smallest, largest, whole, finite, found)


def choose_counts(
    path: str, candidates: Mapping[str, Callable[[], Rows]], counts: str, logged: bool
) -> tuple[str, Rows, list[str]]:
    """(where, matrix, notes) of the counts.

    candidates: name ("X", "raw.X", "layers/counts") -> how to open it, in the order in which they are tried; counts:
    "auto" or one of the names; logged: whether the file says that X holds logarithms. UsageError for a name that is not
    there, InputError where nothing looks like counts.
    """
    if not candidates:
        raise InputError(f"{path} has no matrix.", expected="X, raw.X or layers")
    if counts != "auto":
        name = counts.replace("raw/X", "raw.X")
        if name not in candidates:
            raise UsageError(f"{path} has no {counts}.", found=", ".join(candidates), expected="auto, or one of these")
        return name, candidates[name](), []
    looks: dict[str, Look] = {}
    best: tuple[int, str, Rows] | None = None
    for name, opened in candidates.items():
        rows = opened()
        look = looks[name] = look_at(rows)
        rank = min(look.rank, 0 if name == "X" and logged and not look.whole else 2)
        if best is None or rank > best[0]:
            best = rank, name, rows
        if rank == 2:
            break
    assert best is not None
    rank, name, rows = best
    if rank == 0:
        raise InputError(
            f"{path}: no matrix holds counts.",
            found="\n".join(f"{other}: {look.verdict}" for other, look in looks.items()),
            expected="whole numbers, at least 0",
            do=_all_the_same([other for other, look in looks.items() if look.finite and look.smallest >= 0]),
        )
    others = [f"{other}: {look.verdict}" for other, look in looks.items() if other != name]
    notes = [f"counts taken from {name}; {'; '.join(others)}"] if others else []
    if rank == 1 and looks[name].any:
        notes.append(f"{name} is not whole numbers ({looks[name].verdict}); taken for counts all the same")
    return name, rows, notes


def _all_the_same(names: list[str]) -> str:
    """What to do where no matrix looks like counts: look for the file that has them, or insist."""
    insist = f"; if {names[0]} does hold counts: counts='{names[0]}' (--counts {names[0]})" if names else ""
    return f"convert the file that the analysis began with{insist}"
