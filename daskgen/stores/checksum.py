"""CRC-32C of the bytes that a task gives to the writer: the mark of a written chunk group."""

from __future__ import annotations

from typing import NamedTuple

import google_crc32c
import numpy as np

__all__ = ["SummedBlock", "block_checksum", "text_checksum"]


class SummedBlock(NamedTuple):
    """A block whose `block_checksum` is known already."""

    values: np.ndarray
    checksum: int


def block_checksum(block: np.ndarray, before: int = 0) -> int:
    """CRC-32C of a block's C-order bytes; text counts as its UTF-8 bytes, each text ended by a zero byte.

    The value depends on the content and shape order only, not on compression, chunks or endianness of the file.
    before: the checksum of what comes before the block, where it is one of several rows after rows (not for text).
    """
    if block.dtype.kind in "TOU":
        return text_checksum(block.ravel().tolist())
    little = block.dtype.newbyteorder("<")
    data = np.ascontiguousarray(block, dtype=little).reshape(-1).view(np.uint8)
    return int(google_crc32c.extend(before, data)) if data.size else before


def text_checksum(texts: list[str]) -> int:
    """`block_checksum` of a block of text, given in C order."""
    return int(google_crc32c.value("\0".join(texts).encode() + b"\0")) if texts else 0
