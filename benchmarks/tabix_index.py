"""The index (.tbi) of a bgzip VCF with one contig, which vcf2zarr wants and few environments have a tool for.

Format: https://samtools.github.io/hts-specs/tabix.pdf. Records are one base long and sorted, so that each lies in a bin
of the lowest level.
"""

from __future__ import annotations

import struct
import zlib
from pathlib import Path

from tests.vcf_files import bgzip

__all__ = ["write_index"]

_LOWEST = 4681  # number of the first bin of the lowest level; each covers 2**14 bases


def write_index(vcf: Path) -> Path:
    """Make VCF.tbi."""
    packed = vcf.read_bytes()
    places: list[tuple[int, int, int]] = []  # (position, where the record begins, where it ends), as virtual offsets
    name, rest, begun, offset = "", b"", 0, 0
    while offset < len(packed):
        inflater = zlib.decompressobj(wbits=31)
        text = inflater.decompress(packed[offset:])
        after = len(packed) - len(inflater.unused_data)
        at = 0
        while (end := text.find(b"\n", at) + 1) > 0:
            line = rest + text[at:end]
            # The place behind the last byte of a block is the beginning of the next one.
            here = offset << 16 | end if end < len(text) else after << 16
            if not line.startswith(b"#"):
                contig, position, _ = line.split(b"\t", 2)
                name = contig.decode()
                places.append((int(position) - 1, begun, here))
            rest, at, begun = b"", end, here
        rest += text[at:]
        offset = after
    bins: dict[int, tuple[int, int]] = {}
    linear: list[int] = []
    for position, begin, end in places:
        window = position >> 14
        first = bins.get(_LOWEST + window, (begin, end))[0]
        bins[_LOWEST + window] = (first, end)
        linear.extend([begin] * (window + 1 - len(linear)))
    names = name.encode() + b"\0"
    parts = [b"TBI\1", struct.pack("<8i", 1, 2, 1, 2, 0, ord("#"), 0, len(names)), names, struct.pack("<i", len(bins))]
    parts += [struct.pack("<IiQQ", number, 1, *chunk) for number, chunk in bins.items()]
    parts += [struct.pack("<i", len(linear)), struct.pack(f"<{len(linear)}Q", *linear)]
    index = Path(f"{vcf}.tbi")
    index.write_bytes(bgzip(b"".join(parts)))
    return index
