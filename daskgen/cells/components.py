"""Principal components from sums over cells: the covariance matrix, its leading eigenvectors, and their signs.

With G = sum y y' and s = sum y over the N cells, C = (G - s s' / N) / (N - 1), C V = V diag(variance), and the scores
of a cell are (y - s / N) V: values are centred without being made dense. The sign of a component is such that its
largest loading in size is positive.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import scipy.linalg
from scipy.linalg.blas import dsymv  # noqa: TID251
from scipy.sparse.linalg import ArpackError, LinearOperator, eigsh  # noqa: TID251
from threadpoolctl import threadpool_limits

from daskgen.linalg.lanczos import largest_eigenpairs

__all__ = ["Components", "components_by_products", "components_of_gram"]

_ROWS = 128  # of a Gram matrix that are centred together, in the cache


@dataclass(frozen=True)
class Components:
    """loadings (genes, k), columns of unit length; variance, variance_ratio (k,); mean (genes,); all float64."""

    loadings: np.ndarray
    variance: np.ndarray
    variance_ratio: np.ndarray
    mean: np.ndarray
    passes: int = 1

    @property
    def shift(self) -> np.ndarray:
        """What is subtracted from y V: mean V, float64 (k,)."""
        return self.mean @ self.loadings


def components_of_gram(gram: np.ndarray, total: np.ndarray, n_cells: int, k: int, *, centre: bool = True) -> Components:
    """The `k` leading components, exactly.

    gram: float64 (genes, genes), its upper triangle is read, and overwritten; total: float64 (genes,), sum of y.
    Without centring the eigenvectors are those of G, variance is that of the scores with N, as of a truncated SVD.
    """
    mean = total / n_cells
    trace = float(np.trace(gram))
    if not centre:
        values, vectors = _largest_pairs(gram, k)
        variance = values / n_cells - (mean @ vectors) ** 2
        return _signed(vectors, variance, trace / n_cells - float(mean @ mean), np.zeros_like(mean))
    for start in range(0, len(total), _ROWS):
        gram[start : start + _ROWS] -= np.outer(total[start : start + _ROWS], mean)
    values, vectors = _largest_pairs(gram, k)
    whole = (trace - float(total @ mean)) / (n_cells - 1)
    return _signed(vectors, np.maximum(values, 0) / (n_cells - 1), whole, mean)


def _largest_pairs(matrix: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
    """The `k` largest eigenvalues of a symmetric matrix, of which the upper triangle is read, and their vectors.

    Few of many come from Lanczos' method (ARPACK, to 1e-12 of each eigenvalue), a third of the work of LAPACK's subset,
    which is used for the rest, and where a residual is above 1e-10 of the largest eigenvalue. This is not the code of a
    task, which both would block; on one thread, because those of BLAS would wait for each other actively.
    """
    n = len(matrix)
    with threadpool_limits(1):
        if 8 * k <= n:
            found = _by_lanczos(matrix, k)
            if found is not None:
                return found
        values, vectors = scipy.linalg.eigh(matrix, lower=False, subset_by_index=[n - k, n - 1], driver="evr")  # noqa: TID251
    return values[::-1], vectors[:, ::-1]


def _by_lanczos(matrix: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray] | None:
    """The same; None where it did not converge, as with fewer than `k` eigenvalues that are not 0."""
    n = len(matrix)

    def times(vector: np.ndarray) -> np.ndarray:
        product: np.ndarray = dsymv(1.0, matrix.T, vector.ravel(), lower=1)  # the upper triangle in order of columns
        return product

    start = np.random.Generator(np.random.Philox(key=np.array([n, k], np.uint64))).standard_normal(n)
    try:
        operator = LinearOperator((n, n), matvec=times, dtype=np.float64)
        values, vectors = eigsh(operator, k, which="LA", v0=start, tol=1e-12)
    except ArpackError:
        return None
    order = np.argsort(-values)
    values, vectors = values[order], vectors[:, order]
    products = np.stack([times(vector) for vector in vectors.T], axis=1)
    off = np.linalg.norm(products - vectors * values, axis=0).max()
    slant = np.abs(vectors.T @ vectors - np.eye(k)).max()
    return (values, vectors) if off <= 1e-10 * abs(values[0]) and slant <= 1e-10 else None


def components_by_products(
    apply: Callable[[np.ndarray], np.ndarray],
    squares: float,
    total: np.ndarray,
    n_cells: int,
    k: int,
    *,
    centre: bool = True,
    seed: int = 0,
    max_passes: int = 200,
) -> Components:
    """The `k` leading components of many genes, by block Krylov iteration on products with the data.

    apply: V (genes, b) -> Y'(Y V) float64, one pass; squares: sum of y^2 over all values. Every pass is used (Musco and
    Musco 2015, Adv. Neural Inf. Process. Syst. 28), until the residual of each component is below 1e-7 of the largest.
    """
    mean = total / n_cells
    generator = np.random.Generator(np.random.Philox(key=np.array([seed, 0x43454C4C], np.uint64)))
    width = min(k + 10, len(total))

    def product(block: np.ndarray) -> np.ndarray:
        out = apply(np.ascontiguousarray(block))
        return out - np.outer(total, mean @ block) if centre else out

    found = largest_eigenpairs(
        product, len(total), k, start=generator.standard_normal((len(total), width)), tol=1e-7, max_passes=max_passes
    )
    if centre:
        whole = (squares - n_cells * float(mean @ mean)) / (n_cells - 1)
        return _signed(found.vectors, np.maximum(found.values, 0) / (n_cells - 1), whole, mean, found.passes)
    variance = found.values / n_cells - (mean @ found.vectors) ** 2
    whole = squares / n_cells - float(mean @ mean)
    return _signed(found.vectors, variance, whole, np.zeros_like(mean), found.passes)


def _signed(vectors: np.ndarray, variance: np.ndarray, whole: float, mean: np.ndarray, passes: int = 1) -> Components:
    rows = np.abs(vectors).argmax(axis=0)
    signs = np.where(vectors[rows, np.arange(vectors.shape[1])] < 0, -1.0, 1.0)
    ratio = variance / whole if whole > 0 else np.full_like(variance, np.nan)
    return Components(np.ascontiguousarray(vectors * signs), variance, ratio, mean, passes)
