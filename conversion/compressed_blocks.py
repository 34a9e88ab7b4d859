"""A file as a chain of blocks of plain bytes: not compressed at all, bgzip, or a gzip stream.

bgzip (BGZF) is gzip made of members of at most 64 kB that say how long they are, so reading can begin at any of
them; its blocks are those members. A plain file has blocks wherever one likes. A gzip stream of one member can only
be unpacked from its beginning.

Source of the BGZF layout: the SAM specification, https://samtools.github.io/hts-specs/SAMv1.pdf, section 4.1.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from typing import BinaryIO, NamedTuple

from conversion.summary.streams import inflater, open_unpacked
from daskgen.errors import InputError
from daskgen.inputs.files import open_binary, size_of

__all__ = ["Block", "blocks_of", "ends_properly", "first_block", "is_sequential", "kind_of"]

PLAIN, BGZF, GZIP = "plain", "bgzip", "gzip"

_READ = 1 << 20
_LARGEST = 1 << 16  # of a BGZF block, compressed and plain
_MEMBER = b"\x1f\x8b\x08\x04"
_FIXED = 12  # bytes of a member before its extra fields
_END = bytes.fromhex("1f8b08040000000000ff0600424302001b0003000000000000000000")


class Block(NamedTuple):
    """`data`: plain bytes; `offset`: where in the file they begin; `end`: where the next block does."""

    offset: int
    end: int
    data: bytes


def kind_of(path: str) -> str:
    """Which of the three kinds the file is."""
    with open_binary(path) as file:
        start = file.read(64)
    if _member_size(start, 0):
        return BGZF
    return GZIP if start[:2] == b"\x1f\x8b" else PLAIN


def is_sequential(kind: str) -> bool:
    """Whether such a file can only be read from its beginning."""
    return kind == GZIP


def blocks_of(path: str, kind: str, offset: int = 0, edge: int = 0) -> Iterator[Block]:
    """The blocks from `offset` on, which must be where one begins. InputError for data that are cut or damaged.

    edge: a place in a plain file where a block is to end.
    """
    if kind == GZIP:
        yield from _stream(path)
        return
    with open_binary(path) as file:
        file.seek(offset)
        if kind == BGZF:
            yield from _members(path, file, offset)
            return
        while data := file.read(min(_READ, edge - offset) if offset < edge else _READ):
            yield Block(offset, offset + len(data), data)
            offset += len(data)


def first_block(path: str, kind: str, offset: int) -> int:
    """The first place at or after `offset` where a block begins; the size of the file if there is none."""
    if kind == PLAIN or offset == 0:
        return offset
    size = size_of(path)
    with open_binary(path) as file:
        file.seek(offset)
        # A block begins within 64 kB, and its size leads to the next one, which is looked at too.
        data = _read(file, 3 * _LARGEST)
    place = data.find(_MEMBER)
    while place >= 0:
        length = _member_size(data, place)
        follows = place + length
        if length and (offset + follows == size or data[follows : follows + len(_MEMBER)] == _MEMBER):
            return offset + place
        place = data.find(_MEMBER, place + 1)
    return size


def ends_properly(path: str, kind: str) -> bool:
    """Whether a bgzip file has the empty block that marks its end; True for other kinds."""
    if kind != BGZF:
        return True
    size = size_of(path)
    with open_binary(path) as file:
        file.seek(max(0, size - len(_END)))
        return _read(file, len(_END)) == _END


def _member_size(data: bytes, place: int) -> int:
    """Bytes of the BGZF block that begins at `place`; 0 if none does."""
    if data[place : place + len(_MEMBER)] != _MEMBER or len(data) < place + _FIXED:
        return 0
    extra = place + _FIXED
    stop = extra + int.from_bytes(data[place + 10 : place + 12], "little")
    while extra + 4 <= stop:
        length = int.from_bytes(data[extra + 2 : extra + 4], "little")
        if data[extra : extra + 2] == b"BC" and length == 2 and len(data) >= extra + 6:
            return int.from_bytes(data[extra + 4 : extra + 6], "little") + 1
        extra += 4 + length
    return 0


def _members(path: str, file: BinaryIO, offset: int) -> Iterator[Block]:
    inflate = inflater()
    buffer, place = b"", 0
    while True:
        if len(buffer) - place < _LARGEST:
            buffer, place = buffer[place:] + _read(file, max(_READ, _LARGEST)), 0
            if not buffer:
                return
        length = _member_size(buffer, place)
        if not length or place + length > len(buffer):
            raise _damaged(path, offset, "it ends in the middle of a block" if length else "no bgzip block begins here")
        try:
            # 31: with the header and checksum of gzip, which are looked at too.
            data = inflate.decompress(buffer[place : place + length], 31)
        except (zlib.error, inflate.error) as error:
            raise _damaged(path, offset, str(error)) from error
        yield Block(offset, offset + length, data)
        offset, place = offset + length, place + length


def _stream(path: str) -> Iterator[Block]:
    offset = 0
    with open_unpacked(path) as unpacked:
        while data := unpacked.read_piece():
            # Text that compresses well comes in very large portions.
            for start in range(0, len(data), _READ):
                part = data[start : start + _READ]
                yield Block(offset, offset + len(part), part)
                offset += len(part)


def _read(file: BinaryIO, n: int) -> bytes:
    """The next `n` bytes, or what is left; a read without buffer may give less than it was asked for."""
    parts = []
    while n and (part := file.read(n)):
        parts.append(part)
        n -= len(part)
    return b"".join(parts)


def _damaged(path: str, offset: int, found: str) -> InputError:
    return InputError(
        f"{path} is cut or damaged: it cannot be unpacked to its end.",
        found=f"{found} (byte {offset:,})",
        do="fetch or make the file again, and compare its size or checksum with that of its source",
    )
