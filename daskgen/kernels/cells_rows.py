"""One pass over the rows (cells) of a sparse count matrix: sums by cell, by gene, and the largest counts of a cell.

A block is CSR: `indptr` int64 (rows + 1,) from 0, `indices` int32, increasing in each row, and `values` float64. Counts
come in many integer and float types; a caller casts some hundred rows at a time, which stay in the cache, so that there
is one compiled form.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from numba import types

from daskgen.kernels.compile import helper, input_array, kernel, output_array

__all__ = ["GENE_SUMS", "KEPT", "LOG_SUMS", "Flaws", "summarise_rows"]

KEPT = np.uint32(1)
"""The bit of a gene's role that says that it counts at all; the bits above are the masks."""

GENE_SUMS = 5
"""Sums of a gene: cells with a count, x, x squared, y, y squared; y = x times the factor of its cell."""
LOG_SUMS = 7
"""The same with ln(1 + y) and its square."""

_BINS = 4096  # counts below are ranked by a histogram, others by selection


@dataclass
class Flaws:
    """Values that are no counts: how many, and row and gene of the first; whether any value is not whole."""

    n: int
    row: int
    gene: int
    fractions: bool


def summarise_rows(
    indptr: npt.NDArray[np.int64],
    indices: npt.NDArray[np.int32],
    values: npt.NDArray[np.float64],
    roles: npt.NDArray[np.uint32],
    factors: npt.NDArray[np.float64] | None,
    target: float,
    groups: npt.NDArray[np.int32],
    tops: npt.NDArray[np.int64],
    n_largest: int,
    max_fraction: float,
    cells: npt.NDArray[np.float64],
    genes: npt.NDArray[np.float64],
    high: npt.NDArray[np.uint8],
) -> Flaws:
    """Sums over one block; those of the cells are written, those of the genes added.

    roles: uint32 (genes,), bit `KEPT` and one bit more per mask. factors: float64 (rows,), y = factor x; None
    for target over the total of the cell. groups: int32 (rows,), the group to which a cell's genes are added, -1 for
    none. tops: increasing numbers N of largest values that are summed. n_largest: how many largest values of a cell are
    looked for, 0 for none. max_fraction: genes with x > max_fraction total in a cell that counts are flagged; negative
    for none.

    cells: float64 (rows, 4 + tops + masks): values that are not 0, their sum, the smallest of the `n_largest` largest
    values (0 where there are fewer), how many are larger than it, sums of the N largest, sums over masks.
    genes: float64 (groups, genes, 5 or 7), see `GENE_SUMS`; what is added to genes that do not count is left to chance.
    high: uint8 (genes,).

    Values that are negative or NaN count as 0 and are reported.
    """
    flaws = np.zeros(4, np.int64)
    given = np.empty(0) if factors is None else factors
    _summarise(
        *(indptr, indices, values, roles, given, float(target), groups, tops, int(n_largest), float(max_fraction)),
        *(cells, genes, high, flaws),
    )
    return Flaws(int(flaws[0]), int(flaws[1]), int(flaws[2]), bool(flaws[3]))


