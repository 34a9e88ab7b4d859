"""Text of a store as its bytes, without a Python string for each.

Zarr decodes text to StringDType by way of Python strings, which takes 30 times as long as moving the bytes. `verify`
needs the bytes only, to checksum them, so it takes the chunks apart itself where they are what the writer makes.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
import zarr
from numcodecs.zstd import Zstd
from zarr.codecs import VLenUTF8Codec, ZstdCodec

from daskgen.stores.location import Location

__all__ = ["is_plain_text", "text_contents"]


def is_plain_text(array: zarr.Array) -> bool:
    """Whether a text array is laid out as the writer does: cut along the first axis, zstd or nothing, no shards."""
    plain = array.shards is None and not array.filters and isinstance(array.serializer, VLenUTF8Codec)
    packed = len(array.compressors) == 1 and isinstance(array.compressors[0], ZstdCodec)
    whole = all(a >= b for a, b in zip(array.chunks[1:], array.shape[1:], strict=True))
    return plain and whole and (packed or not array.compressors)


def text_contents(location: Location, array: zarr.Array, region: tuple[slice, ...]) -> Iterator[npt.NDArray[np.uint8]]:
    """The texts of `array[region]` in C order, chunk after chunk: UTF-8 bytes, each text ended by a zero byte.

    array: of which `is_plain_text`; region: whole chunks along the first axis, all of the others. Raises what damaged
    chunks raise, FileNotFoundError where one is missing.
    """
    from daskgen.kernels.stored_texts import unpack_texts  # Numba comes with it, which stores without text can spare

    step, rows = array.chunks[0], region[0]
    width = int(np.prod(array.shape[1:], dtype=np.int64))
    for number in range(rows.start // step, -(-rows.stop // step)):
        key = array.metadata.encode_chunk_key((number, *(0 for _ in array.shape[1:])))
        content = location.join(array.path, key).read_bytes()
        # The last chunk is filled up; what is beyond the array is not part of it.
        n = (min(rows.stop, (number + 1) * step) - number * step) * width
        yield unpack_texts(np.frombuffer(Zstd().decode(content) if array.compressors else content, np.uint8), n)
