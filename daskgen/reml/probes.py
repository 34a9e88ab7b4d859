"""Random probes for traces: signs +1 and -1, a function of the seed, the sample and the probe's number."""

from __future__ import annotations

import numpy as np

from daskgen.errors import UsageError
from daskgen.kernels.philox import philox_key, philox_words
from daskgen.reml.design import Design

__all__ = ["FIRST_PROBES", "MANY", "MOST_PROBES", "enough_dimensions", "first_probes", "more_probes", "signs"]

FIRST_PROBES, MORE_FOR_ONE, MOST_PROBES = 24, 40, 256
"""The automatic number of probes: a start, that of one component in up to `MANY` samples, and the most."""

MANY = 10_000
"""Samples above which a Monte-Carlo error of 10 % of the standard error will do for one component, instead of 5 %."""

LEAST_DIMENSION = 30
"""Dimensions below which random probes may be all but zero once the fixed effects are taken out."""

_BITS = 128  # signs that one counter gives


def signs(rows: np.ndarray, first: int, last: int, seed: int) -> np.ndarray:
    """Probes `first` to `last` - 1 of the samples `rows` (their rows in the store): float64 (n, last - first).

    A sample's signs depend on nothing else, so a phenotype has the same probes whatever else is analysed.
    """
    key = philox_key(seed, "reml probes")
    rows = np.asarray(rows, np.uint64)
    blocks = []
    for block in range(first // _BITS, -(-last // _BITS)):
        counters = np.zeros((len(rows), 4), np.uint32)
        counters[:, 0] = rows & np.uint64(0xFFFFFFFF)
        counters[:, 1] = rows >> np.uint64(32)
        counters[:, 2] = block
        words = philox_words(key, counters)
        bits = (words[:, :, None] >> np.arange(32, dtype=np.uint32)) & np.uint32(1)
        blocks.append(bits.reshape(len(rows), _BITS))
    start = first // _BITS * _BITS
    found = np.concatenate(blocks, axis=1)[:, first - start : last - start]
    return 1.0 - 2.0 * found


def first_probes(n: int, components: int) -> int:
    """With how many probes n samples and so many components begin."""
    return MORE_FOR_ONE if components == 1 and n <= MANY else FIRST_PROBES


def enough_dimensions(design: Design) -> int:
    """n - c; UsageError where it is too small for random probes."""
    n, c = design.basis.shape
    if n - c < LEAST_DIMENSION:
        raise UsageError(
            "random probes need more samples.",
            found=f"{n} samples, {c} fixed effects",
            expected=f"a difference of {LEAST_DIMENSION} or more",
            do='method="exact"',
        )
    return n - c


def more_probes(probes: int, share: float, aim: float) -> int:
    """How many probes bring the share that the Monte-Carlo error has of the standard error down to `aim`.

    `probes` times a power of 3/2, at most MOST_PROBES, so that phenotypes that want about as many share them.
    """
    wanted = probes
    while share > aim * np.sqrt(wanted / probes) and wanted < MOST_PROBES:
        wanted = min(3 * wanted // 2, MOST_PROBES)
    return wanted
