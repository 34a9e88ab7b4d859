"""How the rows of a matrix are dealt out to tasks, and how a task goes through them.

A leaf is a run of rows whose results are accumulated one after the other; where it begins is a multiple of `ROWS`, the
rows of a chunk of what is written per cell, so that tasks own whole chunks. Leaves are a function of the matrix alone.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from daskgen.stores.anndata_rows import CellRows, CsrBlock

__all__ = ["BLOCK_VALUES", "ROWS", "Tile", "blocks", "leaf_rows", "tiles"]

ROWS = 4096
"""Cells of a chunk of results per cell."""

BLOCK_VALUES = 1 << 21
"""Stored values that are read together."""

_TILE_VALUES = 1 << 16  # values that a kernel gets together, 0.5 MB as float64: they stay in the cache
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
    """Rows `start` to `stop` - 1 in blocks of about two million stored values, at most `most` rows; a block is valid
    until the next."""
    reader = rows.reader(reuse=True)
    try:
        while start < stop:
            end = min(stop, start + (most or stop - start))
            if rows.indptr is not None:
                goal = int(rows.indptr[start]) + BLOCK_VALUES
                end = min(end, max(start + 1, int(np.searchsorted(rows.indptr, goal, side="right")) - 1))
            else:
                end = min(end, start + max(1, BLOCK_VALUES // max(1, rows.n_genes)))
            yield reader.read(start, end)
            start = end
    finally:
        reader.close()


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
    """The rows of a block, some hundred at a time."""
    start, n = 0, block.n_rows
    while start < n:
        goal = int(block.indptr[start]) + _TILE_VALUES
        stop = min(n, max(start + 1, int(np.searchsorted(block.indptr, goal, side="right")) - 1))
        first, last = int(block.indptr[start]), int(block.indptr[stop])
        values = block.data[first:last].astype(np.float64)
        indptr = block.indptr[start : stop + 1] - first
        yield Tile(block.start + start, indptr, block.indices[first:last], values)
        start = stop
