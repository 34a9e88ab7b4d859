"""Size factors: what the counts of a cell are divided by so that all cells have the same total.

x' = x / f with f = t / T: t the cell's total, T the target. The formulas and defaults are those of scanpy's
`normalize_total`; without a target, T is the median of the totals that are not 0.
"""

from __future__ import annotations

import numpy as np

from daskgen.errors import InputError, UsageError

__all__ = ["check_target", "size_factors"]


def check_target(target_sum: float | None) -> None:
    """UsageError unless the target is None or a positive number."""
    if target_sum is not None and not (np.isfinite(target_sum) and target_sum > 0):
        raise UsageError(f"target_sum must be a positive number, it is {target_sum}.")


def size_factors(totals: np.ndarray, kept: np.ndarray, target_sum: float | None) -> tuple[np.ndarray, float]:
    """Divisors f, float64 (cells,), 1 for cells without counts, and the target T.

    totals: float64 (cells,); kept: bool (cells,), the cells whose median is taken.
    """
    check_target(target_sum)
    if target_sum is None:
        counted = totals[kept & (totals > 0)]
        if counted.size == 0:
            raise InputError("no cell has a count, so there is no median to normalise to.")
        target_sum = float(np.median(counted))
    factors = totals / target_sum
    factors[~(factors > 0)] = 1.0
    return factors, float(target_sum)
