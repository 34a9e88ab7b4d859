"""The standardised values of genotypes: the table of a variant, and decoding by it inside a compiled kernel."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from daskgen.kernels.compile import helper
from daskgen.kernels.dosages import DOSAGE_MISSING, DOSAGE_SCALE
from daskgen.kernels.words import load_uint64

__all__ = ["decode", "dosage_table", "value_table"]

Float32 = npt.NDArray[np.float32]
Genotypes = npt.NDArray[np.integer[Any]]
Index = npt.NDArray[np.int64]


def value_table(mean: npt.ArrayLike, scale: npt.ArrayLike, missing: float = 0.0) -> Float32:
    """What the codes of each variant stand for in Z: float32 (variants, 4).

    Codes 0, 1, 2 are (code - mean) * scale; code 3 is `missing`, by default 0: the mean. `mean` and `scale` are
    (variants,); a monomorphic variant needs the scale 0, not infinity.
    """
    centre, factor = np.broadcast_arrays(np.asarray(mean, np.float64), np.asarray(scale, np.float64))
    table = np.empty((centre.size, 4), np.float32)
    table[:, :3] = (np.arange(3.0) - centre[:, None]) * factor[:, None]
    table[:, 3] = missing
    return table


def dosage_table(mean: npt.ArrayLike, scale: npt.ArrayLike) -> Float32:
    """Mean (in alleles) and scale of each variant for dosages: float32 (variants, 2). Missing dosages become 0 in Z."""
    return np.stack(np.broadcast_arrays(np.asarray(mean), np.asarray(scale)), axis=1).astype(np.float32)


@helper
def decode(
    genotypes: Genotypes, table: Float32, rows: Index, first: int, n_bytes: int, plane: int, decoded: Float32
) -> None:
    """One plane of the bytes from `first` on, for the variants `rows`, as the first rows and columns of `decoded`."""
    if genotypes.itemsize == 1:  # known when it is compiled: there is one version for each kind
        _decode_packed(genotypes, table, rows, first, n_bytes, plane, decoded)
    else:
        _decode_dosage(genotypes, table, rows, first, n_bytes, plane, decoded)


@helper
def _decode_packed(
    packed: Genotypes, table: Float32, rows: Index, first: int, n_bytes: int, plane: int, decoded: Float32
) -> None:
    shift = np.uint8(2 * plane)
    for i in range(rows.size):
        variant = rows[i]
        value_0, value_1 = table[variant, 0], table[variant, 1]
        value_2, value_3 = table[variant, 2], table[variant, 3]
        source = packed[variant, first : first + n_bytes]
        target = decoded[i, :n_bytes]
        for b in range(n_bytes):  # selects, not a table, so that it becomes vector instructions
            code = source[b] >> shift
            without_high_bit = value_1 if code & 1 else value_0
            with_high_bit = value_3 if code & 1 else value_2
            target[b] = with_high_bit if code & 2 else without_high_bit


@helper
def _decode_dosage(
    dosage: Genotypes, table: Float32, rows: Index, first: int, n_bytes: int, plane: int, decoded: Float32
) -> None:
    n_samples = dosage.shape[1]
    n_whole = min(n_bytes, n_samples // 4 - first)  # groups of four samples, which are read as one word
    shift = np.uint64(16 * plane)
    for i in range(rows.size):
        variant = rows[i]
        mean, scale = table[variant, 0], table[variant, 1]
        start = 2 * (variant * n_samples + 4 * first)
        target = decoded[i, :n_bytes]
        for b in range(n_whole):
            steps = np.int32((load_uint64(dosage, start + 8 * b) >> shift) & np.uint64(0xFFFF))
            target[b] = _dosage_value(steps, mean, scale)
        for b in range(n_whole, n_bytes):
            sample = 4 * (first + b) + plane
            if sample < n_samples:
                target[b] = _dosage_value(np.int32(dosage[variant, sample]), mean, scale)
            else:
                target[b] = 0


@helper
def _dosage_value(steps: np.int32, mean: np.float32, scale: np.float32) -> np.float32:
    value = (np.float32(steps) * np.float32(1 / DOSAGE_SCALE) - mean) * scale
    return np.float32(0) if steps == DOSAGE_MISSING else value
