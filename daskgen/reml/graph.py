"""Passes of the REML engine: relationship matrices in float64, and float64 products with Z for effects."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from daskgen.genotypes.operator import GenotypeOperator
from daskgen.genotypes.view import GenotypeView
from daskgen.kernels.standardised import standardised

__all__ = ["relationship_matrices", "slab_bounds", "standardised_products", "standardised_squares", "standardised_sums"]

_BLOCK = 256  # variants that are decoded together


def slab_bounds(n: int) -> list[tuple[int, int]]:
    """Rows of K that one task computes: a function of n alone, so that the bits of K are too."""
    rows = min(1024, max(128, -(-n // 8)))
    return [(start, min(start + rows, n)) for start in range(0, n, rows)]


def relationship_matrices(operator: GenotypeOperator, weights: np.ndarray) -> np.ndarray:
    """K_g = Z W_g Z' for each column of `weights` (variants, G): float64 (G, n, n).

    A task decodes all variants and multiplies its rows with the columns up to the diagonal, so that nothing of size
    n x n is held by a worker.
    """
    n = operator.n_samples
    slabs = slab_bounds(n)
    found = np.empty((weights.shape[1], n, n))
    view = operator.view
    size = view.n_variants * view.row_bytes / len(slabs)
    budget = operator._budget(1)
    for index, part in operator.runner.run_map(
        _slab, range(len(slabs)), view, slabs, weights, budget, label="relationship matrix", unit_bytes=size
    ):
        start, stop = slabs[index]
        found[:, start:stop, :stop] = part
        found[:, :start, start:stop] = part[:, :, :start].transpose(0, 2, 1)
    for matrix in found:
        # The square on the diagonal was summed for both triangles; keep one of them.
        for start, stop in slabs:
            square = matrix[start:stop, start:stop]
            square[...] = (square + square.T) / 2
    return found


def standardised_products(operator: GenotypeOperator, vectors: np.ndarray) -> np.ndarray:
    """Z'V in float64: (variants, r) for V (n, r). One pass."""
    view, bounds = operator.view, operator.bounds
    found = np.empty((view.n_variants, vectors.shape[1]))
    for leaf, part in operator.runner.run_map(
        _products_leaf,
        range(len(bounds)),
        view,
        bounds,
        np.ascontiguousarray(vectors),
        operator._budget(vectors.shape[1]),
        label="SNP effects",
        unit_bytes=operator._leaf_bytes,
    ):
        first, last = bounds[leaf]
        found[view.chunk_rows[first][2].start : view.chunk_rows[last - 1][2].stop] = part
    return found


def standardised_sums(operator: GenotypeOperator, coefficients: np.ndarray) -> np.ndarray:
    """Z S in float64: (n, r) for S (variants, r). One pass."""
    total = operator.runner.run_sum(
        _sums_leaf,
        len(operator.bounds),
        operator.view,
        operator.bounds,
        np.ascontiguousarray(coefficients),
        operator._budget(coefficients.shape[1]),
        label="random effects",
        unit_bytes=operator._leaf_bytes,
    )
    return np.asarray(total)


def standardised_squares(operator: GenotypeOperator, weights: np.ndarray) -> np.ndarray:
    """Diagonals of Z W_g Z' in float64: (n, G) for weights (variants, G). One pass."""
    total = operator.runner.run_sum(
        _squares_leaf,
        len(operator.bounds),
        operator.view,
        operator.bounds,
        np.ascontiguousarray(weights),
        operator._budget(weights.shape[1]),
        label="diagonals",
        unit_bytes=operator._leaf_bytes,
    )
    return np.asarray(total)


# -- tasks -------------------------------------------------------------------------------------------------
def _blocks(view: GenotypeView, index: int, budget: int) -> Iterator[tuple[slice, np.ndarray]]:
    """(positions among the view's variants, Z' of them as float64 (variants, n)), reusing one buffer."""
    chunk = view.load(index, budget)
    if view.fixed is None:
        mean, factor = chunk.moments.centre(), chunk.moments.factor(view.scale, view.alpha)
    else:
        mean, factor = (array[chunk.rows] for array in view.fixed)
    buffer = np.empty((min(_BLOCK, len(chunk.codes)), view.n_samples))
    for start in range(0, len(chunk.codes), _BLOCK):
        part = slice(start, min(start + _BLOCK, len(chunk.codes)))
        block = buffer[: part.stop - part.start]
        standardised(chunk.codes[part], mean[part], factor[part], view.n_samples, block)
        yield slice(chunk.rows.start + part.start, chunk.rows.start + part.stop), block


def _slab(index: int, view: GenotypeView, slabs: list[tuple[int, int]], weights: np.ndarray, budget: int) -> np.ndarray:
    start, stop = slabs[index]
    out = np.zeros((weights.shape[1], stop - start, stop))
    for chunk in range(view.n_chunks):
        for rows, z in _blocks(view, chunk, budget):
            for g, weight in enumerate(weights[rows].T):
                members = np.flatnonzero(weight)
                if not members.size:
                    continue
                everything = len(members) == len(z)
                part, size = (z, weight) if everything else (z[members], weight[members])
                out[g] += np.matmul((part[:, start:stop] * size[:, None]).T, part[:, :stop])
    return out


def _products_leaf(
    leaf: int, view: GenotypeView, bounds: list[tuple[int, int]], vectors: np.ndarray, budget: int
) -> np.ndarray:
    return np.concatenate(
        [np.matmul(z, vectors) for chunk in range(*bounds[leaf]) for _, z in _blocks(view, chunk, budget)]
    )


def _sums_leaf(
    leaf: int, view: GenotypeView, bounds: list[tuple[int, int]], coefficients: np.ndarray, budget: int
) -> np.ndarray:
    out = np.zeros((view.n_samples, coefficients.shape[1]))
    for chunk in range(*bounds[leaf]):
        for rows, z in _blocks(view, chunk, budget):
            out += np.matmul(z.T, coefficients[rows])
    return out


def _squares_leaf(
    leaf: int, view: GenotypeView, bounds: list[tuple[int, int]], weights: np.ndarray, budget: int
) -> np.ndarray:
    out = np.zeros((view.n_samples, weights.shape[1]))
    for chunk in range(*bounds[leaf]):
        for rows, z in _blocks(view, chunk, budget):
            np.multiply(z, z, out=z)
            out += np.matmul(z.T, weights[rows])
    return out
