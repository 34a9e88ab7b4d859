"""The passes over the variable genes: Gram matrix, products with vectors, scores of cells.

The first of them reads the counts, takes the chosen genes out, and keeps their values (a few per cent of all) in the
scratch folder, a file for each leaf; the later ones read these. A worker that does not see a file takes the genes out
of the counts again.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from daskgen.cells.leaves import ROWS, blocks, leaf_rows
from daskgen.cells.transform import Transform
from daskgen.kernels.cells_columns import add_gram, add_transposed, find_columns, move_triangle, project
from daskgen.passes import PassRunner
from daskgen.passes.buffers import give_back, zeros
from daskgen.stores.anndata_rows import CellRows
from daskgen.stores.anndata_targets import MatrixTarget

__all__ = ["ColumnPasses"]


@dataclass(frozen=True, eq=False)
class _Job:
    """rows: the matrix; place: int32 (genes,), position among the chosen genes or -1; kept: bool (cells,)."""

    rows: CellRows
    leaves: list[tuple[int, int]]
    place: np.ndarray
    n_chosen: int
    transform: Transform
    kept: np.ndarray
    scratch: str

    @property
    def nbytes(self) -> int:
        return int(self.rows.nbytes + self.kept.nbytes + self.place.nbytes + self.transform.nbytes)


@dataclass(frozen=True)
class _Part:
    """Rows of the chosen genes: CSR with int32 columns and float32 values; cells that do not count have no values."""

    start: int
    indptr: np.ndarray
    columns: np.ndarray
    values: np.ndarray


class ColumnPasses:
    """Passes over `chosen` genes (positions, ascending) of a matrix, of the cells that are `kept`."""

    def __init__(
        self,
        rows: CellRows,
        chosen: np.ndarray,
        transform: Transform,
        kept: np.ndarray,
        scratch: str | os.PathLike[str],
    ):
        place = np.full(rows.n_genes, -1, np.int32)
        place[chosen] = np.arange(len(chosen), dtype=np.int32)
        self._job = _Job(rows, leaf_rows(rows), place, len(chosen), transform, kept, os.fspath(scratch))
        self._read = rows.n_values * (rows.info.dtype.itemsize + 4) / max(1, len(self._job.leaves))

    def gram(self, runner: PassRunner) -> tuple[np.ndarray, np.ndarray]:
        """Sums over cells: y y', float64 (chosen, chosen), upper triangle; y, float64 (chosen,). Reads the counts."""
        leaves = len(self._job.leaves)
        found = runner.run_sum(_gram_leaf, leaves, self._job, label="variable genes", unit_bytes=self._read)
        return found[0], found[1]

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


def _files(job: _Job, leaf: int) -> list[Path]:
    return [Path(job.scratch) / f"{leaf}.{name}.npy" for name in ("indptr", "columns", "values")]


def _taken_out(job: _Job, leaf: int) -> Iterator[_Part]:
    """The parts of a leaf, from the counts; at most `ROWS` cells each."""
    for block in blocks(job.rows, *job.leaves[leaf], most=ROWS):
        indptr, columns, positions = find_columns(block.indptr, block.indices, job.place)
        counts = block.data[positions]
        kept = job.kept[block.start : block.start + block.n_rows]
        if not kept.all():
            stays = np.repeat(kept, np.diff(indptr))
            columns, counts = columns[stays], counts[stays]
            indptr = np.concatenate([[0], np.cumsum(np.diff(indptr) * kept)])
        yield _Part(block.start, indptr, columns, job.transform.apply(counts, indptr, columns, block.start))


def _parts(job: _Job, leaf: int) -> Iterator[_Part]:
    """The parts of a leaf, from the scratch folder where they are there."""
    files = _files(job, leaf)
    if not all(map(os.path.exists, files)):
        yield from _taken_out(job, leaf)
        return
    indptr, columns, values = (np.load(file, mmap_mode="r") for file in files)
    for start in range(0, len(indptr) - 1, ROWS):
        stop = min(start + ROWS, len(indptr) - 1)
        part = slice(int(indptr[start]), int(indptr[stop]))
        pointers = np.asarray(indptr[start : stop + 1]) - indptr[start]
        yield _Part(job.leaves[leaf][0] + start, pointers, np.array(columns[part]), np.array(values[part]))


def _kept_parts(job: _Job, leaf: int) -> Iterator[_Part]:
    """The parts of a leaf, from the counts, and written to the scratch folder meanwhile."""
    indptr, columns, values = [np.zeros(1, np.int64)], [], []
    for part in _taken_out(job, leaf):
        indptr.append(part.indptr[1:] + indptr[-1][-1])
        columns.append(part.columns)
        values.append(part.values)
        yield part
    if not os.path.isdir(job.scratch):
        return
    arrays = (np.concatenate(indptr), _joined(columns, np.int32), _joined(values, np.float32))
    for file, array in zip(_files(job, leaf), arrays, strict=True):
        partial = file.with_suffix(f".{os.getpid()}.partial")
        with open(partial, "wb") as out:
            np.save(out, array)
        os.replace(partial, file)


def _joined(parts: list[np.ndarray], dtype: type) -> np.ndarray:
    return np.concatenate(parts) if parts else np.empty(0, dtype)


def _gram_leaf(leaf: int, job: _Job) -> tuple[np.ndarray, np.ndarray]:
    gram, block = zeros((job.n_chosen, job.n_chosen)), zeros((job.n_chosen, job.n_chosen), np.float32)
    total = np.zeros(job.n_chosen)
    added = 0
    for part in _kept_parts(job, leaf):
        n_rows = len(part.indptr) - 1
        if added + n_rows > ROWS:  # products are summed in float32 over so many cells at most
            move_triangle(block, gram)
            added = 0
        add_gram(part.indptr, part.columns, part.values, block)
        added += n_rows
        total += np.bincount(part.columns, weights=part.values, minlength=job.n_chosen)
    move_triangle(block, gram)
    give_back(block)
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
        products = project(part.indptr, part.columns, part.values, vectors, none)
        add_transposed(part.indptr, part.columns, part.values, products, out)
    return out


def _score_leaf(leaf: int, job: _Job, loadings: np.ndarray, shift: np.ndarray, target: MatrixTarget) -> np.ndarray:
    start, stop = job.leaves[leaf]
    squares = np.zeros(loadings.shape[1])
    scores = np.empty((stop - start, loadings.shape[1]), np.float32)
    for part in _parts(job, leaf):
        found = project(part.indptr, part.columns, part.values, loadings, shift)
        rows = slice(part.start, part.start + len(found))
        squares += np.square(found[job.kept[rows]]).sum(axis=0)
        found[~job.kept[rows]] = np.nan
        scores[part.start - start : rows.stop - start] = found
    target.write(start, scores)
    return squares
