"""The passes over the variable genes: Gram matrix, products with vectors, scores of cells.

The first of them reads the counts, takes the chosen genes out, and keeps their values (a few per cent of all): those of
the first parts in memory, where the tasks run in this process, the others in the scratch folder, a file for each leaf;
the later ones read these. A worker that does not see a file takes the genes out of the counts again.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from daskgen.buffers import zeros
from daskgen.cells.leaves import ROWS, blocks, leaf_rows, pieces
from daskgen.cells.taken_out import KeptInMemory, Part, read_parts, writing_parts
from daskgen.cells.transform import Transform
from daskgen.kernels.cells_gram import packed_length, unpacked
from daskgen.kernels.dispatch import cells_columns, cells_gram
from daskgen.passes import PassRunner
from daskgen.stores.anndata_rows import CellRows
from daskgen.stores.anndata_targets import MatrixTarget

__all__ = ["ColumnPasses"]


@dataclass(frozen=True, eq=False)
class _Job:
    """rows: the matrix; place: int32 (genes,), position among the chosen genes or -1; kept: bool (cells,); memory: None
    where tasks run in other processes."""

    rows: CellRows
    leaves: list[tuple[int, int]]
    place: np.ndarray
    n_chosen: int
    transform: Transform
    kept: np.ndarray
    scratch: str
    memory: KeptInMemory | None = None

    @property
    def nbytes(self) -> int:
        return int(self.rows.nbytes + self.kept.nbytes + self.place.nbytes + self.transform.nbytes)


class ColumnPasses:
    """Passes over `chosen` genes (positions, ascending) of a matrix, of the cells that are `kept`."""

    def __init__(
        self,
        rows: CellRows,
        chosen: np.ndarray,
        transform: Transform,
        kept: np.ndarray,
        scratch: str | os.PathLike[str],
        *,
        in_process: bool = False,
    ):
        place = np.full(rows.n_genes, -1, np.int32)
        place[chosen] = np.arange(len(chosen), dtype=np.int32)
        memory = KeptInMemory() if in_process else None
        self._job = _Job(rows, leaf_rows(rows), place, len(chosen), transform, kept, os.fspath(scratch), memory)
        self._read = rows.n_values * (rows.info.dtype.itemsize + 4) / max(1, len(self._job.leaves))

    def gram(self, runner: PassRunner) -> tuple[np.ndarray, np.ndarray]:
        """Sums over cells: y y', float64 (chosen, chosen), upper triangle; y, float64 (chosen,). Reads the counts."""
        leaves = len(self._job.leaves)
        found = runner.run_sum(_gram_leaf, leaves, self._job, label="variable genes", unit_bytes=self._read)
        return unpacked(found[0], self._job.n_chosen), found[1]

    def sums(self, runner: PassRunner) -> tuple[np.ndarray, float]:
        """Sums over cells: y, float64 (chosen,); and of all y^2. Reads the counts."""
        leaves = len(self._job.leaves)
        found = runner.run_sum(_sums_leaf, leaves, self._job, label="variable genes", unit_bytes=self._read)
        return found[0], float(found[1][0])

    def products(self, runner: PassRunner, vectors: np.ndarray) -> np.ndarray:
        """Y'(Y V), float64 (chosen, b), for V float64 (chosen, b)."""
        return runner.run_sum(_product_leaf, len(self._job.leaves), self._job, vectors, label="components")  # type: ignore[no-any-return]

    def scores(self, runner: PassRunner, loadings: np.ndarray, shift: np.ndarray, target: MatrixTarget) -> np.ndarray:
        """Write y V - shift of every cell, NaN for cells that do not count; returns the sums of squares (vectors,)."""
        leaves = len(self._job.leaves)
        return runner.run_sum(_score_leaf, leaves, self._job, loadings, shift, target, label="scores")  # type: ignore[no-any-return]


def _file(job: _Job, leaf: int) -> str:
    return os.path.join(job.scratch, f"{leaf}.parts")


