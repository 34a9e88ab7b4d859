"""Matrix products inside compiled kernels: BLAS sgemm and dgemm, called without the GIL and without temporaries.

The routines are those that SciPy carries (`scipy.linalg.cython_blas`), because they have an address that compiled code
can call. ``scipy.linalg.blas`` calls the same routines but holds the GIL meanwhile: two threads then take as long as
one. Importing this module loads that BLAS, so a threadpoolctl limit set afterwards covers it.
"""

from __future__ import annotations

import llvmlite.binding
import numpy as np
import numpy.typing as npt
from numba import types
from numba.extending import get_cython_function_address

from daskgen.kernels.compile import helper

__all__ = ["add_product", "add_transposed_product"]

Floating = npt.NDArray[np.float32] | npt.NDArray[np.float64]

# By name and not by address: compiled code in the cache holds the name, and the address differs in every process.
llvmlite.binding.add_symbol("daskgen_sgemm", get_cython_function_address("scipy.linalg.cython_blas", "sgemm"))
llvmlite.binding.add_symbol("daskgen_dgemm", get_cython_function_address("scipy.linalg.cython_blas", "dgemm"))
_sgemm = types.ExternalFunction("daskgen_sgemm", types.void(*[types.voidptr] * 13))
_dgemm = types.ExternalFunction("daskgen_dgemm", types.void(*[types.voidptr] * 13))

_PLAIN = np.uint8(ord("N"))
_TRANSPOSED = np.uint8(ord("T"))


@helper
def add_product(a: Floating, b: Floating, keep: int, c: Floating) -> None:
    """C = A B + keep C for A (m, k), B (k, n), C (m, n) of one type, rows contiguous; `keep` is 0 or 1."""
    _row_major(_PLAIN, a, b, a.shape[1], keep, c)


@helper
def add_transposed_product(a: Floating, b: Floating, keep: int, c: Floating) -> None:
    """C = A' B + keep C for A (k, m), B (k, n), C (m, n) of one type, rows contiguous; `keep` is 0 or 1."""
    _row_major(_TRANSPOSED, a, b, a.shape[0], keep, c)


@helper
def _row_major(transpose_a: np.uint8, a: Floating, b: Floating, inner: int, keep: int, c: Floating) -> None:
    # BLAS reads arrays by columns, so it sees every matrix transposed: it is asked for C' = B' A' + keep C'.
    letters = np.array([_PLAIN, transpose_a], np.uint8)
    sizes = np.array([c.shape[1], c.shape[0], inner], np.int32)
    width = c.itemsize
    row_lengths = np.array([b.strides[0] // width, a.strides[0] // width, c.strides[0] // width], np.int32)
    factors = np.ones(2, c.dtype)
    factors[1] = keep
    # Known when it is compiled: there is one version for each type.
    if c.itemsize == 4:
        _sgemm(
            *(letters.ctypes, letters[1:].ctypes, sizes.ctypes, sizes[1:].ctypes, sizes[2:].ctypes),
            *(factors.ctypes, b.ctypes, row_lengths.ctypes, a.ctypes, row_lengths[1:].ctypes),
            *(factors[1:].ctypes, c.ctypes, row_lengths[2:].ctypes),
        )
    else:
        _dgemm(
            *(letters.ctypes, letters[1:].ctypes, sizes.ctypes, sizes[1:].ctypes, sizes[2:].ctypes),
            *(factors.ctypes, b.ctypes, row_lengths.ctypes, a.ctypes, row_lengths[1:].ctypes),
            *(factors[1:].ctypes, c.ctypes, row_lengths[2:].ctypes),
        )
