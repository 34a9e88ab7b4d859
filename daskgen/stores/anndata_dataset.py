"""An AnnData store as an xarray Dataset."""

from __future__ import annotations

from typing import Any

import dask.array as da
import numpy as np
import pandas as pd
import xarray as xr

from daskgen.stores.anndata import AnnDataStore
from daskgen.stores.anndata_rows import CellRows
from daskgen.stores.location import Location, StoreLike

__all__ = ["open_cells_dataset"]

_BLOCK_BYTES = 32_000_000  # of a dense block of X


def open_cells_dataset(path: StoreLike | Location) -> xr.Dataset:
    """The store with dimensions cells and genes: X lazily, as dense blocks; tables and embeddings.

    Variables: `X` (cells, genes), of the stored type; `obs_NAME` (cells), `var_NAME` (genes); `obsm_NAME` (cells,
    obsm_NAME_column), lazily. Coordinates `cell` and `gene` are the names. Text and categories are text.
    """
    store = AnnDataStore.open(path)
    variables: dict[str, Any] = {}
    if "X" in store.group:
        variables["X"] = (("cells", "genes"), _lazy_rows(store.rows()))
    for frame, dim in (("obs", "cells"), ("var", "genes")):
        for name in store.columns(frame):
            variables[f"{frame}_{name}"] = (dim, _plain(store.column(frame, name)))
    for name in store.members("obsm"):
        node = store.group[f"obsm/{name}"]
        if getattr(node, "ndim", 0) == 2:
            variables[f"obsm_{name}"] = (("cells", f"obsm_{name}_column"), da.from_array(node, chunks=node.chunks))
    text = np.dtypes.StringDType()
    coords = {"cell": ("cells", store.obs_names.astype(text)), "gene": ("genes", store.var_names.astype(text))}
    dataset = xr.Dataset(variables, coords, attrs=store.group.attrs.asdict())
    dataset.encoding["source"] = store.url
    return dataset


def _lazy_rows(rows: CellRows) -> Any:
    itemsize = rows.info.dtype.itemsize
    height = max(1, min(rows.n_rows, _BLOCK_BYTES // max(1, rows.n_genes * itemsize)))
    chunks = (tuple(min(height, rows.n_rows - a) for a in range(0, rows.n_rows, height)), (rows.n_genes,))
    return da.map_blocks(_dense, rows, chunks=chunks, dtype=rows.info.dtype, meta=np.empty((0, 0), rows.info.dtype))


def _dense(rows: CellRows, block_info: Any = None) -> np.ndarray:
    (start, stop), _ = block_info[None]["array-location"]
    block = rows.reader().read(start, stop)
    dense = np.zeros((stop - start, rows.n_genes), rows.info.dtype)
    dense[np.repeat(np.arange(stop - start), np.diff(block.indptr)), block.indices] = block.data
    return dense


def _plain(values: Any) -> np.ndarray:
    """A column as NumPy has it: text for categories, NaN in numbers with gaps."""
    if isinstance(values, pd.Categorical):
        names = np.append(np.asarray(values.categories).astype(object), "")
        values = names[values.codes]
    elif isinstance(values, (pd.arrays.IntegerArray, pd.arrays.BooleanArray)):
        values = values.to_numpy(dtype=float, na_value=np.nan)
    array = np.asarray(values)
    return array.astype(str).astype(np.dtypes.StringDType()) if array.dtype.kind in "OUS" else array
