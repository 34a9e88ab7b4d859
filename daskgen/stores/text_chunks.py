"""Text of a store as Python strings, without the two copies that NumPy's string type makes on the way.

Zarr decodes text to StringDType; taking strings out of that again costs four times what decoding costs. `verify` needs
every text once, to join them all, so it decodes the chunks itself where they are what the writer makes.
"""

from __future__ import annotations

import zarr
from numcodecs.vlen import VLenUTF8
from numcodecs.zstd import Zstd
from zarr.codecs import VLenUTF8Codec, ZstdCodec

from daskgen.stores.location import Location

__all__ = ["is_plain_text", "region_texts"]


def is_plain_text(array: zarr.Array) -> bool:
    """Whether a text array is laid out as the writer does: cut along the first axis, zstd or nothing, no shards."""
    plain = array.shards is None and not array.filters and isinstance(array.serializer, VLenUTF8Codec)
    packed = len(array.compressors) == 1 and isinstance(array.compressors[0], ZstdCodec)
    whole = all(a >= b for a, b in zip(array.chunks[1:], array.shape[1:], strict=True))
    return plain and whole and (packed or not array.compressors)


def region_texts(location: Location, array: zarr.Array, region: tuple[slice, ...]) -> list[str] | None:
    """The texts of `array[region]` in C order; None where the array is not laid out as the writer does.

    region: whole chunks along the first axis, all of the others. Raises what damaged chunks raise, FileNotFoundError
    where one is missing.
    """
    if not is_plain_text(array):
        return None
    step, rows = array.chunks[0], region[0]
    width = 1
    for length in array.shape[1:]:
        width *= length
    found: list[str] = []
    for number in range(rows.start // step, -(-rows.stop // step)):
        key = array.metadata.encode_chunk_key((number, *(0 for _ in array.shape[1:])))
        content = location.join(array.path, key).read_bytes()
        values = VLenUTF8().decode(Zstd().decode(content) if array.compressors else content).tolist()
        # The last chunk is filled up; what is beyond the array is not part of it.
        found.extend(values[: (min(rows.stop, (number + 1) * step) - number * step) * width])
    return found
