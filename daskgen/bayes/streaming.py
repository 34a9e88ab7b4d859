"""Blocks of markers that come from the store while the sampler runs, where not all of them fit into memory.

The blocks are cut into parts of some megabytes. The first parts stay in memory, as many as fit; the others go through
a ring of slots that a thread fills ahead of the sampler, sweep after sweep. A part in a slot is the same bytes as in
memory, so the draws are the same.

Gram matrices stay in memory where they fit, else they lie in a scratch file and come with their part.
"""

from __future__ import annotations

import logging
import os
import tempfile
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from daskgen import limits
from daskgen.bayes.blocks import Blocks
from daskgen.bayes.rows import StoredRows, parts_of, stored_gram
from daskgen.kernels.genotype_dots import n_tiles
from daskgen.kernels.gibbs_types import Markers

__all__ = ["RING", "Feed", "Residence"]

log = logging.getLogger("daskgen.bayes")

RING = 4  # slots: the part at work, the one before it, on which slower threads may still be, and two ahead
_WAIT_SECONDS = 1.0


@dataclass(frozen=True)
class Residence:
    """What of the genotypes is in memory. part_bytes: bytes of the rows of a part; resident: how many parts stay;
    gram_in_memory: whether all Gram matrices do.
    """

    part_bytes: int
    resident: int
    gram_in_memory: bool


