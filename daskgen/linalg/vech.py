"""The half-vectorisation of a symmetric matrix: its lower triangle, column by column.

vech of a k x k matrix A is (a_11, a_21, ..., a_k1, a_22, ..., a_kk), k (k + 1) / 2 elements.
Source: Magnus, Neudecker (2019), Matrix Differential Calculus, section 3.8.
"""

from __future__ import annotations

import numpy as np

__all__ = ["order_of", "unvech", "vech", "vech_indices", "vech_length"]


def vech_length(k: int) -> int:
    """Elements of vech of a k x k matrix."""
    return k * (k + 1) // 2


def order_of(length: int) -> int:
    """The k of which vech has `length` elements; ValueError if there is none."""
    k = int((np.sqrt(8 * length + 1) - 1) / 2 + 0.5)
    if vech_length(k) != length:
        raise ValueError(f"{length} is not k (k + 1) / 2 for any k")
    return k


def vech_indices(k: int) -> tuple[np.ndarray, np.ndarray]:
    """(row, column) of each element of vech, row >= column; int64 (k (k + 1) / 2,) each."""
    column, row = np.triu_indices(k)  # the upper triangle row by row is the lower one column by column
    return row, column


def vech(matrix: np.ndarray) -> np.ndarray:
    """(..., k, k) -> (..., k (k + 1) / 2)."""
    row, column = vech_indices(matrix.shape[-1])
    return matrix[..., row, column]


def unvech(vector: np.ndarray) -> np.ndarray:
    """(..., k (k + 1) / 2) -> the symmetric (..., k, k)."""
    k = order_of(vector.shape[-1])
    row, column = vech_indices(k)
    matrix = np.empty((*vector.shape[:-1], k, k), vector.dtype)
    matrix[..., row, column] = vector
    matrix[..., column, row] = vector
    return matrix
