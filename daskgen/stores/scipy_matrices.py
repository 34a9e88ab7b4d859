"""Matrices of SciPy, for what leaves daskgen: AnnData objects and .h5ad files. Passes have kernels of their own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import sparse

from daskgen.stores.anndata_rows import CsrBlock

__all__ = ["as_scipy", "empty_matrix", "scipy_block", "stacked", "with_matrices"]

_PARTS = {"data", "indices", "indptr", "format", "shape"}


def with_matrices(value: Any) -> Any:
    """An element as `read_element` gives it, with matrices of SciPy in the place of their parts."""
    if not isinstance(value, Mapping):
        return value
    return as_scipy(value) if set(value) == _PARTS else {name: with_matrices(item) for name, item in value.items()}


def as_scipy(parts: Mapping[str, Any]) -> Any:
    """The CSR or CSC matrix of these parts."""
    kind = sparse.csr_matrix if parts["format"] == "csr" else sparse.csc_matrix
    shape = tuple(int(n) for n in parts["shape"])
    return kind((parts["data"], parts["indices"], parts["indptr"]), shape=shape)


def scipy_block(
    block: CsrBlock, values: npt.NDArray[Any], rows: npt.NDArray[np.int64], columns: npt.NDArray[np.int64]
) -> Any:
    """Some rows and columns of a block, with `values` in the place of its own, as a CSR matrix."""
    matrix = sparse.csr_matrix((values, block.indices, block.indptr), shape=(block.n_rows, block.n_genes))
    matrix = matrix if len(rows) == block.n_rows else matrix[rows]
    whole = len(columns) == block.n_genes and bool((columns == np.arange(block.n_genes)).all())
    return matrix if whole else matrix[:, columns]


def empty_matrix(n_rows: int, n_columns: int) -> Any:
    """A CSR matrix of float32 without values."""
    return sparse.csr_matrix((n_rows, n_columns), dtype=np.float32)


def stacked(parts: Sequence[Any]) -> Any:
    """CSR matrices under each other."""
    return sparse.vstack(parts, format="csr")
