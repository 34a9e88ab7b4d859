"""Shards, written chunk by chunk while their rows come.

A shard is the bytes of its chunks, here one after the other in C order, and an index at the end: offset and number of
bytes of every chunk (uint64, in C order; all bits set for one that is not there), with the CRC-32C of these (4 bytes).
Zarr makes a shard from a padded copy of all of it, its encoded chunks, and these once more in one piece. Here no more
is in memory than the rows that were given and one chunk, so that a shard may be larger than what a task holds.

Source: the Zarr v3 specification of the codec sharding_indexed,
https://zarr-specs.readthedocs.io/en/latest/v3/codecs/sharding-indexed/index.html
"""

from __future__ import annotations

import itertools
import sys
from typing import Any

import google_crc32c
import numpy as np
import zarr
from numcodecs.zstd import Zstd
from zarr.codecs import BytesCodec, Crc32cCodec, ShardingCodec, ZstdCodec

from daskgen.stores.location import Location

__all__ = ["ShardFile"]

_ABSENT = np.uint64(2**64 - 1)


class ShardFile:
    """One shard of an array of the store at `location`, which lies under its name once `finish` was called.

    part: what the shard covers, up to the end of the array.
    """

    def __init__(self, location: Location, array: zarr.Array[Any], part: tuple[slice, ...]):
        codec = _codec(array)
        assert codec is not None, "`can_write` says which shards can be written here"
        assert array.shards is not None
        self._array = array
        counts = tuple(shard // chunk for shard, chunk in zip(array.shards, array.chunks, strict=True))
        where = tuple(rows.start // step for rows, step in zip(part, array.shards, strict=True))
        self._index = np.full((*counts, 2), _ABSENT, "<u8")
        packers = [Zstd(level=one.level, checksum=one.checksum) for one in codec.codecs if isinstance(one, ZstdCodec)]
        self._packer = packers[0] if packers else None
        self._file = location.join(array.path, array.metadata.encode_chunk_key(where)).new_file()
        self.n_rows = self._offset = 0

    @staticmethod
    def can_write(array: zarr.Array[Any], part: tuple[slice, ...]) -> bool:
        """Whether `part` is one shard, up to the end of the array, of an array with plain or zstd-packed chunks."""
        if array.shards is None or _codec(array) is None:
            return False
        return all(
            rows.start % step == 0 and rows.stop == min(rows.start + step, length)
            for rows, step, length in zip(part, array.shards, array.shape, strict=True)
        )

    def add(self, block: np.ndarray) -> None:
        """The next rows, C-contiguous and of the array's type: whole chunks, but for the last rows of the array."""
        chunks, counts = self._array.chunks, self._index.shape[1:-1]
        padded = np.empty(chunks, self._array.dtype)
        if self.n_rows % chunks[0]:
            raise ValueError(f"{self._array.path}: {self.n_rows} rows before these are not whole chunks of {chunks[0]}")
        for first in range(0, len(block), chunks[0]):
            row = (self.n_rows + first) // chunks[0]
            for columns in itertools.product(*map(range, counts)):
                edges = zip(columns, chunks[1:], strict=True)
                own = block[(slice(first, first + chunks[0]), *(slice(i * step, (i + 1) * step) for i, step in edges))]
                if own.shape != chunks:
                    padded[...] = self._array.fill_value
                    padded[tuple(map(slice, own.shape))] = own
                    own = padded
                plain = np.ascontiguousarray(own).reshape(-1).view(np.uint8)
                content = memoryview(plain) if self._packer is None else self._packer.encode(plain)
                self._index[(row, *columns)] = self._offset, len(content)
                self._offset += len(content)
                self._file.write(content)
        self.n_rows += len(block)

    def finish(self) -> None:
        """Write the index and give the shard its name."""
        index = self._index.tobytes()
        self._file.write(index + int(google_crc32c.value(index)).to_bytes(4, "little"))
        self._file.finish()

    def discard(self) -> None:
        """Leave nothing behind."""
        self._file.discard()


def _codec(array: zarr.Array[Any]) -> ShardingCodec | None:
    """The codec of an array whose shards can be written here; None for any other array."""
    codecs: tuple[Any, ...] = getattr(array.metadata, "codecs", ())
    if len(codecs) != 1 or not isinstance(codecs[0], ShardingCodec) or array.dtype.kind not in "biuf":
        return None
    codec = codecs[0]
    serialiser, *packers = codec.codecs
    plain = isinstance(serialiser, BytesCodec) and (array.dtype.itemsize == 1 or sys.byteorder == "little")
    zstd = not packers or (len(packers) == 1 and isinstance(packers[0], ZstdCodec))
    index = [type(one) for one in codec.index_codecs] == [BytesCodec, Crc32cCodec]
    # An enumeration up to zarr 3.1, plain text after it.
    at_end = getattr(codec.index_location, "value", codec.index_location) == "end"
    return codec if plain and zstd and index and at_end else None
