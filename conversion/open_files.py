"""Genotype files as a lazy Dataset, without converting them: for work that reads the genotypes once."""

from __future__ import annotations

import functools
import os
from collections.abc import Sequence
from typing import Any, Literal

import dask.array as da
import numpy as np
import xarray as xr

from conversion.allele_statistics import STATISTICS
from conversion.calls import Calls
from conversion.genomes import ROLES
from conversion.prepare import Arguments, prepare
from conversion.sources import Paths
from conversion.variant_columns import joined
from daskgen.inputs.arguments import known_arguments
from daskgen.inputs.selection import Names
from daskgen.inputs.text import as_text
from daskgen.kernels.dosages import HARD_CALL_THRESHOLD
from daskgen.stores.decoded import call_arrays, lazy_rows

__all__ = ["open"]


@known_arguments()
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
    half_calls: Literal["missing", "refuse"] = "missing",
    genome: str | os.PathLike[str] = "human",
    hard_call_threshold: float = HARD_CALL_THRESHOLD,
    default_contig: str | None = None,
) -> xr.Dataset:
    """The Dataset that `daskgen.open_store` gives of the converted source, read from the files as they are.

    The arguments are those of `conversion.genotypes`. `call_genotype` (variants, samples, ploidy) int8 with -1,
    `call_genotype_mask`, `call_dosage` (variants, samples) float32 with NaN, and `variant_allele_frequency`,
    `variant_n_called`, `variant_n_het` are Dask arrays over blocks of at most 32 MB; the other columns of variants and
    samples are in memory. daskgen's functions read the packed calls from the files directly.

    Raises InputError for files that cannot be used (a plain gzip file can only be converted), UsageError for the call.
    """
    given = {name: value for name, value in locals().items() if name != "source"}
    prepared = prepare(source, Arguments(**given), in_order=False)
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
        **({} if table.info_score is None else {"variant_info_score": ("variants", table.info_score)}),
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


def lazy_arrays(calls: Calls) -> dict[str, tuple[tuple[str, ...], da.Array, dict[str, Any]]]:
    """(dimensions, Dask array, attributes) of the calls and of what is counted from them, by name."""
    counted = functools.partial(_statistics, calls)
    shape, n_samples = (calls.n_variants,), calls.source.n_samples
    statistics = lazy_rows(counted, shape, STATISTICS, of=calls.source, row_bytes=n_samples)
    arrays = {
        **call_arrays(calls.source),
        **{f"variant_{name}": (("variants",), statistics[name], {}) for name in statistics.dtype.names},
    }
    if calls.source.measures_info:
        measured = functools.partial(_info_score, calls)
        score = lazy_rows(measured, shape, np.float32, of=calls.source, row_bytes=2 * n_samples)
        arrays["variant_info_score"] = (("variants",), score, {})
    return arrays


def _statistics(calls: Calls, start: int, stop: int, _: np.ndarray | None) -> np.ndarray:
    return calls.statistics(start, calls.read(start, stop))[0]


def _info_score(calls: Calls, start: int, stop: int, _: np.ndarray | None) -> np.ndarray:
    info = calls.read(start, stop).info
    assert info is not None
    return info
