"""The arrays of the store that a simulated cohort is written to."""

from __future__ import annotations

import numpy as np

from daskgen import config
from daskgen.kernels.genotype_codes import packed_width
from daskgen.simulate.cohort import Cohort
from daskgen.stores import ArrayPlan, ChunkLayout, column_layout, row_layout

__all__ = ["STATISTICS", "column_names", "group_rows", "store_arrays"]

STATISTICS = np.dtype([("allele_frequency", np.float32), ("n_called", np.int32), ("n_het", np.int32)])
"""What is counted while the calls are written, one record a variant."""

_GROUP_BYTES = 16_000_000
_WIDE_SHARD_BYTES = 32_000_000  # a shard of all samples is built in memory


def call_layout(cohort: Cohort, chunk_mb: float | None = None) -> ChunkLayout:
    """Chunks of all samples, about 8 MB; of more than 65,536 samples, inside shards of all."""
    width, wide = packed_width(cohort.n_samples), config.get("wide-samples")
    mb = chunk_mb or config.get("chunk-mb")
    if cohort.n_samples > wide:
        mb = min(mb, wide // 4 * max(1, _WIDE_SHARD_BYTES // width) / 10**6)
    return row_layout(cohort.n_variants, width, chunk_mb=mb, inner_bytes=wide // 4)


def group_rows(cohort: Cohort, chunk_mb: float | None = None) -> int:
    """Variants of one task: whole chunks, about 16 MB of calls."""
    rows = call_layout(cohort, chunk_mb).unit[0]
    return rows * max(1, _GROUP_BYTES // (rows * packed_width(cohort.n_samples)))


def store_arrays(cohort: Cohort, chunk_mb: float | None = None) -> list[ArrayPlan]:
    """Every array of the store: those of a genotypes store, and the truth."""
    layout = call_layout(cohort, chunk_mb)
    calls = ArrayPlan(
        "call_genotype_packed",
        (cohort.n_variants, packed_width(cohort.n_samples)),
        np.uint8,
        ("variants", "packed_samples"),
        layout.chunks,
        layout.shards,
        fill_value=255,
        compression=None,
        attrs={"n_samples": cohort.n_samples},
    )
    columns = [
        *((f"variant_{name}", STATISTICS[name], ("variants",)) for name in STATISTICS.names or ()),
        *(
            (name, values.dtype, ("variants", *_FURTHER.get(name, ())))
            for name, values in cohort.variant_columns(0, 1).items()
        ),
        *((name, values.dtype, ("samples",)) for name, values in cohort.sample_columns(0, 1).items()),
        ("contig_id", np.dtypes.StringDType(), ("contigs",)),
        ("contig_role", np.dtype(np.uint8), ("contigs",)),
    ]
    return [calls, *(_column(cohort, *column) for column in columns)]


_FURTHER = {"variant_allele": ("alleles",), "variant_population_frequency": ("populations",)}


def _column(cohort: Cohort, name: str, dtype: np.dtype, dims: tuple[str, ...]) -> ArrayPlan:
    lengths = {
        "variants": cohort.n_variants,
        "samples": cohort.n_samples,
        "contigs": len(cohort.genome.names),
        "alleles": 2,
        "populations": cohort.n_populations,
    }
    shape = tuple(lengths[dim] for dim in dims)
    chunks = (*column_layout(shape[0]).chunks, *shape[1:])
    return ArrayPlan(name, shape, "string" if dtype.kind == "T" else dtype, dims, chunks)


def column_names(arrays: list[ArrayPlan]) -> list[str]:
    """The per-variant columns among the arrays of a store."""
    return [plan.name for plan in arrays if plan.dims[0] == "variants" and plan.name != "call_genotype_packed"]
