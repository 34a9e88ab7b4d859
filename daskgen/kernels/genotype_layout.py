"""The packed genotype array: uint8 (variants, ceil(samples / 4)), four samples a byte, low bits first.

A code of two bits is the number of copies of the counted allele, 0, 1 or 2; 3 is missing. The last byte of a row is
filled up with code 3, so that padding looks like samples without a call.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["MISSING", "as_input", "as_output", "check_packed", "check_positions", "included_samples", "packed_width"]

MISSING = 3


def packed_width(n_samples: int) -> int:
    """Bytes of a packed row of `n_samples` samples: ceil(n_samples / 4)."""
    return (n_samples + 3) // 4


def included_samples(n_samples: int) -> npt.NDArray[np.uint8]:
    """A packed row, uint8 (packed_width,), with both bits set for every sample and none for padding."""
    row = np.full(packed_width(n_samples), 0xFF, np.uint8)
    if n_samples % 4:
        row[-1] = (1 << 2 * (n_samples % 4)) - 1
    return row


def as_input(array: npt.ArrayLike, dtype: type, name: str, shape: tuple[int | None, ...]) -> npt.NDArray[Any]:
    """`array` as kernels read it: C-contiguous and aligned, of exactly this `dtype`; None in `shape` is any length.

    Copies only what lies otherwise in memory. Raises TypeError for another dtype (a cast would hide a mistake),
    ValueError for another shape.
    """
    found = np.asarray(array)
    if found.dtype != dtype:
        raise TypeError(f"{name} must be {np.dtype(dtype)}, it is {found.dtype}")
    if found.ndim != len(shape) or any(want not in (None, have) for want, have in zip(shape, found.shape, strict=True)):
        wanted = ", ".join("any" if length is None else str(length) for length in shape)
        raise ValueError(f"{name} must have the shape ({wanted}), it has {found.shape}")
    return np.require(found, requirements=["C", "A"])


def as_output(out: npt.NDArray[Any] | None, dtype: type, shape: tuple[int, ...]) -> npt.NDArray[Any]:
    """`out`, or a new array where it is None. Raises ValueError if `out` cannot be written in place as it is."""
    if out is None:
        return np.empty(shape, dtype)
    if out.dtype != dtype or out.shape != shape or not (out.flags.c_contiguous and out.flags.writeable):
        raise ValueError(
            f"out must be a writeable C-contiguous {np.dtype(dtype)} array of shape {shape}, "
            f"it is {out.dtype} of shape {out.shape}"
        )
    return out


def check_packed(packed: npt.ArrayLike, n_samples: int | None = None, name: str = "packed") -> npt.NDArray[np.uint8]:
    """`packed` as kernels read it: uint8 (variants, packed_width(n_samples)), see :func:`as_input`."""
    return as_input(packed, np.uint8, name, (None, None if n_samples is None else packed_width(n_samples)))


def check_positions(index: npt.ArrayLike, n_samples: int) -> npt.NDArray[np.int64]:
    """Positions of samples as kernels read them; TypeError if not integers, ValueError if beyond the samples."""
    given = np.asarray(index)
    if given.size == 0:
        given = given.astype(np.int64)
    if not np.issubdtype(given.dtype, np.integer):
        raise TypeError(f"sample positions must be integers, they are {given.dtype}")
    samples = as_input(given.astype(np.int64, copy=False), np.int64, "sample positions", (None,))
    if samples.size and not (samples.min() >= 0 and samples.max() < n_samples):
        raise ValueError(
            f"sample positions must lie in 0 to {n_samples - 1}, they go from {samples.min()} to {samples.max()}"
        )
    return samples
