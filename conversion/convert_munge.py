"""GWAS files to a store that LD-score regression reads: z and sample size of each trait, aligned to one reference."""

from __future__ import annotations

import logging
import os
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from conversion.summary.convert import convert_traits
from conversion.summary.munged_reference import reference_of_traits
from conversion.summary.prepare import munge_plans
from conversion.summary.reference import read_reference
from conversion.summary.study import study
from conversion.summary.trait import Filters
from conversion.summary.writing import SumstatsResult, check_destination, existing_store
from daskgen.inputs.arguments import known_arguments

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["munge"]

log = logging.getLogger("daskgen.conversion")


@known_arguments()
def munge(
    files: Any,
    reference: str | os.PathLike[str] | None,
    destination: str | os.PathLike[str],
    *,
    trait_names: Sequence[str] | str | None = None,
    traits: pd.DataFrame | str | os.PathLike[str] | None = None,
    n: Any = None,
    n_kind: Any = None,
    sample_prev: Any = None,
    population_prev: Any = None,
    info_filter: float = 0.9,
    maf_filter: float = 0.01,
    columns: Any = None,
    n_min: float | None = None,
    append: bool = False,
    force: bool = False,
) -> SumstatsResult:
    """Align GWAS files to a reference and store z and N: kind "sumstats", purpose "ldsc".

    files: one path, several, or a glob; text (plain, gzip, bgzip, zip, bzip2, xz), Parquet or GWAS-VCF; files that are
        munged already (SNP A1 A2 Z N); stores of daskgen with effects (purpose "gwas", or kind "gwas"). None with
        `traits`.
    reference: the list of variants (SNP A1 A2, and where known MAF CHR BP), for example w_hm3.snplist. None only for
        files that are munged already: then the variants are those of the traits, by first appearance.
    destination: path or URL of the store.
    trait_names: names of the traits; None: names of the files without endings.
    traits: a study sheet instead of all per-trait arguments: a DataFrame or the path of a TSV with the columns `trait`,
        `file` and any of `n`, `scale`, `sample_prev`, `population_prev`, `n_kind`, `column.FIELD`.
    n: sample size where a file has no column of it, or instead of it. Like the following: one value for all traits, a
        list in their order, or a mapping by trait.
    n_kind: "total" or "effective", where it is not what the column's name says.
    sample_prev, population_prev: of case-control traits; kept for `daskgen.ldsc.ldsc`.
    info_filter: least quality of imputation (0.9), where a file has a column of it.
    maf_filter: least minor allele frequency (0.01), where a file has frequencies.
    columns: field -> column, where a column has a name that is not recognised or that others have as well; None for a
        column that is to be left alone. For all files that have such a column, or by trait.
    n_min: least sample size of a variant; None: any.
    append: add the traits to the store that is there, made with the same reference.
    force: replace a store that daskgen made.

    z has the sign of the effect of the reference's A1 (`variant_allele[:, 1]`) and the size that p gives, the
    upper-tail normal quantile of p / 2; where p is 0 or below 1e-300 that of the file's -log10 p or z, or effect /
    standard error.
    Rows are dropped for the reasons that `SumstatsResult.reports` counts; of a repeated id every copy is.

    Raises InputError (exit code 3) for files that cannot be used, headers first, before anything is written; UsageError
    for the call; StoreError for the destination.
    """
    check_destination(destination, append=append, force=force)
    filters = Filters(info_filter, maf_filter, n_min)
    arguments = study(
        files,
        trait_names=trait_names,
        traits=traits,
        columns=columns,
        n=n,
        n_kind=n_kind,
        sample_prev=sample_prev,
        population_prev=population_prev,
    )
    plans = munge_plans(arguments, filters, has_reference=reference is not None)
    names = [plan.name for plan in plans]
    existing = existing_store(destination, "ldsc", names) if append else None
    if reference is None:
        variants = reference_of_traits([plan.table for plan in plans], [plan.columns for plan in plans], existing)
    else:
        variants = read_reference(reference)
    return convert_traits(
        "convert munge",
        destination,
        purpose="ldsc",
        reference=variants,
        plans=plans,
        arguments=arguments,
        options={"info_filter": info_filter, "maf_filter": maf_filter, "n_min": n_min},
        existing=existing,
        force=force,
    )
