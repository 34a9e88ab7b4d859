"""Genotype arithmetic as one would do it by hand, in float64 or exactly: what the kernels are compared with."""

from __future__ import annotations

from fractions import Fraction
from math import comb

import numpy as np
import numpy.typing as npt

MISSING = 3

# The pairs of bits of a .bed file (PLINK 1.9 format description) and the copies of A1 that they mean.
COPIES_OF_A1 = {0b00: 2, 0b01: MISSING, 0b10: 1, 0b11: 0}
BED_PAIR = {copies: pair for pair, copies in COPIES_OF_A1.items()}


def packed_row(codes: npt.ArrayLike) -> list[int]:
    """Bytes of one variant: sample i at bits 2 (i mod 4) of byte i // 4, the rest filled with code 3."""
    row = [0xFF] * -(-len(codes) // 4)
    for i, code in enumerate(codes):
        shift = 2 * (i % 4)
        row[i // 4] = row[i // 4] & ~(3 << shift) | int(code) << shift
    return row


def packed(codes: npt.NDArray[np.integer]) -> npt.NDArray[np.uint8]:
    """Packed rows of codes (variants, samples), each 0 to 3."""
    width = -(-codes.shape[1] // 4)
    return np.array([packed_row(row) for row in codes], np.uint8).reshape(codes.shape[0], width)


def bed(codes: npt.NDArray[np.integer]) -> npt.NDArray[np.uint8]:
    """Rows of a .bed file that counts A1, padded with 00."""
    rows = np.zeros((codes.shape[0], -(-codes.shape[1] // 4)), np.uint8)
    for variant, row in enumerate(codes):
        for i, code in enumerate(row):
            rows[variant, i // 4] |= BED_PAIR[int(code)] << 2 * (i % 4)
    return rows


def standardised(codes: npt.NDArray[np.integer], mean: npt.ArrayLike, scale: npt.ArrayLike) -> npt.NDArray[np.float64]:
    """Z, float64 (samples, variants): (code - mean) * scale, 0 where missing. NaN codes of dosages are missing too."""
    values = np.where(codes == MISSING, np.nan, codes.astype(np.float64))
    z = (values - np.asarray(mean)[:, None]) * np.asarray(scale)[:, None]
    return np.where(np.isnan(values), 0.0, z).T


def hardy_weinberg_p(n_hom1: int, n_het: int, n_hom2: int) -> float:
    """The exact test by its definition, in rational numbers: all outcomes that are at most as likely."""
    n = n_hom1 + n_het + n_hom2
    copies = 2 * n_hom1 + n_het
    weight = {}
    for het in range(copies % 2, min(copies, 2 * n - copies) + 1, 2):
        hom1 = (copies - het) // 2
        # Ways to give `het` of n samples one copy and hom1 of the others two, times the two orders of each pair.
        weight[het] = comb(n, het) * comb(n - het, hom1) * 2**het
    at_most = sum(w for w in weight.values() if w <= weight[n_het])
    return float(Fraction(at_most, sum(weight.values())))
