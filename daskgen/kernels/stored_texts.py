"""The texts of a chunk as Zarr stores them, as bytes one after another."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from numba import types

from daskgen.kernels.compile import input_array, kernel, output_array
from daskgen.kernels.genotype_layout import as_input
from daskgen.kernels.words import load_uint32

__all__ = ["unpack_texts"]

_BYTES = types.uint8


def unpack_texts(chunk: npt.NDArray[np.uint8], n: int) -> npt.NDArray[np.uint8]:
    """The first n texts of a chunk in Zarr's variable-length UTF-8, each ended by a zero byte.

    chunk: uint8 (bytes,): how many texts there are, then of each its length and its bytes; numbers are uint32,
    little-endian. ValueError where it holds fewer texts, or a text goes beyond its end.
    """
    chunk = as_input(chunk, np.uint8, "chunk", (None,))
    content = np.empty(chunk.size, np.uint8)  # a length takes more room than the byte that ends a text
    size = int(_unpack(chunk, n, content))
    if size < 0:
        raise ValueError(f"the chunk holds fewer than {n:,} whole texts")
    return content[:size]


@kernel(types.int64(input_array(_BYTES, 1), types.int64, output_array(_BYTES, 1)))
def _unpack(chunk, n, content):
    if chunk.size < 4 or np.int64(load_uint32(chunk, 0)) < n:
        return -1
    place, size = 4, 0
    for _ in range(n):
        if place + 4 > chunk.size:
            return -1
        length = np.int64(load_uint32(chunk, place))
        place += 4
        if place + length > chunk.size:
            return -1
        for k in range(length):
            content[size + k] = chunk[place + k]
        content[size + length] = 0
        size += length + 1
        place += length
    return size
