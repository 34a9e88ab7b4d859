"""From counts to the values that components are made of: divided, in logarithms, and scaled, without being stored.

y = x / f, then ln(1 + y) (over ln(base)), then z = (y - m) / s clipped at +- c. A gene whose count is 0 has the same
z in every cell, so z minus this constant is as sparse as the counts, and has the same covariances.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

__all__ = ["Scaling", "Transform"]


@dataclass(frozen=True, eq=False)
class Scaling:
    """mean and deviation of the genes that are taken, float64; largest: c, or None; centred: whether m is
    subtracted."""

    mean: np.ndarray
    deviation: np.ndarray
    largest: float | None = None
    centred: bool = True

    def apply(self, values: np.ndarray, genes: np.ndarray) -> np.ndarray:
        """z less that of a zero, for values of these genes."""
        return self._scaled(values, genes) - self.of_zero()[genes]

    def of_zero(self) -> np.ndarray:
        """z of a count of 0, float64 (genes,)."""
        return self._scaled(np.zeros(len(self.mean)), slice(None))

    def _scaled(self, values: np.ndarray, genes: np.ndarray | slice) -> np.ndarray:
        if not self.centred:
            scaled = values / self.deviation[genes]
            return scaled if self.largest is None else np.minimum(scaled, self.largest)
        scaled = (values - self.mean[genes]) / self.deviation[genes]
        return scaled if self.largest is None else np.clip(scaled, -self.largest, self.largest)


@dataclass(frozen=True, eq=False)
class Transform:
    """divisors: float64 (cells,) or None; log: whether logarithms are taken; base: of these, None for e; scaling."""

    divisors: np.ndarray | None = None
    log: bool = True
    base: float | None = None
    scaling: Scaling | None = None

    @property
    def nbytes(self) -> int:
        """What the runner of passes goes by when it sends it to workers."""
        return 0 if self.divisors is None else int(self.divisors.nbytes)

    def apply(self, counts: np.ndarray, indptr: np.ndarray, genes: np.ndarray, start: int) -> np.ndarray:
        """float32 values of counts of any type; indptr: of their rows, the first of which is `start`; genes: of
        each."""
        values = counts.astype(np.float64)
        if self.divisors is not None:
            divisors = self.divisors[start : start + len(indptr) - 1]
            values /= np.repeat(divisors, np.diff(indptr))
        if self.log:
            np.log1p(values, out=values)
            if self.base is not None:
                values /= np.log(self.base)
        if self.scaling is not None:
            values = self.scaling.apply(values, genes)
        return values.astype(np.float32)
