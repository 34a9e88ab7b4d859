"""A store as arrays by name that are read when their values are asked for.

What `open_dataset` gives users, for passes and commands that need no more: the few names of an xarray Dataset that they
use, without the import of xarray, which takes half a second.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import zarr

from daskgen.stores.location import Location, StoreLike
from daskgen.stores.reader import open_group
from daskgen.stores.target import write_unit

__all__ = ["StoreTable", "StoredArray", "open_table"]


@dataclass(frozen=True, eq=False)
class StoredArray:
    """An array of a store, or a part of it: at has a slice, or an index, for each dimension of the array."""

    array: zarr.Array
    at: tuple[int | slice, ...]

    @property
    def dims(self) -> tuple[str, ...]:
        """Names of the dimensions that the part has."""
        names = getattr(self.array.metadata, "dimension_names", None) or ()
        return tuple(str(name) for name, where in zip(names, self.at, strict=True) if isinstance(where, slice))

    @property
    def shape(self) -> tuple[int, ...]:
        return tuple(
            len(range(*where.indices(length)))
            for where, length in zip(self.at, self.array.shape, strict=True)
            if isinstance(where, slice)
        )

    @property
    def ndim(self) -> int:
        return len(self.shape)

    @property
    def dtype(self) -> np.dtype:
        return self.array.dtype

    @property
    def attrs(self) -> dict[str, Any]:
        return self.array.attrs.asdict()

    @property
    def steps(self) -> dict[str, int]:
        """Along each dimension, the length of what is read or written as a whole."""
        kept = [step for step, where in zip(write_unit(self.array), self.at, strict=True) if isinstance(where, slice)]
        return dict(zip(self.dims, kept, strict=True))

    def isel(self, indexers: Mapping[str, int | slice] | None = None, **more: int | slice) -> StoredArray:
        """A part of the whole array, by dimension; parts of parts are not taken."""
        wanted = {**(indexers or {}), **more}
        kept = iter(self.dims)
        names = [next(kept) if isinstance(where, slice) else None for where in self.at]
        at = tuple(
            wanted.get(name, where) if name is not None else where for name, where in zip(names, self.at, strict=True)
        )
        return StoredArray(self.array, at)

    @property
    def values(self) -> np.ndarray:
        """What the part holds, read now."""
        return np.asarray(self.array[self.at])

    data = values


@dataclass(frozen=True, eq=False)
class StoreTable:
    """An opened store: url, root attributes, and its arrays by name."""

    url: str
    attrs: dict[str, Any]
    variables: Mapping[str, StoredArray]

    def __getitem__(self, name: str) -> StoredArray:
        return self.variables[name]

    @cached_property
    def sizes(self) -> dict[str, int]:
        """Length of each dimension."""
        return {dim: n for array in self.variables.values() for dim, n in zip(array.dims, array.shape, strict=True)}


def open_table(path: StoreLike | Location, kind: str | None = None) -> StoreTable:
    """Open a store of daskgen; raises what `open_group` raises."""
    location = Location.of(path)
    group = open_group(location, kind)
    arrays = {name: StoredArray(array, (slice(None),) * array.ndim) for name, array in group.arrays()}
    return StoreTable(location.url, group.attrs.asdict(), arrays)
