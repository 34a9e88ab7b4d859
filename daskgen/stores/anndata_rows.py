"""Rows of the matrices of an AnnData store, read block by block.

Chunks of a sparse matrix are cut by stored values, not by rows, so a block of rows begins and ends inside chunks. A
reader keeps what it has decoded beyond the end of a block: reading one block after the other decodes every chunk once.
"""

from __future__ import annotations

import functools
import os
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import zarr

from daskgen.buffers import at_least, give_back
from daskgen.errors import StoreError
from daskgen.kernels.csr_rows import OUT_OF_RANGE, UNSORTED, column_order
from daskgen.stores.decoding import chunk_decoder
from daskgen.stores.location import Location

__all__ = [
    "CellRows",
    "CsrBlock",
    "IndexedRows",
    "MatrixInfo",
    "RowReader",
    "SequentialValues",
    "checked_indptr",
    "csr_of_dense",
    "row_cuts",
    "rows_between",
    "tidy",
]

_MOST_ROWS = 1 << 18
"""Rows of a block at most: empty droplets have no values that would end a block."""


@dataclass(frozen=True)
class MatrixInfo:
    """A matrix of cells x genes as it lies on disk.

    element: its path ("X", "layers/counts"); layout: "csr" or "dense"; dtype: of its values; nnz: stored values (None
    where dense); chunk: values of a chunk where sparse, rows of a chunk where dense; tidy: True where daskgen wrote it
    without explicit zeros, each row's genes ascending; False where that has to be looked at.
    """

    element: str
    layout: str
    shape: tuple[int, int]
    dtype: np.dtype[Any]
    nnz: int | None
    chunk: int
    tidy: bool


@dataclass(frozen=True, eq=False)
class CsrBlock:
    """Consecutive rows. data (values,) of the stored or the wanted type; indices int32 (values,), ascending within a
    row; indptr int64 (rows + 1,), from 0; start: number of the first row. No explicit zeros."""

    data: npt.NDArray[Any]
    indices: npt.NDArray[np.int32]
    indptr: npt.NDArray[np.int64]
    n_genes: int
    start: int

    @property
    def n_rows(self) -> int:
        return len(self.indptr) - 1


def row_cuts(indptr: npt.NDArray[np.int64], step: int) -> list[tuple[int, int]]:
    """Ranges of rows that cover all rows; each begins with the first row that begins at or after a multiple of `step`
    values, so that a block begins near the beginning of a chunk."""
    n_rows, n_values = len(indptr) - 1, int(indptr[-1])
    if n_rows == 0:
        return []
    starts = np.searchsorted(indptr[:-1], np.arange(step, n_values, step, dtype=np.int64), side="left")
    cuts = np.unique(np.concatenate([[0], starts, np.arange(0, n_rows, _MOST_ROWS), [n_rows]]))
    return [(int(a), int(b)) for a, b in zip(cuts[:-1], cuts[1:], strict=True)]


def rows_between(indptr: npt.NDArray[np.int64], start: int, stop: int) -> tuple[int, int]:
    """The rows [first, last) that hold the stored values [start, stop); indptr: int64 (rows + 1,)."""
    return int(np.searchsorted(indptr, start, side="right")) - 1, int(np.searchsorted(indptr, stop, side="left"))


class IndexedRows:
    """What rows have of which `indptr`, int64 (rows + 1,), says where their values begin."""

    indptr: npt.NDArray[np.int64]

    @property
    def n_rows(self) -> int:
        return len(self.indptr) - 1

    @property
    def nbytes(self) -> int:
        return int(self.indptr.nbytes)

    def blocks(self, values: int = 1 << 22) -> list[tuple[int, int]]:
        return row_cuts(self.indptr, values)


