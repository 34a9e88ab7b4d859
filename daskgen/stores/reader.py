"""Opening stores: is it there, is it daskgen's, is it complete, is it the kind that was asked for."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

import numpy as np
import zarr
from zarr.errors import GroupNotFoundError

from daskgen.errors import StoreError
from daskgen.stores.location import Location, StoreLike
from daskgen.stores.quiet import quietly
from daskgen.stores.run_key import FORMAT
from daskgen.stores.schema import validate

if TYPE_CHECKING:
    import xarray as xr

__all__ = ["array_table", "open_dataset", "open_group", "read_text", "reopen_array"]

_groups: dict[tuple[str, str], zarr.Group] = {}
_arrays: dict[tuple[str, str, str], zarr.Array] = {}
_lock = threading.Lock()


def open_group(path: StoreLike | Location, kind: str | None = None, *, allow_incomplete: bool = False) -> zarr.Group:
    """The Zarr group of a daskgen store, read-only, after its root attributes and arrays were checked.

    Raises StoreError where nothing lies there, something else does, the store is of another kind or a newer
    format, or was never finished.
    """
    location = Location.of(path)
    if not location.exists():
        raise StoreError(
            f"{location}: there is nothing at this path.", do="check the path; workers must see it under the same name"
        )
    try:
        group = zarr.open_group(location.zarr_store(read_only=True), mode="r")
    except (GroupNotFoundError, FileNotFoundError, NotADirectoryError):
        raise StoreError(
            f"{location} is not a Zarr group.",
            expected="a store made by daskgen" if kind is None else f"a store of kind {kind}",
            do="convert the source first: daskgen convert --help",
        ) from None
    except (ValueError, KeyError, TypeError) as error:
        raise StoreError(
            f"{location}: its metadata cannot be read.", found=f"{type(error).__name__}: {error}"
        ) from error
    attrs = group.attrs.asdict()
    if "daskgen_format" not in attrs:
        raise StoreError(
            f"{location} is a Zarr group that daskgen did not make.",
            found=f"root attributes {', '.join(sorted(attrs)) or '(none)'}",
            expected="daskgen_format and kind among them",
        )
    if not isinstance(attrs["daskgen_format"], int) or attrs["daskgen_format"] > FORMAT:
        raise StoreError(
            f"{location} was written by a newer daskgen.",
            found=f"store format {attrs['daskgen_format']} ({attrs.get('created_by')})",
            expected=f"format {FORMAT} or lower",
            do="upgrade daskgen",
        )
    if kind is not None and attrs.get("kind") != kind:
        raise StoreError(f"{location} is a store of another kind.", found=attrs.get("kind"), expected=kind)
    if not attrs.get("complete") and not allow_incomplete:
        raise StoreError(
            f"{location} is not complete: its run was interrupted or is still going on.",
            do="finish it with the same command and --resume, or make it again with --force",
        )
    if attrs.get("complete"):
        problems = validate(attrs["kind"], array_table(group))
        if problems:
            raise StoreError(
                f"{location} does not have the layout of a {attrs['kind']} store.",
                found="\n".join(problems[:10]),
                do="daskgen verify says more; convert the source again",
            )
    return group


def reopen_array(url: str, store_id: str, name: str) -> zarr.Array:
    """An array of a finished store for reading in a task: opened once per process, and compared with the id.

    Raises StoreError where the path leads to another store here, or to none.
    """
    key = (url, store_id)
    with _lock:
        array = _arrays.get((*key, name))
        if array is not None:
            return array
        group = _groups.get(key)
        if group is None:
            group = open_group(url)
            if group.attrs.get("store_id") != store_id:
                raise StoreError(
                    f"{url} is not the store that the run was started with.",
                    found=f"store id {group.attrs.get('store_id')}",
                    expected=store_id,
                    do="use a path that the client and every worker see under the same name; do not replace a store "
                    "while it is read",
                )
            _groups[key] = group
        array = group[name]
        assert isinstance(array, zarr.Array), f"{name} is not an array"
        _arrays[*key, name] = array
        return array


def forget_arrays(url: str) -> None:
    """Open the store at `url` anew when it is read next: another one may lie there."""
    with _lock:
        for key in [key for key in _groups if key[0] == url]:
            del _groups[key]
        for name in [name for name in _arrays if name[0] == url]:
            del _arrays[name]


def array_table(group: zarr.Group) -> dict[str, tuple[tuple[str, ...] | None, Any, tuple[int, ...]]]:
    """Name -> (dimension names, dtype, shape) of the arrays at the root of a group."""
    return {
        name: (getattr(array.metadata, "dimension_names", None), array.dtype, array.shape)
        for name, array in group.arrays()
    }


def read_text(group: zarr.Group, name: str) -> np.ndarray:
    """A text array as NumPy StringDType."""
    return np.asarray(group[name][...], dtype=np.dtypes.StringDType())


def open_dataset(path: StoreLike | Location, kind: str | None = None) -> xr.Dataset:
    """The store as a lazy xarray Dataset: every array a Dask array in the chunks of the store."""
    import xarray as xr  # half a second, which writers and tasks do not need

    location = Location.of(path)
    group = open_group(location, kind)
    with quietly():
        dataset = xr.open_zarr(location.zarr_store(read_only=True), chunks={}, consolidated=None)
    dataset.attrs = group.attrs.asdict()
    dataset.encoding["source"] = location.url
    return dataset
