"""The sample size of each row, and what kind of sample size that is."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import polars as pl

from conversion.summary.columns import Columns
from conversion.summary.numeric import floats
from daskgen.errors import UsageError

__all__ = ["N_KINDS", "SampleSize", "sample_size"]

N_KINDS = ("total", "effective", "given")


@dataclass(frozen=True)
class SampleSize:
    """Where N comes from.

    kind: "total" (cases and controls are counted alike), "effective" (the sum over cohorts of 4 / (1/cases +
    1/controls), the N at which a sample prevalence of one half applies) or "given" (by the caller, who did not say).
    source: the columns, or what else, for people; columns: added up; factor: of the sum; number: for all rows.
    """

    kind: str
    source: str
    columns: tuple[str, ...] = ()
    factor: float = 1.0
    number: float = np.nan

    def read(self, frame: pl.DataFrame) -> npt.NDArray[np.float64]:
        """N of the rows, NaN where it is missing."""
        if not self.columns:
            return np.full(frame.height, self.number)
        n = sum((floats(frame[name]) for name in self.columns), np.zeros(frame.height)) * self.factor
        return np.where(np.isfinite(n) & (n > 0), n, np.nan)


def sample_size(columns: Columns, n: float | None, n_kind: str | None) -> SampleSize | None:
    """What N is taken from: the caller's number, a column of it, cases + controls, or a daner header; None if nothing.

    A column of effective sizes comes before one of total sizes where `n_kind` is "effective" or the caller named it,
    otherwise after it; half the effective size is doubled.
    """
    if n_kind is not None and n_kind not in N_KINDS:
        raise UsageError(f"n_kind={n_kind!r} is not understood.", expected=", ".join(map(repr, N_KINDS)))
    if n is not None:
        return SampleSize(n_kind or "given", "given by the caller", number=float(n))
    candidates: list[tuple[str, SampleSize]] = []
    if (column := columns.get("n")) is not None:
        candidates.append(("n", SampleSize("total", column, (column,))))
    if (column := columns.get("n_effective")) is not None:
        candidates.append(("n_effective", SampleSize("effective", column, (column,))))
    if (column := columns.get("n_effective_half")) is not None:
        candidates.append(("n_effective_half", SampleSize("effective", f"{column}, doubled", (column,), 2.0)))
    cases, controls = columns.get("n_cases"), columns.get("n_controls")
    if cases is not None and controls is not None:
        candidates.append(("n_cases", SampleSize("total", f"{cases} + {controls}", (cases, controls))))
    if columns.header_n is not None:
        a, b = columns.header_n
        candidates.append(("", SampleSize("total", f"header: {a:,} cases + {b:,} controls", number=float(a + b))))
    if not candidates:
        return None

    def rank(item: tuple[int, tuple[str, SampleSize]]) -> tuple[bool, bool, int]:
        position, (field, source) = item
        return field not in columns.given, n_kind == "effective" and source.kind != "effective", position

    _, (_, chosen) = min(enumerate(candidates), key=rank)
    if n_kind is None or n_kind == chosen.kind:
        return chosen
    return SampleSize(n_kind, chosen.source, chosen.columns, chosen.factor, chosen.number)
