"""What LD-score regression reads of a trait: z and the sample size of each variant."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from conversion.summary.trait import Filters, Rows, TraitRows

__all__ = ["MungedStatistic"]


@dataclass(frozen=True)
class MungedStatistic:
    """z (signed like the effect, of the size that p gives) and N.

    Left out: a minor allele that is missing or rarer than `filters.maf` where the file has frequencies, and a sample
    size that is missing or below `filters.n_min`.
    """

    filters: Filters
    names: tuple[str, ...] = ("z", "n")
    signed: tuple[str, ...] = ("z",)

    def values(self, rows: Rows) -> Mapping[str, npt.NDArray[np.float64]]:
        """z and N of the rows, after the filters."""
        if rows.minor_frequency is not None:
            rows.drop(~(rows.minor_frequency >= self.filters.maf), "low_frequency")
        rows.drop(~(rows.n >= (self.filters.n_min or 0)), "low_n")
        return {"z": rows.effects.z, "n": rows.n}

    def look_at(self, result: TraitRows) -> None:
        """Nothing to say."""
