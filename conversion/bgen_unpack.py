"""Probability blocks of BGEN files, unpacked: by isal or zlib, by zstandard, or not packed at all."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable

from conversion.summary.streams import inflater
from daskgen.errors import MissingPackageError

__all__ = ["Unpack", "bgen_unpacker", "unpacking_errors"]

Unpack = Callable[[memoryview, int, int], bytes]
"""(stored bytes, layout, number of samples) -> the probability block."""

_MOST_ZLIB, _MOST_ZSTD = 1_040, 1 << 16  # bytes that a packed byte can stand for


def bgen_unpacker(compression: str) -> Unpack:
    """What unpacks the blocks of a file, in one thread.

    It raises one of `unpacking_errors` for damaged bytes. MissingPackageError without what unpacks zstd.
    """
    if compression == "none":
        return lambda data, layout, n_samples: bytes(data)
    if compression == "zlib":
        inflate = inflater().decompress

        def unpack_zlib(data: memoryview, layout: int, n_samples: int) -> bytes:
            packed, size = _announced(data, layout, n_samples, _MOST_ZLIB)
            return _checked(inflate(packed, 15, size), size)

        return unpack_zlib
    try:
        import zstandard
    except ImportError:
        raise MissingPackageError(
            "this BGEN file is compressed with zstd, and the package that unpacks it is not installed.",
            do='pip install "daskgen[formats]"',
        ) from None
    decompress = zstandard.ZstdDecompressor().decompress

    def unpack_zstd(data: memoryview, layout: int, n_samples: int) -> bytes:
        packed, size = _announced(data, layout, n_samples, _MOST_ZSTD)
        return _checked(decompress(packed, max_output_size=size), size)

    return unpack_zstd


def _announced(data: memoryview, layout: int, n_samples: int, most: int) -> tuple[memoryview, int]:
    """(packed bytes, size of what they hold). ValueError for a size that they cannot have, before memory is taken."""
    if layout == 1:
        return data, 6 * n_samples
    if len(data) < 4:
        raise ValueError("it is empty")
    size, packed = struct.unpack_from("<I", data)[0], data[4:]
    if size > most * len(packed):
        raise ValueError(f"{size:,} bytes are announced, which {len(packed):,} packed ones cannot hold")
    return packed, size


def _checked(block: bytes, size: int) -> bytes:
    if len(block) != size:
        raise ValueError(f"{len(block):,} bytes unpacked where {size:,} were announced")
    return block


def unpacking_errors() -> tuple[type[Exception], ...]:
    """What unpacking raises where the bytes are damaged."""
    errors: list[type[Exception]] = [ValueError, MemoryError, zlib.error, inflater().error]
    try:
        import zstandard
    except ImportError:
        return tuple(errors)
    return (*errors, zstandard.ZstdError)
