"""The arrays of the store that a simulated cohort is written to."""

from __future__ import annotations

import numpy as np

from daskgen.simulate.cohort import Cohort
from daskgen.stores import ArrayPlan, column_layout
from daskgen.stores.genotype_layout import GenotypeLayout, genotype_layout

__all__ = ["STATISTICS", "column_names", "group_rows", "store_arrays"]

STATISTICS = np.dtype([("allele_frequency", np.float32), ("n_called", np.int32), ("n_het", np.int32)])
"""What is counted while the calls are written, one record a variant."""


def store_layout(cohort: Cohort, chunk_mb: float | None = None) -> GenotypeLayout:
    """The layout of a genotypes store of this shape, as a conversion makes it."""
    return genotype_layout(
        cohort.n_samples, cohort.n_variants, len(cohort.genome.names), has_dosage=False, chunk_mb=chunk_mb
    )


def group_rows(cohort: Cohort, chunk_mb: float | None = None) -> int:
    """Variants of one task: whole chunks, about 16 MB of calls."""
    return store_layout(cohort, chunk_mb).group_rows


def store_arrays(cohort: Cohort, chunk_mb: float | None = None) -> list[ArrayPlan]:
    """Every array of the store: those of a genotypes store, and the truth."""
    stored = list(store_layout(cohort, chunk_mb).arrays)
    known = {plan.name for plan in stored}
    truth = [
        *(
            (name, values.dtype, ("variants", *_FURTHER.get(name, ())))
            for name, values in cohort.variant_columns(0, 1).items()
        ),
        *((name, values.dtype, ("samples",)) for name, values in cohort.sample_columns(0, 1).items()),
    ]
    return [*stored, *(_column(cohort, *column) for column in truth if column[0] not in known)]


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