class Feed:
    """Genotypes as the kernel takes them, of which `bring` makes those of a block be there.

    gaps: missing calls of each marker among all samples, int64 (P,). Closed, it leaves no thread and no file.
    """

    def __init__(
        self,
        rows: StoredRows,
        blocks: Blocks,
        residence: Residence,
        shift: np.ndarray,
        missing: np.ndarray,
        gaps: np.ndarray,
        weights: np.ndarray,
        threads: int,
    ):
        self._rows, self._blocks = rows, blocks
        self._parts = parts_of(blocks, rows.row_bytes, residence.part_bytes)
        self._resident = min(residence.resident, len(self._parts))
        if len(self._parts) - self._resident <= RING:  # a ring for so few would hold them all
            self._resident = len(self._parts)
        ring = RING if self._resident < len(self._parts) else 0
        self._part_of = np.repeat(np.arange(len(self._parts)), [len(part) for part in self._parts])
        self._tiles = n_tiles(rows.width)
        self._scratch: Any = None
        sizes = [int(blocks.start[part.stop] - blocks.start[part.start]) for part in self._parts]
        holes = self._holes = [
            int(gaps[blocks.start[part.start] : blocks.start[part.stop]].sum()) for part in self._parts
        ]
        gram = [int((blocks.sizes[part.start : part.stop] ** 2).sum()) for part in self._parts]
        slots = [*range(self._resident), *([None] * ring)]
        length = self._slots(sizes, slots, 1)
        self._row_at = np.concatenate([[0], np.cumsum(length)])
        self._gap_at = np.concatenate([[0], np.cumsum([n * self._tiles + 1 for n in length])])
        self._place_at = np.concatenate([[0], np.cumsum(self._slots(holes, slots, 1))])
        self._gram_in_memory = residence.gram_in_memory
        kept_gram = gram if self._gram_in_memory else self._slots(gram, slots, 1)
        self._gram_at = np.concatenate([[0], np.cumsum(kept_gram)])
        values = np.zeros(int(self._gram_at[-1]), blocks.gram_dtype)
        self._gram = values
        self._gram_file_at = np.concatenate([[0], np.cumsum(gram)])
        single = values.dtype == np.float32
        self._values = rows.empty(int(self._row_at[-1]))
        self.markers = Markers(
            *rows.codes_and_dosages(self._values),
            shift,
            missing,
            np.zeros(int(self._gap_at[-1]), np.int64),
            np.zeros(int(self._place_at[-1]), np.uint16),
            np.zeros(rows.n_markers),
            blocks.start,
            blocks.owner,
            blocks.repeats,
            np.zeros(0) if single else values,
            values if single else np.zeros(0, np.float32),
            blocks.offset,
            np.zeros(len(blocks.owner), np.int64),
            np.zeros(len(blocks.owner), np.int64),
            np.zeros(1, np.int64),
        )
        try:
            self._prepare(weights, threads)
        except BaseException:
            self.close()
            raise
        self._turn = -1  # how many parts of the ring have been used
        self._current = -1
        self._ready = 0  # how many parts have been brought into the ring
        self._stopped = False
        self._error: BaseException | None = None
        self._change = threading.Condition()
        self._reader = None
        if ring:
            self._reader = threading.Thread(target=self._read_ahead, name="daskgen-bayes-reader", daemon=True)
            self._reader.start()

    @staticmethod
    def _slots(sizes: Sequence[int], slots: Sequence[int | None], least: int) -> list[int]:
        """Room of each slot: what its part needs, in the ring what the largest one needs."""
        largest = max(sizes[sum(slot is not None for slot in slots) :], default=0)
        return [max(least, largest if slot is None else sizes[slot]) for slot in slots]

    @property
    def streamed_bytes(self) -> int:
        """Bytes of rows that a sweep reads."""
        first = int(self._blocks.start[self._parts[self._resident].start]) if self._reader else self._rows.n_markers
        return (self._rows.n_markers - first) * self._rows.row_bytes

    def _prepare(self, weights: np.ndarray, threads: int) -> None:
        """One pass over the store: Gram matrices, diagonal, and the parts that stay."""
        blocks, markers = self._blocks, self.markers
        if not self._gram_in_memory:
            folder = limits.scratch(None)
            self._scratch = tempfile.TemporaryFile(prefix="daskgen-gram-", dir=Path(folder))  # noqa: SIM115
        done = stored_gram(self._rows, blocks, self._parts, markers.shift, markers.missing, weights, threads)
        for number, (values, gram, diagonal) in enumerate(done):
            part = self._parts[number]
            markers.diagonal[blocks.start[part.start] : blocks.start[part.stop]] = diagonal
            if self._gram_in_memory:
                self._gram[self._gram_at[number] : self._gram_at[number] + len(gram)] = gram
            else:
                self._scratch.write(gram.tobytes())
            if self._scratch is not None:
                self._scratch.flush()
            if number < self._resident:
                self._fill(number, number, values)

    def _fill(self, number: int, slot: int, values: np.ndarray | None = None) -> None:
        """Put part `number` into a slot, its rows from the store where they are not given."""
        blocks, markers = self._blocks, self.markers
        part = self._parts[number]
        first, last = int(blocks.start[part.start]), int(blocks.start[part.stop])
        row, gap, place = (int(at[slot]) for at in (self._row_at, self._gap_at, self._place_at))
        here = self._values[row : row + last - first]
        if values is None:
            self._rows.read(first, last, here)
        else:
            here[:] = values
        if self._holes[number]:
            starts, places = self._rows.matrix(here, markers.shift, markers.missing).gaps()
            markers.gap_start[gap : gap + len(starts)] = starts + place
            markers.gap_place[place : place + len(places)] = places
        else:
            markers.gap_start[gap : gap + len(here) * self._tiles + 1] = place
        if self._scratch is not None:
            where = self._gram[self._gram_at[slot] : self._gram_at[slot + 1]]
            count = int(self._gram_file_at[number + 1] - self._gram_file_at[number])
            size = where.itemsize
            data = os.pread(self._scratch.fileno(), count * size, int(self._gram_file_at[number]) * size)
            where[:count] = np.frombuffer(data, where.dtype)
        if slot < self._resident:
            self._place_blocks(number, slot)

    def _place_blocks(self, number: int, slot: int) -> None:
        """Tell the kernel where the blocks of a part are."""
        blocks, markers = self._blocks, self.markers
        part = self._parts[number]
        inner = blocks.start[part.start : part.stop] - blocks.start[part.start]
        markers.place[part.start : part.stop] = self._row_at[slot] + inner
        markers.gap_at[part.start : part.stop] = self._gap_at[slot] + inner * self._tiles
        if self._scratch is not None:
            own = blocks.offset[part.start : part.stop] - blocks.offset[part.start]
            markers.offset[part.start : part.stop] = self._gram_at[slot] + own

    def begin(self) -> None:
        """Before a run of the kernel, which starts at the first block."""
        self._current = -1

    def bring(self, block: int) -> None:
        """Make the rows of a block be there; blocks are asked for in their order, sweep after sweep."""
        number = int(self._part_of[block])
        if number == self._current:
            return
        self._current = number
        if number < self._resident:
            return
        with self._change:
            self._turn += 1
            self._change.notify_all()
            while self._ready <= self._turn and self._error is None:
                self._change.wait(_WAIT_SECONDS)
            if self._error is not None:
                raise self._error
        self._place_blocks(number, self._resident + self._turn % RING)

    def _read_ahead(self) -> None:
        """Fill the ring, part after part, as slots become free."""
        through = len(self._parts) - self._resident
        try:
            while True:
                with self._change:
                    while not self._stopped and self._ready > self._turn + RING - 2:
                        self._change.wait(_WAIT_SECONDS)
                    if self._stopped:
                        return
                self._fill(self._resident + self._ready % through, self._resident + self._ready % RING)
                with self._change:
                    self._ready += 1
                    self._change.notify_all()
        except BaseException as error:  # the sampler raises it
            with self._change:
                self._error = error
                self._change.notify_all()

    def close(self) -> None:
        """End the reading thread and give up the scratch file."""
        reader = getattr(self, "_reader", None)
        if reader is not None:
            with self._change:
                self._stopped = True
                self._change.notify_all()
            reader.join()
            self._reader = None
        if self._scratch is not None:
            self._scratch.close()
            self._scratch = None
