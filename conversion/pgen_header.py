"""The header of a .pgen file: numbers of variants and samples, whether there are dosages, and where the file ends.

Bytes 0-2 are 6c 1b and the storage mode; then uint32 numbers of variants and of samples, and a byte that says how
the rest is stored. In the usual mode (0x10) follow the file offsets of every 65,536th record and, for each such
block, a type and a length per record. Types 0x20, 0x40 and 0x60 have dosages.
Source: the PGEN specification of plink-ng (pgen_spec), sections "Header" and "Variant record types".
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import BinaryIO

import numpy as np

from daskgen.errors import InputError
from daskgen.inputs.files import companion, open_binary, size_of

__all__ = ["PgenHeader", "read_pgen_header"]

_BLOCK = 65_536
_DOSAGE = 0x60
_PREFIX = 12
_INDEX_OF = {0x20: 0x30, 0x21: 0x31}  # modes whose header lies in a .pgi file of its own -> the mode of that file


@dataclass(frozen=True)
class PgenHeader:
    """What the header says. `mode`: the storage mode (1 is a .bed file under another name)."""

    mode: int
    n_variants: int
    n_samples: int
    has_dosage: bool


def read_pgen_header(path: str) -> PgenHeader:
    """The header of the .pgen at `path`.

    Raises InputError where the file is not a .pgen, is of a mode that is not known, or is shorter than its header
    says.
    """
    with open_binary(path) as file:
        prefix = file.read(_PREFIX)
    if len(prefix) < 3 or prefix[:2] != b"\x6c\x1b" or prefix[2] == 0:
        raise InputError(
            f"{path} is empty." if not prefix else f"{path} is not a .pgen file.",
            found=f"it begins with {prefix[:3].hex(' ') or 'nothing'}",
            expected="6c 1b and a storage mode",
        )
    mode = prefix[2]
    if mode == 1:
        raise InputError(
            f"{path} is a PLINK 1 .bed file under the name .pgen.",
            do=f"rename it to {path.removesuffix('.pgen')}.bed beside its .bim and .fam, or give format='plink1'",
        )
    if mode in (2, 3, 4):
        return _fixed_width(path, prefix)
    if mode in (0x10, 0x11, *_INDEX_OF):
        return _variable_width(path, prefix)
    raise InputError(f"{path}: storage mode {mode:#04x} of .pgen is not known.", do="plink2 --make-pgen rewrites it")


def _counts(path: str, prefix: bytes) -> tuple[int, int, int]:
    if len(prefix) < _PREFIX:
        raise _cut(path, len(prefix), _PREFIX)
    n_variants, n_samples = np.frombuffer(prefix, "<u4", 2, offset=3).tolist()
    if not n_variants or not n_samples:
        raise InputError(f"{path} is empty.", found=f"{n_variants:,} variants, {n_samples:,} samples")
    return n_variants, n_samples, prefix[11]


def _fixed_width(path: str, prefix: bytes) -> PgenHeader:
    n_variants, n_samples, control = _counts(path, prefix)
    width = -(-n_samples // 4) + {2: 0, 3: 2, 4: 4}[prefix[2]] * n_samples
    flags = -(-n_variants // 8) if control >> 6 == 3 else 0
    expected = _PREFIX + flags + n_variants * width
    if (size := size_of(path)) != expected:
        raise _cut(path, size, expected)
    return PgenHeader(prefix[2], n_variants, n_samples, prefix[2] != 2)


def _variable_width(path: str, prefix: bytes) -> PgenHeader:
    mode, index = prefix[2], path
    if mode in _INDEX_OF:
        index = companion(path, path, (".pgi",))
        with open_binary(index) as file:
            prefix = file.read(_PREFIX)
        if prefix[:3] != bytes((0x6C, 0x1B, _INDEX_OF[mode])):
            raise InputError(f"{index} is not the index of a .pgen file.", found=prefix[:3].hex(" "))
    n_variants, n_samples, control = _counts(index, prefix)
    storage = control & 15
    if storage >= 8:  # types and lengths fused, for single samples; 12 and 14 are the ones with dosages
        return PgenHeader(mode, n_variants, n_samples, storage in (12, 14))
    has_dosage, end = _scan_records(index, n_variants, control)
    size = size_of(path)
    if size < end:
        raise _cut(path, size, end)
    return PgenHeader(mode, n_variants, n_samples, has_dosage)


def _scan_records(path: str, n_variants: int, control: int) -> tuple[bool, int]:
    """(whether any record has dosages, end of the last record) from the types and lengths of all records."""
    wide_types, length_bytes = control & 4, 1 + (control & 3)
    allele_count_bytes, explicit_flags = (control >> 4) & 3, control >> 6 == 3
    n_blocks = -(-n_variants // _BLOCK)
    has_dosage, end = False, 0
    with open_binary(path) as file:
        file.seek(_PREFIX)
        starts = np.frombuffer(_exactly(path, file.read(8 * n_blocks), 8 * n_blocks), "<u8")
        for block in range(n_blocks):
            n = min(_BLOCK, n_variants - block * _BLOCK)
            type_bytes = n if wide_types else -(-n // 2)
            body = type_bytes + n * length_bytes
            rest = n * allele_count_bytes + (-(-n // 8) if explicit_flags else 0)
            data = np.frombuffer(_exactly(path, _read(file, body + rest), body + rest), np.uint8)
            if wide_types:
                has_dosage = has_dosage or bool((data[:type_bytes] & _DOSAGE).any())
            lengths = data[type_bytes:body].reshape(n, length_bytes).astype(np.int64) @ (256 ** np.arange(length_bytes))
            end = max(end, int(starts[block]) + int(lengths.sum()))
    return has_dosage, end


def _read(file: BinaryIO, n: int) -> bytes:
    parts = []
    while n and (part := file.read(n)):
        parts.append(part)
        n -= len(part)
    return b"".join(parts)


def _exactly(path: str, data: bytes, n: int) -> bytes:
    if len(data) != n:
        raise InputError(f"{path} is cut within its header.", found=f"{len(data):,} bytes", expected=f"{n:,} more")
    return data


def _cut(path: str, size: int, expected: int) -> InputError:
    return InputError(
        f"{path} is not complete: its size is not what its header says.",
        found=f"{size:,} bytes",
        expected=f"{expected:,}",
        do="copy or download the file again",
    )
