"""Passes that several operators share: the same variants of one source, each in its own samples and scaling.

Phenotypes with different missing samples have operators of their own. One task reads a chunk of the source once and
does the work of each operator with it, so that a pass costs one reading whatever the number of operators.

The worker's cache holds the chunks of every operator where they all fit, else the source's rows as far as they fit,
which every operator then cuts anew.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from daskgen.genotypes.moments import Moments
from daskgen.genotypes.operator import GenotypeOperator
from daskgen.genotypes.view import Chunk, GenotypeView, Rows
from daskgen.kernels import genotype_products as products
from daskgen.kernels.dispatch import genotype_products
from daskgen.kernels.genotype_squares import add_squares
from daskgen.passes import give_back, worker_cache, zeros

__all__ = ["Product", "shared_diagonals", "shared_kv", "shared_moments"]

Bounds = list[tuple[int, int]]


@dataclass(frozen=True, eq=False)
class Product:
    """K V of `operator` by component, or with `combination` their sum (see `GenotypeOperator.kv`)."""

    operator: GenotypeOperator
    vectors: np.ndarray
    combination: np.ndarray | None = None

    @property
    def columns(self) -> int:
        """Columns of the result, over all components."""
        members = 1 if self.combination is not None else len(self.operator.component_names or [0])
        return self.vectors.shape[1] * members


@dataclass(frozen=True)
class _Reading:
    """How tasks come to chunks: the budget of the operators' own, and that of the source's rows."""

    budget: int
    rows_budget: int


def shared_kv(wanted: Sequence[Product], *, label: str = "K V") -> list[np.ndarray]:
    """The products, in as few passes as memory allows. Operators must have the same source, variants and leaves."""
    found: list[np.ndarray] = []
    start = 0
    while start < len(wanted):
        stop = start + 1
        while stop < len(wanted) and _fits(wanted[start : stop + 1]):
            stop += 1
        found += _one_pass(wanted[start:stop], label)
        start = stop
    return found


def _fits(wanted: Sequence[Product]) -> bool:
    plan = wanted[0].operator.plan(sum(p.columns for p in wanted))
    return 2 * plan.needed <= plan.memory_limit


def _one_pass(wanted: Sequence[Product], label: str) -> list[np.ndarray]:
    if len(wanted) == 1:
        one = wanted[0]
        return [one.operator.kv(one.vectors, combination=one.combination, label=label)]
    first = wanted[0].operator
    columns = sum(p.columns for p in wanted)
    first.plan(columns).check()
    views = list(dict.fromkeys(p.operator.view for p in wanted))
    of_view = [views.index(p.operator.view) for p in wanted]
    arrays: list[np.ndarray] = []
    for p in wanted:
        o = p.operator
        arrays.append(o._weights32 if p.combination is None else o._combined(p.combination))
        arrays.append(products.to_planes(p.vectors, o._order))
    totals = first.runner.run_sum(
        _kv_leaf,
        len(first.bounds),
        views,
        of_view,
        first.bounds,
        _reading(views, first, columns),
        first.tile,
        first.block,
        *arrays,
        label=label,
        unit_bytes=first._leaf_bytes,
    )
    found = [
        products.from_planes(total, p.operator._order, p.operator.n_samples)
        for p, total in zip(wanted, totals, strict=True)
    ]
    give_back(totals)
    return found


def shared_moments(operators: Sequence[GenotypeOperator]) -> None:
    """Fill in the moments of all operators in one pass."""
    wanted = [o for o in operators if "moments" not in o.__dict__]
    if len(wanted) < 2:
        return
    first, views = wanted[0], [o.view for o in wanted]
    m = first.view.n_variants
    found = [Moments(np.zeros(m, np.int64), np.zeros(m), np.zeros(m)) for _ in wanted]
    for leaf, parts in first.runner.run_map(
        _moments_leaf,
        range(len(first.bounds)),
        views,
        first.bounds,
        _reading(views, first, 1),
        label="allele counts",
        unit_bytes=first._leaf_bytes,
    ):
        a, b = first.bounds[leaf]
        rows = slice(first.view.chunk_rows[a][2].start, first.view.chunk_rows[b - 1][2].stop)
        for moments, part in zip(found, parts, strict=True):
            moments.n_called[rows], moments.mean[rows], moments.variance[rows] = part
    for o, moments in zip(wanted, found, strict=True):
        o.__dict__["moments"] = moments


def shared_diagonals(operators: Sequence[GenotypeOperator]) -> None:
    """Fill in the diagonals of all operators in one pass."""
    wanted = [o for o in operators if "_diagonal" not in o.__dict__]
    if len(wanted) < 2:
        return
    first, views = wanted[0], [o.view for o in wanted]
    arrays: list[np.ndarray] = []
    for o in wanted:
        weights = o._weights32.astype(np.float64)
        arrays += [weights[:, None] if weights.ndim == 1 else weights, o._order]
    totals = first.runner.run_sum(
        _squares_leaf,
        len(first.bounds),
        views,
        first.bounds,
        _reading(views, first, sum(w.shape[1] for w in arrays[::2])),
        first.tile,
        first.block,
        *arrays,
        label="diagonal",
        unit_bytes=first._leaf_bytes,
    )
    for o, total in zip(wanted, totals, strict=True):
        out = products.from_planes(total, o._order, o.n_samples).T
        o.__dict__["_diagonal"] = np.ascontiguousarray(out if o.component_names else out[0])


def _reading(views: Sequence[GenotypeView], operator: GenotypeOperator, columns: int) -> _Reading:
    budget = operator._budget(columns)
    own = sum(view.n_variants * (view.row_bytes + 40) for view in views)
    executor = operator.runner.executor()
    processes = 1 if executor.in_process else max(1, len(executor.workers))
    return _Reading(budget, 0) if own <= budget * processes else _Reading(0, budget)


# -- tasks: one leaf, on a worker ----------------------------------------------------------------------------
class _Source:
    """The source's rows of the chunk that a task works on, read once for all views."""

    def __init__(self, view: GenotypeView, budget: int):
        self._view, self._budget = view, budget
        self._at: tuple[int, int] | None = None
        self._rows = np.empty((0, 0), np.uint8)

    def __call__(self, start: int, stop: int) -> np.ndarray:
        if self._at != (start, stop):
            self._rows, self._at = self._read(start, stop), (start, stop)
        return self._rows

    def _read(self, start: int, stop: int) -> np.ndarray:
        if self._budget <= 0:
            return self._view.source_rows(start, stop)

        def read() -> tuple[np.ndarray, int]:
            rows = self._view.source_rows(start, stop)
            return rows, rows.nbytes

        owner = (self._view.reader.reader_id, "dosages" if self._view.use_dosage else "calls")
        return worker_cache().get(owner, start, read, budget=self._budget)


