"""Products with the genotype matrix Z and the relationship matrix K = Z W Z' / c, streamed from packed codes.

Z is samples x variants, centred and scaled in the analysed samples (`moments`), missing calls at the mean; neither
Z nor K is ever formed. One pass reads each packed chunk once, from the worker's cache or the store, decodes it
block by block inside one task, and multiplies.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any

import numpy as np

from daskgen import config, limits
from daskgen.errors import InputError
from daskgen.genotypes.moments import Moments
from daskgen.genotypes.view import GenotypeView
from daskgen.kernels import genotype_products as products
from daskgen.kernels.dispatch import genotype_products
from daskgen.kernels.genotype_squares import add_squares
from daskgen.passes import MemoryItem, PassRunner, Plan, cache_budget, give_back, leaf_bounds, n_leaves, zeros

__all__ = ["GenotypeOperator"]

Bounds = list[tuple[int, int]]
_LIBRARIES = 300_000_000  # resident memory of a process that has imported what a pass needs


class GenotypeOperator:
    """Streamed Z'V, Z S, K V, diag(K) and tr(K) of one `GenotypeView`.

    weights: per variant (n_variants,), at least 0 (None: 1). components: name -> indices or boolean mask of
    variants, which may overlap; `kv`, `diagonal` and `trace` then have a leading component axis, K_g = Z_g W Z_g' /
    c_g with c_g the number of the component's variants that vary in the analysed samples.
    memory_limit: bytes that all local processes may use (None: the current limit); what is left beside the work
    space holds packed chunks, "cache=False" reads them again each pass.

    leaves: parts of a pass whose results are added up; by default a function of the view. Operators with the same
    number can share a pass (`shared`).

    The same view, tile, block and leaves give the same bits for any number of threads or workers.
    """

    def __init__(
        self,
        view: GenotypeView,
        *,
        weights: np.ndarray | None = None,
        components: Mapping[str, Any] | None = None,
        memory_limit: int | str | None = None,
        cache: bool = True,
        runner: PassRunner | None = None,
        leaves: int | None = None,
    ):
        self.view = view
        self.runner = runner or PassRunner()
        self.tile = int(config.get("sample-tile"))
        self.block = int(config.get("variant-block"))
        self.memory_limit = limits.memory_limit(memory_limit)
        self.cache = cache
        if view.n_samples == 0 or view.n_variants == 0:
            raise InputError(
                "there are no genotypes left to analyse.", found=f"{view.n_samples} samples, {view.n_variants} variants"
            )
        self.weights = None if weights is None else _checked_weights(weights, view.n_variants)
        self.component_names = None if components is None else list(components)
        self._member = None if components is None else _membership(components, view.n_variants)
        if leaves is None:
            leaves = n_leaves(view.n_chunks, view.n_variants * view.row_bytes, view.n_samples)
        self.bounds = leaf_bounds(view.n_chunks, leaves)
        self._leaf_bytes = view.n_variants * view.row_bytes / leaves

    # -- facts ---------------------------------------------------------------------------------------------
    @property
    def n_samples(self) -> int:
        return self.view.n_samples

    @property
    def n_variants(self) -> int:
        return self.view.n_variants

    @cached_property
    def moments(self) -> Moments:
        """Calls, mean and variance per variant in the analysed samples (one counting pass, kept)."""
        n = self.view.n_variants
        found = Moments(np.zeros(n, np.int64), np.zeros(n), np.zeros(n))
        for leaf, part in self.runner.run_map(
            _moments_leaf,
            range(len(self.bounds)),
            self.view,
            self.bounds,
            self._budget(1),
            label="allele counts",
            unit_bytes=self._leaf_bytes,
        ):
            first, last = self.bounds[leaf]
            rows = slice(self.view.chunk_rows[first][2].start, self.view.chunk_rows[last - 1][2].stop)
            found.n_called[rows], found.mean[rows], found.variance[rows] = part
        return found

    @cached_property
    def counted(self) -> np.ndarray:
        """c: number of variants with positive variance in the analysed samples; (components,) with components."""
        varies = self.moments.polymorphic
        if self._member is None:
            return np.asarray(varies.sum(), dtype=np.int64)
        return np.asarray(self._member[varies].sum(axis=0), dtype=np.int64)

    @cached_property
    def _weights32(self) -> np.ndarray:
        """float32 (variants,) or (variants, components): weight / c_g of each variant in each component."""
        weight = np.ones(self.n_variants) if self.weights is None else self.weights
        counted = np.maximum(self.counted, 1)
        if self._member is None:
            return (weight / counted).astype(np.float32)
        return (self._member * weight[:, None] / counted).astype(np.float32)

    def _combined(self, combination: np.ndarray) -> np.ndarray:
        """float32 (variants,): the weights of sum_g f_g K_g."""
        factors = np.asarray(combination, np.float64)
        if self._member is None or factors.shape != (self._member.shape[1],):
            raise InputError("a combination needs a factor for each component.", found=factors.shape)
        return (self._weights32 @ factors).astype(np.float32)

    # -- products ------------------------------------------------------------------------------------------
    def kv(self, vectors: np.ndarray, *, combination: np.ndarray | None = None, label: str = "K V") -> np.ndarray:
        """K V for V (n_samples, r): float64 (n_samples, r), or (components, n_samples, r) with components.

        combination: (components,) factors f; the result is then sum_g f_g K_g V, (n_samples, r), for the price of one
        component. float32 inside a block of variants and a tile of samples, float64 across them. One pass.
        """
        v, flat = self._columns(vectors, self.n_samples)
        self.plan(v.shape[1]).check()
        order = self._order
        planes = products.to_planes(v, order)
        total = self.runner.run_sum(
            _kv_leaf,
            len(self.bounds),
            self.view,
            self.bounds,
            self._weights32 if combination is None else self._combined(combination),
            planes,
            self._budget(v.shape[1]),
            self.tile,
            self.block,
            label=label,
            unit_bytes=self._leaf_bytes,
        )
        out = products.from_planes(total, order, self.n_samples)
        give_back(total)
        return out[..., 0] if flat else out

    def ztv(self, vectors: np.ndarray, *, label: str = "Z'V") -> np.ndarray:
        """Z'V for V (n_samples, r): float64 (n_variants, r). One pass; the result is n_variants x r in memory."""
        v, flat = self._columns(vectors, self.n_samples)
        plan = self.plan(v.shape[1])
        plan.memory.append(MemoryItem("Z'V", 8 * self.n_variants * v.shape[1], lower="fewer vectors at once"))
        plan.check()
        planes = products.to_planes(v, self._order)
        out = np.empty((self.n_variants, v.shape[1]))
        for leaf, parts in self.runner.run_map(
            _ztv_leaf,
            range(len(self.bounds)),
            self.view,
            self.bounds,
            planes,
            self._budget(v.shape[1]),
            self.tile,
            self.block,
            label=label,
            unit_bytes=self._leaf_bytes,
        ):
            first, last = self.bounds[leaf]
            rows = slice(self.view.chunk_rows[first][2].start, self.view.chunk_rows[last - 1][2].stop)
            out[rows] = parts
        return out[:, 0] if flat else out

    def zs(self, coefficients: np.ndarray, *, label: str = "Z S") -> np.ndarray:
        """Z S for S (n_variants, r): float64 (n_samples, r). One pass."""
        s, flat = self._columns(coefficients, self.n_variants)
        self.plan(s.shape[1]).check()
        total = self.runner.run_sum(
            _zs_leaf,
            len(self.bounds),
            self.view,
            self.bounds,
            np.ascontiguousarray(s),
            len(self._order),
            self._budget(s.shape[1]),
            self.tile,
            self.block,
            label=label,
            unit_bytes=self._leaf_bytes,
        )
        out = products.from_planes(total, self._order, self.n_samples)
        return out[:, 0] if flat else out

    def diagonal(self) -> np.ndarray:
        """diag(K): float64 (n_samples,), or (components, n_samples). One pass, the first time."""
        return self._diagonal.copy()

    @cached_property
    def _diagonal(self) -> np.ndarray:
        weights = self._weights32.astype(np.float64)
        columns = weights[:, None] if weights.ndim == 1 else weights
        total = self.runner.run_sum(
            _squares_leaf,
            len(self.bounds),
            self.view,
            self.bounds,
            np.ascontiguousarray(columns),
            self._order,
            self._budget(columns.shape[1]),
            self.tile,
            self.block,
            label="diagonal",
            unit_bytes=self._leaf_bytes,
        )
        out = products.from_planes(total, self._order, self.n_samples).T
        return np.ascontiguousarray(out[0] if self._member is None else out)

    def trace(self) -> np.ndarray:
        """tr(K): float64 scalar, or (components,)."""
        return np.asarray(self._diagonal.sum(axis=-1))

    # -- plan ----------------------------------------------------------------------------------------------
    def plan(self, vectors: int, *, passes: int | None = 1) -> Plan:
        """What a pass with `vectors` columns reads and needs in memory, per process."""
        executor = self.runner.executor()
        processes = 1 if executor.in_process else max(1, len(executor.workers))
        threads = max(1, executor.n_threads // processes)
        limit = self._process_limit(processes)
        view, members = self.view, len(self.component_names or [0])
        rows = len(self._order)
        in_flight = min(view.reader.rows_per_chunk, view.n_variants)
        memory = [
            MemoryItem("Python and its libraries", _LIBRARIES),
            MemoryItem(
                f"{vectors} vectors of {view.n_samples:,} samples, float64 in and out, float32 in planes",
                rows * vectors * (8 + 4 + 8 * members),
                lower="fewer vectors at once",
            ),
            # A bundle holds the leaf it works on and up to two nodes of the sum's tree.
            MemoryItem(f"sums of {threads} threads", 3 * 8 * rows * vectors * members * threads, lower="fewer threads"),
            # Decoded block, the dense side of a piece of 2,048 samples, and what BLAS copies of both.
            MemoryItem("decoded blocks", threads * (4_000_000 + 16 * vectors * (2_048 + self.block))),
            MemoryItem(
                "chunks being read",
                threads * in_flight * (view.row_bytes + (view.source_row_bytes if view.samples is not None else 0)),
                lower="a store with smaller chunks (--chunk-mb)",
            ),
            MemoryItem("positions and weights of variants", 40 * view.n_variants * (1 + members) + view.nbytes),
        ]
        plan = Plan(
            f"{vectors} vectors, {view.n_samples:,} samples x {view.n_variants:,} variants",
            bytes_per_pass=view.reader.n_variants * view.source_row_bytes,
            passes=passes,
            memory=memory,
            memory_limit=limit,
            workers=f"{processes} process{'es' * (processes > 1)} of {threads} thread{'s' * (threads > 1)}",
        )
        if self.cache:
            share = -(-view.n_variants * (view.row_bytes + 40) // processes)
            room = cache_budget(limit, plan.needed)
            plan.memory.append(MemoryItem("packed chunks kept in memory", min(share, room), optional=True))
            if share > room:
                plan.notes.append("the chunks do not fit in memory: they are read from the store again each pass")
        return plan

    def _process_limit(self, processes: int) -> int:
        return self.memory_limit // processes if processes > 1 else self.memory_limit

    def _budget(self, vectors: int) -> int:
        """Bytes that a worker may keep chunks in, for passes of so many vectors; 0 where caching is off."""
        if not self.cache:
            return 0
        executor = self.runner.executor()
        processes = 1 if executor.in_process else max(1, len(executor.workers))
        needed = sum(item.bytes for item in self.plan_memory(vectors))
        budget = cache_budget(self._process_limit(processes), needed)
        share = self.view.n_variants * (self.view.row_bytes + 40) / processes
        # A cache that holds a part saves that part of the reading; below a tenth it is not worth the memory.
        return budget if budget >= 0.1 * share else 0

    def plan_memory(self, vectors: int) -> Sequence[MemoryItem]:
        """The items of memory that a pass of so many vectors cannot do without."""
        cache, self.cache = self.cache, False
        try:
            return self.plan(vectors).memory
        finally:
            self.cache = cache

    # -- helpers -------------------------------------------------------------------------------------------
    @cached_property
    def _order(self) -> np.ndarray:
        return products.plane_order(self.n_samples, self.tile)

    def _columns(self, array: np.ndarray, rows: int) -> tuple[np.ndarray, bool]:
        a = np.asarray(array)
        flat = a.ndim == 1
        a = a[:, None] if flat else a
        if a.ndim != 2 or a.shape[0] != rows or a.shape[1] == 0:
            raise InputError(
                "an array of vectors has the wrong shape.", found=np.shape(array), expected=f"({rows:,}, r)"
            )
        if not np.isfinite(a).all():
            raise InputError("an array of vectors has values that are not finite.")
        return a, flat


def _checked_weights(weights: np.ndarray, n: int) -> np.ndarray:
    w = np.asarray(weights, dtype=np.float64)
    if w.shape != (n,):
        raise InputError("weights have the wrong length.", found=w.shape, expected=f"({n:,},), one per variant")
    if not np.isfinite(w).all() or (w < 0).any():
        raise InputError("weights must be finite and not negative.")
    return w


def _membership(components: Mapping[str, Any], n: int) -> np.ndarray:
    """float64 (variants, components): 1 where a variant is in a component."""
    if not components:
        raise InputError("components must name at least one set of variants.")
    member = np.zeros((n, len(components)))
    for g, (name, chosen) in enumerate(components.items()):
        index = np.asarray(chosen)
        if index.dtype == bool:
            if index.shape != (n,):
                raise InputError(
                    f"component {name!r}: a mask has the wrong length.", found=index.shape, expected=f"({n:,},)"
                )
            member[index, g] = 1.0
            continue
        if index.size and (index.dtype.kind not in "iu" or index.min() < 0 or index.max() >= n):
            raise InputError(
                f"component {name!r}: indices are out of range.",
                found=f"{index.min()} to {index.max()}",
                expected=f"whole numbers from 0 to {n - 1:,}",
            )
        if len(np.unique(index)) != index.size:
            raise InputError(f"component {name!r} names a variant twice.")
        member[index.astype(np.int64), g] = 1.0
    return member


# -- tasks: one leaf, on a worker ----------------------------------------------------------------------------
def _moments_leaf(
    leaf: int, view: GenotypeView, bounds: Bounds, budget: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    parts = [view.load(index, budget).moments for index in range(*bounds[leaf])]
    return (
        np.concatenate([p.n_called for p in parts]),
        np.concatenate([p.mean for p in parts]),
        np.concatenate([p.variance for p in parts]),
    )


def _kv_leaf(
    leaf: int,
    view: GenotypeView,
    bounds: Bounds,
    weights: np.ndarray,
    planes: np.ndarray,
    budget: int,
    tile: int,
    block: int,
) -> np.ndarray:
    shape = planes.shape if weights.ndim == 1 else (weights.shape[1], *planes.shape)
    out = zeros(shape)
    for index in range(*bounds[leaf]):
        chunk = view.load(index, budget)
        kernels = genotype_products(chunk.codes)
        kernels.kv(chunk.codes, chunk.table, weights[chunk.rows], planes, out, tile, block)
    return out


def _ztv_leaf(
    leaf: int, view: GenotypeView, bounds: Bounds, planes: np.ndarray, budget: int, tile: int, block: int
) -> np.ndarray:
    parts = []
    for index in range(*bounds[leaf]):
        chunk = view.load(index, budget)
        parts.append(genotype_products(chunk.codes).ztv(chunk.codes, chunk.table, planes, tile, block))
    return np.concatenate(parts)


def _zs_leaf(
    leaf: int,
    view: GenotypeView,
    bounds: Bounds,
    coefficients: np.ndarray,
    rows: int,
    budget: int,
    tile: int,
    block: int,
) -> np.ndarray:
    out = zeros((rows, coefficients.shape[1]))
    for index in range(*bounds[leaf]):
        chunk = view.load(index, budget)
        part = np.ascontiguousarray(coefficients[chunk.rows])
        genotype_products(chunk.codes).zs(chunk.codes, chunk.table, part, out, tile, block)
    return out


def _squares_leaf(
    leaf: int,
    view: GenotypeView,
    bounds: Bounds,
    weights: np.ndarray,
    order: np.ndarray,
    budget: int,
    tile: int,
    block: int,
) -> np.ndarray:
    out = np.zeros((len(order), weights.shape[1]))
    for index in range(*bounds[leaf]):
        chunk = view.load(index, budget)
        weight = np.ascontiguousarray(weights[chunk.rows])
        add_squares(chunk.codes, chunk.table, weight, out, order, tile, block)
    return out
