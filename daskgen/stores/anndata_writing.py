"""Writing elements of AnnData to Zarr groups, format 2 or 3, as AnnData encodes them.

An element that exists is overwritten in place where its type and shape are the same; the caller takes it out of what
readers see before another one is put in its place (`daskgen.stores.anndata`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import pandas as pd
import zarr
from numcodecs import Blosc
from zarr.codecs import BloscCodec

from daskgen.errors import UsageError
from daskgen.stores.anndata_elements import encoding, is_group, read_frame, read_text
from daskgen.stores.layout import column_layout, row_layout
from daskgen.stores.plain_arrays import PlainArray, create_plain

__all__ = [
    "copy_element",
    "copy_rows",
    "new_array",
    "new_csr",
    "new_plain_array",
    "require_group",
    "write_column",
    "write_element",
    "write_frame",
]

_COPY_BYTES = 64_000_000  # of an array that is copied at a time


def require_group(
    parent: zarr.Group, name: str, kind: str = "dict", version: str = "0.1.0", **attrs: Any
) -> zarr.Group:
    """The group `name`, made if it is not there, with its encoding."""
    group = parent.require_group(name)
    wanted = {"encoding-type": kind, "encoding-version": version, **attrs}
    if any(group.attrs.get(key) != value for key, value in wanted.items()):
        group.attrs.update(wanted)
    return group


def new_array(
    parent: zarr.Group,
    name: str,
    shape: tuple[int, ...],
    dtype: Any,
    chunks: tuple[int, ...],
    *,
    kind: str | None = "array",
    compressed: bool = True,
) -> zarr.Array:
    """An array without content: `dtype` of NumPy or "string"; compressed with blosc-lz4, as shuffled bytes.

    kind: its encoding-type (version 0.2.0); None for parts of a sparse matrix, which have none.
    """
    text = isinstance(dtype, str) and dtype == "string"
    old = parent.metadata.zarr_format == 2
    fill = "" if text else np.zeros((), dtype).item()
    compressor: Any = None
    if compressed and shape and not text:
        compressor = (
            Blosc(cname="lz4", clevel=5, shuffle=Blosc.SHUFFLE)
            if old
            else BloscCodec(cname="lz4", clevel=5, shuffle="shuffle")
        )
    return parent.create_array(
        name,
        shape=shape,
        chunks=tuple(max(1, c) for c in chunks) if shape else (),
        dtype=(str if old else "string") if text else np.dtype(dtype),
        compressors=compressor if shape and not text else ("auto" if shape else None),
        fill_value=fill,
        attributes=_encoding(kind),
        config={"write_empty_chunks": True},
    )


def new_plain_array(
    parent: zarr.Group,
    name: str,
    shape: tuple[int, ...],
    dtype: Any,
    chunks: tuple[int, ...],
    *,
    kind: str = "array",
    attributes: Mapping[str, Any] | None = None,
) -> PlainArray | None:
    """The same array made without Zarr, and quicker; None where only Zarr can. chunks: whole rows."""
    about = {**_encoding(kind), **(attributes or {})}
    return create_plain(parent, name, shape, dtype, tuple(max(1, c) for c in chunks), about, new_array)


def _encoding(kind: str | None) -> dict[str, str]:
    return {} if kind is None else {"encoding-type": kind, "encoding-version": "0.2.0"}


def _fits(node: Any, shape: tuple[int, ...], dtype: Any, kind: str) -> bool:
    """Whether an array can be overwritten with values of this shape and type."""
    if is_group(node) or encoding(node) != kind or tuple(node.shape) != shape:
        return False
    return node.dtype.kind in "TOU" if isinstance(dtype, str) else node.dtype == dtype


def _write_array(parent: zarr.Group, name: str, values: Any, kind: str, dtype: Any) -> None:
    shape = np.shape(values)
    if name in parent and not _fits(parent[name], shape, dtype, kind):
        del parent[name]
    if name not in parent:
        if len(shape) == 1:
            chunks = column_layout(shape[0]).chunks
        elif shape:
            row_bytes = int(np.prod(shape[1:], dtype=np.int64)) * (1 if isinstance(dtype, str) else dtype.itemsize)
            chunks = (row_layout(shape[0], row_bytes).chunks[0], *shape[1:])
        else:
            chunks = ()
        plain = None if isinstance(dtype, str) else new_plain_array(parent, name, shape, dtype, chunks, kind=kind)
        if plain is not None:
            plain.write(0, values)
            return
        new_array(parent, name, shape, dtype, chunks, kind=kind)
    array = parent[name]
    assert isinstance(array, zarr.Array)
    array.with_config({"write_empty_chunks": True})[...] = values


def _text(values: Any) -> np.ndarray:
    return read_text(values).astype(np.dtypes.StringDType())


def write_column(parent: zarr.Group, name: str, values: Any) -> None:
    """A column of a data frame: numbers, bool, text, a pandas Categorical or nullable array, or a Series of these."""
    if isinstance(values, (pd.Series, pd.Index)):
        values = values.array
    dtype = getattr(values, "dtype", None)
    if isinstance(dtype, pd.CategoricalDtype):
        if name in parent and (not is_group(parent[name]) or encoding(parent[name]) != "categorical"):
            del parent[name]
        group = require_group(parent, name, "categorical", "0.2.0", ordered=bool(values.ordered))
        _write_plain(group, "codes", np.asarray(values.codes))
        _write_plain(group, "categories", np.asarray(values.categories))
        return
    if isinstance(values, (pd.arrays.IntegerArray, pd.arrays.BooleanArray)):
        kind = "nullable-boolean" if isinstance(values, pd.arrays.BooleanArray) else "nullable-integer"
        if name in parent and (not is_group(parent[name]) or encoding(parent[name]) != kind):
            del parent[name]
        group = require_group(parent, name, kind)
        _write_plain(group, "values", values.to_numpy(dtype=values.dtype.numpy_dtype, na_value=0))
        _write_plain(group, "mask", np.asarray(values.isna()))
        return
    if isinstance(dtype, pd.StringDtype):
        values = values.to_numpy(dtype=object, na_value="")
    elif isinstance(values, pd.arrays.FloatingArray):
        values = values.to_numpy(dtype=np.float64, na_value=np.nan)
    _write_plain(parent, name, np.asarray(values))


def _write_plain(parent: zarr.Group, name: str, values: np.ndarray) -> None:
    if values.dtype.kind in "mM":  # AnnData has no form for dates
        values = np.where(np.isnat(values), "", values.astype(str))
    if values.dtype.kind in "SUT":
        _write_array(parent, name, _text(values), "string-array", "string")
    elif values.dtype.kind == "O":
        _write_objects(parent, name, values)
    elif values.dtype.kind in "biuf":
        _write_array(parent, name, values.astype(values.dtype.newbyteorder("=")), "array", values.dtype)
    else:
        raise UsageError(f"{name}: values of type {values.dtype} have no place in an AnnData store.")


def _write_objects(parent: zarr.Group, name: str, values: np.ndarray) -> None:
    """Python objects: text, or text with gaps, which become empty."""
    texts = ["" if item is None or item is pd.NA or item != item else item for item in values.ravel().tolist()]
    strange = next((item for item in texts if not isinstance(item, (str, bytes))), None)
    if strange is not None:
        if all(isinstance(item, (bool, np.bool_)) for item in values.ravel().tolist()):
            _write_plain(parent, name, values.astype(bool))
            return
        texts = [str(item) for item in texts]
    out = np.empty(len(texts), object)
    out[:] = texts
    _write_array(parent, name, _text(out.reshape(values.shape)), "string-array", "string")


def write_frame(parent: zarr.Group, name: str, frame: pd.DataFrame) -> None:
    """A data frame, new: its index and its columns, then their order."""
    index = frame.index.name if isinstance(frame.index.name, str) and frame.index.name not in frame else "_index"
    group = require_group(parent, name, "dataframe", "0.2.0")
    _write_plain(group, index, np.asarray(frame.index.to_numpy(dtype=object)))
    for column in frame:
        write_column(group, str(column), frame[column])
    group.attrs.update({"_index": index, "column-order": [str(column) for column in frame]})


def write_element(parent: zarr.Group, name: str, value: Any) -> None:
    """An unstructured element: dict of elements, array, number, str, bool, None, data frame or categorical."""
    if isinstance(value, Mapping):
        if name in parent and (not is_group(parent[name]) or encoding(parent[name]) != "dict"):
            del parent[name]
        group = require_group(parent, name)
        for key in [key for key in group if key not in {str(k) for k in value}]:
            del group[key]
        for key, item in value.items():
            write_element(group, str(key), item)
        return
    if isinstance(value, pd.DataFrame):
        if name in parent:
            del parent[name]
        write_frame(parent, name, value)
        return
    if isinstance(value, (pd.Categorical, pd.Series, pd.Index)):
        write_column(parent, name, value)
        return
    if value is None:
        if name in parent:
            del parent[name]
        array = new_array(parent, name, (), bool, ())
        array.attrs.update({"encoding-type": "null", "encoding-version": "0.1.0"})
        return
    if isinstance(value, (str, bytes)):
        text = value.decode() if isinstance(value, bytes) else value
        _write_array(parent, name, np.array(text, np.dtypes.StringDType()), "string", "string")
        return
    if isinstance(value, (bool, int, float, np.generic)):
        number = np.asarray(value)
        _write_array(parent, name, number, "numeric-scalar", number.dtype)
        return
    array = np.asarray(value)
    if array.dtype.names:
        write_element(parent, name, {field: array[field] for field in array.dtype.names})
        return
    _write_plain(parent, name, array)


def new_csr(
    parent: zarr.Group, name: str, shape: tuple[int, int], nnz: int, dtype: Any, chunk_values: int
) -> zarr.Group:
    """A CSR matrix without content. `indices` and `indptr` have one width: int32 below 2^31 values, else int64."""
    width = np.int32 if nnz < 2**31 else np.int64
    group = require_group(parent, name, "csr_matrix", "0.1.0", shape=list(shape))
    chunk = (max(1, min(chunk_values, nnz)),)
    new_array(group, "data", (nnz,), dtype, chunk, kind=None)
    new_array(group, "indices", (nnz,), width, chunk, kind=None)
    new_array(group, "indptr", (shape[0] + 1,), width, (min(shape[0] + 1, chunk_values),), kind=None)
    return group


def copy_element(source: Any, parent: zarr.Group, name: str, path: str = "") -> Iterator[str]:
    """Copy an element of any kind, arrays piece by piece. Yields a line for what is changed or left out on the way."""
    where = f"{path}/{name}" if path else name
    if is_group(source):
        kind = encoding(source) or "dict"
        attrs = {key: _plain_attribute(value) for key, value in dict(source.attrs).items()}
        attrs = {key: value for key, value in attrs.items() if value is not None and not key.startswith("h5sparse")}
        if kind in ("csr_matrix", "csc_matrix") and "shape" not in attrs:
            attrs["shape"] = [int(n) for n in source.attrs["h5sparse_shape"]]
        version = "0.2.0" if kind in ("dataframe", "categorical") else "0.1.0"
        group = parent.require_group(name)
        group.attrs.update({"encoding-version": version, **attrs, "encoding-type": kind})
        for child in source:
            yield from copy_element(source[child], group, child, where)
        return
    if source.dtype.names:
        yield f"{where}: an array of records, kept as one array for each field"
        records = np.asarray(source[()])
        group = require_group(parent, name)
        for field in records.dtype.names or ():
            write_element(group, field.replace("/", "|"), records[field])
        return
    if source.shape is None or encoding(source) == "null":
        write_element(parent, name, None)
        return
    _copy_array(source, parent, name, inside=encoding(parent))


def copy_rows(source: Any, parent: zarr.Group, name: str, rows: np.ndarray) -> bool:
    """Copy some rows of an array or a data frame, arrays piece by piece. rows: their numbers, ascending. False where it
    is neither."""
    if is_group(source):
        if encoding(source) != "dataframe":
            return False
        write_frame(parent, name, read_frame(source).iloc[rows])
        return True
    shape = (len(rows), *source.shape[1:])
    row_bytes = max(1, int(np.prod(shape[1:], dtype=np.int64)) * source.dtype.itemsize)
    height = max(1, min(source.chunks[0], len(rows)))
    array = new_array(parent, name, shape, source.dtype, (height, *shape[1:]), kind=encoding(source) or "array")
    step = height * max(1, _COPY_BYTES // (height * row_bytes))
    for start in range(0, len(rows), step):
        part = rows[start : start + step]
        array[start : start + len(part)] = np.asarray(source[part[0] : part[-1] + 1])[part - part[0]]
    return True


def _plain_attribute(value: Any) -> Any:
    """An attribute as JSON has it; None for one that JSON cannot hold."""
    if isinstance(value, bytes):
        return value.decode()
    if isinstance(value, np.ndarray):
        return [item.decode() if isinstance(item, bytes) else item for item in value.tolist()]
    if isinstance(value, np.generic):
        return value.item()
    return value if isinstance(value, (str, int, float, bool, list)) else None


def _copy_array(source: Any, parent: zarr.Group, name: str, inside: str) -> None:
    text = source.dtype.kind in "SOUT"
    kind: str | None = encoding(source)
    if not kind:
        scalar = source.shape == ()
        kind = ("string" if scalar else "string-array") if text else ("numeric-scalar" if scalar else "array")
    if inside in ("csr_matrix", "csc_matrix"):
        kind = None
    if text or not source.shape:
        values = source[()]
        if text and not source.shape:
            values = np.array(read_text(values).item(), np.dtypes.StringDType())
        elif text:
            values = _text(values)
        _write_array(parent, name, values, str(kind), "string" if text else source.dtype)
        return
    dtype = source.dtype.newbyteorder("=")
    row_bytes = max(1, int(np.prod(source.shape[1:], dtype=np.int64)) * dtype.itemsize)
    chunks = (row_layout(source.shape[0], row_bytes).chunks[0], *source.shape[1:])
    array = new_array(parent, name, tuple(source.shape), dtype, chunks, kind=kind)
    step = chunks[0] * max(1, _COPY_BYTES // (chunks[0] * row_bytes))
    for start in range(0, source.shape[0], step):
        array[start : start + step] = np.asarray(source[start : start + step])
