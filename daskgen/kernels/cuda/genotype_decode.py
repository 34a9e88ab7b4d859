"""Decoding on the device: a piece of packed codes or dosages as standardised float32, in plane order."""

from __future__ import annotations

from typing import Any

import numpy as np

from daskgen.kernels.cuda import load

__all__ = ["decode"]

_THREADS = 256
_MOST_BLOCKS_Y = 65_535


def decode(genotypes: Any, table: Any, rows: Any, first: int, decoded: Any) -> None:
    """Fill `decoded`, float32 (len(rows), 4 * bytes), with the variants `rows` and the packed bytes from `first` on.

    All arrays are C-contiguous CuPy arrays: `genotypes` and `table` as in
    :func:`daskgen.kernels.genotype_products.ztv`, `rows` int64.
    """
    name = "decode_packed" if genotypes.dtype == np.uint8 else "decode_dosage"
    n_rows = rows.shape[0]
    n_bytes = decoded.shape[1] // 4
    grid = (-(-n_bytes // _THREADS), min(n_rows, _MOST_BLOCKS_Y))
    sizes = (np.int64(n_rows), np.int64(first), np.int64(n_bytes))
    arguments = (genotypes, np.int64(genotypes.shape[1]), table, rows, *sizes, decoded)
    load.function("genotype_decode.cu", name)(grid, (_THREADS,), arguments)
