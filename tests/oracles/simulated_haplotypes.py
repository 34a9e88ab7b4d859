"""Simulated cohorts the slow way: one haplotype after the other, from the beginning of each contig.

Python integers and the definitions of `daskgen.kernels.simulation`; nothing is vectorised, looked back or cut.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

MASK = 2**32 - 1
HAPLOTYPES, MISSING_CALLS, MEIOSES = range(3)


def philox(counter: Sequence[int], key: Sequence[int]) -> tuple[int, int, int, int]:
    """Philox4x32-10 as in the paper: ten rounds of multiply, swap and exclusive or."""
    (a, b, c, d), (k, l) = counter, key
    for _ in range(10):
        left, right = a * 0xD2511F53, c * 0xCD9E8D57
        a, b, c, d = (right >> 32) ^ b ^ k, right & MASK, (left >> 32) ^ d ^ l, left & MASK
        k, l = (k + 0x9E3779B9) & MASK, (l + 0xBB67AE85) & MASK
    return a, b, c, d


def uniform(high: int, low: int) -> float:
    """Two words as a number in (0, 1)."""
    return (high * 2**20 + (low >> 12) + 0.5) / 2**52


def haplotype(
    number: int, key: Sequence[int], frequency: Sequence[float], mirrored: Sequence[bool], starts: set[int], rho: float
) -> list[int]:
    """The alleles of one haplotype at all variants. starts: variants with which a contig begins."""
    segments = int((1.0 - rho) * 2.0**32)
    alleles, segment = [], 0
    for variant, p in enumerate(frequency):
        word = philox((variant, 0, number // 4, HAPLOTYPES), key)[number % 4]
        if variant in starts:
            segment = word * segments >> 32
        elif word < segments:
            segment = word
        place = segments - 1 - segment if mirrored[variant] else segment
        alleles.append(int(place < math.floor(p * (1.0 - rho) * 2.0**32)))
    return alleles


def gamete(
    meiosis: int, key: Sequence[int], pair: Sequence[Sequence[int]], contig: Sequence[int], morgan: Sequence[float]
) -> list[int]:
    """What one parent with the haplotypes `pair` passes on: crossovers of one a Morgan, by their positions."""
    passed = []
    for number in dict.fromkeys(contig):
        rows = [row for row, c in enumerate(contig) if c == number]
        words = philox((number, 0, meiosis, MEIOSES), key)
        which, where, draw = words[2] & 1, -math.log(uniform(*words[:2])), 1
        crossovers = []
        while where <= morgan[rows[-1]]:
            crossovers.append(where)
            where -= math.log(uniform(*philox((number, draw, meiosis, MEIOSES), key)[:2]))
            draw += 1
        for row in rows:
            before = sum(crossover <= morgan[row] for crossover in crossovers)
            passed.append(pair[(which + before) % 2][row])
    return passed


def is_missing(variant: int, sample: int, key: Sequence[int], rate: float) -> bool:
    """Whether the call of a sample is lost."""
    return philox((variant, 0, sample // 4, MISSING_CALLS), key)[sample % 4] < int(rate * 2**32)
