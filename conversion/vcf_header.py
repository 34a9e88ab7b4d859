"""The header of a VCF or BCF file: the samples, what INFO and FORMAT may hold, and where the records begin."""

from __future__ import annotations

from dataclasses import dataclass, field

from conversion.compressed_blocks import blocks_of
from conversion.info_scores import declared, score_key
from daskgen.errors import InputError

__all__ = ["VcfHeader", "read_header"]

_COLUMNS = ("#CHROM", "POS", "ID", "REF", "ALT", "QUAL", "FILTER", "INFO", "FORMAT")
_MOST_BYTES = 1 << 30


@dataclass(frozen=True)
class VcfHeader:
    """What the header says. The first record begins `skip` plain bytes after the block at `offset` of the file.

    is_bcf: whether records are binary; raw: the header as it stands in the file, with the length of a BCF's;
    info, formats: declared keys with their types.
    """

    is_bcf: bool
    samples: tuple[str, ...]
    offset: int
    skip: int
    info: dict[str, str]
    formats: dict[str, str]
    raw: bytes = field(repr=False)

    @property
    def score(self) -> str | None:
        """The key of INFO that holds the quality of imputation."""
        return score_key(self.info)


def read_header(path: str, kind: str) -> VcfHeader:
    """Read the header. InputError where the file is not VCF or BCF, or the header has no end or no proper columns."""
    data, ends = bytearray(), []
    length: int | None = None
    for block in blocks_of(path, kind):
        ends.append((len(data), block.offset))
        data += block.data
        length = _length(path, data)
        if length is not None or len(data) > _MOST_BYTES:
            break
    if length is None:
        found = "nothing" if not data else bytes(data[:40]).decode("ascii", "replace").splitlines()[0]
        raise InputError(
            f"{path}: the header of the VCF has no #CHROM line, or is cut before it.",
            found=f"{len(data):,} bytes that begin with {found!r}",
            expected=" ".join(_COLUMNS),
        )
    is_bcf = data.startswith(b"BCF")
    raw = bytes(data[:length])
    text = raw[9:].rstrip(b"\0") if is_bcf else raw
    samples = _samples(path, text)
    # A plain stream has one beginning; elsewhere reading starts with the block in which the header ends.
    start, offset = (0, 0) if kind == "gzip" else max(entry for entry in ends if entry[0] <= length)
    keys = declared(text.decode("utf-8", "replace").splitlines())
    return VcfHeader(is_bcf, samples, offset, length - start, keys["INFO"], keys["FORMAT"], raw)


def _length(path: str, data: bytearray) -> int | None:
    """Bytes of the header at the beginning of `data`, once all of it is there."""
    if len(data) < 9:
        return None
    if data.startswith(b"BCF"):
        if data[3:4] != b"\x02":
            raise InputError(f"{path} is BCF of another version.", found=f"BCF {data[3]}", expected="BCF 2")
        length = 9 + int.from_bytes(data[5:9], "little")
        return length if len(data) >= length else None
    if not data.startswith(b"##fileformat=VCF"):
        raise InputError(
            f"{path} is not VCF.",
            found=repr(bytes(data[:30]).decode("ascii", "replace")),
            expected="##fileformat=VCFv4.",
        )
    place = data.find(b"\n#CHROM")
    end = data.find(b"\n", place + 1) if place >= 0 else -1
    return end + 1 if end >= 0 else None


def _samples(path: str, text: bytes) -> tuple[str, ...]:
    line = text.rstrip(b"\r\n").rpartition(b"\n")[2]
    try:
        columns = line.decode().split("\t")
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: the header is not UTF-8 text.", found=str(error)) from None
    if tuple(columns[:8]) != _COLUMNS[:8] or (len(columns) > 8 and columns[8] != "FORMAT"):
        raise InputError(
            f"{path}: the header line has other columns than a VCF.",
            found=" ".join(columns[:9])[:100],
            expected=f"{' '.join(_COLUMNS)}, separated by tabs",
        )
    return tuple(columns[9:])
