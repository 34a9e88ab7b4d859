"""Counts of any source into a store: one pass that looks at all values, one that writes them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numcodecs
import numpy as np
import numpy.typing as npt

from conversion.single_cell.joining import JoinedCells, JoinedRows
from daskgen.errors import InputError
from daskgen.passes import PassRunner, run_map
from daskgen.passes.executors import current_executor
from daskgen.stores.anndata_new import NewAnnData, count_dtype
from daskgen.stores.value_groups import GroupsOfValues, write_values

__all__ = ["Scan", "compressed_bytes", "scan_counts", "write_counts"]

_BLOCK_VALUES = 1 << 21


@dataclass(frozen=True)
class Scan:
    """What a pass over all values found: indptr int64 (cells + 1,), of the values that are kept; the largest value;
    whether all are whole numbers; cells and genes without a count."""

    indptr: npt.NDArray[np.int64]
    largest: float
    whole: bool
    empty_cells: int
    empty_genes: int

    @property
    def nnz(self) -> int:
        return int(self.indptr[-1])

    @property
    def dtype(self) -> np.dtype[Any]:
        return count_dtype(self.largest, self.whole)


def scan_counts(joined: JoinedCells) -> Scan:
    """Look at every value. InputError for NaN, infinite and negative ones, with the cell and the gene."""
    blocks = joined.rows.blocks(_BLOCK_VALUES)
    # Blocks that follow each other are read fastest by one task.
    per_task = max(1, -(-len(blocks) // (8 * current_executor().n_threads)))
    bundles = [blocks[k : k + per_task] for k in range(0, len(blocks), per_task)]
    counts = np.zeros(joined.rows.n_rows + 1, np.int64)
    present = np.zeros(joined.rows.n_genes, bool)
    largest, whole = 0.0, True
    for _, found in PassRunner().run_map(_scan, range(len(bundles)), joined.rows, bundles, label="look at values"):
        start, lengths, top, all_whole, genes, bad = found
        if bad is not None:
            _refuse(joined, *bad)
        counts[start + 1 : start + 1 + len(lengths)] = lengths
        largest, whole = max(largest, top), whole and all_whole
        present |= genes
    indptr = np.cumsum(counts)
    return Scan(indptr, largest, whole, int((counts[1:] == 0).sum()), int((~present).sum()))


def _scan(index: int, rows: JoinedRows, bundles: Sequence[Sequence[tuple[int, int]]]) -> tuple[Any, ...]:
    reader = rows.reader()
    lengths, present = [], np.zeros(rows.n_genes, bool)
    largest, whole = 0.0, True
    for start, stop in bundles[index]:
        block = reader.read(start, stop)
        values = block.data
        lengths.append(np.diff(block.indptr))
        present[block.indices] = True
        if not len(values):
            continue
        if values.dtype.kind != "u":
            good = values > 0
            if values.dtype.kind == "f":
                good &= values < np.inf
            if not good.all():
                at = int(np.flatnonzero(~good)[0])
                row = start + int(np.searchsorted(block.indptr, at, side="right")) - 1
                return 0, (), 0.0, True, present, (row, int(block.indices[at]), float(values[at]))
        largest = max(largest, float(values.max()))
        if whole and values.dtype.kind == "f":
            whole = bool((values == np.rint(values)).all())
    return bundles[index][0][0], np.concatenate(lengths), largest, whole, present, None


def _refuse(joined: JoinedCells, row: int, column: int, value: float) -> None:
    raise InputError(
        "the values are not counts.",
        found=f"{value:g} for gene {joined.var.index[column]} in cell {joined.obs.index[row]}",
        expected="numbers, at least 0" if np.isnan(value) or np.isinf(value) else "no negative numbers",
        do="name the matrix that holds counts: counts='X', 'raw.X' or 'layers/NAME' (--counts)",
    )


def compressed_bytes(joined: JoinedCells, scan: Scan) -> int:
    """Bytes that X will take, from how the first block compresses."""
    blocks = joined.rows.blocks(1 << 19)
    if not scan.nnz or not blocks:
        return 0
    block = joined.rows.reader().read(*blocks[len(blocks) // 2])
    if not len(block.data):
        return 5 * scan.nnz
    codec = numcodecs.Blosc(cname="lz4", clevel=5, shuffle=numcodecs.Blosc.SHUFFLE)
    data = np.ascontiguousarray(block.data.astype(scan.dtype))
    size = len(codec.encode(data)) + len(codec.encode(np.ascontiguousarray(block.indices)))
    return int(size / len(data) * scan.nnz)


def write_counts(writer: NewAnnData, rows: JoinedRows, scan: Scan) -> None:
    """Write the values and their genes: a task owns whole chunks of values and reads the rows that they lie in."""
    stage = writer.values_stage()
    task = GroupsOfValues(rows, stage.target, scan.indptr, scan.dtype)
    for _ in run_map(write_values, stage.pending, task, label="write counts"):
        pass
