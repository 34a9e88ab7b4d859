"""Sampling covariance of sums over pairs of samples, from blocks of samples: the jackknife and its second-order term.

A moment estimate is a sum over all pairs of samples. With the samples in B blocks, a statistic's deviation is
sum_ab f_ab, f (B, B) symmetric: what the pairs between block a and block b contribute. Blocks are independent, so that

    f_ab = g_a + g_b + s_ab  (a != b),       var sum f = var(sum_a [f_aa + 2 (B - 1) g_a]) + 4 sum_(a<b) var s_ab.

The delete-one jackknife looks at row sums only and has the second part twice (Efron and Stein), which is nearly all of
it for unrelated samples: its errors would be up to 1.4 times too large. Here the s_ab are estimated too, as residuals
of the additive table, so each part counts once; the first part is taken as 0 where it comes out negative.
Source: Efron and Stein (1981), Annals of Statistics 9:586; Griffing (1956), Aust. J. Biol. Sci. 9:463 (the table).
"""

from __future__ import annotations

import numpy as np
import pandas as pd

__all__ = ["LEAST_BLOCKS", "block_covariance", "block_variances", "sample_blocks"]

LEAST_BLOCKS = 5
"""Fewer blocks leave no degrees of freedom for the second part."""


def sample_blocks(n: int, n_blocks: int, families: np.ndarray | None = None) -> np.ndarray:
    """The block of each of n samples, int64 (n,).

    Runs of neighbours, so that relatives that lie together stay together; with families, labels (n,), a family is whole
    in one block, the largest ones dealt first.
    """
    if families is None:
        return np.arange(n, dtype=np.int64) * n_blocks // n
    codes, _ = pd.factorize(pd.Series(families, dtype=object))
    sizes = np.bincount(codes)
    filled = np.zeros(min(n_blocks, len(sizes)), np.int64)
    block_of = np.empty(len(sizes), np.int64)
    for family in np.argsort(-sizes, kind="stable"):
        block_of[family] = np.argmin(filled)
        filled[block_of[family]] += sizes[family]
    return block_of[codes]


def block_covariance(tables: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(covariance of single blocks' part, of pairs' part) of k statistics, (k, k) both, from their tables (k, B, B)."""
    f = (tables + tables.transpose(0, 2, 1)) / 2
    b = f.shape[1]
    own = np.einsum("kaa->ka", f)
    others = f.sum(axis=2) - own
    rows = own + 2 * (b - 1) / (b - 2) * others
    rows = rows - rows.mean(axis=1, keepdims=True)
    jackknife = b / (b - 1) * (rows @ rows.T)
    fitted = (others[:, :, None] + others[:, None, :]) / (b - 2) - (
        others.sum(axis=1)[:, None, None] / ((b - 1) * (b - 2))
    )
    upper = np.triu_indices(b, 1)
    rest = (f - fitted)[:, upper[0], upper[1]]
    residual = rest @ rest.T / (b * (b - 3) / 2)
    pairs = 2 * b * (b - 1) * residual
    # The expectation of the jackknife's second part is 2 (B - 1) / (B - 2) times what it should be.
    return jackknife - 2 * (b - 1) / (b - 2) * pairs, pairs


def block_variances(tables: np.ndarray) -> np.ndarray:
    """Variances (k,) of k statistics from their tables (k, B, B)."""
    single, pairs = block_covariance(tables)
    return np.asarray(np.maximum(np.diag(single), 0.0) + np.diag(pairs))
