"""The pass that multiplies each column by its own relationship matrix: the one without the column's contig group."""

from __future__ import annotations

import numpy as np

from daskgen.genotypes.operator import GenotypeOperator
from daskgen.genotypes.view import GenotypeView
from daskgen.kernels import genotype_products as products
from daskgen.kernels.dispatch import genotype_products
from daskgen.passes import give_back, zeros

__all__ = ["left_out_products"]


def left_out_products(
    operator: GenotypeOperator,
    members: np.ndarray,
    group: np.ndarray,
    factors: np.ndarray,
    own: np.ndarray,
    vectors: np.ndarray,
) -> np.ndarray:
    """sum_g f_gj Z_g,-k(j) Z_g,-k(j)' v_j for every column j: float64 (n, r). One pass, at the price of one component.

    members: bool (variants, G), of the components, False for variants that do not vary; group: int64 (variants,), their
    contig groups; factors: f (G, r); own: int64 (r,), the group k that column j does without, -1 for none; vectors
    (n, r).
    """
    order = products.plane_order(operator.n_samples, operator.tile)
    total = operator.runner.run_sum(
        _leaf,
        len(operator.bounds),
        operator.view,
        operator.bounds,
        members,
        group,
        factors,
        own,
        products.to_planes(vectors, order),
        operator._budget(vectors.shape[1]),
        operator.tile,
        operator.block,
        label="left-out solves",
        unit_bytes=operator._leaf_bytes,
    )
    out = products.from_planes(total, order, operator.n_samples)
    give_back(total)
    return out


def _leaf(
    leaf: int,
    view: GenotypeView,
    bounds: list[tuple[int, int]],
    members: np.ndarray,
    group: np.ndarray,
    factors: np.ndarray,
    own: np.ndarray,
    planes: np.ndarray,
    budget: int,
    tile: int,
    block: int,
) -> np.ndarray:
    out = zeros(planes.shape)
    for index in range(*bounds[leaf]):
        chunk = view.load(index, budget)
        kernels = genotype_products(chunk.codes)
        weight = members[chunk.rows].astype(np.float64) @ factors
        weight[group[chunk.rows, None] == own] = 0.0
        weight *= kernels.ztv(chunk.codes, chunk.table, planes, tile, block)
        kernels.zs(chunk.codes, chunk.table, weight, out, tile, block)
    return out
