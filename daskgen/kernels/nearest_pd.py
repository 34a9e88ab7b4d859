"""The nearest positive definite matrix, as R's Matrix::nearPD finds it (corr = FALSE and its other defaults).

Higham's alternating projections, with Dykstra's correction, onto the positive semidefinite cone: X_0 = A, D_0 = 0,

    R = X_i - D_i = Q diag(d) Q',     X_{i+1} = sum over d_j > 1e-6 max(d) of d_j q_j q_j',     D_{i+1} = X_{i+1} - R,

until max-row-sum norm of X_{i+1} - X_i is at most 1e-7 of that of X_i, or 100 times. Then eigenvalues of X below
e = 1e-8 |largest| are raised to e, and the matrix is scaled back to the diagonal that X had (where that is at least e).

Source: Higham (2002), "Computing the nearest correlation matrix", IMA J. Numer. Anal. 22; the last step as in R's
function, after Cheng and Higham (1998), "A modified Cholesky algorithm".

Some models have matrices of a few rows smoothed at every SNP, so the eigenvectors come from loops: one call of LAPACK
takes as long as all of it.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from numba import types

from daskgen.kernels.compile import helper, input_array, kernel, output_array

__all__ = ["eigen_symmetric", "nearest_pd", "nearest_pd_into", "positive_definite"]

_EIGENVALUE_TOLERANCE = 1e-6
_CONVERGENCE_TOLERANCE = 1e-7
_DEFINITE_TOLERANCE = 1e-8
_ITERATIONS = 100
_STEPS = 30
_NEGLIGIBLE = 1e-16

Float64 = npt.NDArray[np.float64]


def nearest_pd(matrix: npt.ArrayLike) -> Float64:
    """The nearest positive definite matrix of each symmetric float64 (..., k, k); the shape stays.

    Of every matrix the lower triangle is read. NaN where there is none: values that are not finite, or no positive
    eigenvalue. Raises ValueError unless the last two axes have the same length.
    """
    array = np.ascontiguousarray(matrix, np.float64)
    if array.ndim < 2 or array.shape[-1] != array.shape[-2]:
        raise ValueError(f"a matrix must be (..., k, k), this is {array.shape}")
    out = np.empty_like(array)
    if array.size:
        _nearest_pd(array.reshape(-1, *array.shape[-2:]), out.reshape(-1, *array.shape[-2:]))
    return out


def positive_definite(matrix: npt.ArrayLike) -> tuple[Float64, npt.NDArray[np.bool_]]:
    """R GenomicSEM's rule for S and V: each (..., k, k) whose smallest eigenvalue is not positive becomes the nearest
    positive definite matrix, the others stay. Returns the matrices and which were replaced, bool (...).
    """
    array = np.array(matrix, np.float64)
    smallest = np.linalg.eigvalsh(array)[..., 0]
    replaced = ~(smallest > 0)
    array[replaced] = nearest_pd(array[replaced])
    return array, replaced


@helper
def eigen_symmetric(matrix: Float64, vectors: Float64, values: Float64) -> None:
    """Eigenvalues (k,), in no order, and eigenvectors, the rows of `vectors` (k, k), of a symmetric (k, k).

    The matrix is destroyed. Householder reflections to a tridiagonal matrix, then QR steps with Wilkinson's shift
    (Golub and Van Loan, Matrix Computations, sections 8.3.1 and 8.3.3).
    """
    k = matrix.shape[0]
    below, reflector, image = np.zeros(k), np.empty(k), np.empty(k)
    for i in range(k):
        for j in range(k):
            vectors[i, j] = 1.0 if i == j else 0.0
    for column in range(k - 2):
        _reflect(matrix, vectors, column, reflector, image)
    for i in range(k):
        values[i] = matrix[i, i]
        if i + 1 < k:
            below[i] = matrix[i + 1, i]
    last, steps = k - 1, 0
    while last > 0 and steps < _STEPS * k:
        first = last
        while first > 0 and abs(below[first - 1]) > _NEGLIGIBLE * (abs(values[first - 1]) + abs(values[first])):
            first -= 1
        if first == last:
            last -= 1
        else:
            _qr_step(values, below, vectors, first, last)
            steps += 1


@helper
def _reflect(matrix: Float64, vectors: Float64, column: int, v: Float64, w: Float64) -> None:
    """A = H A H and Q = H Q, H = I - 2 v v' / v'v, with v such that `column` has one element below its diagonal."""
    k = matrix.shape[0]
    size = 0.0
    for i in range(column + 1, k):
        v[i] = matrix[i, column]
        size += v[i] * v[i]
    size = np.sqrt(size)
    v[column + 1] += size if v[column + 1] >= 0.0 else -size
    square = 0.0
    for i in range(column + 1, k):
        square += v[i] * v[i]
    if not square > 0.0:
        return
    scale = 2.0 / square
    along = 0.0
    for i in range(column, k):
        w[i] = 0.0
        for j in range(column + 1, k):
            w[i] += scale * matrix[i, j] * v[j]
        if i > column:
            along += 0.5 * scale * w[i] * v[i]
    v[column] = 0.0
    for i in range(column, k):
        w[i] -= along * v[i]
    for i in range(column, k):
        for j in range(column, k):
            matrix[i, j] -= v[i] * w[j] + w[i] * v[j]
    for j in range(k):
        product = 0.0
        for i in range(column + 1, k):
            product += v[i] * vectors[i, j]
        for i in range(column + 1, k):
            vectors[i, j] -= scale * product * v[i]


@helper
def _qr_step(d: Float64, e: Float64, vectors: Float64, first: int, last: int) -> None:
    """An implicit QR step on the rows `first` to `last` of the tridiagonal matrix with diagonal d and e beside it."""
    half = 0.5 * (d[last - 1] - d[last])
    beside = e[last - 1]
    spread = np.sqrt(half * half + beside * beside)
    x = d[first] - d[last] + beside * beside / (half + spread if half >= 0.0 else half - spread)
    z = e[first]
    for i in range(first, last):
        size = np.sqrt(x * x + z * z)
        if size == 0.0:
            return
        cosine, sine = x / size, z / size
        if i > first:
            e[i - 1] = size
        upper, lower, between = d[i], d[i + 1], e[i]
        d[i] = cosine * cosine * upper + 2.0 * cosine * sine * between + sine * sine * lower
        d[i + 1] = sine * sine * upper - 2.0 * cosine * sine * between + cosine * cosine * lower
        e[i] = cosine * sine * (lower - upper) + (cosine * cosine - sine * sine) * between
        if i + 1 < last:
            x, z = e[i], sine * e[i + 1]
            e[i + 1] = cosine * e[i + 1]
        for j in range(vectors.shape[1]):
            one, other = vectors[i, j], vectors[i + 1, j]
            vectors[i, j] = cosine * one + sine * other
            vectors[i + 1, j] = cosine * other - sine * one


@helper
def _fill(value: float, out: Float64) -> None:
    for i in range(out.shape[0]):
        for j in range(out.shape[0]):
            out[i, j] = value


@helper
def _from_eigen(vectors: Float64, values: Float64, least: float, out: Float64) -> None:
    """The sum of values q q' over values above `least`, into `out`."""
    k = out.shape[0]
    _fill(0.0, out)
    for e in range(k):
        if values[e] > least:
            for i in range(k):
                weighted = values[e] * vectors[e, i]
                for j in range(i + 1):
                    out[i, j] += weighted * vectors[e, j]
    for i in range(k):
        for j in range(i):
            out[j, i] = out[i, j]


