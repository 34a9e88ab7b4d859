"""GWAS files to a store that SEM of SNPs reads: standardised effects of each trait, aligned to one reference."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from conversion.summary.convert import convert_traits
from conversion.summary.merged import convert_merged, merged_tables
from conversion.summary.prepare import scaled_plans
from conversion.summary.reference import read_reference
from conversion.summary.study import study
from conversion.summary.trait import Filters
from conversion.summary.writing import SumstatsResult, check_destination, existing_store
from daskgen.errors import UsageError
from daskgen.inputs.arguments import known_arguments

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["sumstats"]


@known_arguments()
def sumstats(
    files: Any,
    reference: str | os.PathLike[str] | None,
    destination: str | os.PathLike[str],
    *,
    trait_names: Sequence[str] | str | None = None,
    traits: pd.DataFrame | str | os.PathLike[str] | None = None,
    scale: Any = None,
    n: Any = None,
    n_kind: Any = None,
    sample_prev: Any = None,
    population_prev: Any = None,
    info_filter: float = 0.6,
    maf_filter: float = 0.01,
    keep_indel: bool = False,
    ambig: bool = False,
    direct_filter: bool = False,
    columns: Any = None,
    append: bool = False,
    force: bool = False,
) -> SumstatsResult:
    """Align GWAS files to a reference and store standardised effects: kind "sumstats", purpose "gwas".

    files: as in `munge`. A table that is merged already (SNP CHR BP MAF A1 A2, then beta.T and se.T of each trait, as
        R's sumstats() writes) is taken as it is; `reference` and `scale` may then be None.
    reference: the list of variants with frequencies and positions (SNP A1 A2 MAF CHR BP).
    destination: path or URL of the store.
    trait_names, traits, n, n_kind, sample_prev, population_prev, columns, append, force: as in `munge`.
    scale: of each trait's effects (`docs/methods/summary-statistics.md` has the formulas):
        "linear" (R: OLS) a continuous trait; beta = z / sqrt(N 2f(1 - f)),
        "standardised" (R: betas) effects that are in standard deviations already,
        "logistic" (R: se.logit) odds ratios or their logarithms with the standard error of the logarithm,
        "odds_ratio" (none of R's flags) with the standard error of the odds ratio, computed as R does,
        "odds_ratio_corrected" the same without R's error at rows whose alleles are turned,
        "linear_probability" (R: linprob) a binary trait analysed by a linear model, or of which only z is known.
    info_filter: least quality of imputation (0.6), where a file has a column of it.
    maf_filter: least minor allele frequency in the reference (0.01).
    keep_indel: keep alleles longer than a base, if they are the reference's.
    ambig: drop A/T and C/G variants.
    direct_filter: drop variants that are absent ("?" in the column of directions) from half of the cohorts or more.

    Raises as `munge` does.
    """
    check_destination(destination, append=append, force=force)
    filters = Filters(info_filter, maf_filter, None, keep_indel, ambig, direct_filter)
    options = {
        "info_filter": info_filter,
        "maf_filter": maf_filter,
        "keep_indel": keep_indel,
        "ambig": ambig,
        "direct_filter": direct_filter,
    }
    if traits is None and (merged := merged_tables(files)):
        return convert_merged(
            merged,
            reference,
            destination,
            trait_names=trait_names,
            n=n,
            n_kind=n_kind,
            sample_prev=sample_prev,
            population_prev=population_prev,
            append=append,
            force=force,
        )
    arguments = study(
        files,
        trait_names=trait_names,
        traits=traits,
        columns=columns,
        scale=scale,
        n=n,
        n_kind=n_kind,
        sample_prev=sample_prev,
        population_prev=population_prev,
    )
    if reference is None:
        raise UsageError(
            "sumstats needs a reference with allele frequencies.",
            do="give one (SNP A1 A2 MAF CHR BP), for example reference.1000G.maf.0.005.txt",
        )
    plans = scaled_plans(arguments, filters)
    existing = existing_store(destination, "gwas", [plan.name for plan in plans]) if append else None
    return convert_traits(
        "convert sumstats",
        destination,
        purpose="gwas",
        reference=read_reference(reference, needs_frequency=True),
        plans=plans,
        arguments=arguments,
        options=options,
        existing=existing,
        force=force,
    )
