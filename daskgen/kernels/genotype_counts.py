"""How often each code occurs: for every variant over samples, and for every sample over variants."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from numba import types

from daskgen.kernels.compile import input_array, kernel, output_array
from daskgen.kernels.genotype_layout import as_input, as_output, check_packed, included_samples, packed_width
from daskgen.kernels.words import load_uint64, ones

__all__ = ["count_codes", "count_codes_per_sample"]

_LOW = np.uint64(0x5555555555555555)

# Counts of one byte each hold as many variants as this before they are added to the 64-bit counts.
_VARIANTS_A_BYTE = 255
# Packed bytes whose twelve counters (4 samples x 3 sums) stay in the first-level cache: 24 KB.
_COUNTED_TOGETHER = 2048


def count_codes(
    packed: npt.ArrayLike, n_samples: int, mask: npt.NDArray[np.uint8] | None = None
) -> npt.NDArray[np.int32]:
    """Numbers of codes 0, 1, 2 and 3 of each variant: int32 (variants, 4).

    `mask` (:func:`~daskgen.kernels.genotype_codes.sample_mask`) restricts the count to its samples. Padding is never
    counted.
    """
    rows = check_packed(packed, n_samples)
    counted = included_samples(n_samples)
    if mask is not None:
        counted &= as_input(mask, np.uint8, "mask", (packed_width(n_samples),))
    counts = np.empty((rows.shape[0], 4), np.int32)
    _count_codes(rows, counted, counts)
    return counts


@kernel(types.void(input_array(types.uint8, 2), input_array(types.uint8, 1), output_array(types.int32, 2)))
def _count_codes(packed: npt.NDArray[np.uint8], counted: npt.NDArray[np.uint8], counts: npt.NDArray[np.int32]) -> None:
    # With l and h the low and the high bit of a code, the sums of l, h and l h tell all four counts:
    # missing = sum l h, heterozygous = sum l - sum l h, two copies = sum h - sum l h, and the rest.
    n_variants, width = packed.shape
    n_words = width // 8
    n_counted = 0
    for b in range(width):
        n_counted += ones(counted[b])
    n_counted //= 2
    for variant in range(n_variants):
        start = variant * width
        low = 0
        high = 0
        both = 0
        for w in range(n_words):
            x = load_uint64(packed, start + 8 * w) & load_uint64(counted, 8 * w)
            shifted = x >> np.uint64(1)
            low += ones(x & _LOW)
            high += ones(shifted & _LOW)
            both += ones(x & shifted & _LOW)
        for b in range(8 * n_words, width):
            x = np.uint64(packed[variant, b] & counted[b])
            shifted = x >> np.uint64(1)
            low += ones(x & _LOW)
            high += ones(shifted & _LOW)
            both += ones(x & shifted & _LOW)
        counts[variant, 0] = n_counted - low - high + both
        counts[variant, 1] = low - both
        counts[variant, 2] = high - both
        counts[variant, 3] = both


def count_codes_per_sample(packed: npt.ArrayLike, n_samples: int, out: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Add the numbers of codes 0, 1, 2 and 3 of each sample over these variants to `out`, int64 (n_samples, 4)."""
    rows = check_packed(packed, n_samples)
    as_output(out, np.int64, (n_samples, 4))
    _count_codes_per_sample(rows, out)
    return out


@kernel(types.void(input_array(types.uint8, 2), output_array(types.int64, 2)))
def _count_codes_per_sample(packed: npt.NDArray[np.uint8], counts: npt.NDArray[np.int64]) -> None:
    n_variants, width = packed.shape
    low = np.empty((4, _COUNTED_TOGETHER), np.uint8)
    high = np.empty((4, _COUNTED_TOGETHER), np.uint8)
    both = np.empty((4, _COUNTED_TOGETHER), np.uint8)
    for first_byte in range(0, width, _COUNTED_TOGETHER):
        n_bytes = min(_COUNTED_TOGETHER, width - first_byte)
        for first in range(0, n_variants, _VARIANTS_A_BYTE):
            last = min(first + _VARIANTS_A_BYTE, n_variants)
            low[:] = 0
            high[:] = 0
            both[:] = 0
            for variant in range(first, last):
                row = packed[variant, first_byte : first_byte + n_bytes]
                for j in range(4):
                    shift = np.uint8(2 * j)
                    low_j = low[j, :n_bytes]
                    high_j = high[j, :n_bytes]
                    both_j = both[j, :n_bytes]
                    for b in range(n_bytes):
                        x = row[b] >> shift
                        low_j[b] += x & np.uint8(1)
                        high_j[b] += (x >> np.uint8(1)) & np.uint8(1)
                        both_j[b] += x & (x >> np.uint8(1)) & np.uint8(1)
            for b in range(n_bytes):
                for j in range(4):
                    sample = 4 * (first_byte + b) + j
                    if sample < counts.shape[0]:
                        n_low = np.int64(low[j, b])
                        n_high = np.int64(high[j, b])
                        n_both = np.int64(both[j, b])
                        counts[sample, 0] += last - first - n_low - n_high + n_both
                        counts[sample, 1] += n_low - n_both
                        counts[sample, 2] += n_high - n_both
                        counts[sample, 3] += n_both
