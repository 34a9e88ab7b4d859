"""Simulated genotypes: haplotypes as mosaics of ancestral segments, full sibs by gene dropping, drift, missing calls.

Haplotypes come in groups of four: two unrelated samples, or the two parents of a family. Group g has at variant j the
four words of the counter (j, 0, g, HAPLOTYPES) (see :mod:`daskgen.kernels.philox`), one for each haplotype:

- On a haplotype a new ancestral segment begins at j with probability 1 - rho, and for certain at the first variant of
  a contig. A segment is a number U, uniform on (0, 1), which all its variants share.
- The haplotype carries the counted allele where U < p_j, p_j the allele's frequency in the haplotype's population; at
  mirrored variants where 1 - U < p_j, so that alleles of neighbours repel each other as often as they attract.

With T = (1 - rho) 2^32 a word w begins a segment if w < T, and then U = w / T: the comparison is w < p_j T. A task can
begin at any variant: the segments that reach into its first are found by looking back to where they began.

Probability that variants j and k share a segment: rho^|j - k|. Given that, both alleles are functions of one U, so
D' = rho^|j - k| (or minus that, if one of the two is mirrored) in expectation.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from numba import types

from daskgen.kernels.compile import helper, input_array, kernel, output_array
from daskgen.kernels.genotype_layout import as_input, as_output, included_samples, packed_width
from daskgen.kernels.philox import philox, philox_lanes, uniform

__all__ = ["VARIANTS", "Mosaic", "drift", "gene_drop", "set_missing", "unrelated"]

HAPLOTYPES, MISSING_CALLS, MEIOSES, DRIFT, VARIANTS = range(5)
"""Last counter of Philox: what the words are for."""

Words = npt.NDArray[np.uint32]
Bytes = npt.NDArray[np.uint8]

_LANES = 512
"""Groups that are simulated side by side: state and words of 512 stay in the first-level cache."""

_WORDS = input_array(types.uint32, 1)
_INDEX = input_array(types.int64, 1)
_FLAGS = input_array(types.boolean, 1)
_THRESHOLDS = input_array(types.uint32, 2)
_MORGANS = input_array(types.float64, 1)
_ROWS_OUT = output_array(types.uint8, 2)
_MOSAIC = (_WORDS, types.int64, types.int64, types.uint32, _FLAGS, _FLAGS, _THRESHOLDS, _INDEX)


@dataclass(frozen=True)
class Mosaic:
    """What the haplotypes of a range of variants are made of.

    key: uint32 (2,); first: number of the first variant; contig_first: number of the variant with which its contig
    begins; rho: probability that a segment goes on from one variant to the next; is_first: bool (variants,), variants
    with which a contig begins; mirrored: bool (variants,); frequency: float64 (variants, populations); bounds: int64
    (populations + 1,), population k has the groups from bounds[k] to bounds[k + 1] - 1.
    """

    key: Words
    first: int
    contig_first: int
    rho: float
    is_first: npt.NDArray[np.bool_]
    mirrored: npt.NDArray[np.bool_]
    frequency: npt.NDArray[np.float64]
    bounds: npt.NDArray[np.int64]

    def arguments(self) -> tuple[Any, ...]:
        """The same as the kernels take it: frequencies as thresholds p T, and T - 1."""
        segments = (1.0 - self.rho) * 2.0**32
        thresholds = np.floor(np.clip(self.frequency, 0.0, 1.0) * segments)
        return (
            as_input(self.key, np.uint32, "key", (2,)),
            self.first,
            self.contig_first,
            np.uint32(int(segments) - 1),
            as_input(self.is_first, np.bool_, "is_first", (None,)),
            as_input(self.mirrored, np.bool_, "mirrored", (len(self.is_first),)),
            np.ascontiguousarray(np.minimum(thresholds, 2.0**32 - 1).astype(np.uint32)),
            as_input(self.bounds, np.int64, "bounds", (self.frequency.shape[1] + 1,)),
        )


def unrelated(mosaic: Mosaic, n_samples: int) -> Bytes:
    """Packed codes (variants, ceil(n_samples / 4)) of unrelated samples, two to a group of haplotypes."""
    packed = np.zeros((len(mosaic.is_first), packed_width(n_samples)), np.uint8)
    _unrelated(*mosaic.arguments(), packed)
    return _padded(packed, n_samples)


def gene_drop(
    mosaic: Mosaic,
    n_samples: int,
    family_size: int,
    contig: npt.NDArray[np.int64],
    morgan: npt.NDArray[np.float64],
) -> Bytes:
    """Packed codes (variants, ceil(n_samples / 4)) of full sibs, `family_size` to a group, whose parents it holds.

    Each parent passes on one of its haplotypes, and changes to the other at crossovers, which fall as a Poisson process
    of one a Morgan (Haldane), independently in each meiosis and contig. contig: int64 (variants,); morgan: float64
    (variants,), genetic positions, increasing within a contig.
    """
    packed = np.zeros((len(mosaic.is_first), packed_width(n_samples)), np.uint8)
    rows = (len(packed),)
    where = as_input(contig, np.int64, "contig", rows), as_input(morgan, np.float64, "morgan", rows)
    _gene_drop(*mosaic.arguments(), family_size, n_samples, *where, packed)
    return _padded(packed, n_samples)


def set_missing(packed: Bytes, n_samples: int, key: Words, first: int, rate: float) -> None:
    """Make each call of `packed`, whose first variant is number `first`, missing with probability `rate`, in place."""
    if rate > 0:
        _set_missing(key, first, min(int(rate * 2.0**32), 2**32 - 1), as_output(packed, np.uint8, packed.shape))
        _padded(packed, n_samples)


def drift(
    frequency: npt.NDArray[np.float64], fst: float, n_populations: int, key: Words, first: int
) -> npt.NDArray[np.float64]:
    """Frequencies (variants, n_populations) in populations that drifted apart from one with `frequency` (variants,).

    p_k ~ Beta(p (1 - F) / F, (1 - p) (1 - F) / F), F = `fst` in (0, 1): mean p, variance F p (1 - p).
    Source: Balding, Nichols (1995), Genetica 96, 3-12.
    """
    populations = np.empty((len(frequency), n_populations))
    _drift(key, first, (1.0 - fst) / fst, as_input(frequency, np.float64, "frequency", (None,)), populations)
    return populations


def _padded(packed: Bytes, n_samples: int) -> Bytes:
    included = included_samples(n_samples)[-1]
    packed[:, -1] = (packed[:, -1] & included) | ~included
    return packed


# Haplotypes ---------------------------------------------------------------------------------------------------------


@helper
def _look_back(key, first, contig_first, last, first_group, u, w):
    """Fill u (4, lanes) with the segments that reach into variant `first`, whose contig began at `contig_first`."""
    lanes = u.shape[1]
    unknown = np.full((4, lanes), np.uint32(1))
    any_unknown, variant = np.uint32(1), first
    while any_unknown and variant > contig_first:
        variant -= 1
        philox_lanes(variant, 0, first_group, HAPLOTYPES, key[0], key[1], w[0], w[1], w[2], w[3])
        any_unknown = np.uint32(0)
        is_first = variant == contig_first
        for k in range(4):
            for i in range(lanes):
                word = _segment(w[k, i], last) if is_first else w[k, i]
                begins = unknown[k, i] & np.uint32(word <= last)
                u[k, i] = word if begins else u[k, i]
                unknown[k, i] ^= begins
                any_unknown |= unknown[k, i]


@helper
def _segment(word, last):
    """A word as the number of a segment, 0 to `last`: where a contig begins a segment does, whatever the word."""
    return np.uint32((np.uint64(word) * (np.uint64(last) + np.uint64(1))) >> np.uint64(32))


@helper
def _next_variant(key, variant, is_first, last, first_group, u, w):
    """Bring u (4, lanes) from the variant before to `variant`."""
    philox_lanes(variant, 0, first_group, HAPLOTYPES, key[0], key[1], w[0], w[1], w[2], w[3])
    for k in range(4):
        if is_first:
            for i in range(u.shape[1]):
                u[k, i] = _segment(w[k, i], last)
        else:
            for i in range(u.shape[1]):
                u[k, i] = w[k, i] if w[k, i] <= last else u[k, i]


@helper
def _alleles(u, last, mirrored, thresholds, bounds, first_group, alleles):
    """Bits 0 to 3 of alleles[i]: which of the four haplotypes of group i carry the counted allele."""
    lanes = u.shape[1]
    for population in range(thresholds.size):
        start = max(bounds[population] - first_group, 0)
        stop = min(bounds[population + 1] - first_group, lanes)
        threshold = thresholds[population]
        for i in range(start, stop):
            bits = np.uint32(0)
            for k in range(4):
                segment = np.uint32(last - u[k, i]) if mirrored else u[k, i]
                bits |= np.uint32(segment < threshold) << np.uint32(k)
            alleles[i] = np.uint8(bits)


@kernel(types.void(*_MOSAIC, _ROWS_OUT))
def _unrelated(key, first, contig_first, last, is_first, mirrored, thresholds, bounds, packed):
    n_groups = bounds[-1]
    for group in range(0, n_groups, _LANES):
        lanes = min(_LANES, n_groups - group)
        u, w = np.zeros((4, lanes), np.uint32), np.empty((4, lanes), np.uint32)
        alleles = np.zeros(lanes + lanes % 2, np.uint8)
        if not is_first[0]:
            _look_back(key, first, contig_first, last, group, u, w)
        for row in range(packed.shape[0]):
            _next_variant(key, first + row, is_first[row], last, group, u, w)
            _alleles(u, last, mirrored[row], thresholds[row], bounds, group, alleles)
            for b in range(alleles.size // 2):
                pairs = alleles[2 * b] | (alleles[2 * b + 1] << 4)
                packed[row, group // 2 + b] = pairs - ((pairs >> 1) & 0x55)  # two bits become their sum


# Families -----------------------------------------------------------------------------------------------------------


@helper
def _crossing(key, contig, draw, meiosis):
    """Distance to the next crossover in Morgans, and a random bit."""
    a, b, c, _ = philox(contig, draw, meiosis, MEIOSES, key[0], key[1])
    return -np.log(uniform(a, b)), np.uint8(c & np.uint32(1))


@kernel(types.void(*_MOSAIC, types.int64, types.int64, _INDEX, _MORGANS, _ROWS_OUT))
def _gene_drop(
    key, first, contig_first, last, is_first, mirrored, thresholds, bounds, size, n_samples, contig, morgan, packed
):
    n_groups = bounds[-1]
    for group in range(0, n_groups, _LANES):
        lanes = min(_LANES, n_groups - group)
        u, w = np.zeros((4, lanes), np.uint32), np.empty((4, lanes), np.uint32)
        alleles = np.zeros(lanes, np.uint8)
        child = group * size
        n_children = min(lanes * size, n_samples - child)
        # Of each child: which haplotype it has of father and mother here, and where either meiosis crosses over next.
        inherited = np.empty((n_children, 2), np.uint8)
        draws = np.empty((n_children, 2), np.int64)
        crossing = np.empty((n_children, 2))
        if not is_first[0]:
            _look_back(key, first, contig_first, last, group, u, w)
        for row in range(packed.shape[0]):
            _next_variant(key, first + row, is_first[row], last, group, u, w)
            _alleles(u, last, mirrored[row], thresholds[row], bounds, group, alleles)
            if row == 0 or is_first[row]:
                for c in range(n_children):
                    for parent in range(2):
                        where, which = _crossing(key, contig[row], 0, 2 * (child + c) + parent)
                        crossing[c, parent], inherited[c, parent], draws[c, parent] = where, which, 1
            for c in range(n_children):
                code = 0
                four = alleles[c // size]
                for parent in range(2):
                    while morgan[row] >= crossing[c, parent]:
                        further, _ = _crossing(key, contig[row], draws[c, parent], 2 * (child + c) + parent)
                        crossing[c, parent] += further
                        inherited[c, parent] ^= 1
                        draws[c, parent] += 1
                    code += (four >> (2 * parent + inherited[c, parent])) & 1
                packed[row, (child + c) // 4] |= code << (2 * ((child + c) % 4))


# Missing calls and drift --------------------------------------------------------------------------------------------


@kernel(types.void(_WORDS, types.int64, types.uint32, _ROWS_OUT))
def _set_missing(key, first, threshold, packed):
    width = packed.shape[1]
    for start in range(0, width, _LANES):
        lanes = min(_LANES, width - start)
        w = np.empty((4, lanes), np.uint32)
        for row in range(packed.shape[0]):
            philox_lanes(first + row, 0, start, MISSING_CALLS, key[0], key[1], w[0], w[1], w[2], w[3])
            for b in range(lanes):
                mask = np.uint32(0)
                for k in range(4):
                    mask |= np.uint32(w[k, b] < threshold) << np.uint32(2 * k)
                packed[row, start + b] |= np.uint8(mask * np.uint32(3))


@helper
def _log_gamma_draw(shape, key, variant, which):
    """The logarithm of a Gamma(shape, 1) number, by Marsaglia and Tsang (2000), ACM TOMS 26, 363-372.

    For shape < 1 the number for shape + 1 times U^(1 / shape). The logarithm stays finite where the number is 0.
    """
    boost = 0.0
    draw = 0
    if shape < 1.0:
        a, b, _, _ = philox(variant, 0, which, DRIFT, key[0], key[1])
        boost = np.log(uniform(a, b)) / shape
        shape += 1.0
    d = shape - 1.0 / 3.0
    c = 1.0 / np.sqrt(9.0 * d)
    while True:
        draw += 2
        a, b, e, f = philox(variant, draw - 1, which, DRIFT, key[0], key[1])
        x = np.sqrt(-2.0 * np.log(uniform(a, b))) * np.cos(2.0 * np.pi * uniform(e, f))
        v = 1.0 + c * x
        if v <= 0.0:
            continue
        v = v * v * v
        a, b, _, _ = philox(variant, draw, which, DRIFT, key[0], key[1])
        if np.log(uniform(a, b)) < 0.5 * x * x + d - d * v + d * np.log(v):
            return np.log(d * v) + boost


@kernel(types.void(_WORDS, types.int64, types.float64, input_array(types.float64, 1), output_array(types.float64, 2)))
def _drift(key, first, scale, frequency, populations):
    for row in range(populations.shape[0]):
        for k in range(populations.shape[1]):
            counted = _log_gamma_draw(scale * frequency[row], key, first + row, 2 * k)
            other = _log_gamma_draw(scale * (1.0 - frequency[row]), key, first + row, 2 * k + 1)
            populations[row, k] = 1.0 / (1.0 + np.exp(other - counted))
