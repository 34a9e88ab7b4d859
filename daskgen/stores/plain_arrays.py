"""Numeric arrays of local stores in Zarr format 3, written without Zarr.

A step leaves dozens of small arrays. Zarr passes each through its event loop several times, which costs five
milliseconds an array, on a small data set as much as the step itself. What lies on disk is the same: Zarr itself says
what the metadata are, once for every type.
"""

from __future__ import annotations

import functools
import json
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numcodecs.blosc
import numpy as np
import numpy.typing as npt
import zarr
from zarr.storage import LocalStore, MemoryStore

from daskgen.stores.location import Location

__all__ = ["PlainArray", "create_plain"]

Create = Callable[[zarr.Group, str, tuple[int, ...], Any, tuple[int, ...]], zarr.Array]


@dataclass(frozen=True)
class PlainArray:
    """An array at `url` whose chunks are `chunk_rows` whole rows, packed by blosc-lz4; a scalar is not packed. For
    tasks: picklable."""

    url: str
    shape: tuple[int, ...]
    chunk_rows: int
    dtype: np.dtype[Any]

    def write(self, start: int, values: npt.NDArray[Any]) -> None:
        """Rows from `start` on, (rows, ...): whole chunks, or up to the end. Each chunk appears whole."""
        if not self.shape:
            Location(f"{self.url}/c").write_bytes(np.asarray(values, self.dtype).tobytes())
            return
        for first in range(0, len(values), self.chunk_rows):
            part = np.ascontiguousarray(values[first : first + self.chunk_rows], self.dtype)
            if len(part) < self.chunk_rows:  # the last chunk is as long as the others
                whole = np.zeros((self.chunk_rows, *self.shape[1:]), self.dtype)
                whole[: len(part)] = part
                part = whole
            packed = numcodecs.blosc.compress(part.view(np.uint8), b"lz4", 5, 1, 0, self.dtype.itemsize)
            key = "/".join(str(i) for i in ((start + first) // self.chunk_rows, *(0 for _ in self.shape[1:])))
            Location(f"{self.url}/c/{key}").write_bytes(packed)


def create_plain(
    parent: zarr.Group,
    name: str,
    shape: tuple[int, ...],
    dtype: Any,
    chunks: tuple[int, ...],
    attributes: Mapping[str, Any],
    like: Create,
) -> PlainArray | None:
    """Create the array `name`, which is not there, without content; None where Zarr has to do it.

    chunks: whole rows; like: makes an array in the way that this one is to be made, (parent, name, shape, dtype,
    chunks). Zarr does it on object stores, in format 2, for text, and where an array has no elements.
    """
    store = parent.store
    if not isinstance(store, LocalStore) or parent.metadata.zarr_format != 3 or sys.byteorder != "little":
        return None
    kind = np.dtype(dtype)
    if kind.kind not in "biuf" or not kind.isnative or 0 in shape or chunks[1:] != shape[1:]:
        return None
    metadata = json.loads(_metadata(kind.str, len(shape), like))
    metadata["shape"] = list(shape)
    metadata["chunk_grid"]["configuration"]["chunk_shape"] = list(chunks)
    metadata["attributes"] = dict(attributes)
    folder = Path(str(store.root), parent.path, name)
    Location(str(folder / "zarr.json")).write_bytes(json.dumps(metadata, indent=2).encode())
    return PlainArray(str(folder), shape, chunks[0] if chunks else 1, kind)


@functools.lru_cache(maxsize=256)
def _metadata(dtype: str, n_dimensions: int, like: Create) -> bytes:
    """What Zarr writes about such an array."""
    memory = MemoryStore()
    shape = (1,) * n_dimensions
    like(zarr.create_group(memory, zarr_format=3), "x", shape, np.dtype(dtype), shape)
    return bytes(memory._store_dict["x/zarr.json"].to_bytes())
