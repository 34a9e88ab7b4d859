"""Reading an AnnData store again: is it whole, and are X's values those that were written?"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import zarr

from daskgen import limits
from daskgen.errors import StoreError
from daskgen.stores.anndata import AnnDataStore
from daskgen.stores.anndata_elements import read_column
from daskgen.stores.anndata_new import CHECKSUMS
from daskgen.stores.anndata_rows import CellRows
from daskgen.stores.location import Location
from daskgen.stores.verify import marked_problems

__all__ = ["verify_anndata"]


def verify_anndata(location: Location) -> list[str]:
    """Problems of the store, each one line.

    Checks that the columns of obs and var fit the cells and genes, and that every matrix can be read to its end with
    genes in range and numbers that are finite; in a store that daskgen made, also X against its checksums.
    """
    try:
        store = AnnDataStore.open(location)
    except StoreError as error:
        return [str(error)]
    problems = [problem for frame in ("obs", "var") for problem in _frame_problems(store, frame)]
    checksums = store.group.get(CHECKSUMS)
    if isinstance(checksums, zarr.Group) and all("grid" in marks.attrs for _, marks in checksums.arrays()):
        problems.extend(marked_problems(location, store.group, checksums)[0])
    for element in ("X", *(f"layers/{name}" for name in store.layers)):
        if element in store.group:
            problems.extend(_matrix_problems(store, element))
    return problems


def _frame_problems(store: AnnDataStore, frame: str) -> list[str]:
    problems = []
    n = len(store.names(frame))
    if len(set(store.names(frame).tolist())) < n:
        problems.append(f"{frame}: names are not unique")
    for name in store.columns(frame):
        try:
            length = len(read_column(store.group[frame], name))
        except Exception as error:  # damaged in any way: the report is the point
            problems.append(f"{frame}/{name} cannot be read ({type(error).__name__}: {error})")
            continue
        if length != n:
            problems.append(f"{frame}/{name} has {length:,} values, not {n:,}")
    return problems


def _matrix_problems(store: AnnDataStore, element: str) -> list[str]:
    try:
        rows = store.rows(element)
    except StoreError as error:
        return [error.summary]
    shape = (store.n_cells, store.n_genes)
    if rows.info.shape != shape:
        return [f"{element} is {rows.n_rows:,} x {rows.n_genes:,}, obs and var say {shape[0]:,} x {shape[1]:,}"]
    with ThreadPoolExecutor(limits.cores()) as pool:
        found = pool.map(lambda block: _block_problem(rows, *block), rows.blocks())
        return [f"{element}: {problem}" for problem in found if problem]


def _block_problem(rows: CellRows, start: int, stop: int) -> str | None:
    try:
        values = rows.reader().read(start, stop).data
    except Exception as error:  # damaged in any way: the report is the point
        return f"cells {start:,} to {stop - 1:,} cannot be read ({type(error).__name__}: {error})"
    if values.dtype.kind == "f" and not np.isfinite(values).all():
        return f"cells {start:,} to {stop - 1:,} have values that are NaN or infinite"
    return None