def _load(view: GenotypeView, index: int, reading: _Reading, rows: Rows) -> Chunk:
    return view.load(index, reading.budget, rows)


def _kv_leaf(
    leaf: int,
    views: list[GenotypeView],
    of_view: list[int],
    bounds: Bounds,
    reading: _Reading,
    tile: int,
    block: int,
    *arrays: np.ndarray,
) -> list[np.ndarray]:
    jobs = list(zip(of_view, arrays[::2], arrays[1::2], strict=True))
    outs = [zeros(v.shape if w.ndim == 1 else (w.shape[1], *v.shape)) for _, w, v in jobs]
    source = _Source(views[0], reading.rows_budget)
    for index in range(*bounds[leaf]):
        for number, view in enumerate(views):
            chunk = _load(view, index, reading, source)
            kernels = genotype_products(chunk.codes)
            for (own, weights, planes), out in zip(jobs, outs, strict=True):
                if own == number:
                    kernels.kv(chunk.codes, chunk.table, weights[chunk.rows], planes, out, tile, block)
    return outs


def _moments_leaf(
    leaf: int, views: list[GenotypeView], bounds: Bounds, reading: _Reading
) -> list[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    parts: list[list[Moments]] = [[] for _ in views]
    source = _Source(views[0], reading.rows_budget)
    for index in range(*bounds[leaf]):
        for view, found in zip(views, parts, strict=True):
            found.append(_load(view, index, reading, source).moments)
    return [
        (
            np.concatenate([p.n_called for p in found]),
            np.concatenate([p.mean for p in found]),
            np.concatenate([p.variance for p in found]),
        )
        for found in parts
    ]


def _squares_leaf(
    leaf: int,
    views: list[GenotypeView],
    bounds: Bounds,
    reading: _Reading,
    tile: int,
    block: int,
    *arrays: np.ndarray,
) -> list[np.ndarray]:
    outs = [np.zeros((len(order), weights.shape[1])) for weights, order in zip(arrays[::2], arrays[1::2], strict=True)]
    source = _Source(views[0], reading.rows_budget)
    for index in range(*bounds[leaf]):
        for view, weights, order, out in zip(views, arrays[::2], arrays[1::2], outs, strict=True):
            chunk = _load(view, index, reading, source)
            add_squares(chunk.codes, chunk.table, np.ascontiguousarray(weights[chunk.rows]), out, order, tile, block)
    return outs
