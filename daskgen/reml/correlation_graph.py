"""Passes of the genetic correlations: cross products of phenotypes and of probes in groups with their own samples.

All groups look at the same variants of one source, each through its own view; a task reads a chunk once for all.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import numpy as np

from daskgen.genotypes.view import GenotypeView
from daskgen.kernels import genotype_products as products
from daskgen.kernels.dispatch import genotype_products
from daskgen.passes import zeros
from daskgen.reml.relationships import Part

__all__ = ["cross_products", "gram_matrices"]


def gram_matrices(groups: Sequence[Part], columns: Sequence[np.ndarray]) -> np.ndarray:
    """V'K V of the columns of all groups beside each other: (G, C, C); columns: V_p (n_p, k_p) of each group.

    The entry of columns v of group p and w of group q is v' Z_p W_g Z_q' w / sqrt(c_pg c_qg). One pass.
    """
    lead = groups[0].operator
    total = lead.runner.run_sum(
        _gram_leaf,
        len(lead.bounds),
        *_shared(groups, columns),
        label="cross products",
        unit_bytes=lead._leaf_bytes * len(groups),
    )
    return np.asarray(total)


def cross_products(groups: Sequence[Part], columns: Sequence[np.ndarray]) -> list[np.ndarray]:
    """Z_s W_g Z_p' V_p / sqrt(c_sg c_pg) of every group s with every group p: (G, n_s, C) by s. One pass."""
    lead = groups[0].operator
    totals = lead.runner.run_sum(
        _cross_leaf,
        len(lead.bounds),
        *_shared(groups, columns),
        label="relationships",
        unit_bytes=lead._leaf_bytes * len(groups),
    )
    return [
        np.asarray(products.from_planes(total, part.operator._order, part.operator.n_samples))
        for total, part in zip(totals, groups, strict=True)
    ]


Shared = tuple[
    list[GenotypeView], list[tuple[int, int]], list[np.ndarray], list[np.ndarray], list[int], tuple[int, int]
]


def _shared(groups: Sequence[Part], columns: Sequence[np.ndarray]) -> Shared:
    """views, bounds, roots of the weights (variants, G), planes, budgets, (tile, block)."""
    operators = [part.operator for part in groups]
    lead, width = operators[0], sum(v.shape[1] for v in columns)
    for operator in operators:
        operator.plan(width).check()
    planes = [products.to_planes(v, o._order) for o, v in zip(operators, columns, strict=True)]
    budgets = [o._budget(width) // len(operators) for o in operators]
    roots = [np.sqrt(part.weights) for part in groups]
    return [o.view for o in operators], lead.bounds, roots, planes, budgets, (lead.tile, lead.block)


# -- tasks -------------------------------------------------------------------------------------------------
def _gram_leaf(
    leaf: int,
    views: Sequence[GenotypeView],
    bounds: Sequence[tuple[int, int]],
    roots: Sequence[np.ndarray],
    planes: Sequence[np.ndarray],
    budgets: Sequence[int],
    cut: tuple[int, int],
) -> np.ndarray:
    total = sum(p.shape[1] for p in planes)
    out = np.zeros((roots[0].shape[1], total, total))
    for index in range(*bounds[leaf]):
        parts, weights, read_once = [], [], lru_cache(maxsize=1)(views[0].source_rows)
        for view, root, plane, budget in zip(views, roots, planes, budgets, strict=True):
            chunk = view.load(index, budget, read_once)
            parts.append(genotype_products(chunk.codes).ztv(chunk.codes, chunk.table, plane, *cut))
            weights.append(root[chunk.rows])
        for g in range(len(out)):
            sides = np.hstack([part * weight[:, g, None] for part, weight in zip(parts, weights, strict=True)])
            out[g] += np.matmul(sides.T, sides)
    return out


def _cross_leaf(
    leaf: int,
    views: Sequence[GenotypeView],
    bounds: Sequence[tuple[int, int]],
    roots: Sequence[np.ndarray],
    planes: Sequence[np.ndarray],
    budgets: Sequence[int],
    cut: tuple[int, int],
) -> list[np.ndarray]:
    g, total = roots[0].shape[1], sum(p.shape[1] for p in planes)
    outs = [zeros((g, len(plane), total)) for plane in planes]
    for index in range(*bounds[leaf]):
        read_once = lru_cache(maxsize=1)(views[0].source_rows)
        chunks = [view.load(index, budget, read_once) for view, budget in zip(views, budgets, strict=True)]
        weights = [root[chunk.rows] for root, chunk in zip(roots, chunks, strict=True)]
        parts = [
            genotype_products(chunk.codes).ztv(chunk.codes, chunk.table, plane, *cut)
            for chunk, plane in zip(chunks, planes, strict=True)
        ]
        for component in range(g):
            sides = np.hstack([part * w[:, component, None] for part, w in zip(parts, weights, strict=True)])
            for chunk, weight, out in zip(chunks, weights, outs, strict=True):
                own = sides * weight[:, component, None]
                genotype_products(chunk.codes).zs(chunk.codes, chunk.table, own, out[component], *cut)
    return outs
