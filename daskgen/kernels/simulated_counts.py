"""Simulated counts of cells: transcripts drawn one by one, each from one of the components that a cell is made of.

Transcript i of cell c has two of the four words of the Philox counter (c, i // 2, 0, TRANSCRIPTS): the first says which
component it is of, by the cell's cumulated shares, the second which gene of that component, by Walker's alias method.
So a cell is the same whichever block it is drawn in.

Source of the alias method: Walker (1977), ACM Transactions on Mathematical Software 3, 253-256.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from numba import types

from daskgen.kernels.compile import input_array, kernel, output_array
from daskgen.kernels.genotype_layout import as_input
from daskgen.kernels.philox import philox

__all__ = ["TRANSCRIPTS", "alias_table", "draw_cells"]

TRANSCRIPTS = 0
"""Last counter of Philox: what the words are for."""


def alias_table(weights: npt.NDArray[np.float64]) -> tuple[npt.NDArray[np.uint32], npt.NDArray[np.int32]]:
    """(threshold uint32, alias int32) of a distribution over genes, weights float64 (genes,), at least one positive.

    A word w chooses gene j = w G / 2^32, and what is left of the product, below the threshold, keeps it; else the
    alias of j is taken.
    """
    n = len(weights)
    share = weights / weights.sum() * n
    threshold, alias = np.full(n, 2**32 - 1, np.uint32), np.arange(n, dtype=np.int32)
    small, large = np.flatnonzero(share < 1).tolist(), np.flatnonzero(share >= 1).tolist()
    left = share.tolist()
    while small and large:
        low, high = small.pop(), large[-1]
        threshold[low], alias[low] = min(2**32 - 1, int(left[low] * 2.0**32)), high
        left[high] -= 1.0 - left[low]
        if left[high] < 1.0:
            small.append(large.pop())
    return threshold, alias


def draw_cells(
    key: npt.NDArray[np.uint32],
    first: int,
    totals: npt.NDArray[np.int64],
    bounds: npt.NDArray[np.uint32],
    components: npt.NDArray[np.int64],
    thresholds: npt.NDArray[np.uint32],
    aliases: npt.NDArray[np.int32],
) -> tuple[npt.NDArray[np.uint32], npt.NDArray[np.int32], npt.NDArray[np.int64]]:
    """Counts of consecutive cells, the first of which is number `first`, as CSR: data uint32, indices int32, indptr.

    totals: transcripts of each cell; bounds: uint32 (cells, k), cumulated shares of the cell's components times 2^32
    (of the last, whatever is left); components: int64 (cells, k), which table each of them is; thresholds, aliases:
    (tables, genes), as `alias_table` gives them.
    """
    n_cells, n_genes = len(totals), thresholds.shape[1]
    room = int(np.minimum(totals, n_genes).sum())
    data, indices = np.empty(room, np.uint32), np.empty(room, np.int32)
    indptr = np.zeros(n_cells + 1, np.int64)
    shape = (n_cells, bounds.shape[1])
    used = _draw_cells(
        as_input(key, np.uint32, "key", (2,)),
        first,
        as_input(totals, np.int64, "totals", (n_cells,)),
        as_input(bounds, np.uint32, "bounds", shape),
        as_input(components, np.int64, "components", shape),
        as_input(thresholds, np.uint32, "thresholds", (None, n_genes)),
        as_input(aliases, np.int32, "aliases", thresholds.shape),
        np.zeros(n_genes, np.uint32),
        data,
        indices,
        indptr,
    )
    return data[:used], indices[:used], indptr


_SIGNATURE: Any = types.int64(
    input_array(types.uint32, 1),
    types.int64,
    input_array(types.int64, 1),
    input_array(types.uint32, 2),
    input_array(types.int64, 2),
    input_array(types.uint32, 2),
    input_array(types.int32, 2),
    output_array(types.uint32, 1),
    output_array(types.uint32, 1),
    output_array(types.int32, 1),
    output_array(types.int64, 1),
)


@kernel(_SIGNATURE)
def _draw_cells(key, first, totals, bounds, components, thresholds, aliases, counts, data, indices, indptr):
    n_genes, last = thresholds.shape[1], bounds.shape[1] - 1
    mask, half = np.uint64(0xFFFFFFFF), np.uint64(32)
    used = 0
    for c in range(totals.size):
        for pair in range((totals[c] + 1) // 2):
            words = philox(first + c, pair, 0, TRANSCRIPTS, key[0], key[1])
            for which in range(2):
                if 2 * pair + which >= totals[c]:
                    break
                choice, word = (words[0], words[1]) if which == 0 else (words[2], words[3])
                k = 0
                while k < last and choice >= bounds[c, k]:
                    k += 1
                table = components[c, k]
                product = np.uint64(word) * np.uint64(n_genes)
                gene = np.int64(product >> half)
                if np.uint32(product & mask) >= thresholds[table, gene]:
                    gene = np.int64(aliases[table, gene])
                counts[gene] += np.uint32(1)
        for gene in range(n_genes):
            if counts[gene]:
                data[used], indices[used] = counts[gene], gene
                counts[gene] = 0
                used += 1
        indptr[c + 1] = used
    return used
