"""Entries (cell, gene, count) in any order, brought into the order of cells on disk.

Sources that list genes first (CSC), and lists of entries (Matrix Market), are read once from beginning to end. Entries
go to one of several scratch files by cell; each file is then sorted in memory and appended to one file of values and
one of genes. Memory does not depend on the number of cells.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from conversion.single_cell.hdf5_rows import csr_block
from daskgen.stores.anndata_rows import CsrBlock, IndexedRows

__all__ = ["SpooledRows", "spool_entries"]

_BUCKET = 1 << 22
"""Entries of a scratch file, on average."""

_ENTRY = np.dtype([("row", np.int32), ("column", np.int32), ("value", np.float64)])

Entries = tuple[npt.NDArray[Any], npt.NDArray[Any], npt.NDArray[Any]]


def spool_entries(entries: Iterable[Entries], scratch: str, shape: tuple[int, int], n_entries: int) -> SpooledRows:
    """Write entries (cells, genes, values), given in blocks and in any order, below `scratch` in the order of cells.

    shape: cells, genes; n_entries: how many there will be, at least roughly.
    """
    n_rows, n_genes = shape
    folder = tempfile.mkdtemp(prefix="cells-", dir=scratch)
    rows_each = max(1, -(-n_rows // max(1, -(-n_entries // _BUCKET))))
    paths = [os.path.join(folder, f"entries{k}") for k in range(-(-n_rows // rows_each))]
    for rows, columns, values in entries:
        block = np.empty(len(rows), _ENTRY)
        block["row"], block["column"], block["value"] = rows, columns, values
        bucket = block["row"] // rows_each
        if len(bucket) and (bucket[1:] < bucket[:-1]).any():
            order = np.argsort(bucket, kind="stable")
            block, bucket = block[order], bucket[order]
        bounds = np.searchsorted(bucket, np.arange(bucket[0], bucket[-1] + 2)) if len(bucket) else [0]
        for k, (a, b) in enumerate(
            zip(bounds[:-1], bounds[1:], strict=True), start=int(bucket[0]) if len(bucket) else 0
        ):
            if b > a:
                with open(paths[k], "ab") as file:
                    block[a:b].tofile(file)
    counts = np.zeros(n_rows + 1, np.int64)
    data_path, index_path = os.path.join(folder, "data"), os.path.join(folder, "indices")
    with open(data_path, "wb") as data_file, open(index_path, "wb") as index_file:
        for path in paths:
            if not os.path.exists(path):
                continue
            block = np.fromfile(path, _ENTRY)
            os.unlink(path)
            block = block[np.argsort(block["row"].astype(np.int64) * n_genes + block["column"], kind="stable")]
            counts[1:] += np.bincount(block["row"], minlength=n_rows)
            np.ascontiguousarray(block["value"]).tofile(data_file)
            np.ascontiguousarray(block["column"]).tofile(index_file)
    return SpooledRows(data_path, index_path, np.cumsum(counts), n_genes)


@dataclass(frozen=True, eq=False)
class SpooledRows(IndexedRows):
    """Values (float64) and genes (int32) of a sparse matrix in two plain files, one cell after the other."""

    data: str
    indices: str
    indptr: npt.NDArray[np.int64]
    n_genes: int

    def reader(self) -> SpooledRows:
        return self

    def read(self, start: int, stop: int) -> CsrBlock:
        first, last = int(self.indptr[start]), int(self.indptr[stop])
        data = np.fromfile(self.data, np.float64, last - first, offset=8 * first)
        indices = np.fromfile(self.indices, np.int32, last - first, offset=4 * first)
        return csr_block(data, indices, self.indptr[start : stop + 1] - first, self.n_genes, start, self.data)
