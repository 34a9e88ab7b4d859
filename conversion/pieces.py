"""Where in a file its records lie: runs of whole records of a few megabytes, found in one pass over the file.

A task that wants some variants reads the pieces that hold them and nothing else; a file that can only be read in
order is read piece after piece.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from conversion.compressed_blocks import blocks_of, is_sequential
from daskgen.errors import InputError
from daskgen.kernels.text import PADDING

__all__ = ["PIECE_BYTES", "Piece", "Pieces", "lines_of_span", "records_of_bcf"]

PIECE_BYTES = 4 << 20
"""Plain bytes of a piece, as a rule: what is held of a file at a time."""


_BLOCK_BYTES = 2 << 20  # more than any block has


class Piece(NamedTuple):
    """Whole records: `data`, which begin `skip` plain bytes after the block at `offset`."""

    offset: int
    skip: int
    data: bytes


@dataclass(frozen=True, eq=False)
class Pieces:
    """The pieces of a file: int64 arrays of `Piece.offset`, `Piece.skip` and number of bytes; and `first_row`, the
    first row of each piece, with the number of all rows at the end."""

    path: str
    kind: str
    offset: np.ndarray
    skip: np.ndarray
    n_bytes: np.ndarray
    first_row: np.ndarray

    def __len__(self) -> int:
        return len(self.offset)

    @property
    def nbytes(self) -> int:
        return 4 * self.offset.nbytes

    @property
    def row_bytes(self) -> int:
        """Mean plain bytes of a row."""
        return int(-(-self.n_bytes.sum() // max(1, self.first_row[-1])))

    def read(self, index: int) -> np.ndarray:
        """The bytes of piece `index`, uint8, with PADDING more."""
        sizes = [int(self.n_bytes[index])]
        return next(self._read(int(self.offset[index]), int(self.skip[index]), sizes))

    def stream(self, wanted: Iterable[int]) -> Iterator[np.ndarray]:
        """The pieces with these increasing numbers, in one pass from the beginning of the first."""
        numbers = list(wanted)
        if not numbers:
            return
        first = 0 if is_sequential(self.kind) else numbers[0]
        keep = np.zeros(len(self), bool)
        keep[numbers] = True
        pieces = self._read(int(self.offset[first]), int(self.skip[first]), self.n_bytes[first:].tolist())
        for number, data in enumerate(pieces, first):
            if keep[number]:
                yield data
            if number == numbers[-1]:
                return

    def _read(self, offset: int, skip: int, sizes: list[int]) -> Iterator[np.ndarray]:
        """Pieces of these sizes that follow each other."""
        left = iter(sizes)
        out, place, size = np.empty(0, np.uint8), 0, 0
        for block in blocks_of(self.path, self.kind, offset):
            at = min(skip, len(block.data))
            skip -= at
            while at < len(block.data):
                if place == size:
                    size, place = next(left, 0), 0
                    if not size:
                        return
                    out = np.zeros(size + PADDING, np.uint8)
                n = min(size - place, len(block.data) - at)
                out[place : place + n] = np.frombuffer(block.data, np.uint8, n, at)
                place, at = place + n, at + n
                if place == size:
                    yield out
        if place < size or next(left, 0):
            raise InputError(f"{self.path} was changed or cut while it was read.")


def lines_of_span(path: str, kind: str, start: int, stop: int, skip: int | None) -> Iterator[Piece]:
    """The lines that belong to the blocks from `start` up to `stop`, in pieces.

    A line belongs to the span that holds the end of the line before it. start: the beginning of a block. skip: plain
    bytes to leave out before the first line (a header); None: begin after the first line end.
    """
    held: list[bytes] = []
    size, where = 0, None
    for block in blocks_of(path, kind, start, stop):
        data, at, ours = block.data, 0, block.offset < stop
        if where is None:
            if skip is not None:
                at = min(skip, len(data))
                skip -= at
                if at == len(data) and skip:
                    continue
            else:
                if not ours:
                    return
                at = data.find(b"\n") + 1
                if not at:
                    continue
            where = (block.offset, at)
        end = data.rfind(b"\n", at) + 1 if ours else data.find(b"\n", at) + 1
        if not end or (ours and size + end - at < PIECE_BYTES):
            held.append(data[at:])
            size += len(data) - at
            continue
        yield _piece(kind, *where, b"".join([*held, data[at:end]]))
        if not ours:
            return
        held, size, where = [data[end:]], len(data) - end, (block.offset, end)
    if where is not None and size:
        yield _piece(kind, *where, b"".join(held))


def records_of_bcf(path: str, kind: str, start: int, skip: int) -> Iterator[Piece]:
    """The records of a BCF file in pieces. Each says how long its two parts are in its first eight bytes."""
    data = bytearray()
    begin = 0  # of `data`, in plain bytes since `start`
    whole = 0  # end of the whole records in `data`
    origins: list[tuple[int, int]] = []  # where blocks begin in plain bytes since `start`, and in the file
    seen = 0
    for block in blocks_of(path, kind, start):
        origins.append((seen, block.offset))
        seen += len(block.data)
        at = min(skip, len(block.data))
        skip -= at
        begin += at
        data += memoryview(block.data)[at:]
        while len(data) - whole >= 8:
            length = 8 + sum(int.from_bytes(data[whole + i : whole + i + 4], "little") for i in (0, 4))
            if len(data) - whole < length:
                break
            whole += length
            if whole >= PIECE_BYTES:
                yield _piece_at(kind, origins, begin, bytes(data[:whole]))
                del data[:whole]
                begin, whole = begin + whole, 0
        # Blocks that end before what is left are not asked for again.
        origins = [origin for origin in origins if origin[0] > begin - _BLOCK_BYTES]
    if whole < len(data):
        raise InputError(
            f"{path} is cut: its last record is incomplete.",
            found=f"{len(data) - whole:,} bytes of it",
            do="fetch or make the file again",
        )
    if data:
        yield _piece_at(kind, origins, begin, bytes(data))


def _piece_at(kind: str, origins: list[tuple[int, int]], begin: int, data: bytes) -> Piece:
    """The piece that begins `begin` plain bytes after the first block of `origins`."""
    place, offset = max(origin for origin in origins if origin[0] <= begin)
    return _piece(kind, offset, begin - place, data)


def _piece(kind: str, offset: int, skip: int, data: bytes) -> Piece:
    """Places in a stream that can only be read from its beginning are counted from there."""
    return Piece(0, offset + skip, data) if is_sequential(kind) else Piece(offset, skip, data)
