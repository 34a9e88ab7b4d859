"""Rows of the analysed markers where they lie in their stores, for samplers that do not hold all of them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from daskgen.bayes.blocks import Blocks, gram_matrices
from daskgen.bayes.loading import dosages_of
from daskgen.bayes.matrix import MarkerMatrix
from daskgen.genotypes.view import GenotypeView
from daskgen.kernels.dosage_dots import in_planes
from daskgen.kernels.genotype_layout import packed_width

__all__ = ["StoredMatrix", "StoredRows", "parts_of", "stored_gram"]


class StoredRows:
    """Rows of markers, read from the chunks of one or several views when they are asked for.

    sets: (view, kept) of each set of genotypes: the positions of its markers among the view's variants. dosage: rows
    are dosages, uint16 in the order of the planes, also of a set of calls; else packed codes. The chunk that was read
    last is kept, so that reading on costs each chunk once. One thread may use it.
    """

    def __init__(self, sets: Sequence[tuple[GenotypeView, np.ndarray]], *, dosage: bool = False):
        self.sets = list(sets)
        self.dosage = dosage
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
        """Places of a plane: bytes of a row of packed codes."""
        return packed_width(self.n_samples)

    @property
    def row_bytes(self) -> int:
        """Bytes of a row in memory."""
        return self.width * (8 if self.dosage else 1)

    @property
    def chunk_bytes(self) -> int:
        """Bytes of the chunk that is kept, and of what it is made of."""
        return max(
            view.reader.rows_per_chunk * (view.source_row_bytes + (view.row_bytes if self.dosage else 0))
            for view, _ in self.sets
        )

    def empty(self, count: int, columns: slice = slice(None)) -> np.ndarray:
        """Room for `count` rows, or for some places of each plane of them, as `read` fills it."""
        places = len(range(*columns.indices(self.width)))
        return np.empty((count, 4 * places), np.uint16) if self.dosage else np.empty((count, places), np.uint8)

    def read(self, first: int, last: int, out: np.ndarray, columns: slice = slice(None)) -> None:
        """Rows of the markers `first` to `last` - 1, or some places of each plane of them, into `out`."""
        at = 0
        begin_place, end_place, _ = columns.indices(self.width)
        for number, (view, kept) in enumerate(self.sets):
            begin, end = (int(np.clip(m - self._start[number], 0, len(kept))) for m in (first, last))
            while begin < end:
                index, rows = _chunk_of(view, int(kept[begin]))
                stop = begin + int(np.searchsorted(kept[begin:end], rows.stop))
                place, block = kept[begin:stop] - rows.start, self._chunk(number, index)
                together = place[-1] - place[0] == len(place) - 1
                found = block[place[0] : place[-1] + 1] if together else block[place]
                into = out[at : at + stop - begin]
                if self.dosage:
                    in_planes(dosages_of(found, self.n_samples), begin_place, end_place, into)
                else:
                    into[:] = found[:, columns]
                at += stop - begin
                begin = stop

    def _chunk(self, number: int, index: int) -> np.ndarray:
        if self._last is None or self._last[0] != (number, index):
            self._last = None  # before the next one is read, so that one is in memory at a time
            self._last = ((number, index), self.sets[number][0].read_codes(index))
        return self._last[1]

    def matrix(self, values: np.ndarray, shift: np.ndarray, missing: np.ndarray) -> MarkerMatrix:
        """Rows that were read, with the shifts and missing values of these markers."""
        return MarkerMatrix(*self.codes_and_dosages(values), shift, missing, self.n_samples)

    def codes_and_dosages(self, values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The arrays `packed` and `dosage` of kernels, one of them these rows and the other without any."""
        if self.dosage:
            return np.empty((0, values.shape[1] // 4), np.uint8), values
        return values, np.empty((0, 0), np.uint16)


@dataclass(frozen=True, eq=False)
class StoredMatrix:
    """Markers whose rows are in their store: `MarkerMatrix` for what is asked after the chains have run."""

    rows: StoredRows
    shift: np.ndarray
    missing: np.ndarray

    def values(self, start: int, stop: int) -> np.ndarray:
        """As of `MarkerMatrix`."""
        return self._part(start, stop).values(0, stop - start)

    def covariance(self, start: int, stop: int, observed: np.ndarray) -> np.ndarray:
        """As of `MarkerMatrix`."""
        return self._part(start, stop).covariance(0, stop - start, observed)

    def _part(self, start: int, stop: int) -> MarkerMatrix:
        rows = self.rows.empty(stop - start)
        self.rows.read(start, stop, rows)
        return self.rows.matrix(rows, self.shift[start:stop], self.missing[start:stop])


def _chunk_of(view: GenotypeView, position: int) -> tuple[int, slice]:
    """(number, positions among the view's variants) of the chunk with a variant."""
    starts = [rows.start for _, _, rows in view.chunk_rows]
    index = int(np.searchsorted(starts, position, side="right")) - 1
    return index, view.chunk_rows[index][2]


def parts_of(blocks: Blocks, row_bytes: int, part_bytes: int, first: int = 0, last: int | None = None) -> list[range]:
    """The blocks `first` to `last` - 1 in parts of at most `part_bytes` bytes of rows each, one block at the least."""
    last = len(blocks.owner) if last is None else last
    found, begin = [], first
    for b in range(first, last):
        if b > begin and (int(blocks.start[b + 1]) - int(blocks.start[begin])) * row_bytes > part_bytes:
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
    """(rows, X'WX of the blocks one after the other, diagonal) of each of some parts, which are read in order.

    The numbers are those of `gram_matrices` on all genotypes at once.
    """
    for part in parts:
        first, last = int(blocks.start[part.start]), int(blocks.start[part.stop])
        values = rows.empty(last - first)
        rows.read(first, last, values)
        matrix = rows.matrix(values, shift[first:last], missing[first:last])
        own = slice(part.start, part.stop)
        inner = Blocks(blocks.start[part.start : part.stop + 1] - first, blocks.owner[own], blocks.repeats[own])
        gram, diagonal = gram_matrices(matrix, inner, weights, threads, blocks.gram_dtype)
        yield values, gram, diagonal
