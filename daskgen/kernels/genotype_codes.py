"""Packed genotype codes: from and to PLINK's .bed bytes, pack and unpack, swap alleles, choose samples.

The array is described in :mod:`daskgen.kernels.genotype_layout`. Two bits (high, low) say the same in both encodings
up to a few bitwise operations, which the compiler applies to whole vectors, so recoding runs as fast as copying:

========================  ======  =====
genotype                  packed  .bed
========================  ======  =====
two counted alleles (A1)  10      00
heterozygous              01      10
no counted allele         00      11
missing                   11      01
========================  ======  =====

(.bed format: https://www.cog-genomics.org/plink/1.9/formats#bed)
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from numba import types

from daskgen.errors import InputError
from daskgen.kernels.compile import helper, input_array, kernel, output_array
from daskgen.kernels.dosages import (
    DOSAGE_BITS,
    DOSAGE_MISSING,
    DOSAGE_SCALE,
    HARD_CALL_THRESHOLD,
    call_dosages,
    dequantise_dosage,
    dosage_moments,
    join_codes,
    quantise_dosage,
    round_dosage,
)
from daskgen.kernels.genotype_counts import count_codes, count_codes_per_sample
from daskgen.kernels.genotype_layout import (
    MISSING,
    as_input,
    as_output,
    check_packed,
    check_positions,
    included_samples,
    packed_width,
)
from daskgen.kernels.words import load_uint32, store_uint32

__all__ = [
    "DOSAGE_BITS",
    "DOSAGE_MISSING",
    "DOSAGE_SCALE",
    "HARD_CALL_THRESHOLD",
    "MISSING",
    "bed_to_packed",
    "call_dosages",
    "count_codes",
    "count_codes_per_sample",
    "dequantise_dosage",
    "dosage_moments",
    "flip",
    "pack",
    "packed_to_bed",
    "packed_width",
    "quantise_dosage",
    "round_dosage",
    "sample_mask",
    "subset_samples",
    "unpack",
]

Bytes = npt.NDArray[np.uint8]
Codes = npt.NDArray[np.int8]
Index = npt.NDArray[np.int64]

_ROWS_IN = input_array(types.uint8, 2)
_ROWS_OUT = output_array(types.uint8, 2)
_CODES_OUT = output_array(types.int8, 2)
_INDEX = input_array(types.int64, 1)

_HIGH = np.uint8(0b10101010)
_LOW = np.uint8(0b01010101)


# .bed ---------------------------------------------------------------------------------------------------------------


def bed_to_packed(bed: npt.ArrayLike, n_samples: int, out: Bytes | None = None) -> Bytes:
    """Rows of a variant-major .bed file, uint8 (variants, ceil(n_samples / 4)), as packed codes that count A1.

    Padding is set to code 3, whatever the file has there. `out` may be `bed` itself.
    """
    rows = check_packed(bed, n_samples, "bed")
    packed = as_output(out, np.uint8, rows.shape)
    if packed is not rows:
        packed[...] = rows
    _bed_to_packed(packed, ~included_samples(n_samples)[-1:])
    return packed


def packed_to_bed(packed: npt.ArrayLike, n_samples: int, out: Bytes | None = None) -> Bytes:
    """Packed codes as rows of a .bed file with the counted allele as A1; padding is 00, as PLINK writes it."""
    rows = check_packed(packed, n_samples)
    bed = as_output(out, np.uint8, rows.shape)
    _packed_to_bed(rows, included_samples(n_samples)[-1:], bed)
    return bed


@kernel(types.void(_ROWS_OUT, input_array(types.uint8, 1)))
def _bed_to_packed(rows: Bytes, padding: Bytes) -> None:
    # In place: of two arrays that are the same the compiler would not know that it may take many bytes at a time.
    for variant in range(rows.shape[0]):
        for b in range(rows.shape[1]):
            x = rows[variant, b]
            rows[variant, b] = (~x & _HIGH) | ((x ^ (x >> 1)) & _LOW)
        for last in padding:
            rows[variant, -1] |= last


@kernel(types.void(_ROWS_IN, input_array(types.uint8, 1), _ROWS_OUT))
def _packed_to_bed(packed: Bytes, included: Bytes, bed: Bytes) -> None:
    for variant in range(packed.shape[0]):
        for b in range(packed.shape[1]):
            x = packed[variant, b]
            bed[variant, b] = (~x & _HIGH) | (~(x ^ (x >> 1)) & _LOW)
        for last in included:
            bed[variant, -1] &= last


# One code a byte ----------------------------------------------------------------------------------------------------


def pack(codes: npt.ArrayLike, out: Bytes | None = None) -> Bytes:
    """Codes int8 or uint8 (variants, samples), 0 to 2, with 3 or any negative number for missing, packed.

    Raises :class:`InputError` if a number is none of these.
    """
    given = np.asarray(codes)
    if given.dtype == np.int8:
        given = given.view(np.uint8)
    rows = as_input(given, np.uint8, "codes", (None, None))
    n_variants, n_samples = rows.shape
    packed = as_output(out, np.uint8, (n_variants, packed_width(n_samples)))
    if not _pack(rows, packed):
        variant, sample = np.argwhere((rows > MISSING) & (rows < 128))[0]
        raise InputError(
            "a genotype code is not a number of alleles.",
            found=f"{rows[variant, sample]} for variant {variant}, sample {sample} of this block",
            expected="0, 1 or 2 copies, or 3 or a negative number for missing",
        )
    return packed


@kernel(types.boolean(_ROWS_IN, _ROWS_OUT))
def _pack(codes: Bytes, packed: Bytes) -> bool:
    n_variants, n_samples = codes.shape
    n_full = n_samples // 4
    strange = np.uint32(0)
    for variant in range(n_variants):
        start = variant * n_samples
        for b in range(n_full):
            four = load_uint32(codes, start + 4 * b)
            negative = (four >> np.uint32(7)) & np.uint32(0x01010101)  # the sign of each, in its lowest bit
            negative = (negative << np.uint32(8)) - negative  # and now in all its bits
            strange |= four & ~negative & np.uint32(0x7C7C7C7C)
            packed[variant, b] = join_codes((four | negative) & np.uint32(0x03030303))
        if n_full < packed.shape[1]:
            last = 0xFF
            for sample in range(4 * n_full, n_samples):
                code = codes[variant, sample]
                if MISSING < code < 128:
                    strange |= np.uint32(code)
                last ^= (MISSING ^ min(code, MISSING)) << (2 * (sample - 4 * n_full))
            packed[variant, n_full] = last
    return strange == 0


@helper
def _spread(packed_byte: np.uint8) -> np.uint32:
    """The four codes of a packed byte, one in each byte of a word."""
    four = np.uint32(packed_byte)
    four = (four | (four << np.uint32(12))) & np.uint32(0x000F000F)
    return (four | (four << np.uint32(6))) & np.uint32(0x03030303)


@helper
def _replace_missing(four: np.uint32, change: np.uint32) -> np.uint32:
    """The four codes of a word, those that are 3 with the bits of `change` turned over."""
    is_missing = four & (four >> np.uint32(1)) & np.uint32(0x01010101)
    return four ^ (((is_missing << np.uint32(8)) - is_missing) & change)


def unpack(
    packed: npt.ArrayLike,
    n_samples: int,
    missing: int = -1,
    samples: npt.ArrayLike | None = None,
    out: Codes | None = None,
) -> Codes:
    """One code a byte: int8 (variants, n_samples), or (variants, len(samples)) for these samples in this order.

    `missing` (-128 to 127) stands for code 3. `samples` are int64 positions and may repeat; ValueError if one is
    outside 0 to n_samples - 1.
    """
    rows = check_packed(packed, n_samples)
    if not -128 <= missing <= 127:
        raise ValueError(f"missing must fit int8, it is {missing}")
    if samples is None:
        codes = as_output(out, np.int8, (rows.shape[0], n_samples))
        _unpack(rows, missing, codes)
    else:
        index = check_positions(samples, n_samples)
        codes = as_output(out, np.int8, (rows.shape[0], index.size))
        _unpack_samples(rows, index, missing, codes)
    return codes


@kernel(types.void(_ROWS_IN, types.int64, _CODES_OUT))
def _unpack(packed: Bytes, missing: int, codes: Codes) -> None:
    n_variants, n_samples = codes.shape
    n_full = n_samples // 4
    change = np.uint32((MISSING ^ (missing & 0xFF)) * 0x01010101)
    for variant in range(n_variants):
        start = variant * n_samples
        for b in range(n_full):
            store_uint32(codes, start + 4 * b, _replace_missing(_spread(packed[variant, b]), change))
        for sample in range(4 * n_full, n_samples):
            code = (packed[variant, n_full] >> (2 * (sample - 4 * n_full))) & MISSING
            codes[variant, sample] = missing if code == MISSING else code


@kernel(types.void(_ROWS_IN, _INDEX, types.int64, _CODES_OUT))
def _unpack_samples(packed: Bytes, samples: Index, missing: int, codes: Codes) -> None:
    # Spreading all samples of a row first and picking whole bytes is three times as fast as picking pairs of bits.
    n_variants, width = packed.shape
    change = np.uint32((MISSING ^ (missing & 0xFF)) * 0x01010101)
    row = np.empty(4 * width, np.int8)
    for variant in range(n_variants):
        for b in range(width):
            store_uint32(row, 4 * b, _replace_missing(_spread(packed[variant, b]), change))
        for column in range(samples.size):
            codes[variant, column] = row[np.uint64(samples[column])]


# Alleles and samples ------------------------------------------------------------------------------------------------


def flip(packed: npt.ArrayLike, n_samples: int, out: Bytes | None = None) -> Bytes:
    """The same genotypes with the other allele counted: 0 and 2 change places. `out` may be `packed` itself."""
    rows = check_packed(packed, n_samples)
    flipped = as_output(out, np.uint8, rows.shape)
    _flip(rows, flipped)
    return flipped


@kernel(types.void(_ROWS_IN, _ROWS_OUT))
def _flip(packed: Bytes, flipped: Bytes) -> None:
    for variant in range(packed.shape[0]):
        for b in range(packed.shape[1]):
            x = packed[variant, b]
            flipped[variant, b] = (~(x ^ (x << 1)) & _HIGH) | (x & _LOW)


def subset_samples(packed: npt.ArrayLike, index: npt.ArrayLike, out: Bytes | None = None) -> Bytes:
    """Packed codes of the samples `index` (int64 positions, any order, repeats allowed), in that order.

    ValueError if a position is negative or beyond the packed row.
    """
    rows = check_packed(packed)
    samples = check_positions(index, 4 * rows.shape[1])
    chosen = as_output(out, np.uint8, (rows.shape[0], packed_width(samples.size)))
    _subset_samples(rows, samples, chosen)
    return chosen


@kernel(types.void(_ROWS_IN, _INDEX, _ROWS_OUT))
def _subset_samples(packed: Bytes, samples: Index, chosen: Bytes) -> None:
    n_variants, width = packed.shape
    row = np.empty(4 * width, np.uint8)
    picked = np.full(4 * chosen.shape[1], MISSING, np.uint8)
    for variant in range(n_variants):
        for b in range(width):
            store_uint32(row, 4 * b, _spread(packed[variant, b]))
        for column in range(samples.size):
            picked[column] = row[np.uint64(samples[column])]
        for b in range(chosen.shape[1]):
            chosen[variant, b] = join_codes(load_uint32(picked, 4 * b))


def sample_mask(included: npt.ArrayLike, n_samples: int) -> Bytes:
    """A packed row, uint8 (packed_width,), with both bits set for the included samples: ``row & mask`` keeps them.

    `included` is a boolean array (n_samples,) or an array of int64 positions.
    """
    choice = np.asarray(included)
    if choice.dtype == bool:
        if choice.shape != (n_samples,):
            raise ValueError(f"a boolean choice must have the shape ({n_samples},), it has {choice.shape}")
        positions = np.flatnonzero(choice)
    else:
        positions = check_positions(choice, n_samples)
    pairs = np.zeros(4 * packed_width(n_samples), np.uint8)
    pairs[positions] = 3
    four = pairs.reshape(-1, 4) << np.array([0, 2, 4, 6], np.uint8)
    return np.bitwise_or.reduce(four, axis=1)
