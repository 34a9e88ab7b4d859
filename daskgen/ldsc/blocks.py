"""How the variants of a regression are cut into the blocks of the jackknife."""

from __future__ import annotations

import numpy as np

__all__ = ["block_ranks", "n_blocks_for"]

_FEW_TRAITS = 18
"""Up to so many traits the default of 200 blocks is more than V has rows."""


def n_blocks_for(n_traits: int, wanted: int) -> int:
    """Number of blocks: `wanted`, but (k + 1)(k + 2) / 2 + 1 for k > 18 traits.

    V is estimated from one pseudo-value a block, so it has full rank only with more blocks than rows. The number is
    that of the model with one SNP more, as in GenomicSEM.
    """
    if n_traits <= _FEW_TRAITS:
        return wanted
    return (n_traits + 1) * (n_traits + 2) // 2 + 1


def block_ranks(n_variants: np.ndarray | int, n_blocks: int) -> np.ndarray:
    """First variant of each block, and the number of variants at the end: int64 (..., n_blocks + 1).

    Block b holds variants floor(1 + (b - 1)(n - 1) / B) to floor(1 + b (n - 1) / B) - 1, numbered from 1, the last one
    up to n; here they are numbered from 0. `n_variants` is an integer or an array of them, above `n_blocks`.
    """
    n = np.asarray(n_variants, np.float64)[..., None]
    # In this order of operations, that of R's seq(1, n, length.out = B + 1): another one rounds differently.
    ranks = np.floor(1.0 + np.arange(n_blocks + 1) * ((n - 1.0) / n_blocks)).astype(np.int64) - 1
    ranks[..., -1] = n[..., 0]
    return ranks