@helper
def _row_sum_norm(matrix: Float64) -> float:
    largest = 0.0
    for i in range(matrix.shape[0]):
        total = 0.0
        for j in range(matrix.shape[0]):
            total += abs(matrix[i, j])
        largest = max(largest, total)
    return largest


@helper
def _add(factor: float, x: Float64, out: Float64) -> None:
    """out += factor x. Loops compile several times as fast as expressions of arrays, here and below."""
    for i in range(out.shape[0]):
        for j in range(out.shape[0]):
            out[i, j] += factor * x[i, j]


@helper
def nearest_pd_into(matrix: Float64, out: Float64) -> bool:
    """The nearest positive definite matrix of `matrix` (k, k) into `out` (k, k); False, and NaN, where there is none.

    For kernels. `matrix` is not changed.
    """
    k = matrix.shape[0]
    correction, shifted, change = np.zeros((k, k)), np.empty((k, k)), np.empty((k, k))
    vectors, values = np.empty((k, k)), np.empty(k)
    for i in range(k):
        for j in range(i + 1):
            out[i, j] = out[j, i] = matrix[i, j]
    size = _row_sum_norm(out)
    if not np.isfinite(size):
        _fill(np.nan, out)
        return False
    for _ in range(_ITERATIONS):
        for i in range(k):
            for j in range(k):
                shifted[i, j] = out[i, j] - correction[i, j]
                correction[i, j] = -shifted[i, j]
                change[i, j] = out[i, j]
        eigen_symmetric(shifted, vectors, values)
        largest = _largest(values)
        if not largest > 0.0:
            _fill(np.nan, out)
            return False
        _from_eigen(vectors, values, _EIGENVALUE_TOLERANCE * largest, out)
        _add(1.0, out, correction)
        _add(-1.0, out, change)
        if _row_sum_norm(change) <= _CONVERGENCE_TOLERANCE * size:
            break
        size = _row_sum_norm(out)
    _raise_eigenvalues(out, shifted, vectors, values)
    return True


@helper
def _largest(values: Float64) -> float:
    largest = values[0]
    for e in range(values.size):
        largest = max(largest, values[e])
    return largest


@helper
def _raise_eigenvalues(matrix: Float64, spare: Float64, vectors: Float64, values: Float64) -> None:
    """The last step: no eigenvalue below a part of the largest; the diagonal stays where it is at least that."""
    k = matrix.shape[0]
    diagonal = np.empty(k)
    for i in range(k):
        diagonal[i] = matrix[i, i]
        for j in range(k):
            spare[i, j] = matrix[i, j]
    eigen_symmetric(spare, vectors, values)
    least = _DEFINITE_TOLERANCE * abs(_largest(values))
    definite = True
    for e in range(k):
        definite &= values[e] >= least
        values[e] = max(values[e], least)
    if definite:
        return
    _from_eigen(vectors, values, 0.0, matrix)
    for i in range(k):
        diagonal[i] = np.sqrt(max(least, diagonal[i]) / matrix[i, i])
    for i in range(k):
        for j in range(k):
            matrix[i, j] *= diagonal[i] * diagonal[j]


_MATRICES: Any = types.float64


@kernel(types.void(input_array(_MATRICES, 3), output_array(_MATRICES, 3)))
def _nearest_pd(matrices, out):
    for m in range(matrices.shape[0]):
        nearest_pd_into(matrices[m], out[m])
