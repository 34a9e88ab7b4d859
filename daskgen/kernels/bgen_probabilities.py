"""Probability blocks of BGEN files, unpacked bytes in, dosages and an information measure out.

A block of layout 2 is: number of samples N (uint32), number of alleles K (uint16), least and greatest ploidy, N bytes
of ploidy (bit 7: missing), whether it is phased, bits B of a probability, and then, for each sample, the probabilities
of all genotypes (or, phased, of all alleles of each haplotype) but the last, as whole numbers of 1/(2^B - 1), B bits
each, low bits first. Genotypes are ordered with the last allele changing slowest: AA AB BB AC BC CC. A block of layout
1 has three uint16 per diploid sample in units of 1/32768, AA AB BB, all zero where missing.

The dosage of a counted allele is its expected number of copies, times two in haploid samples. With e_i the expected
number among the P_i chromosomes of sample i, v_i its variance, and theta = sum e_i / sum P_i, the information measure
is IMPUTE's

    info = 1 - sum v_i / (sum P_i theta (1 - theta)),

1 where theta is 0 or 1 and NaN where no sample has a dosage.

Sources: https://www.chg.ox.ac.uk/~gav/bgen_format/spec/latest.html; J. Marchini, B. Howie: Genotype imputation for
genome-wide association studies. Nature Reviews Genetics 11 (2010) 499-511, supplement.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from numba import types

from daskgen.kernels.compile import helper, input_array, kernel, output_array
from daskgen.kernels.dosages import DOSAGE_MISSING, DOSAGE_SCALE
from daskgen.kernels.genotype_layout import as_input, as_output
from daskgen.kernels.words import load_uint64

__all__ = [
    "CUT",
    "GOOD",
    "PADDING",
    "WRONG_ALLELES",
    "WRONG_BITS",
    "WRONG_PLOIDY",
    "WRONG_SAMPLES",
    "WRONG_SUM",
    "DecodedBlocks",
    "decode_blocks",
]

GOOD, CUT, WRONG_SAMPLES, WRONG_ALLELES, WRONG_PLOIDY, WRONG_BITS, WRONG_SUM = range(7)
"""What a block may be: good; shorter than its contents; of another number of samples; without the counted allele; of
a ploidy above 2; of probabilities of 0 or more than 32 bits; with probabilities that sum to more than one."""

PADDING = 8
"""Bytes that must follow the last block: whole words are read."""

_HEAD = 10  # bytes of a block of layout 2 beside ploidies and probabilities
_LAYOUT_1_UNIT = 3 * 2

Bytes = npt.NDArray[np.uint8]
Steps = npt.NDArray[np.uint16]


class DecodedBlocks(NamedTuple):
    """dosage: uint16 (variants, samples), 65535 missing; info: float32 (variants,); status: uint8 (variants,)."""

    dosage: Steps
    info: npt.NDArray[np.float32]
    status: Bytes


def decode_blocks(
    data: npt.ArrayLike,
    starts: npt.ArrayLike,
    allele: npt.ArrayLike,
    n_samples: int,
    layout: int,
    out: Steps | None = None,
) -> DecodedBlocks:
    """Dosages of one allele of each variant.

    data: uint8, the unpacked blocks one after the other and PADDING bytes; starts: int64 (variants + 1,), where each
    begins, and the end of the last; allele: int64 (variants,), the counted one, 0 for the first; layout: 1 or 2.
    A block that is not GOOD leaves its row unspecified.
    """
    block = as_input(data, np.uint8, "data", (None,))
    where = as_input(starts, np.int64, "starts", (None,))
    n_variants = where.size - 1
    counted = as_input(allele, np.int64, "allele", (n_variants,))
    if where[-1] + PADDING > block.size or where[0] < 0 or (np.diff(where) < 0).any():
        raise ValueError("blocks must follow each other and be followed by padding")
    dosage = as_output(out, np.uint16, (n_variants, n_samples))
    info = np.empty(n_variants, np.float32)
    status = np.zeros(n_variants, np.uint8)
    if layout == 1:
        _decode_layout_1(block, where, counted, dosage, info, status)
    else:
        _decode_layout_2(block, where, counted, dosage, info, status)
    return DecodedBlocks(dosage, info, status)


_SIGNATURE = types.void(
    input_array(types.uint8, 1),
    input_array(types.int64, 1),
    input_array(types.int64, 1),
    output_array(types.uint16, 2),
    output_array(types.float32, 1),
    output_array(types.uint8, 1),
)


@kernel(_SIGNATURE)
def _decode_layout_1(data, starts, allele, dosage, info, status):
    n_samples = dosage.shape[1]
    for variant in range(dosage.shape[0]):
        start = starts[variant]
        if starts[variant + 1] - start != _LAYOUT_1_UNIT * n_samples:
            status[variant] = CUT
            continue
        copies = variance = 0.0
        chromosomes = np.int64(0)
        for sample in range(n_samples):
            word = load_uint64(data, start + _LAYOUT_1_UNIT * sample)
            first = np.float64(word & np.uint64(0xFFFF))
            second = np.float64((word >> np.uint64(16)) & np.uint64(0xFFFF))
            third = np.float64((word >> np.uint64(32)) & np.uint64(0xFFFF))
            total = first + second + third
            if total == 0:
                dosage[variant, sample] = DOSAGE_MISSING
                continue
            both = third if allele[variant] == 1 else first
            expected = (second + 2 * both) / total
            dosage[variant, sample] = np.uint16(np.int64(expected * DOSAGE_SCALE + 0.5))
            copies += expected
            variance += (second + 4 * both) / total - expected * expected
            chromosomes += 2
        info[variant] = _information(copies, variance, chromosomes)


@kernel(_SIGNATURE)
def _decode_layout_2(data, starts, allele, dosage, info, status):
    n_samples = dosage.shape[1]
    for variant in range(dosage.shape[0]):
        start, size = starts[variant], starts[variant + 1] - starts[variant]
        if size < _HEAD + n_samples:
            status[variant] = CUT
            continue
        head = load_uint64(data, start)
        if np.int64(head & np.uint64(0xFFFFFFFF)) != n_samples:
            status[variant] = WRONG_SAMPLES
            continue
        n_alleles = np.int64((head >> np.uint64(32)) & np.uint64(0xFFFF))
        least, greatest = np.int64(data[start + 6]), np.int64(data[start + 7])
        ploidies = start + 8
        phased = data[ploidies + n_samples] == 1
        bits = np.int64(data[ploidies + n_samples + 1])
        probabilities = start + _HEAD + n_samples
        if allele[variant] >= n_alleles or n_alleles < 2:
            status[variant] = WRONG_ALLELES
            continue
        if bits < 1 or bits > 32:
            status[variant] = WRONG_BITS
            continue
        if greatest > 2:
            status[variant] = WRONG_PLOIDY
            continue
        n_bytes = starts[variant + 1] - probabilities
        row = dosage[variant]
        if n_alleles == 2 and least == 2 and greatest == 2:
            if 8 * n_bytes < 2 * bits * n_samples:
                status[variant] = CUT
                continue
            second = allele[variant] == 1
            if bits == 8 and not phased:
                state, copies, variance, n_called = _eight_bits(data, ploidies, probabilities, second, row)
            else:
                state, copies, variance, n_called = _diploid(data, ploidies, probabilities, bits, phased, second, row)
            chromosomes = 2 * n_called
        else:
            state, copies, variance, chromosomes = _general(
                data, ploidies, probabilities, n_bytes, bits, phased, n_alleles, allele[variant], row
            )
        status[variant] = state
        info[variant] = _information(copies, variance, chromosomes)


@helper
def _information(copies, variance, chromosomes):
    if chromosomes == 0:
        return np.float32(np.nan)
    theta = copies / chromosomes
    expected = chromosomes * theta * (1 - theta)
    # Rounding of probabilities leaves a little where an allele is absent.
    return np.float32(1.0 if expected <= 1e-12 * chromosomes else 1 - variance / expected)


@helper
def _eight_bits(data, ploidies, probabilities, second, row):
    """Two alleles, all samples diploid, not phased, 8 bits: whole numbers throughout, so that it runs as vectors."""
    copies = squares = own_squares = n_called = np.int64(0)
    too_much = np.uint32(0)
    for sample in range(row.size):
        first = np.uint32(data[np.uint64(probabilities + 2 * sample)])
        mixed = np.uint32(data[np.uint64(probabilities + 2 * sample + 1)])
        called = np.uint32(1) - np.uint32(data[np.uint64(ploidies + sample)] >> 7)
        too_much |= (first + mixed) >> np.uint32(8)
        both = np.uint32(255) - first - mixed if second else first
        twofold = mixed + np.uint32(2) * both  # 255 times the dosage
        # (x * 16384 + 127) // 255 rounds: 255 is odd, so there are no halves.
        steps = (twofold * np.uint32(DOSAGE_SCALE) + np.uint32(127)) // np.uint32(255)
        row[sample] = np.uint16(steps if called else np.uint32(DOSAGE_MISSING))
        twofold *= called
        copies += twofold
        squares += twofold * twofold
        own_squares += called * (mixed + np.uint32(4) * both)
        n_called += called
    top = 255.0
    state = WRONG_SUM if too_much else GOOD
    return state, copies / top, own_squares / top - squares / (top * top), n_called


@helper
def _bits_at(data, start, bit, mask):
    """The whole number that begins `bit` bits after byte `start`; `mask` has its width (at most 32 bits)."""
    word = load_uint64(data, start + (bit >> 3))
    return np.int64((word >> np.uint64(bit & 7)) & np.uint64(mask))


@helper
def _diploid(data, ploidies, probabilities, bits, phased, second, row):
    """Two alleles, all samples diploid."""
    top = (np.int64(1) << bits) - 1
    unit, to_steps = 1.0 / top, DOSAGE_SCALE / top
    copies = variance = 0.0
    n_called = np.int64(0)
    state = GOOD
    for sample in range(row.size):
        if data[ploidies + sample] & 128:
            row[sample] = DOSAGE_MISSING
            continue
        bit = 2 * bits * sample
        a = _bits_at(data, probabilities, bit, top)
        b = _bits_at(data, probabilities, bit + bits, top)
        if phased:
            if second:
                a, b = top - a, top - b
            twofold = a + b
            p, q = a * unit, b * unit
            variance += p * (1 - p) + q * (1 - q)
        else:
            if a + b > top:
                state = WRONG_SUM
            both = top - a - b if second else a
            twofold = b + 2 * both
            expected = twofold * unit
            variance += (b + 4 * both) * unit - expected * expected
        row[sample] = np.uint16(np.int64(twofold * to_steps + 0.5))
        copies += twofold * unit
        n_called += 1
    return state, copies, variance, n_called


@helper
def _general(data, ploidies, probabilities, n_bytes, bits, phased, n_alleles, allele, row):
    """Any number of alleles, samples with one or two chromosomes."""
    top = (np.int64(1) << bits) - 1
    unit = 1.0 / top
    copies = variance = 0.0
    chromosomes = np.int64(0)
    state = GOOD
    bit = np.int64(0)
    for sample in range(row.size):
        ploidy = np.int64(data[ploidies + sample] & 63)
        if ploidy > 2:
            return WRONG_PLOIDY, copies, variance, chromosomes
        groups = ploidy if phased else min(ploidy, 1)  # sets of probabilities that sum to one
        genotypes = n_alleles * (n_alleles + 1) // 2 if not phased and ploidy == 2 else n_alleles
        if bit + groups * (genotypes - 1) * bits > 8 * n_bytes:
            return CUT, copies, variance, chromosomes
        expected = spread = 0.0
        for _ in range(groups):
            rest = top
            mean = square = 0.0
            high = low = np.int64(0)  # alleles of the genotype: low changes fastest
            for genotype in range(genotypes):
                if genotype < genotypes - 1:
                    value = _bits_at(data, probabilities, bit, top)
                    bit += bits
                    rest -= value
                else:
                    value = rest
                if genotypes == n_alleles:
                    own = np.float64(genotype == allele)
                else:
                    own = np.float64(low == allele) + np.float64(high == allele)
                    if low == high:
                        low, high = np.int64(0), high + 1
                    else:
                        low += 1
                mean += own * value * unit
                square += own * own * value * unit
            if rest < 0:
                state = WRONG_SUM
            expected += mean
            spread += square - mean * mean
        if data[ploidies + sample] & 128 or ploidy == 0:
            row[sample] = DOSAGE_MISSING
            continue
        row[sample] = np.uint16(np.int64(expected * (2 / ploidy) * DOSAGE_SCALE + 0.5))
        copies += expected
        variance += spread
        chromosomes += ploidy
    return state, copies, variance, chromosomes
