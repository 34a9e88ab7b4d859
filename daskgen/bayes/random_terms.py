"""Random effects of location: their levels, and the precision matrix of the levels."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from daskgen.errors import InputError

__all__ = ["RandomTerm", "random_term"]


@dataclass(frozen=True, eq=False)
class RandomTerm:
    """A random effect: the level of each sample (-1: none), names of levels, precision by rows (pointer, column, value;
    identity for independent levels), prior of the variance.
    """

    name: str
    level: np.ndarray
    levels: list[str]
    pointer: np.ndarray
    column: np.ndarray
    value: np.ndarray
    variance: float = 1.0
    df: float = 5.0


def random_term(name: str, levels: np.ndarray, used: np.ndarray, precision: Any, variance: float) -> RandomTerm:
    """Independent levels, or those of a user's precision matrix, a pair (matrix, names of its rows)."""
    if precision is None:
        labels = sorted({str(level) for level in levels[used]})
        pointer = np.arange(len(labels) + 1)
        column, value = np.arange(len(labels)), np.ones(len(labels))
    else:
        matrix, names = precision
        labels = [str(label) for label in names]
        if matrix.shape != (len(labels), len(labels)):
            raise InputError(
                f"{name}: the precision matrix and its names differ.", found=f"{matrix.shape}, {len(labels)} names"
            )
        if abs(matrix - matrix.T).max() > 1e-8 * abs(matrix).max() or (matrix.diagonal() <= 0).any():
            raise InputError(f"{name}: a precision matrix must be symmetric with a positive diagonal.")
        pointer, column, value = _compressed_rows(matrix)
        unknown = sorted({str(level) for level in levels[used]} - set(labels))
        if unknown:
            raise InputError(f"{name}: levels that are not in the precision matrix.", found=", ".join(unknown[:3]))
    place = {label: i for i, label in enumerate(labels)}
    level = np.array([place.get(str(value), -1) for value in levels], np.int64)
    return RandomTerm(
        name,
        level,
        labels,
        np.asarray(pointer, np.int64),
        np.asarray(column, np.int64),
        np.asarray(value, np.float64),
        variance,
    )


def _compressed_rows(matrix: Any) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(pointer, column, value) of a dense or SciPy sparse matrix."""
    if hasattr(matrix, "tocsr"):
        rows = matrix.tocsr()
        return rows.indptr, rows.indices, rows.data
    dense = np.asarray(matrix, np.float64)
    row, column = np.nonzero(dense)
    return np.searchsorted(row, np.arange(len(dense) + 1)), column, dense[row, column]
