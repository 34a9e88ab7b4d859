"""Means and variances of genes from sums over cells."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

__all__ = ["Moments"]


@dataclass(frozen=True)
class Moments:
    """Of each gene, over one group of cells: cells with a count, mean, and variance with N - 1; float64 (genes,)."""

    n_cells: int
    counted: np.ndarray
    mean: np.ndarray
    variance: np.ndarray

    @classmethod
    def of_sums(cls, n_cells: int, counted: np.ndarray, total: np.ndarray, squares: np.ndarray) -> Moments:
        """From sum x and sum x^2; the variance of one cell is 0."""
        mean = total / max(n_cells, 1)
        variance = np.maximum(squares - n_cells * mean * mean, 0) / max(n_cells - 1, 1)
        # The difference of two sums of N terms is not 0 where all values are equal: what is below its rounding is.
        variance[variance <= 4e-16 * np.sqrt(max(n_cells, 1)) * mean * mean] = 0
        return cls(n_cells, counted, mean, variance)

    def scaled(self, factor: float) -> Moments:
        """Of the values times `factor`."""
        return Moments(self.n_cells, self.counted, self.mean * factor, self.variance * factor**2)

    def subset(self, genes: np.ndarray) -> Moments:
        """Of some genes."""
        return Moments(self.n_cells, self.counted[genes], self.mean[genes], self.variance[genes])
