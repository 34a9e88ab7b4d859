"""Dosages: expected numbers of alleles between 0 and 2, stored as uint16 in steps of 1/16384, with 65535 missing.

The step is that of PLINK 2's .pgen files, so a dosage read from there is stored without loss. A hard call is the whole
number that a dosage is near to, and missing where it is near to none.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from numba import types

from daskgen.errors import InputError
from daskgen.kernels.compile import helper, input_array, kernel, output_array
from daskgen.kernels.genotype_layout import MISSING, as_input, as_output, check_positions, packed_width
from daskgen.kernels.words import load_uint32

__all__ = [
    "DOSAGE_BITS",
    "DOSAGE_MISSING",
    "DOSAGE_SCALE",
    "HARD_CALL_THRESHOLD",
    "call_dosages",
    "dequantise_dosage",
    "dosage_moments",
    "furthest_steps",
    "join_codes",
    "quantise_dosage",
    "round_dosage",
]

Alleles = npt.NDArray[np.float32]
Steps = npt.NDArray[np.uint16]
Bytes = npt.NDArray[np.uint8]

DOSAGE_SCALE = 16384
DOSAGE_MISSING = 65535
HARD_CALL_THRESHOLD = 0.1
"""How far from a whole number a dosage may be and still be a call: PLINK 2's default."""
DOSAGE_BITS = {16: 1, 8: DOSAGE_SCALE // 256}
"""Precision of dosages -> steps of 1/16384 in one of its own: 16 keeps every step, 8 keeps 1/256 of an allele."""

_MOST = 2 * DOSAGE_SCALE


def quantise_dosage(dosage: npt.ArrayLike) -> Steps:
    """Float32 dosages of any shape as uint16 in steps of 1/16384 (halves to even); NaN or negative is missing.

    Raises :class:`InputError` if a dosage is above 2.
    """
    values = np.require(np.asarray(dosage), requirements=["C", "A"])
    if values.dtype != np.float32:
        raise TypeError(f"dosage must be float32, it is {values.dtype}")
    codes = np.empty(values.shape, np.uint16)
    if not _quantise(values.reshape(-1), codes.reshape(-1)):
        place = np.unravel_index(int(np.nanargmax(values)), values.shape)
        raise InputError(
            "a dosage is larger than two alleles.",
            found=f"{values[place]:g} at position {tuple(int(i) for i in place)} of this block",
            expected="numbers from 0 to 2; NaN or a negative number for missing",
        )
    return codes


@kernel(types.boolean(input_array(types.float32, 1), output_array(types.uint16, 1)))
def _quantise(dosage: Alleles, codes: Steps) -> bool:
    too_large = False
    for i in range(dosage.size):
        steps = np.rint(dosage[i] * np.float32(DOSAGE_SCALE))
        too_large |= steps > _MOST
        # Compared as "at least 0" so that NaN fails; a float beyond uint16 has no defined cast, so it is not cast.
        valid = (dosage[i] >= 0) & (steps <= _MOST)
        codes[i] = np.uint16(np.int32(steps if valid else np.float32(DOSAGE_MISSING)))
    return not too_large


def dequantise_dosage(codes: npt.ArrayLike) -> Alleles:
    """Dosages in alleles, float32 of the same shape as the uint16 `codes`, NaN where missing."""
    given = np.require(np.asarray(codes), requirements=["C", "A"])
    if given.dtype != np.uint16:
        raise TypeError(f"codes must be uint16, they are {given.dtype}")
    dosage = np.empty(given.shape, np.float32)
    _dequantise(given.reshape(-1), dosage.reshape(-1))
    return dosage


@kernel(types.void(input_array(types.uint16, 1), output_array(types.float32, 1)))
def _dequantise(codes: Steps, dosage: Alleles) -> None:
    for i in range(codes.size):
        value = np.float32(codes[i]) * np.float32(1 / DOSAGE_SCALE)
        dosage[i] = np.float32(np.nan) if codes[i] == DOSAGE_MISSING else value


def dosage_moments(
    dosage: npt.ArrayLike, samples: npt.ArrayLike | None = None
) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Of each variant: the number of samples with a dosage, the sum of the dosages, and the sum of their squares.

    `dosage` is uint16 (variants, samples); `samples` (int64 positions) restricts the sums. Sums are in alleles and
    alleles squared. They are sums of whole numbers, so they are exact below 2**53 steps (a million samples) and don't
    depend on the order of the samples.
    """
    rows = as_input(dosage, np.uint16, "dosage", (None, None))
    if samples is not None:
        rows = np.ascontiguousarray(rows[:, check_positions(samples, rows.shape[1])])
    n_called = np.empty(rows.shape[0], np.int32)
    total = np.empty(rows.shape[0], np.float64)
    total_of_squares = np.empty(rows.shape[0], np.float64)
    _moments(rows, n_called, total, total_of_squares)
    return n_called, total, total_of_squares


@kernel(
    types.void(
        input_array(types.uint16, 2),
        output_array(types.int32, 1),
        output_array(types.float64, 1),
        output_array(types.float64, 1),
    )
)
def _moments(
    dosage: Steps,
    n_called: npt.NDArray[np.int32],
    total: npt.NDArray[np.float64],
    total_of_squares: npt.NDArray[np.float64],
) -> None:
    for variant in range(dosage.shape[0]):
        called = np.int64(0)
        steps = np.int64(0)
        squares = np.int64(0)
        for sample in range(dosage.shape[1]):
            code = np.int64(dosage[variant, sample])
            is_called = code != DOSAGE_MISSING
            value = code if is_called else np.int64(0)
            called += is_called
            steps += value
            squares += value * value
        n_called[variant] = called
        total[variant] = steps / DOSAGE_SCALE
        total_of_squares[variant] = squares / DOSAGE_SCALE**2


def call_dosages(dosage: npt.ArrayLike, threshold: float = HARD_CALL_THRESHOLD, out: Bytes | None = None) -> Bytes:
    """The hard calls of dosages uint16 (variants, samples), packed: uint8 (variants, ceil(samples / 4)).

    A dosage at most `threshold` (alleles, 0 to 0.4999) away from 0, 1 or 2 is that call, any other is missing, as in
    PLINK 2 (``--hard-call-threshold``). ValueError for a threshold out of range.
    """
    rows = as_input(dosage, np.uint16, "dosage", (None, None))
    packed = as_output(out, np.uint8, (rows.shape[0], packed_width(rows.shape[1])))
    _call(rows, furthest_steps(threshold), packed)
    return packed


def furthest_steps(threshold: float) -> int:
    """`threshold` in whole steps: how far from a whole number a call may be. ValueError where it is out of range."""
    if not 0 <= threshold < 0.5:
        raise ValueError(f"threshold must be at least 0 and below 0.5, it is {threshold}")
    # 0.1 is not exact in binary: without the small surplus a distance that equals the threshold might be beyond it.
    return int(threshold * DOSAGE_SCALE * (1 + 2.0**-44))


@kernel(types.void(input_array(types.uint16, 2), types.int64, output_array(types.uint8, 2)))
def _call(dosage: Steps, furthest: int, packed: Bytes) -> None:
    n_variants, n_samples = dosage.shape
    # One code a byte first, in a loop without branches that runs as vectors; the end of the row stays missing.
    codes = np.full(4 * packed.shape[1], MISSING, np.uint8)
    far, half, most = np.int32(furthest), np.int32(DOSAGE_SCALE // 2), np.int32(_MOST)
    for variant in range(n_variants):
        for sample in range(n_samples):
            steps = np.int32(dosage[variant, sample])
            nearest = (steps + half) >> np.int32(14)  # DOSAGE_SCALE is 2**14
            distance = abs(steps - (nearest << np.int32(14)))
            is_call = (distance <= far) & (steps <= most)
            codes[sample] = np.uint8(nearest if is_call else np.int32(MISSING))
        for b in range(packed.shape[1]):
            packed[variant, b] = join_codes(load_uint32(codes, 4 * b))


@helper
def join_codes(four: np.uint32) -> np.uint32:
    """Four codes, one in each byte of a word, as one packed byte."""
    four = (four | (four >> np.uint32(6))) & np.uint32(0x000F000F)
    return (four | (four >> np.uint32(12))) & np.uint32(0xFF)


def round_dosage(dosage: Steps, bits: int) -> Steps:
    """Round C-contiguous dosages uint16 to `bits` (a key of DOSAGE_BITS), in place, and return them; halves go up.

    With 8 bits a dosage is a multiple of 1/256: it is off by at most 1/512 of an allele, and takes less room when it
    is compressed. Whole numbers stay what they are.
    """
    step = DOSAGE_BITS[bits]
    if step > 1:
        _round(dosage.reshape(-1), step)
    return dosage


@kernel(types.void(output_array(types.uint16, 1), types.int64))
def _round(dosage: Steps, step: int) -> None:
    for i in range(dosage.size):
        rounded = (np.int64(dosage[i]) + step // 2) // step * step
        dosage[i] = np.uint16(dosage[i] if dosage[i] == DOSAGE_MISSING else rounded)
