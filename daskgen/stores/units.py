"""Writing whole write units (chunks, or shards where chunks lie in shards), each by the shortest way there is.

A chunk of an array without compression is its bytes in C order. Zarr passes it through its codecs and its event loop,
which costs as much processor time as making its content; here it goes to its file in one system call. Shards are
written chunk by chunk (`shards`). All else is left to Zarr.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import Any

import numpy as np
import zarr
from zarr.codecs import BytesCodec

from daskgen.stores.location import Location
from daskgen.stores.shards import ShardFile

__all__ = ["write_block"]


def write_block(location: Location, array: zarr.Array[Any], region: tuple[slice, ...], block: np.ndarray) -> None:
    """Write `block`, C-contiguous and of the array's type, to `region` of an array of the store at `location`.

    The region consists of whole write units.
    """
    for part, rows in _by_unit(region, array.shards or array.chunks):
        own = block[rows]
        if _is_plain(array) and own.shape == array.chunks:
            where = tuple(rows.start // step for rows, step in zip(part, array.chunks, strict=True))
            place = location.join(array.path, array.metadata.encode_chunk_key(where))
            place.write_bytes(memoryview(own.reshape(-1).view(np.uint8)))
        elif ShardFile.can_write(array, part):
            shard = ShardFile(location, array, part)
            try:
                shard.add(own)
                shard.finish()
            except BaseException:
                shard.discard()
                raise
        else:
            array[part] = own


def _by_unit(region: tuple[slice, ...], unit: tuple[int, ...]) -> Iterator[tuple[tuple[slice, ...], Any]]:
    """The region cut along its first axis into write units: (part, its rows in the block)."""
    if not region:
        yield region, ...
        return
    first, step = region[0], unit[0]
    for start in range(first.start, first.stop, step):
        stop = min(start + step, first.stop)
        yield (slice(start, stop), *region[1:]), slice(start - first.start, stop - first.start)


def _is_plain(array: zarr.Array[Any]) -> bool:
    """Whether a whole chunk of `array` is stored as its bytes lie in memory."""
    if array.metadata.zarr_format != 3 or array.shards is not None or array.dtype.kind not in "biuf":
        return False
    if not array.shape or array.compressors or array.filters or not isinstance(array.serializer, BytesCodec):
        return False
    return array.dtype.itemsize == 1 or sys.byteorder == "little"
