"""The records of a BGEN file, without their probabilities: header, sample ids, and where each variant lies.

The file begins with the offset of the first variant (relative to byte 4), the length of the header, the numbers of
variants and samples, "bgen", free bytes, and flags: bits 0-1 the compression (none, zlib, zstd), bits 2-5 the layout,
bit 31 whether a block of sample ids follows. A variant has two ids (the second is the rs number), a chromosome, a
position, alleles, and its probabilities, of which only the place is taken here.
Source: https://www.chg.ox.ac.uk/~gav/bgen_format/spec/latest.html
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO, NamedTuple

from daskgen.errors import InputError
from daskgen.inputs.files import open_binary, size_of

__all__ = ["BgenHeader", "BgenRecord", "parse_record", "read_bgen_header", "read_sample_ids", "records"]

_PREFIX = 24  # offset, header length, variants, samples, "bgen", flags of a header without free bytes
_COMPRESSIONS = ("none", "zlib", "zstd")
_SMALL_WINDOW, _LARGE_WINDOW = 1 << 12, 1 << 20
_LARGE_RECORD = 1 << 14  # between larger ones the file is skipped; smaller ones are read through
_LONGEST_NAMES = 1 << 26

_U2, _U4 = struct.Struct("<H"), struct.Struct("<I")


@dataclass(frozen=True)
class BgenHeader:
    """What the header says. `first`: the byte of the first variant; `ids`: that of the sample ids, or None."""

    layout: int
    compression: str
    n_variants: int
    n_samples: int
    first: int
    ids: int | None


class BgenRecord(NamedTuple):
    """A variant: its texts as bytes; `start`, `data`, `end`: bytes of the record, of its probabilities, of the next."""

    snpid: bytes
    rsid: bytes
    contig: bytes
    position: int
    alleles: tuple[bytes, ...]
    start: int
    data: int
    end: int


def read_bgen_header(path: str) -> BgenHeader:
    """The header of the .bgen at `path`. InputError where it is none, or of a kind that the format does not know."""
    with open_binary(path) as file:
        prefix = file.read(_PREFIX)
        if len(prefix) < _PREFIX or prefix[16:20] not in (b"bgen", bytes(4)):
            raise InputError(
                f"{path} is empty." if not prefix else f"{path} is not a BGEN file.",
                found=f"bytes 16 to 19 are {prefix[16:20].hex(' ') or 'not there'}",
                expected='"bgen"',
            )
        offset, length, n_variants, n_samples = struct.unpack_from("<4I", prefix)
        if length < 20 or offset < length:
            raise InputError(f"{path}: the lengths in its header contradict each other.", found=f"{length}, {offset}")
        file.seek(length)
        flags = _U4.unpack(_exactly(path, file, 4))[0]
    compression, layout = flags & 3, (flags >> 2) & 15
    if compression > 2 or layout not in (1, 2) or (layout == 1 and compression == 2):
        raise InputError(
            f"{path} is of a kind that BGEN 1.1 to 1.3 do not have.",
            found=f"layout {layout}, compression {compression}",
            expected="layout 1 or 2; 0 none, 1 zlib, 2 zstd (layout 2)",
            do="write it again with qctool, or plink2 --export bgen-1.3",
        )
    if not n_variants or not n_samples:
        raise InputError(f"{path} is empty.", found=f"{n_variants:,} variants, {n_samples:,} samples")
    ids = 4 + length if flags >> 31 else None
    return BgenHeader(layout, _COMPRESSIONS[compression], n_variants, n_samples, 4 + offset, ids)


def read_sample_ids(path: str, header: BgenHeader) -> list[str] | None:
    """The ids of the samples that the file holds itself, or None. InputError where they do not fit the header."""
    if header.ids is None:
        return None
    with open_binary(path) as file:
        file.seek(header.ids)
        length, n = struct.unpack("<2I", _exactly(path, file, 8))
        if n != header.n_samples or header.ids + length > header.first:
            raise InputError(
                f"{path}: its list of samples does not fit its header.",
                found=f"{n:,} ids in {length:,} bytes",
                expected=f"{header.n_samples:,} in at most {header.first - header.ids:,}",
            )
        block = _exactly(path, file, length - 8)
    names, at = [], 0
    try:
        for _ in range(n):
            end = at + 2 + _U2.unpack_from(block, at)[0]
            if end > len(block):
                raise struct.error
            names.append(block[at + 2 : end].decode())
            at = end
    except (struct.error, UnicodeDecodeError):
        raise InputError(f"{path}: its list of samples is damaged at sample {len(names) + 1:,}.") from None
    return names


def _exactly(path: str, file: BinaryIO, n: int) -> bytes:
    data = b""
    while len(data) < n and (part := file.read(n - len(data))):
        data += part
    if len(data) < n:
        raise InputError(f"{path} is cut within its header.", found=f"{n - len(data):,} bytes too few")
    return data


def parse_record(buffer: bytes | memoryview, at: int, start: int, header: BgenHeader) -> BgenRecord:
    """The record that begins at byte `at` of `buffer`, which is byte `start` of the file.

    Raises struct.error where the buffer ends before the probabilities begin.
    """
    own = at
    if header.layout == 1:
        at += 4  # the number of samples once more
    names = []
    for _ in range(3):
        length = _U2.unpack_from(buffer, at)[0]
        names.append(bytes(buffer[at + 2 : at + 2 + length]))
        at += 2 + length
    position = _U4.unpack_from(buffer, at)[0]
    at += 4
    n_alleles = 2
    if header.layout == 2:
        n_alleles = _U2.unpack_from(buffer, at)[0]
        at += 2
    alleles = []
    for _ in range(n_alleles):
        length = _U4.unpack_from(buffer, at)[0]
        alleles.append(bytes(buffer[at + 4 : at + 4 + length]))
        at += 4 + length
    if header.layout == 1 and header.compression == "none":
        size = 6 * header.n_samples
        if at > len(buffer):
            raise struct.error
    else:
        size = _U4.unpack_from(buffer, at)[0]
        at += 4
    data = start + at - own
    return BgenRecord(names[0], names[1], names[2], position, tuple(alleles), start, data, data + size)


def records(path: str, header: BgenHeader) -> Iterator[BgenRecord]:
    """All variants in order: one scan of the file that passes over the probabilities.

    Raises InputError with the number of the variant where the file is cut or damaged.
    """
    size = size_of(path)
    window = _LARGE_WINDOW
    buffer, begin = b"", 0  # the bytes of the file from `begin` on
    at = header.first
    with open_binary(path) as file:
        for number in range(1, header.n_variants + 1):
            record = None
            while record is None:
                try:
                    if begin <= at < begin + len(buffer):
                        record = parse_record(buffer, at - begin, at, header)
                        break
                except struct.error:
                    if begin == at:  # the names of this variant are longer than what was read
                        window *= 16
                if at >= size or window > _LONGEST_NAMES or (begin == at and begin + len(buffer) >= size):
                    raise _cut(path, size, number, header)
                file.seek(at)
                buffer, begin = file.read(window), at
            if record.end > size or len(record.alleles) < 1:
                raise _cut(path, size, number, header)
            window = _SMALL_WINDOW if record.end - record.start > _LARGE_RECORD else _LARGE_WINDOW
            yield record
            at = record.end


def _cut(path: str, size: int, number: int, header: BgenHeader) -> InputError:
    return InputError(
        f"{path} is cut or damaged at variant {number:,} of {header.n_variants:,}.",
        found=f"{size:,} bytes, and the variant does not lie within them",
        do="copy or download the file again and compare its size",
    )
