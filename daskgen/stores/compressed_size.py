"""How many bytes a block of numbers takes in a store once it is compressed."""

from __future__ import annotations

import numcodecs
import numpy as np

__all__ = ["compressed_size"]


def compressed_size(block: np.ndarray, compression: str | None) -> int:
    """Bytes of the block as `ArrayPlan` compresses it: None, "zstd" (level 1) or "lz4" (blosc with bit shuffle)."""
    if compression is None:
        return block.nbytes
    if compression == "zstd":
        return len(numcodecs.Zstd(level=1).encode(block))
    return len(numcodecs.Blosc(cname="lz4", clevel=5, shuffle=numcodecs.Blosc.BITSHUFFLE).encode(block))
