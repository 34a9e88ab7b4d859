"""Matrices of HDF5 files by rows: sparse by cells (CSR), and dense either way round."""

from __future__ import annotations

import functools
import importlib
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from daskgen.errors import InputError, MissingPackageError
from daskgen.inputs.files import file_id, is_url, open_binary
from daskgen.stores.anndata_rows import CsrBlock, IndexedRows, SequentialValues, csr_of_dense, tidy

__all__ = ["Hdf5Csr", "Hdf5Dense", "hdf5", "open_hdf5", "reading_hdf5"]

_MOST_VALUES = 1 << 22  # cells x genes of a dense block


def hdf5() -> Any:
    """The package h5py. MissingPackageError, with the extra that has it, where it is not installed."""
    try:
        h5py = importlib.import_module("h5py")
    except ImportError:
        raise MissingPackageError(
            "HDF5 files (.h5ad, .h5, .loom) are read with h5py, which is not installed.",
            do='pip install "daskgen[cells]"',
        ) from None
    try:  # filters such as blosc and zstd, where the package is there
        importlib.import_module("hdf5plugin")
    except ImportError:
        pass
    return h5py


@functools.lru_cache(maxsize=16)
def _opened(path: str, identity: str, thread: int) -> Any:
    h5py = hdf5()
    with reading_hdf5(path):
        return h5py.File(open_binary(path) if is_url(path) else path, "r")


def open_hdf5(path: str) -> Any:
    """The file, opened for reading, once for each thread that asks. InputError where that is not possible."""
    if not is_url(path):
        open_binary(path).close()  # says what is wrong with the path
    return _opened(path, file_id(path), threading.get_ident())


@contextmanager
def reading_hdf5(path: str) -> Iterator[None]:
    """Within the block what h5py raises about damaged, cut and undecodable files is an InputError."""
    try:
        yield
    except OSError as error:
        text = str(error)
        if "filter" in text or "can't open directory" in text or "plugin" in text:
            raise InputError(
                f"{path} is compressed with a filter that is not installed.",
                found=text.splitlines()[0][:200],
                do="pip install hdf5plugin",
            ) from error
        cut = "truncated" in text or "eof" in text.lower()
        raise InputError(
            f"{path} is {'cut: it is shorter than it says' if cut else 'no HDF5 file that can be read'}.",
            found=text.splitlines()[0][:200],
            do="fetch the file again and compare its size or checksum with that of its source" if cut else "",
        ) from error


@dataclass(frozen=True, eq=False)
class Hdf5Csr(IndexedRows):
    """A sparse matrix whose values lie one cell after the other. parts: paths of data, indices; indptr: int64."""

    path: str
    data: str
    indices: str
    indptr: npt.NDArray[np.int64]
    n_genes: int

    def reader(self) -> _CsrReader:
        return _CsrReader(self)


class _CsrReader:
    def __init__(self, rows: Hdf5Csr):
        file = open_hdf5(rows.path)
        self._rows = rows
        self._data, self._indices = SequentialValues(file[rows.data]), SequentialValues(file[rows.indices])

    def read(self, start: int, stop: int) -> CsrBlock:
        indptr = self._rows.indptr
        first, last = int(indptr[start]), int(indptr[stop])
        with reading_hdf5(self._rows.path):
            data = self._data.read(first, last)
            indices = self._indices.read(first, last)
        return csr_block(data, indices, indptr[start : stop + 1] - first, self._rows.n_genes, start, self._rows.path)


def csr_block(
    data: npt.NDArray[Any],
    indices: npt.NDArray[Any],
    indptr: npt.NDArray[np.int64],
    n_genes: int,
    start: int,
    path: str,
) -> CsrBlock:
    """A tidy block of the rows; column indices of any type. InputError for indices that no gene has."""
    if indices.dtype.itemsize > 4 and len(indices) and (indices.max() >= n_genes or indices.min() < 0):
        raise InputError(f"{path}: genes are out of range.", found=int(indices.max()), expected=f"0 to {n_genes - 1}")
    return tidy(CsrBlock(data, indices.astype(np.int32, copy=False), indptr, n_genes, start), path)


@dataclass(frozen=True)
class Hdf5Dense:
    """A dense matrix of cells x genes, or of genes x cells (`by_genes`)."""

    path: str
    name: str
    shape: tuple[int, int]
    chunk_rows: int
    by_genes: bool = False

    @property
    def n_rows(self) -> int:
        return self.shape[0]

    @property
    def n_genes(self) -> int:
        return self.shape[1]

    def blocks(self, values: int = 1 << 22) -> list[tuple[int, int]]:
        step = self.chunk_rows * max(1, min(values, _MOST_VALUES) // max(1, self.chunk_rows * self.n_genes))
        return [(start, min(start + step, self.n_rows)) for start in range(0, self.n_rows, step)]

    def reader(self) -> _DenseReader:
        return _DenseReader(self)


class _DenseReader:
    def __init__(self, rows: Hdf5Dense):
        self._rows = rows
        self._array = open_hdf5(rows.path)[rows.name]

    def read(self, start: int, stop: int) -> CsrBlock:
        with reading_hdf5(self._rows.path):
            if self._rows.by_genes:
                return csr_of_dense(np.ascontiguousarray(self._array[:, start:stop].T), start)
            return csr_of_dense(self._array[start:stop], start)
