"""Genotype files as a lazy Dataset, without converting them: for work that reads the genotypes once."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import dask.array as da
import numpy as np
import xarray as xr
from dask.tokenize import tokenize

from conversion.allele_statistics import STATISTICS
from conversion.calls import Calls
from conversion.genomes import ROLES
from conversion.prepare import prepare
from conversion.sources import Paths
from conversion.variant_columns import joined
from daskgen.inputs.selection import Names
from daskgen.inputs.text import as_text
from daskgen.kernels.genotype_codes import dequantise_dosage, unpack

__all__ = ["open"]

_DECODED_BYTES = 32_000_000


def open(
    source: Paths,
    *,
    format: str | None = None,
    sample_file: str | os.PathLike[str] | None = None,
    ref: Literal["last", "first"] | None = None,
    keep: Names | None = None,
    remove: Names | None = None,
    extract: Names | None = None,
    exclude: Names | None = None,
    contig: str | int | Sequence[str | int] | None = None,
    region: str | Sequence[str] | None = None,
    maf_min: float | None = None,
    missing_max: float | None = None,
    id_style: Literal["iid", "fid_iid"] = "iid",
    split_multiallelic: bool = True,
    dosages: Literal["auto"] | bool = "auto",
    genome: str | os.PathLike[str] = "human",
) -> xr.Dataset:
    """The Dataset that `daskgen.open_store` gives of the converted source, read from the files as they are.

    The arguments are those of `conversion.genotypes`. `call_genotype` (variants, samples, ploidy) int8 with -1,
    `call_genotype_mask`, `call_dosage` (variants, samples) float32 with NaN, and `variant_allele_frequency`,
    `variant_n_called`, `variant_n_het` are Dask arrays over blocks of at most 32 MB; the other columns of variants and
    samples are in memory. daskgen's functions read the packed calls from the files directly.

    Raises InputError for files that cannot be used, UsageError for the call.
    """
    prepared = prepare(
        source,
        format=format,
        sample_file=sample_file,
        ref=ref,
        keep=keep,
        remove=remove,
        extract=extract,
        exclude=exclude,
        contig=contig,
        region=region,
        maf_min=maf_min,
        missing_max=missing_max,
        id_style=id_style,
        split_multiallelic=split_multiallelic,
        dosages=dosages,
        genome=genome,
    )
    calls, samples = prepared.calls, prepared.samples
    m = calls.n_variants
    table = joined(list(calls.source.variant_tables()))
    roles = {"roles": {str(code): role for code, role in enumerate(ROLES)}}
    variables: dict[str, Any] = {
        "contig_id": ("contigs", as_text(calls.contigs.names)),
        "contig_role": ("contigs", calls.roles, roles),
        "variant_contig": ("variants", calls.contigs.codes_of(0, m)),
        "variant_position": ("variants", table.position),
        "variant_genetic_position": ("variants", table.genetic_position),
        "variant_id": ("variants", table.variant_id),
        "variant_allele": (("variants", "alleles"), table.allele),
        "variant_ploidy_class": ("variants", calls.ploidy_class(0, m), roles),
        **{name: ("samples", column) for name, column in samples.stored().items()},
        **lazy_arrays(calls),
    }
    dataset = xr.Dataset(
        variables,
        attrs={
            "kind": "genotypes",
            "n_samples": len(samples),
            "counted_allele": calls.source.counted_allele,
            "sources": list(calls.source.files),
            "dropped": prepared.dropped,
            "notes": list(calls.source.notes),
        },
    )
    dataset.encoding["source"] = calls.source.path
    dataset.encoding["daskgen_reader"] = (dataset["call_genotype"].data.name, calls.source)
    return dataset


# -- lazy arrays -------------------------------------------------------------------------------------------
def _genotype(calls: Calls, start: int, stop: int) -> np.ndarray:
    codes = unpack(calls.source.read(start, stop), calls.source.n_samples)
    alleles = np.empty((*codes.shape, 2), np.int8)
    # Unphased: the counted allele comes last, as in 0/1; missing is -1 in both.
    np.minimum(codes >> 1, 1, out=alleles[..., 0])
    np.minimum(codes, 1, out=alleles[..., 1])
    return alleles


def _mask(calls: Calls, start: int, stop: int) -> np.ndarray:
    codes = unpack(calls.source.read(start, stop), calls.source.n_samples)
    return np.repeat((codes < 0)[..., None], 2, axis=2)


def _dosage(calls: Calls, start: int, stop: int) -> np.ndarray:
    if calls.source.has_dosage:
        return dequantise_dosage(calls.source.read_dosage(start, stop))
    codes = unpack(calls.source.read(start, stop), calls.source.n_samples)
    dosage = codes.astype(np.float32)
    dosage[codes < 0] = np.nan
    return dosage


def _statistics(calls: Calls, start: int, stop: int) -> np.ndarray:
    return calls.statistics(start, calls.read(start, stop))[0]


@dataclass(frozen=True, eq=False)
class _Lazy:
    """What `compute(calls, start, stop)` gives for rows [start, stop), as an array that Dask can cut."""

    calls: Calls
    compute: Callable[[Calls, int, int], np.ndarray]
    shape: tuple[int, ...]
    dtype: np.dtype[Any]

    @property
    def ndim(self) -> int:
        return len(self.shape)

    def __dask_tokenize__(self) -> Any:
        return tokenize("conversion.open", self.calls.source.reader_id, self.compute.__name__, self.shape)

    def __getitem__(self, key: tuple[slice, ...]) -> np.ndarray:
        rows, *others = key
        start, stop, step = rows.indices(self.shape[0])
        return self.compute(self.calls, start, stop)[(slice(None, None, step), *others)]


def lazy_arrays(calls: Calls) -> dict[str, tuple[tuple[str, ...], da.Array, dict[str, Any]]]:
    """(dimensions, Dask array, attributes) of the calls and of what is counted from them, by name."""
    m, n = calls.n_variants, calls.source.n_samples
    dims = ("variants", "samples", "ploidy")
    derived = {} if calls.source.has_dosage else {"derived_from_calls": True}
    statistics = _dask_array(calls, _statistics, (m,), STATISTICS, row_bytes=n)
    return {
        "call_genotype": (dims, _dask_array(calls, _genotype, (m, n, 2), np.int8), {}),
        "call_genotype_mask": (dims, _dask_array(calls, _mask, (m, n, 2), np.bool_), {}),
        "call_dosage": (dims[:2], _dask_array(calls, _dosage, (m, n), np.float32), derived),
        **{f"variant_{name}": (dims[:1], statistics[name], {}) for name in statistics.dtype.names},
    }


def _dask_array(
    calls: Calls,
    compute: Callable[[Calls, int, int], np.ndarray],
    shape: tuple[int, ...],
    dtype: Any,
    row_bytes: int | None = None,
) -> da.Array:
    source = _Lazy(calls, compute, shape, np.dtype(dtype))
    row_bytes = row_bytes or int(np.prod(shape[1:])) * source.dtype.itemsize
    rows = max(1, _DECODED_BYTES // row_bytes)
    if rows > calls.source.rows_per_chunk:
        rows -= rows % calls.source.rows_per_chunk
    return da.from_array(
        source,
        chunks=(min(rows, shape[0]), *shape[1:]),
        name=f"{compute.__name__.lstrip('_')}-{tokenize(source)}",
        asarray=False,
        fancy=False,
        meta=np.empty((0,) * len(shape), dtype),
    )
