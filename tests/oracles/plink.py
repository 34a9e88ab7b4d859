"""PLINK files read and written one genotype at a time, as their descriptions say, and frequencies by definition."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

# Copies of A1 by the two bits of a .bed, low bits first (https://www.cog-genomics.org/plink/1.9/formats#bed).
_COPIES = {0b00: 2, 0b01: -1, 0b10: 1, 0b11: 0}


def bed_bytes(copies: np.ndarray) -> bytes:
    """A variant-major .bed of copies of A1 (variants, samples), -1 missing."""
    two_bits = {copy: bits for bits, copy in _COPIES.items()}
    body = bytearray(b"\x6c\x1b\x01")
    for row in copies.tolist():
        for first in range(0, len(row), 4):
            body.append(sum(two_bits[copy] << (2 * place) for place, copy in enumerate(row[first : first + 4])))
    return bytes(body)


def bed_copies(content: bytes, n_samples: int) -> np.ndarray:
    """The copies of A1 that a .bed holds, int8 (variants, samples), -1 missing."""
    width = -(-n_samples // 4)
    rows = [content[start : start + width] for start in range(3, len(content), width)]
    return np.array(
        [[_COPIES[(row[i // 4] >> (2 * (i % 4))) & 3] for i in range(n_samples)] for row in rows], np.int8
    ).reshape(len(rows), n_samples)


def packed_codes(packed: np.ndarray, n_samples: int) -> np.ndarray:
    """Packed codes of a store, one at a time: int8 (variants, samples), -1 missing. Checks that padding is missing."""
    out = np.empty((len(packed), n_samples), np.int8)
    for v, row in enumerate(packed.tolist()):
        codes = [(byte >> (2 * place)) & 3 for byte in row for place in range(4)]
        assert set(codes[n_samples:]) <= {3}
        out[v] = [-1 if code == 3 else code for code in codes[:n_samples]]
    return out


def allele_frequency(copies: np.ndarray, sex: Sequence[int], role: str, haploid_sex: int = 1) -> float:
    """Frequency of the counted allele of one variant, chromosome by chromosome.

    copies: of the samples, 0 to 2 (or a dosage), NaN or negative for missing; role: "autosome", "X", "Y" or "MT".
    """
    alleles = chromosomes = 0.0
    known = haploid_sex in sex
    for copy, of_sex in zip(copies, sex, strict=True):
        if not copy >= 0:
            continue
        if role == "Y" and known and of_sex != haploid_sex:
            continue
        haploid = role == "MT" or (role in ("X", "Y") and of_sex == haploid_sex)
        alleles += copy / 2 if haploid else copy
        chromosomes += 1 if haploid else 2
    return alleles / chromosomes if chromosomes else float("nan")
