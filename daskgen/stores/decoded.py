"""Packed genotypes as lazy Dask arrays with sgkit's and VCF Zarr's names, whatever the packed codes are read from.

Blocks are cut to at most 32 MB of decoded output before they are decoded, and slices of samples are taken inside the
decode.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import dask.array as da
import numpy as np
from dask.tokenize import tokenize

from daskgen.kernels import genotype_codes as codes

__all__ = ["GenotypeReader", "call_arrays", "lazy_rows"]

_DECODED_BYTES = 32_000_000

Compute = Callable[[int, int, np.ndarray | None], np.ndarray]
"""(first row, end, indices of samples or None for all) -> the decoded rows."""


class GenotypeReader(Protocol):
    """Reads ranges of variants. `reader_id` names the content (for caches); chunks are `rows_per_chunk` variants."""

    @property
    def n_variants(self) -> int: ...
    @property
    def n_samples(self) -> int: ...
    @property
    def has_dosage(self) -> bool: ...
    @property
    def rows_per_chunk(self) -> int: ...
    @property
    def reader_id(self) -> str: ...

    def read(self, start: int, stop: int) -> np.ndarray:
        """Packed codes, uint8 (stop - start, ceil(n_samples / 4))."""

    def read_dosage(self, start: int, stop: int) -> np.ndarray:
        """Dosages, uint16 (stop - start, n_samples)."""


def call_arrays(reader: GenotypeReader) -> dict[str, tuple[tuple[str, ...], da.Array, dict[str, Any]]]:
    """`call_genotype`, `call_genotype_mask`, `call_dosage` of a reader as (dimensions, Dask array, attributes)."""
    m, n = reader.n_variants, reader.n_samples
    dims = ("variants", "samples", "ploidy")
    dosage, derived = (_dosage, {}) if reader.has_dosage else (_derived_dosage, {"derived_from_calls": True})

    def rows(decode: Callable[..., np.ndarray], shape: tuple[int, ...], dtype: Any) -> da.Array:
        return lazy_rows(functools.partial(decode, reader), shape, dtype, of=reader)

    return {
        "call_genotype": (dims, rows(_genotype, (m, n, 2), np.int8), {}),
        "call_genotype_mask": (dims, rows(_mask, (m, n, 2), np.bool_), {}),
        "call_dosage": (dims[:2], rows(dosage, (m, n), np.float32), derived),
    }


def lazy_rows(
    compute: Compute | functools.partial[np.ndarray],
    shape: tuple[int, ...],
    dtype: Any,
    *,
    of: GenotypeReader,
    row_bytes: int | None = None,
) -> da.Array:
    """The Dask array of what `compute` gives of the rows of `of`.

    shape: variants first, then samples where there are more dimensions; row_bytes: what a row takes while it is
    computed, if that is more than its result. Blocks are cut at the reader's chunks where these are smaller.
    """
    source = _Rows(compute, of.reader_id, shape, np.dtype(dtype))
    row_bytes = row_bytes or int(np.prod(shape[1:])) * source.dtype.itemsize
    rows = max(1, _DECODED_BYTES // max(1, row_bytes))
    if rows >= of.rows_per_chunk:
        rows -= rows % of.rows_per_chunk
    return da.from_array(
        source,
        chunks=(min(rows, max(1, shape[0])), *shape[1:]),
        name=f"{source.what}-{tokenize(source)}",
        asarray=False,
        fancy=False,
        meta=np.empty((0,) * len(shape), dtype),
    )


@dataclass(frozen=True, eq=False)
class _Rows:
    """What `compute` gives, as an array that Dask can cut."""

    compute: Compute | functools.partial[np.ndarray]
    reader_id: str
    shape: tuple[int, ...]
    dtype: np.dtype[Any]

    @property
    def ndim(self) -> int:
        return len(self.shape)

    @property
    def what(self) -> str:
        """Name of what is computed: genotype, mask, dosage, ..."""
        function = self.compute.func if isinstance(self.compute, functools.partial) else self.compute
        return function.__name__.lstrip("_")

    def __dask_tokenize__(self) -> Any:
        return tokenize("daskgen-decoded", self.reader_id, self.what, self.shape)

    def __getitem__(self, key: tuple[Any, ...]) -> np.ndarray:
        start, stop, step = key[0].indices(self.shape[0])
        if self.ndim == 1 or key[1] == slice(None):
            return self.compute(start, stop, None)[(slice(None, None, step), *key[1:])]
        samples = np.arange(self.shape[1])[key[1]]
        decoded = self.compute(start, stop, np.atleast_1d(samples))
        return decoded[(slice(None, None, step), slice(None) if samples.ndim else 0, *key[2:])]


# What a row decodes to -----------------------------------------------------------------------------------------------


def _calls(reader: GenotypeReader, start: int, stop: int, samples: np.ndarray | None) -> np.ndarray:
    """Copies of the counted allele, int8, -1 where missing."""
    return codes.unpack(reader.read(start, stop), reader.n_samples, samples=samples)


def _genotype(reader: GenotypeReader, start: int, stop: int, samples: np.ndarray | None) -> np.ndarray:
    calls = _calls(reader, start, stop, samples)
    both = np.empty((*calls.shape, 2), dtype=np.int8)
    # Unphased: the counted alleles come last, as in 0/1. Missing is -1 in both copies.
    np.minimum(calls >> 1, 1, out=both[:, :, 0])
    np.minimum(calls, 1, out=both[:, :, 1])
    return both


def _mask(reader: GenotypeReader, start: int, stop: int, samples: np.ndarray | None) -> np.ndarray:
    return np.repeat((_calls(reader, start, stop, samples) < 0)[:, :, None], 2, axis=2)


def _dosage(reader: GenotypeReader, start: int, stop: int, samples: np.ndarray | None) -> np.ndarray:
    stored = reader.read_dosage(start, stop)
    return codes.dequantise_dosage(stored if samples is None else np.ascontiguousarray(stored[:, samples]))


def _derived_dosage(reader: GenotypeReader, start: int, stop: int, samples: np.ndarray | None) -> np.ndarray:
    calls = _calls(reader, start, stop, samples)
    dosage = calls.astype(np.float32)
    dosage[calls < 0] = np.nan
    return dosage
