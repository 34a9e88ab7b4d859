"""How the rows of a matrix are dealt out to tasks, and how a task goes through them.

A leaf is a run of rows whose results are accumulated one after the other; where it begins is a multiple of `ROWS`, the
rows of a chunk of what is written per cell, so that tasks own whole chunks. Leaves are a function of the matrix alone.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from daskgen.buffers import at_least, give_back
from daskgen.stores.anndata_rows import CellRows, CsrBlock

__all__ = ["BLOCK_VALUES", "ROWS", "Tile", "blocks", "leaf_rows", "pieces", "tiles"]

ROWS = 4096
"""Cells of a chunk of results per cell."""

BLOCK_VALUES = 1 << 20
"""Stored values that are read together."""

_TILE_VALUES = 1 << 17  # values that a kernel gets together, 1 MB as float64: they stay in the cache
_PIECE_VALUES = 1 << 18
_LEAF_VALUES = 1 << 26
_LEAST_LEAVES = 8  # so that a few threads are evenly busy with small data too
_MOST_LEAVES = 1024


def leaf_rows(rows: CellRows) -> list[tuple[int, int]]:
    """First and last-plus-one row of each leaf, about evenly many stored values in each."""
    groups = -(-rows.n_rows // ROWS)
    wanted = max(_LEAST_LEAVES, 1 << max(0, -(-rows.n_values // _LEAF_VALUES) - 1).bit_length())
    leaves = max(1, min(wanted, groups, _MOST_LEAVES))
    if rows.indptr is not None and rows.n_values:
        goals = np.arange(1, leaves) * (rows.n_values / leaves)
        starts = np.round(np.searchsorted(rows.indptr, goals) / ROWS).astype(int)
        edges = np.unique(np.clip(np.concatenate([[0], starts, [groups]]), 0, groups))
    else:
        edges = np.unique(np.arange(leaves + 1) * groups // leaves)
    return [(int(a) * ROWS, min(int(b) * ROWS, rows.n_rows)) for a, b in zip(edges[:-1], edges[1:], strict=True)]


def blocks(rows: CellRows, start: int, stop: int, most: int | None = None) -> Iterator[CsrBlock]:
    """Rows `start` to `stop` - 1 in blocks of about a million stored values, at most `most` rows; a block is valid
    until the next."""
    reader = rows.reader(reuse=True)
    try:
        while start < stop:
            end = min(stop, start + (most or stop - start))
            if rows.indptr is not None:
                goal = _block_end(int(rows.indptr[start]), rows.info.chunk)
                end = min(end, max(start + 1, int(np.searchsorted(rows.indptr, goal, side="right")) - 1))
            else:
                end = min(end, start + max(1, BLOCK_VALUES // max(1, rows.n_genes)))
            yield reader.read(start, end)
            start = end
    finally:
        reader.close()


def _block_end(first: int, chunk: int) -> int:
    """Where a block ends that begins at stored value `first`: with a chunk, so that little of the next is decoded."""
    if chunk > BLOCK_VALUES:
        return first + BLOCK_VALUES
    return (first + chunk // 2) // chunk * chunk + BLOCK_VALUES // chunk * chunk


@dataclass(frozen=True)
class Tile:
    """Some rows of a block as kernels take them: CSR with float64 values; start: number of the first row."""

    start: int
    indptr: np.ndarray
    indices: np.ndarray
    values: np.ndarray

    @property
    def rows(self) -> slice:
        """Its rows among all of the matrix."""
        return slice(self.start, self.start + len(self.indptr) - 1)


def tiles(block: CsrBlock) -> Iterator[Tile]:
    """The rows of a block, some dozens at a time; a tile's values are valid until the next is taken."""
    buffer = at_least(2 * _TILE_VALUES, np.float64)
    for part in pieces(block, _TILE_VALUES):
        n = len(part.data)
        if n > len(buffer):
            give_back(buffer)
            buffer = at_least(n, np.float64)
        values = buffer[:n]
        np.copyto(values, part.data)
        yield Tile(part.start, part.indptr, part.indices, values)
    give_back(buffer)


def pieces(block: CsrBlock, values: int | None = None) -> Iterator[CsrBlock]:
    """The rows of a block, so many at a time that they have about `values` stored values (by default a quarter of a
    million, of which what is taken out fits the cache)."""
    start, n = 0, block.n_rows
    while start < n:
        goal = int(block.indptr[start]) + (values or _PIECE_VALUES)
        stop = min(n, max(start + 1, int(np.searchsorted(block.indptr, goal, side="right")) - 1))
        first, last = int(block.indptr[start]), int(block.indptr[stop])
        indptr = block.indptr[start : stop + 1] - first
        yield CsrBlock(block.data[first:last], block.indices[first:last], indptr, block.n_genes, block.start + start)
        start = stop
