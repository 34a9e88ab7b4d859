"""Chunks of one-dimensional arrays decoded straight into the memory where they are wanted.

Zarr passes a chunk through its event loop, decodes it into memory of its own and copies it from there, which costs
three times what decoding costs. Local chunks that are packed by blosc or zstd alone, or not packed, are read here; Zarr
reads all others.
"""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Callable
from typing import Any

import numcodecs.blosc
import numcodecs.zstd
import numpy as np
import numpy.typing as npt
import zarr
from numcodecs import Blosc, Zstd
from zarr.codecs import BloscCodec, BytesCodec, ZstdCodec

from daskgen.buffers import at_least, give_back
from daskgen.stores.location import Location

__all__ = ["chunk_decoder"]

Decode = Callable[[int, npt.NDArray[Any]], None]


def chunk_decoder(location: Location, array: zarr.Array[Any]) -> Decode | None:
    """A function of a chunk's number and an array of the chunk's length that it fills; None where Zarr has to read.

    array: one-dimensional, of the store at `location`. The function raises what damaged chunks raise; a chunk that is
    not there is the fill value.
    """
    unpack = _unpacker(array)
    if not location.local or unpack is None:
        return None
    folder, key, fill = location.join(array.path), array.metadata.encode_chunk_key, array.fill_value or 0

    def decode(number: int, out: npt.NDArray[Any]) -> None:
        try:
            with open(folder.join(key((number,))).url, "rb", buffering=0) as file:
                packed = at_least(os.fstat(file.fileno()).st_size, np.uint8)
                n = _read(file, packed)
        except FileNotFoundError:
            out[...] = fill
            return
        unpack(memoryview(packed)[:n], out)
        give_back(packed)

    return decode


def _read(file: io.FileIO, into: npt.NDArray[Any]) -> int:
    """Read all of a file into a larger array; how many bytes there were."""
    n = 0
    while more := file.readinto(memoryview(into)[n:]):
        n += more
    return n


def _unpacker(array: zarr.Array[Any]) -> Callable[[memoryview, npt.NDArray[Any]], Any] | None:
    if array.ndim != 1 or array.shards is not None or array.filters or array.dtype.kind not in "biuf":
        return None
    if not array.dtype.isnative or sys.byteorder != "little":
        return None
    if array.metadata.zarr_format == 3 and not isinstance(array.serializer, BytesCodec):
        return None
    if not array.compressors:
        return _copy
    if len(array.compressors) > 1:
        return None
    codec = array.compressors[0]
    if isinstance(codec, (Blosc, BloscCodec)):
        return _blosc
    return _zstd if isinstance(codec, (Zstd, ZstdCodec)) else None


def _copy(content: memoryview, out: npt.NDArray[Any]) -> None:
    out[...] = np.frombuffer(content, out.dtype)


def _blosc(content: memoryview, out: npt.NDArray[Any]) -> None:
    numcodecs.blosc.decompress(content, out)


def _zstd(content: memoryview, out: npt.NDArray[Any]) -> None:
    numcodecs.zstd.decompress(content, out)
