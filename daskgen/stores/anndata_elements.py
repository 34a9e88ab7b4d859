"""Elements of AnnData groups, read from Zarr and HDF5 alike and written to Zarr.

AnnData describes what a group or array is in its attributes ``encoding-type`` and ``encoding-version``: a data frame is
a group with an array per column and the attributes ``_index`` and ``column-order``, a categorical a group of codes and
categories, and so on. Files that are older than those attributes hold data frames as one array of records, with the
categories of a column among the unstructured elements; they are read too. Groups and arrays of h5py and zarr offer the
same few operations, so one reader serves both.

Source: the on-disk format of AnnData, https://anndata.readthedocs.io/en/stable/fileformat-prose.html.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from daskgen.errors import StoreError

__all__ = [
    "encoding",
    "index_length",
    "is_group",
    "read_column",
    "read_element",
    "read_frame",
    "read_index",
    "read_text",
    "sparse_layout",
]


def is_group(node: Any) -> bool:
    """Whether the node is a group rather than an array."""
    return not hasattr(node, "dtype")


def encoding(node: Any) -> str:
    """What AnnData says that the node is ("dataframe", "csr_matrix", ...); "" where it does not say."""
    kind = node.attrs.get("encoding-type", "")
    if isinstance(kind, bytes):
        kind = kind.decode()
    if not kind and is_group(node) and "h5sparse_format" in node.attrs:
        old = node.attrs["h5sparse_format"]
        return f"{old.decode() if isinstance(old, bytes) else old}_matrix"
    return str(kind)


def sparse_layout(node: Any) -> tuple[str, tuple[int, int]] | None:
    """("csr" or "csc", shape) of a sparse matrix; None for anything else."""
    kind = encoding(node)
    if kind not in ("csr_matrix", "csc_matrix"):
        return None
    shape = node.attrs.get("shape", node.attrs.get("h5sparse_shape"))
    if shape is None:
        raise StoreError(f"{node.name}: a sparse matrix without its shape.", found=", ".join(node.attrs))
    return kind[:3], (int(shape[0]), int(shape[1]))


def read_text(values: Any) -> np.ndarray:
    """Text of any kind on disk (bytes, fixed width, variable) as an object array of str."""
    array = np.asarray(values)
    if array.dtype.kind == "S":
        return np.char.decode(array, "utf-8").astype(object)
    if array.dtype.kind in "UT":
        return array.astype(object)
    flat = [item.decode() if isinstance(item, bytes) else str(item) for item in array.ravel().tolist()]
    out = np.empty(len(flat), object)
    out[:] = flat
    return out.reshape(array.shape)


def _values(node: Any) -> Any:
    """All of an array; text as str."""
    values = node[()]
    array = np.asarray(values)
    if array.dtype.kind in "SOUT":
        if array.ndim == 0:
            item = array.item()
            return item.decode() if isinstance(item, bytes) else str(item)
        return read_text(array)
    return array


def read_column(parent: Any, name: str) -> Any:
    """A column of a data frame: an array (text as an object array of str), or a pandas array of categories or gaps."""
    node = parent[name]
    if not is_group(node):
        if "categories" in node.attrs:  # AnnData 0.6 and 0.7
            pointed = node.attrs["categories"]
            table = parent[pointed]
            ordered = bool(np.asarray(table.attrs.get("ordered", False)))
            return pd.Categorical.from_codes(np.asarray(node[()]), _values(table), ordered=ordered)
        return _values(node)
    kind = encoding(node)
    if kind == "categorical":
        ordered = bool(np.asarray(node.attrs.get("ordered", False)))
        return pd.Categorical.from_codes(np.asarray(node["codes"][()]), _values(node["categories"]), ordered=ordered)
    if kind in ("nullable-integer", "nullable-boolean", "nullable-string-array"):
        values, mask = _values(node["values"]), np.asarray(node["mask"][()]).astype(bool)
        if kind == "nullable-integer":
            return pd.arrays.IntegerArray(values, mask)
        if kind == "nullable-boolean":
            return pd.arrays.BooleanArray(values.astype(bool), mask)
        return np.where(mask, "", values)
    raise StoreError(
        f"{node.name}: a column that daskgen cannot read.",
        found=kind or "a group without encoding-type",
        expected="numbers, text, categorical or nullable numbers",
    )


def read_frame(node: Any, uns: Any = None) -> pd.DataFrame:
    """A data frame. uns: the unstructured elements, where old files keep the categories of columns."""
    if not is_group(node):
        return _read_records(node, uns)
    order = [_as_str(name) for name in np.asarray(node.attrs.get("column-order", [])).tolist()]
    index = _as_str(node.attrs.get("_index", "_index"))
    frame = pd.DataFrame(
        {name: read_column(node, name) for name in order}, index=pd.Index(read_index(node), dtype=object)
    )
    if index not in ("_index", "index"):
        frame.index.name = index
    return frame


def read_index(node: Any) -> np.ndarray:
    """The index of a data frame as an object array of str; newer versions of AnnData keep it as text with a mask."""
    return read_text(read_column(node, _index_name(node)))


def index_length(node: Any) -> int:
    """How many rows a data frame has; its index is not read."""
    index = node[_index_name(node)]
    parts = [index[name] for name in ("values", "codes") if name in index] if is_group(index) else [index]
    return int(parts[0].shape[0]) if parts else len(read_index(node))


def _index_name(node: Any) -> str:
    index = _as_str(node.attrs.get("_index", "_index"))
    if index not in node:
        raise StoreError(f"{node.name}: a data frame without its index {index!r}.", found=", ".join(node.keys()))
    return index


def _as_str(name: Any) -> str:
    return name.decode() if isinstance(name, bytes) else str(name)


def _read_records(node: Any, uns: Any) -> pd.DataFrame:
    """A data frame of AnnData before 0.7: one array of records, whose first field is the index."""
    records = np.asarray(node[()])
    if not records.dtype.names:
        raise StoreError(f"{node.name}: neither a data frame nor an array of records.", found=records.dtype)
    index, *names = records.dtype.names
    columns: dict[str, Any] = {}
    for name in names:
        values = records[name]
        categories = f"{name}_categories"
        if uns is not None and categories in uns and values.dtype.kind in "iu":
            columns[name] = pd.Categorical.from_codes(values, _values(uns[categories]))
        else:
            columns[name] = read_text(values) if values.dtype.kind in "SOU" else values
    return pd.DataFrame(columns, index=pd.Index(read_text(records[index]), dtype=object))


def read_element(node: Any) -> Any:
    """An unstructured element: dict, data frame, categorical, array, number, str, bool or None.

    A sparse matrix comes as a dict with its three arrays, its format and its shape.
    """
    kind = encoding(node)
    if kind == "null":
        return None
    if not is_group(node):
        values = _values(node)
        if isinstance(values, np.ndarray) and values.ndim == 0 and not values.dtype.names:
            return values.item()
        return values
    if kind == "dataframe":
        return read_frame(node)
    if kind in ("categorical", "nullable-integer", "nullable-boolean", "nullable-string-array"):
        return read_column(_Holder(node), "it")
    layout = sparse_layout(node)
    if layout is not None:
        parts = {name: np.asarray(node[name][()]) for name in ("data", "indices", "indptr")}
        return {**parts, "format": layout[0], "shape": np.array(layout[1])}
    return {name: read_element(node[name]) for name in node}


class _Holder(Mapping[str, Any]):
    """A node under a name, for functions that take a parent and a name."""

    def __init__(self, node: Any):
        self._node = node

    def __getitem__(self, name: str) -> Any:
        return self._node

    def __iter__(self) -> Any:
        return iter(("it",))

    def __len__(self) -> int:
        return 1
