"""A cohort small enough to be written by hand, as PLINK 1 files."""

from __future__ import annotations

from pathlib import Path

import numpy as np

# Copies of A1 by variant (rows) and sample (columns); -1 is missing. Variant 4 is monomorphic, 5 was never called.
CODES = np.array(
    [
        [0, 1, 2, 1, 0],
        [2, 2, 1, -1, 0],
        [1, 1, 1, 1, 1],
        [0, 0, 0, 0, 0],
        [-1, -1, -1, -1, -1],
        [2, 0, 2, 0, 1],
        [0, 2, -1, 1, 1],
    ],
    np.int8,
)
CONTIGS = ["1", "1", "1", "2", "2", "22", "X"]
_BED_CODE = {2: 0b00, -1: 0b01, 1: 0b10, 0: 0b11}


def write_cohort(prefix: Path) -> Path:
    """Write PREFIX.bed, .bim and .fam; returns the path of the .bed."""
    body = bytearray(b"\x6c\x1b\x01")
    for row in CODES.tolist():
        for first in range(0, len(row), 4):
            body.append(sum(_BED_CODE[code] << 2 * place for place, code in enumerate(row[first : first + 4])))
    prefix.with_suffix(".bed").write_bytes(bytes(body))
    bim = [f"{contig}\trs{i}\t0\t{100 * (i + 1)}\tA\tG\n" for i, contig in enumerate(CONTIGS)]
    prefix.with_suffix(".bim").write_text("".join(bim))
    sex = [1, 2, 1, 2, 0]
    prefix.with_suffix(".fam").write_text("".join(f"F{i}\tI{i}\t0\t0\t{sex[i]}\t-9\n" for i in range(CODES.shape[1])))
    return prefix.with_suffix(".bed")
