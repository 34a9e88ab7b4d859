"""A genotypes store as an xarray Dataset with sgkit's and VCF Zarr's names, decoded lazily.

`call_genotype`, `call_genotype_mask` and `call_dosage` are Dask arrays over the packed codes: blocks are cut to at
most 32 MB of decoded output before they are decoded, and slices of samples are taken inside the decode.
"""

from __future__ import annotations

from typing import Any

import dask.array as da
import numpy as np
import xarray as xr
from dask.tokenize import tokenize

from daskgen.genotypes.reader import GenotypeReader, StoreReader
from daskgen.kernels import genotype_codes as codes
from daskgen.stores import Location, StoreLike, open_dataset

__all__ = ["call_arrays", "open_genotypes"]

_DECODED_BYTES = 32_000_000


class _Decoded:
    """An array-like over a reader that decodes what is asked for: the source of a Dask array."""

    def __init__(self, reader: GenotypeReader, what: str, shape: tuple[int, ...], dtype: Any):
        self.reader = reader
        self.what = what
        self.shape = shape
        self.ndim = len(shape)
        self.dtype = np.dtype(dtype)

    def __dask_tokenize__(self) -> Any:
        return tokenize("daskgen-decoded", self.reader.reader_id, self.what, self.shape)

    def __getitem__(self, key: tuple[Any, ...]) -> np.ndarray:
        rows, samples, *ploidy = key
        start, stop, step = rows.indices(self.shape[0])
        wanted = np.arange(self.shape[1])[samples]
        if self.what == "dosage":
            block: np.ndarray = codes.dequantise_dosage(
                np.ascontiguousarray(self.reader.read_dosage(start, stop)[:, wanted])
            )
        else:
            whole = len(wanted) == self.shape[1]
            calls = codes.unpack(self.reader.read(start, stop), self.shape[1], samples=None if whole else wanted)
            block = _decode(calls, self.what)
        return block[(slice(None, None, step), slice(None), *ploidy)]


def _decode(calls: np.ndarray, what: str) -> np.ndarray:
    if what == "derived_dosage":
        block = calls.astype(np.float32)
        block[calls < 0] = np.nan
        return block
    if what == "mask":
        return np.repeat((calls < 0)[:, :, None], 2, axis=2)
    both = np.empty((*calls.shape, 2), dtype=np.int8)
    # Unphased: the counted alleles come last, as in 0/1. Missing is -1 in both copies.
    np.minimum(calls >> 1, 1, out=both[:, :, 0])
    np.minimum(calls, 1, out=both[:, :, 1])
    return both


def call_arrays(reader: GenotypeReader) -> dict[str, tuple[tuple[str, ...], da.Array, dict[str, Any]]]:
    """`call_genotype`, `call_genotype_mask`, `call_dosage` of a reader as (dimensions, Dask array, attributes)."""
    m, n = reader.n_variants, reader.n_samples
    dosage = "dosage" if reader.has_dosage else "derived_dosage"
    made = {}
    for name, what, shape, dtype in (
        ("call_genotype", "calls", (m, n, 2), np.int8),
        ("call_genotype_mask", "mask", (m, n, 2), np.bool_),
        ("call_dosage", dosage, (m, n), np.float32),
    ):
        source = _Decoded(reader, what, shape, dtype)
        row_bytes = int(np.prod(shape[1:])) * source.dtype.itemsize
        rows = max(1, _DECODED_BYTES // max(1, row_bytes))
        if rows >= reader.rows_per_chunk:
            rows -= rows % reader.rows_per_chunk
        array = da.from_array(
            source,
            chunks=(min(rows, max(1, m)), *shape[1:]),
            name=f"{what}-{tokenize(source)}",
            asarray=False,
            fancy=False,
            meta=np.empty((0,) * len(shape), dtype),
        )
        dims = ("variants", "samples", "ploidy")[: len(shape)]
        attrs = {"derived_from_calls": True} if what == "derived_dosage" else {}
        made[name] = (dims, array, attrs)
    return made


def open_genotypes(path: StoreLike | Location) -> xr.Dataset:
    """The Dataset of a genotypes store; everything in it is lazy."""
    reader = StoreReader.open(path)
    stored = open_dataset(path, "genotypes")
    views = call_arrays(reader)
    dataset = stored.drop_vars(["call_genotype_packed", "call_dosage"], errors="ignore").assign(
        {name: xr.Variable(dims, array, attrs) for name, (dims, array, attrs) in views.items()}
    )
    dataset.attrs = stored.attrs
    dataset.encoding["source"] = Location.of(path).url
    dataset.encoding["daskgen_reader"] = (dataset["call_genotype"].data.name, reader)
    return dataset