@dataclass(frozen=True, eq=False)
class CellRows:
    """A matrix of a store for tasks: picklable, opened anew by each reader. indptr: int64 (rows + 1,); None: dense."""

    url: str
    info: MatrixInfo
    indptr: npt.NDArray[np.int64] | None

    @property
    def n_rows(self) -> int:
        return self.info.shape[0]

    @property
    def n_genes(self) -> int:
        return self.info.shape[1]

    @property
    def n_values(self) -> int:
        """Stored values; cells x genes where dense."""
        return self.n_rows * self.n_genes if self.info.nnz is None else self.info.nnz

    @property
    def nbytes(self) -> int:
        """What the runner of passes goes by when it sends arguments to workers."""
        return 0 if self.indptr is None else int(self.indptr.nbytes)

    def blocks(self, values: int = 1 << 22) -> list[tuple[int, int]]:
        """Ranges (start, stop) that cover all rows, of about `values` stored values (of cells x genes where dense)."""
        n_rows, n_genes = self.info.shape
        if self.indptr is not None:
            return row_cuts(self.indptr, max(1, round(values / self.info.chunk)) * self.info.chunk)
        step = self.info.chunk * max(1, values // max(1, self.info.chunk * n_genes))
        return [(start, min(start + step, n_rows)) for start in range(0, n_rows, step)]

    def reader(self, *, reuse: bool = False) -> RowReader:
        """A reader, for one thread. reuse: what was read is overwritten by the next read, which saves fresh memory."""
        return RowReader(self, reuse=reuse)


class SequentialValues:
    """Slices of a one-dimensional array of Zarr or HDF5; a slice that begins where the last ended decodes nothing
    twice, and chunks are decoded where they stay: slices are views of them. location: of the array's store, where it is
    one of Zarr; reuse: a slice is valid until the next is read."""

    def __init__(self, array: Any, location: Location | None = None, *, reuse: bool = False):
        self._array = array
        self._reuse = reuse
        self._n = int(array.shape[0])
        self._chunk = int(array.chunks[0]) if array.chunks else 1 << 16
        self._decode = None if location is None else chunk_decoder(location, array)
        self._buffer = np.empty(0, array.dtype)
        self._start = self._stop = 0  # the values that the buffer holds: up to the end of a chunk

    def read(self, start: int, stop: int) -> npt.NDArray[Any]:
        """Values `start` to `stop` - 1."""
        if not self._start <= start <= self._stop:
            self._start = self._stop = start // self._chunk * self._chunk
        if stop > self._stop:
            self._fetch(start, stop)
        return self._buffer[start - self._start : stop - self._start]

    def _fetch(self, start: int, stop: int) -> None:
        """Decode what is missing up to `stop`, after what is held from `start` on."""
        held = self._buffer[start - self._start : self._stop - self._start] if start < self._stop else self._buffer[:0]
        begin = start if len(held) else self._stop
        end = -(-stop // self._chunk) * self._chunk
        before = self._buffer
        if not self._reuse or end - begin > len(before):
            new = at_least if self._reuse else np.empty
            self._buffer = new(end - begin, self._array.dtype)
        self._buffer[: len(held)] = held
        if self._decode is None:
            fresh = self._array[self._stop : min(end, self._n)]
            self._buffer[len(held) : len(held) + len(fresh)] = fresh
        else:
            for chunk in range(self._stop, end, self._chunk):
                self._decode(chunk // self._chunk, self._buffer[chunk - begin : chunk - begin + self._chunk])
        self._start, self._stop = begin, min(end, self._n)
        if self._reuse and self._buffer is not before:
            give_back(before)

    def close(self) -> None:
        """Give the memory of what was read to other readers."""
        if self._reuse:
            give_back(self._buffer)
        self._buffer = self._buffer[:0]
        self._start = self._stop = 0


def _changed(location: Location, element: str, parts: tuple[str, ...]) -> Iterator[object]:
    """When the metadata of arrays were last changed; something new each time where that cannot be known."""
    for part in parts:
        folder = location.join(element, part) if part else location.join(element)
        try:
            name = "zarr.json" if os.path.exists(folder.join("zarr.json").url) else ".zarray"
            status = os.stat(folder.join(name).url)
        except OSError:  # on an object store
            yield object()
            return
        yield status.st_mtime_ns, status.st_ino


@functools.lru_cache(maxsize=16)
def _arrays(location: Location, element: str, parts: tuple[str, ...], *changed: object) -> tuple[Any, ...]:
    """The arrays of a matrix: every task opens them, and Zarr takes some milliseconds for it."""
    group = zarr.open_group(location.zarr_store(read_only=True), mode="r", use_consolidated=False)
    node: Any = group[element]
    return tuple(node[part] if part else node for part in parts)


class RowReader:
    """Reads blocks of rows; see `CellRows.reader`."""

    def __init__(self, rows: CellRows, *, reuse: bool = False):
        self._rows = rows
        location = Location(rows.url)
        parts = ("data", "indices") if rows.info.layout == "csr" else ("",)
        arrays = _arrays(location, rows.info.element, parts, *_changed(location, rows.info.element, parts))
        if rows.info.layout == "csr":
            self._data, self._indices = (SequentialValues(array, location, reuse=reuse) for array in arrays)
        else:
            (self._dense,) = arrays

    def read(self, start: int, stop: int, dtype: Any = None) -> CsrBlock:
        """Rows `start` to `stop` - 1. dtype: of the values; None: as stored."""
        info, indptr = self._rows.info, self._rows.indptr
        if indptr is not None:
            first, last = int(indptr[start]), int(indptr[stop])
            data = self._data.read(first, last)
            indices = self._indices.read(first, last).astype(np.int32, copy=False)
            block = CsrBlock(data, indices, indptr[start : stop + 1] - first, info.shape[1], start)
            if not info.tidy:
                block = tidy(block, info.element)
        else:
            block = csr_of_dense(np.asarray(self._dense[start:stop]), start)
        if dtype is None or block.data.dtype == dtype:
            return block
        return CsrBlock(block.data.astype(dtype), block.indices, block.indptr, block.n_genes, block.start)

    def close(self) -> None:
        """Nothing that was read is needed any more: other readers may have its memory."""
        if self._rows.info.layout == "csr":
            self._data.close()
            self._indices.close()

    def values(self, start: int, stop: int) -> tuple[npt.NDArray[Any], npt.NDArray[Any]]:
        """Stored values `start` to `stop` - 1 of a sparse matrix and their columns, as they lie on disk."""
        return self._data.read(start, stop), self._indices.read(start, stop)


def csr_of_dense(block: npt.NDArray[Any], start: int) -> CsrBlock:
    """The values of a dense block (rows, genes) that are not zero. NaN counts as a value."""
    present = block != 0
    indptr = np.zeros(len(block) + 1, np.int64)
    np.cumsum(present.sum(axis=1), out=indptr[1:])
    return CsrBlock(block[present], np.nonzero(present)[1].astype(np.int32), indptr, block.shape[1], start)


def tidy(block: CsrBlock, name: str) -> CsrBlock:
    """The block without explicit zeros, duplicates added up, columns ascending; itself where it is so already.

    StoreError, which names the matrix, for columns that it does not have.
    """
    order = column_order(block.indices, block.indptr, block.n_genes)
    if order == OUT_OF_RANGE:
        raise StoreError(
            f"{name}: column indices are out of range.",
            found=f"{int(block.indices.min())} to {int(block.indices.max())} in rows {block.start} to "
            f"{block.start + block.n_rows - 1}",
            expected=f"0 to {block.n_genes - 1}",
        )
    data, indices, indptr = block.data, block.indices, block.indptr
    if order == UNSORTED:
        rows = np.repeat(np.arange(block.n_rows), np.diff(indptr))
        place = np.argsort(rows * block.n_genes + indices, kind="stable")
        keys = (rows * block.n_genes + indices)[place]
        firsts = np.flatnonzero(np.concatenate([[True], keys[1:] != keys[:-1]]))
        # Sums of small integers may not fit the type of the summands.
        wide = data.dtype if data.dtype.kind == "f" else np.dtype(np.int64)
        data = np.add.reduceat(data[place].astype(wide, copy=False), firsts)
        indices = indices[place][firsts]
        indptr = np.searchsorted(rows[place][firsts], np.arange(block.n_rows + 1)).astype(np.int64)
    if np.count_nonzero(data) != len(data):
        present = data != 0
        before = np.concatenate([[0], np.cumsum(present)])
        data, indices, indptr = data[present], indices[present], before[indptr].astype(np.int64)
    if indices is block.indices:
        return block
    return CsrBlock(data, indices, indptr, block.n_genes, block.start)


def checked_indptr(indptr: np.ndarray, info: MatrixInfo) -> npt.NDArray[np.int64]:
    """`indptr` as int64 from 0, or StoreError: a matrix whose parts don't fit would be read as another one."""
    wide = indptr.astype(np.int64)
    if len(wide) != info.shape[0] + 1:
        raise StoreError(
            f"{info.element}/indptr has the wrong length.", found=len(wide), expected=f"{info.shape[0] + 1} (cells + 1)"
        )
    if len(wide) and (wide[0] != 0 or wide[-1] != info.nnz or (np.diff(wide) < 0).any()):
        overflow = " (32-bit numbers that overflowed?)" if indptr.dtype.itemsize == 4 and (wide < 0).any() else ""
        raise StoreError(
            f"{info.element}/indptr does not ascend from 0 to the number of values{overflow}.",
            found=f"{wide[0]} to {wide[-1]}",
            expected=f"0 to {info.nnz}",
        )
    return wide
