"""Allele frequencies of a file: the filter on rare variants, and the check that signs are not turned."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import polars as pl

from conversion.summary.columns import Columns
from conversion.summary.numeric import floats
from conversion.summary.signatures import frequency_is_of_other

__all__ = ["FrequencyCheck", "FrequencyColumn", "frequency_column"]

Float64 = npt.NDArray[np.float64]


@dataclass(frozen=True)
class FrequencyColumn:
    """A column of frequencies. counts: "effect" or "other" (allele), or None where it is that of the rarer one."""

    name: str
    counts: str | None

    def read(self, frame: pl.DataFrame) -> Float64:
        """Frequency of the effect allele where it is known which allele is counted, else as it is; NaN if missing."""
        frequency = floats(frame[self.name])
        frequency = np.where(frequency == -9, np.nan, frequency)
        return 1 - frequency if self.counts == "other" else frequency


def frequency_column(columns: Columns) -> FrequencyColumn | None:
    """The column of frequencies of a file, if it has one."""
    if (name := columns.get("frequency")) is not None:
        effect = columns.get("effect_allele")
        other = effect is not None and "frequency" not in columns.given and frequency_is_of_other(name, effect)
        return FrequencyColumn(name, "other" if other else "effect")
    if (name := columns.get("minor_frequency")) is not None:
        return FrequencyColumn(name, None)
    return None


@dataclass
class FrequencyCheck:
    """Correlation of a trait's frequencies, aligned to the reference's A1, with those of the reference.

    A file whose effect allele was taken for the other one has 1 - f where the reference has f. Where the reference has
    the frequency of the rarer allele and A1 is any of the two, the correlation is near 0 and says nothing.
    """

    n: int = 0
    _sums: Float64 = field(default_factory=lambda: np.zeros(5))

    def add(self, mine: Float64, reference: Float64) -> None:
        """More rows."""
        use = np.isfinite(mine) & np.isfinite(reference)
        x, y = mine[use], reference[use]
        self.n += len(x)
        self._sums += [x.sum(), y.sum(), x @ x, y @ y, x @ y]

    @property
    def correlation(self) -> float:
        """Pearson's r; NaN for fewer than 20 rows or without variance."""
        if self.n < 20:
            return float("nan")
        x, y, xx, yy, xy = self._sums / self.n
        variance = (xx - x * x) * (yy - y * y)
        return float((xy - x * y) / np.sqrt(variance)) if variance > 1e-20 else float("nan")
