"""Packed rows of the analysed markers where they lie in their stores, for samplers that do not hold all of them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from daskgen.bayes.blocks import Blocks, gram_matrices
from daskgen.bayes.matrix import MarkerMatrix
from daskgen.genotypes.view import GenotypeView
from daskgen.kernels.genotype_layout import packed_width

__all__ = ["StoredMatrix", "StoredRows", "parts_of", "stored_gram"]


class StoredRows:
    """Rows of markers, read from the chunks of one or several views when they are asked for.

    sets: (view, kept) of each set of genotypes: the positions of its markers among the view's variants. The chunk that
    was read last is kept, so that reading on costs each chunk once. One thread may use it.
    """

    def __init__(self, sets: Sequence[tuple[GenotypeView, np.ndarray]]):
        self.sets = list(sets)
        self._start = np.concatenate([[0], np.cumsum([len(kept) for _, kept in self.sets])])
        self._last: tuple[tuple[int, int], np.ndarray] | None = None

    def __getstate__(self) -> dict[str, object]:
        return {**self.__dict__, "_last": None}

    @property
    def n_markers(self) -> int:
        return int(self._start[-1])

    @property
    def n_samples(self) -> int:
        return self.sets[0][0].n_samples

    @property
    def width(self) -> int:
        return packed_width(self.n_samples)

    @property
    def chunk_bytes(self) -> int:
        """Bytes of the chunk that is kept."""
        return max(view.reader.rows_per_chunk for view, _ in self.sets) * self.width

    def read(self, first: int, last: int, out: np.ndarray, columns: slice = slice(None)) -> None:
        """Rows of the markers `first` to `last` - 1, or some bytes of them, into `out` (last - first, bytes)."""
        at = 0
        for number, (view, kept) in enumerate(self.sets):
            begin, end = (int(np.clip(m - self._start[number], 0, len(kept))) for m in (first, last))
            while begin < end:
                index, rows = _chunk_of(view, int(kept[begin]))
                stop = begin + int(np.searchsorted(kept[begin:end], rows.stop))
                block = self._chunk(number, index)
                out[at : at + stop - begin] = block[kept[begin:stop] - rows.start, columns]
                at += stop - begin
                begin = stop

    def _chunk(self, number: int, index: int) -> np.ndarray:
        if self._last is None or self._last[0] != (number, index):
            self._last = None  # before the next one is read, so that one is in memory at a time
            self._last = ((number, index), self.sets[number][0].read_codes(index))
        return self._last[1]


@dataclass(frozen=True, eq=False)
class StoredMatrix:
    """Markers whose codes are in their store: `MarkerMatrix` for what is asked after the chains have run."""

    rows: StoredRows
    shift: np.ndarray
    missing: np.ndarray

    def covariance(self, start: int, stop: int, observed: np.ndarray) -> np.ndarray:
        """As of `MarkerMatrix`."""
        packed = np.empty((stop - start, self.rows.width), np.uint8)
        self.rows.read(start, stop, packed)
        matrix = _matrix(packed, self.shift[start:stop], self.missing[start:stop], self.rows)
        return matrix.covariance(0, stop - start, observed)


def _matrix(packed: np.ndarray, shift: np.ndarray, missing: np.ndarray, rows: StoredRows) -> MarkerMatrix:
    return MarkerMatrix(packed, np.empty((0, 0), np.uint16), shift, missing, rows.n_samples)


def _chunk_of(view: GenotypeView, position: int) -> tuple[int, slice]:
    """(number, positions among the view's variants) of the chunk with a variant."""
    starts = [rows.start for _, _, rows in view.chunk_rows]
    index = int(np.searchsorted(starts, position, side="right")) - 1
    return index, view.chunk_rows[index][2]


def parts_of(blocks: Blocks, width: int, part_bytes: int, first: int = 0, last: int | None = None) -> list[range]:
    """The blocks `first` to `last` - 1 in parts of at most `part_bytes` packed bytes each, one block at the least."""
    last = len(blocks.owner) if last is None else last
    found, begin = [], first
    for b in range(first, last):
        if b > begin and (int(blocks.start[b + 1]) - int(blocks.start[begin])) * width > part_bytes:
            found.append(range(begin, b))
            begin = b
    if begin < last:
        found.append(range(begin, last))
    return found


def stored_gram(
    rows: StoredRows,
    blocks: Blocks,
    parts: Sequence[range],
    shift: np.ndarray,
    missing: np.ndarray,
    weights: np.ndarray,
    threads: int,
) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """(packed rows, X'WX of the blocks one after the other, diagonal) of each of some parts, which are read in order.

    The numbers are those of `gram_matrices` on all genotypes at once.
    """
    for part in parts:
        first, last = int(blocks.start[part.start]), int(blocks.start[part.stop])
        packed = np.empty((last - first, rows.width), np.uint8)
        rows.read(first, last, packed)
        matrix = _matrix(packed, shift[first:last], missing[first:last], rows)
        own = slice(part.start, part.stop)
        inner = Blocks(blocks.start[part.start : part.stop + 1] - first, blocks.owner[own], blocks.repeats[own])
        gram, diagonal = gram_matrices(matrix, inner, weights, threads, blocks.gram_dtype)
        yield packed, gram, diagonal