@helper
def _largest_first(values, n, k):
    """Hoare's selection: rearrange values[:n] so that the k largest come first."""
    low, high = 0, n - 1
    while low < high:
        a, b, c = values[low], values[(low + high) // 2], values[high]
        pivot = max(min(a, b), min(max(a, b), c))
        i, j = low, high
        while i <= j:
            while values[i] > pivot:
                i += 1
            while values[j] < pivot:
                j -= 1
            if i <= j:
                values[i], values[j] = values[j], values[i]
                i += 1
                j -= 1
        if k - 1 <= j:
            high = j
        elif k - 1 >= i:
            low = i
        else:
            return


@helper
def _largest_by_histogram(histogram, largest, tops, n_largest, row):
    """How many whole numbers there are, their sum, sums of the largest and the cut, from how often each occurs; empties
    the histogram."""
    total = 0.0
    taken = 0
    done = 0
    cut = 0.0
    above = 0
    for value in range(largest, 0, -1):
        count = histogram[value]
        if count == 0:
            continue
        histogram[value] = 0
        while done < tops.shape[0] and taken + count >= tops[done]:
            row[4 + done] = total + (tops[done] - taken) * value
            done += 1
        if n_largest > 0 and cut == 0.0 and taken + count >= n_largest:
            cut = float(value)
            above = taken
        total += count * value
        taken += count
    while done < tops.shape[0]:
        row[4 + done] = total
        done += 1
    row[0] = taken
    row[1] = total
    row[2] = cut
    row[3] = above if cut > 0.0 else taken


@helper
def _largest_by_selection(values, n, tops, n_largest, row):
    """The same for any positive numbers: the largest N are moved to the front, then the smaller N within them."""
    total = 0.0
    for k in range(n):
        total += values[k]
    row[0] = n
    row[1] = total
    row[2] = 0.0
    row[3] = n
    if n_largest > 0 and n >= n_largest:
        _largest_first(values, n, n_largest)
        cut = values[0]
        for k in range(n_largest):
            cut = min(cut, values[k])
        above = 0
        for k in range(n_largest):
            above += values[k] > cut
        row[2] = cut
        row[3] = above
    left = n
    for t in range(tops.shape[0] - 1, -1, -1):
        if tops[t] < left:
            _largest_first(values, left, tops[t])
            left = tops[t]
        total = 0.0
        for k in range(left):
            total += values[k]
        row[4 + t] = total


@helper
def _count_small(start, stop, indices, values, roles, histogram, masks):
    """Count how often each whole number below `_BINS` occurs in a row and add up the masks: the largest of them, and
    whether the row has no other values; stops at the first other one."""
    largest = 0
    for k in range(start, stop):
        x = values[k]
        role = roles[np.uint32(indices[k])]
        if not (x >= 0.0 and x < _BINS):
            return largest, False
        value = np.int64(x)
        if value != x:
            return largest, False
        # Bin 0, which nobody reads, takes what doesn't count: a branch here would be guessed wrongly too often.
        histogram[np.uint64(value if role > 0 else 0)] += 1
        largest = max(largest, value)
        if role > 1:
            _add_masked(role, x, masks)
    return largest, True


@helper
def _take_positive(start, stop, indices, values, roles, number, chosen, masks, flaws):
    """Copy the positive values of row `number` that count to `chosen` and add up the masks anew; returns how many.
    Notes values that are no counts, and fractions."""
    masks[:] = 0.0
    n = 0
    for k in range(start, stop):
        x = values[k]
        role = roles[np.uint32(indices[k])]
        if not x > 0.0:
            if x != 0.0:
                if flaws[0] == 0:
                    flaws[1] = number
                    flaws[2] = indices[k]
                flaws[0] += 1
            continue
        if role == 0:
            continue
        chosen[n] = x
        n += 1
        if x != np.floor(x):
            flaws[3] = 1
        if role > 1:
            _add_masked(role, x, masks)
    return n


@helper
def _add_masked(role, x, masks):
    for m in range(masks.shape[0]):
        if role >> np.uint32(m + 1) & np.uint32(1):
            masks[m] += x


@helper
def _add_moments(start, stop, indices, values, factor, sums):
    """Add the values of a row to the sums of its genes: numbers, x, x^2, y, y^2."""
    for k in range(start, stop):
        x = values[k]
        if not x > 0.0:
            continue
        y = factor * x
        of_gene = sums[np.uint32(indices[k])]
        of_gene[0] += 1.0
        of_gene[1] += x
        of_gene[2] += x * x
        of_gene[3] += y
        of_gene[4] += y * y


@helper
def _add_logs(start, stop, indices, values, factor, sums):
    """Add ln(1 + y) and its square."""
    for k in range(start, stop):
        x = values[k]
        if x > 0.0:
            gene = np.uint32(indices[k])
            z = np.log1p(factor * x)
            sums[gene, 5] += z
            sums[gene, 6] += z * z


@kernel(
    types.void(
        input_array(types.int64, 1),
        input_array(types.int32, 1),
        input_array(types.float64, 1),
        input_array(types.uint32, 1),
        input_array(types.float64, 1),
        types.float64,
        input_array(types.int32, 1),
        input_array(types.int64, 1),
        types.int64,
        types.float64,
        output_array(types.float64, 2),
        output_array(types.float64, 3),
        output_array(types.uint8, 1),
        output_array(types.int64, 1),
    )
)
def _summarise(
    indptr, indices, values, roles, factors, target, groups, tops, n_largest, max_fraction, cells, genes, high, flaws
):
    histogram = np.zeros(_BINS, np.int64)
    chosen = np.empty(roles.shape[0], np.float64)
    first_mask = 4 + tops.shape[0]
    for i in range(indptr.shape[0] - 1):
        # Unsigned positions: signed ones are tested for counting from the end, which costs a third of this loop.
        start, stop = np.uint64(indptr[i]), np.uint64(indptr[i + 1])
        row = cells[i]
        row[:] = 0.0
        largest, whole = _count_small(start, stop, indices, values, roles, histogram, row[first_mask:])
        if whole:
            _largest_by_histogram(histogram, largest, tops, n_largest, row)
        else:
            histogram[: largest + 1] = 0
            n = _take_positive(start, stop, indices, values, roles, i, chosen, row[first_mask:], flaws)
            _largest_by_selection(chosen, n, tops, n_largest, row)
        group = groups[i]
        total = row[1]
        if group < 0 or total == 0.0:
            continue
        factor = factors[i] if factors.shape[0] > 0 else target / total
        _add_moments(start, stop, indices, values, factor, genes[group])
        if genes.shape[2] > 5:
            _add_logs(start, stop, indices, values, factor, genes[group])
        if max_fraction >= 0.0:
            limit = max_fraction * total
            for k in range(start, stop):
                gene = np.uint32(indices[k])
                if values[k] > limit and roles[gene] != 0:
                    high[gene] = 1
