"""Blocks of markers that are updated on one right-hand side, and the Gram matrix of each."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Literal

import numpy as np
from threadpoolctl import threadpool_limits

from daskgen.bayes.matrix import MarkerMatrix
from daskgen.errors import UsageError
from daskgen.kernels.genotype_dots import n_tiles
from daskgen.kernels.gibbs_types import Markers

__all__ = [
    "Blocks",
    "automatic_size",
    "gram_dtype",
    "gram_matrices",
    "gram_work_bytes",
    "make_blocks",
    "make_markers",
]

_TILE = 4_096  # bytes of a row, 16,384 samples, that a product takes at a time
_EXACT_BYTES = 256_000_000  # Gram matrices up to this size are kept in float64


@dataclass(frozen=True, eq=False)
class Blocks:
    """start: int64 (blocks + 1,); owner: int64 (blocks,), the genotype set of a block; repeats: int64 (blocks,)."""

    start: np.ndarray
    owner: np.ndarray
    repeats: np.ndarray

    @property
    def sizes(self) -> np.ndarray:
        return np.diff(self.start)

    @property
    def offset(self) -> np.ndarray:
        """int64 (blocks,): where each block's Gram matrix begins."""
        return np.concatenate([[0], np.cumsum(self.sizes**2)[:-1]]).astype(np.int64)

    @property
    def gram_dtype(self) -> np.dtype:
        """See `gram_dtype`."""
        return gram_dtype(int((self.sizes**2).sum()))

    @property
    def gram_bytes(self) -> int:
        return int((self.sizes**2).sum()) * self.gram_dtype.itemsize


def gram_dtype(entries: int) -> np.dtype:
    """Of Gram matrices with so many entries: float64 up to 256 MB, else float32. It depends on the shape alone, so that
    results do not depend on memory.
    """
    return np.dtype(np.float64 if 8 * entries <= _EXACT_BYTES else np.float32)


def gram_work_bytes(largest: int, width: int, threads: int) -> int:
    """Bytes that `gram_matrices` works in: a tile of values and a product for each thread. largest: markers of a block;
    width: bytes of a row of codes.
    """
    return threads * 8 * largest * (4 * min(width, _TILE) + largest)


def automatic_size(n_samples: int) -> int:
    """The power of two next to n / 16, between 16 and 256.

    In a block of b markers a change costs b additions on the right-hand side beside n on the residual, and a block
    costs one meeting of the threads: a sixteenth keeps the first below 7 %.
    """
    return int(np.clip(2 ** round(np.log2(max(1, n_samples) / 16)), 16, 256))


def make_blocks(
    blocks: Literal["auto"] | int | Sequence[int] | None,
    set_start: np.ndarray,
    n_samples: int,
    schedule: str = "exact",
) -> Blocks:
    """Cut the markers into blocks that do not reach over the sets, which begin at `set_start` (sets + 1,).

    blocks: "auto", a size, 0-based starts of the blocks, or None for single markers. schedule "jwas" repeats the
    updates inside a block as many times as it has markers. Raises UsageError for sizes and starts that cannot be.
    """
    total = int(set_start[-1])
    if blocks is None:
        inner = np.arange(total)
    elif isinstance(blocks, str):
        if blocks != "auto":
            raise UsageError(f"blocks = {blocks!r} is not understood.", expected='"auto", a size, starts, or None')
        inner = _of_size(automatic_size(n_samples), set_start)
    elif isinstance(blocks, (int, np.integer)):
        if blocks < 1:
            raise UsageError("the size of blocks is out of range.", found=blocks, expected="1 or more")
        inner = _of_size(int(blocks), set_start)
    else:
        inner = _checked_starts(blocks, total)
    start = np.unique(np.concatenate([inner, set_start])).astype(np.int64)
    owner = np.searchsorted(set_start, start[:-1], side="right") - 1
    sizes = np.diff(start)
    repeats = sizes.copy() if schedule == "jwas" else np.ones_like(sizes)
    return Blocks(start, owner.astype(np.int64), repeats.astype(np.int64))


def _of_size(size: int, set_start: np.ndarray) -> np.ndarray:
    return np.concatenate([np.arange(a, b, size) for a, b in zip(set_start[:-1], set_start[1:], strict=True)])


def _checked_starts(blocks: Sequence[int], total: int) -> np.ndarray:
    starts = np.asarray(blocks)
    if starts.ndim != 1 or not len(starts) or starts.dtype.kind not in "iu":
        raise UsageError("block starts must be whole numbers.", found=repr(blocks)[:80])
    if starts[0] != 0:
        raise UsageError("the first block must start at marker 0.", found=int(starts[0]), expected="0-based starts")
    steps = np.diff(starts.astype(np.int64))
    if (steps == 0).any():
        raise UsageError("a block start is given twice.", found=int(starts[1:][steps == 0][0]))
    if (steps < 0).any():
        raise UsageError("block starts are not sorted.", found=int(starts[1:][steps < 0][0]))
    if starts[-1] >= total:
        raise UsageError("a block start is out of range.", found=int(starts[-1]), expected=f"below {total:,}")
    return starts.astype(np.int64)


def gram_matrices(
    matrix: MarkerMatrix, blocks: Blocks, weights: np.ndarray, threads: int, dtype: np.dtype | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """(K = X' W X of every block, one after the other, and d = its diagonal, float64 (P,)).

    dtype: of K, `Blocks.gram_dtype` where it is None.

    weights: planes (4, bytes), not negative. float64 products over tiles of 16,384 samples.
    """
    out = np.empty(int((blocks.sizes**2).sum()), dtype or blocks.gram_dtype)
    diagonal = np.empty(matrix.n_markers)
    offset, width = blocks.offset, matrix.width
    root = np.sqrt(weights)

    def one(b: int) -> None:
        start, stop = int(blocks.start[b]), int(blocks.start[b + 1])
        size = stop - start
        total = np.zeros((size, size))
        for first in range(0, width, _TILE):
            last = min(first + _TILE, width)
            values = matrix.values(start, stop, first, last)
            values *= root[:, first:last].reshape(-1)
            total += values @ values.T
        out[offset[b] : offset[b] + size * size] = total.ravel()
        diagonal[start:stop] = np.diagonal(total)

    with threadpool_limits(1), ThreadPoolExecutor(threads) as pool:
        for _ in pool.map(one, range(len(blocks.owner))):
            pass
    return out, diagonal


def make_markers(
    matrix: MarkerMatrix, blocks: Blocks, weights: np.ndarray, threads: int, dtype: np.dtype | None = None
) -> Markers:
    """Genotypes, blocks and Gram matrices as the kernels take them; arguments as of `gram_matrices`."""
    gram, diagonal = gram_matrices(matrix, blocks, weights, threads, dtype)
    return Markers(
        matrix.packed,
        matrix.dosage,
        matrix.shift,
        matrix.missing,
        *matrix.gaps(),
        diagonal,
        blocks.start,
        blocks.owner,
        blocks.repeats,
        gram if gram.dtype == np.float64 else np.zeros(0),
        gram if gram.dtype == np.float32 else np.zeros(0, np.float32),
        blocks.offset,
        blocks.start[:-1].copy(),
        blocks.start[:-1] * n_tiles(matrix.width),
        np.zeros(1, np.int64),
    )