def _taken_out(job: _Job, leaf: int) -> Iterator[Part]:
    """The parts of a leaf, from the counts; at most `ROWS` cells each."""
    for block in blocks(job.rows, *job.leaves[leaf], most=ROWS):
        for piece in pieces(block):
            kernels = cells_columns(piece.indices)
            indptr, columns, positions = kernels.find_columns(piece.indptr, piece.indices, job.place)
            counts = piece.data[positions]
            kept = job.kept[piece.start : piece.start + piece.n_rows]
            if not kept.all():
                stays = np.repeat(kept, np.diff(indptr))
                columns, counts = columns[stays], counts[stays]
                indptr = np.concatenate([[0], np.cumsum(np.diff(indptr) * kept)])
            yield Part(piece.start, indptr, columns, job.transform.apply(counts, indptr, columns, piece.start))


def _parts(job: _Job, leaf: int) -> Iterator[Part]:
    """The parts of a leaf, from memory and the scratch folder where they are there."""
    in_memory = [] if job.memory is None else job.memory.parts(leaf)
    rows = sum(len(part.indptr) - 1 for part in in_memory)
    start, stop = job.leaves[leaf]
    on_disk = os.path.exists(_file(job, leaf))
    if rows < stop - start and not on_disk:
        yield from _taken_out(job, leaf)
        return
    yield from in_memory
    if on_disk:
        yield from read_parts(_file(job, leaf))


def _kept_parts(job: _Job, leaf: int) -> Iterator[Part]:
    """The parts of a leaf, from the counts, and kept meanwhile."""
    with writing_parts(_file(job, leaf)) as write:
        for part in _taken_out(job, leaf):
            if job.memory is None or not job.memory.add(leaf, part):
                write(part)
            yield part


def _gram_leaf(leaf: int, job: _Job) -> tuple[np.ndarray, np.ndarray]:
    """The packed upper triangle of sum y y', and sum y."""
    gram, total = zeros((packed_length(job.n_chosen),)), np.zeros(job.n_chosen)
    products = None
    for part in _kept_parts(job, leaf):
        if products is None:
            numbers = np.bincount(part.columns, minlength=job.n_chosen)
            kernels = cells_gram(part.values)
            products = kernels.GramSum(job.n_chosen, gram, kernels.full_columns(numbers, len(part.indptr) - 1))
        products.add(part.indptr, part.columns, part.values)
        total += np.bincount(part.columns, weights=part.values, minlength=job.n_chosen)
    if products is not None:
        products.finish()
    return gram, total


def _sums_leaf(leaf: int, job: _Job) -> tuple[np.ndarray, np.ndarray]:
    total, squares = np.zeros(job.n_chosen), np.zeros(1)
    for part in _kept_parts(job, leaf):
        total += np.bincount(part.columns, weights=part.values, minlength=job.n_chosen)
        squares += np.square(part.values, dtype=np.float64).sum()
    return total, squares


def _product_leaf(leaf: int, job: _Job, vectors: np.ndarray) -> np.ndarray:
    out = np.zeros(vectors.shape)
    none = np.zeros(vectors.shape[1])
    for part in _parts(job, leaf):
        kernels = cells_columns(part.values)
        products = kernels.project(part.indptr, part.columns, part.values, vectors, none)
        kernels.add_transposed(part.indptr, part.columns, part.values, products, out)
    return out


def _score_leaf(leaf: int, job: _Job, loadings: np.ndarray, shift: np.ndarray, target: MatrixTarget) -> np.ndarray:
    begin, stop = job.leaves[leaf]
    squares = np.zeros(loadings.shape[1])
    scores = np.empty((min(ROWS, stop - begin), loadings.shape[1]), np.float32)  # a chunk, written when it is full
    filled = 0
    for part in _parts(job, leaf):
        found = cells_columns(part.values).project(part.indptr, part.columns, part.values, loadings, shift)
        kept = job.kept[part.start : part.start + len(found)]
        squares += np.square(found[kept]).sum(axis=0)
        found[~kept] = np.nan
        while len(found):
            taken = found[: len(scores) - filled]
            scores[filled : filled + len(taken)] = taken
            found, filled = found[len(taken) :], filled + len(taken)
            if filled == len(scores) or begin + filled == stop:
                target.write(begin, scores[:filled])
                begin, filled = begin + filled, 0
    return squares
