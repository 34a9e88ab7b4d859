"""`ldsc`: multivariate LD-score regression from stores to a covariance structure."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from daskgen import limits
from daskgen.errors import InputError, UsageError, examples
from daskgen.inputs.arguments import known_arguments
from daskgen.ldsc.alignment import Regressors, TraitCounts, align, matching_rows
from daskgen.ldsc.arguments import PerTrait, check_prevalences, chosen_traits, per_trait, selected_contigs
from daskgen.ldsc.blocks import n_blocks_for
from daskgen.ldsc.correlation import genetic_correlation, two_sided_p
from daskgen.ldsc.covariance import GeneticCovariance
from daskgen.ldsc.covariance_structure import assemble
from daskgen.ldsc.diagnostics import attenuation_ratio
from daskgen.ldsc.graph import RegressionPass
from daskgen.ldsc.liability import liability_factor
from daskgen.ldsc.moments import PairMoments
from daskgen.ldsc.regression import BlockRegression, is_singular, normal_equations
from daskgen.ldsc.sources import LdScores, Munged, Source, open_ld_scores, open_munged
from daskgen.linalg.vech import unvech, vech_indices

if TYPE_CHECKING:
    import xarray as xr

__all__ = ["ldsc"]

log = logging.getLogger("daskgen.ldsc")

_OUT_OF_BOUNDS = 1.2
"""Beyond this absolute value ldsc.py calls a genetic correlation out of bounds."""


@known_arguments()
def ldsc(
    munged: Source,
    ld_scores: Source,
    *,
    traits: str | Sequence[str] | None = None,
    sample_prev: PerTrait = None,
    population_prev: PerTrait = None,
    sep_weights: bool = False,
    n_blocks: int = 200,
    chisq_max: float | None = None,
    select: Any = None,
    stand: bool = True,
    memory_limit: int | str | None = None,
) -> xr.Dataset:
    """Genetic covariance of traits and its sampling covariance, by LD-score regression of all pairs.

    The method of R GenomicSEM's ldsc(): one weighted regression of z_1 z_2 on LD scores with an intercept, weights from
    aggregate heritabilities, block jackknife; a pair uses the variants that both traits have (`docs/methods/ldsc`).

    Parameters
    ----------
    munged
        Sumstats store (purpose "ldsc"), path or Dataset: z and n (traits, variants), NaN where missing.
    ld_scores
        LD scores, path or Dataset; univariate. Joined by variant id; they give the order of variants.
    traits
        Names of traits, in the order wanted; default all.
    sample_prev, population_prev
        Prevalences of case-control traits in the sample and in the population: one for all, a list in the order of the
        traits, or a mapping by trait; None (or NaN) for quantitative traits. Both or neither for a trait. Default:
        those that the store has, else None. With the effective sample size as N the sample prevalence is 0.5.
    sep_weights
        True: the `weight` of the LD scores is used in the weights. False: the LD scores themselves.
    n_blocks
        Blocks of the jackknife; with more than 18 traits (k + 1)(k + 2) / 2 + 1 whatever is given.
    chisq_max
        Variants with a larger z^2 are left out, per trait. Default: max(0.001 max N, 80).
    select
        Contigs: "odd", "even", or a list; M is then that of these contigs. Default all.
    stand
        Also S_Stand and V_Stand.
    memory_limit
        Bytes, or text such as "4GB", for all local processes.

    Returns
    -------
    xarray.Dataset
        With q = k (k + 1) / 2, lower triangle column by column:

        S (trait, trait_2), V (vech, vech_2), I (trait, trait_2), N (vech), m, as R returns them, S and V on the
        liability scale where prevalences are given; S_Stand, V_Stand; standard errors S_se, S_Stand_se, I_se.

        per trait: h2, h2_se (on the scale of S), h2_observed, h2_observed_se, intercept, intercept_se, ratio, ratio_se,
        mean_chisq, lambda_gc, chisq_max, n_removed, sample_prev, population_prev

        per pair: rg, rg_se (jackknife of the ratio, as ldsc.py), p, mean_z_product, n_variants

        Where a heritability is not positive, S_Stand, V_Stand, rg, rg_se and p of the trait are NaN and a warning is
        logged.

    Raises
    ------
    InputError
        Traits or contigs that are not there, prevalences outside (0, 1), no variant in common, fewer variants than
        blocks, LD scores that do not vary or are partitioned.
    UsageError
        n_blocks below 2.
    """
    if n_blocks < 2 or int(n_blocks) != n_blocks:
        raise UsageError(f"n_blocks = {n_blocks} is not possible.", expected="a whole number from 2 on; 200 is usual")
    if chisq_max is not None and not chisq_max > 0:
        raise UsageError(f"chisq_max = {chisq_max} leaves no variant.", expected="a positive number, or None")
    source, scores = open_munged(munged), open_ld_scores(ld_scores)
    chosen = chosen_traits(traits, source.traits, source.name)
    names = [source.traits[i] for i in chosen]
    prevalence = tuple(
        stored[chosen] if given is None else per_trait(given, names, argument)
        for argument, given, stored in (
            ("sample_prev", sample_prev, source.sample_prev),
            ("population_prev", population_prev, source.population_prev),
        )
    )
    check_prevalences(prevalence[0], prevalence[1], [source.n_kind[i] for i in chosen], names)
    regressors, m = _regressors(source, scores, sep_weights, select)
    blocks = n_blocks_for(len(names), int(n_blocks))
    if blocks != n_blocks:
        log.info("Blocks     %s for %s traits, so that V has full rank", f"{blocks:,}", len(names))
        if blocks > 1000:
            log.warning("more than 1,000 blocks: neighbouring blocks are no longer independent, which biases V")
    passes = RegressionPass(
        source.reader, tuple(chosen), regressors, m, blocks, chisq_max, limits.memory_limit(memory_limit)
    )
    counts, lambda_gc, sums = passes.run()
    moments = PairMoments.of(sums.moments)
    _check_counts(names, counts, moments, blocks, source.name, scores.name)
    xwx, xwy = normal_equations(sums.blocks)
    if is_singular(xwx.sum(axis=1)).any():
        raise InputError(f"the LD scores of {scores.name} do not vary, so nothing can be regressed on them.")
    cells = BlockRegression.fit(xwx, xwy)
    structure = GeneticCovariance.of(cells, moments.n_bar, m, liability_factor(prevalence[0], prevalence[1]))
    dataset = _result(names, structure, moments, counts, lambda_gc, prevalence, stand=stand)
    dataset.attrs.update(
        n_blocks=blocks,
        m_name=scores.m_name,
        command="ldsc",
        arguments={
            "traits": names,
            "sample_prev": _recorded(prevalence[0]),
            "population_prev": _recorded(prevalence[1]),
            "sep_weights": bool(sep_weights),
            "n_blocks": int(n_blocks),
            "chisq_max": chisq_max,
            "select": [scores.contig_names[c] for c in selected_contigs(select, scores.contig_names, scores.name)],
            "stand": bool(stand),
        },
        inputs=[source.reader.reader_id, scores.source_id],
        sources=[{"name": source.name}, {"name": scores.name}],
    )
    _warn(names, dataset)
    return dataset


def _recorded(values: np.ndarray) -> list[float | None]:
    """Numbers as JSON has them: None for NaN."""
    return [None if np.isnan(value) else float(value) for value in values]


def _regressors(source: Munged, scores: LdScores, sep_weights: bool, select: Any) -> tuple[Regressors, float]:
    """The variants of all regressions, and M, with what became of them in the log."""
    if len(scores.annotations) != 1:
        raise InputError(
            f"{scores.name} are partitioned LD scores; ldsc regresses on one.",
            found=f"{len(scores.annotations)} annotations: {examples(scores.annotations)}",
            do="use univariate LD scores such as eur_w_ld_chr",
        )
    if sep_weights and scores.weight is None:
        raise InputError(
            f"{scores.name} has no separate weights.",
            do="convert the LD scores again with weights=, or leave sep_weights=False",
        )
    contigs = selected_contigs(select, scores.contig_names, scores.name)
    if len(contigs) < len(scores.contig_names) and not scores.by_contig:
        raise InputError(
            f"{scores.name}: M is known for all contigs together, so contigs cannot be selected.",
            do="use LD scores with one .l2.M_5_50 file for each chromosome",
        )
    if scores.m_name == "M":
        log.warning("%s has no M_5_50; M is used, which counts rare variants too", scores.name)
    m = float(scores.m[:, 0].sum() if not scores.by_contig else scores.m[contigs, 0].sum())
    rows, repeated = matching_rows(source.variant_id, scores.variant_id)
    if repeated:
        log.warning("%s: %s ids occur more than once; no copy is used", source.name, f"{repeated:,}")
    in_both = int((rows >= 0).sum())
    if not in_both:
        raise InputError(
            f"none of the {len(source.variant_id):,} variants of {source.name} is among the {len(scores.variant_id):,} "
            f"of {scores.name}.",
            found=f"{examples(source.variant_id[:3])} ({source.name})\n{examples(scores.variant_id[:3])} "
            f"({scores.name})",
            do="check that both write ids in the same way (rs numbers)",
        )
    if len(contigs) < len(scores.contig_names):
        rows = np.where(np.isin(scores.contig, contigs), rows, -1)
    score = np.ascontiguousarray(scores.score[:, 0])
    weight = scores.weight if sep_weights and scores.weight is not None else score
    regressors = align(rows, scores.contig, scores.position, score, weight)
    log.info(
        "Variants   %s in %s, %s in %s; %s used",
        f"{len(source.variant_id):,}",
        source.name,
        f"{len(scores.variant_id):,}",
        scores.name,
        f"{regressors.n_variants:,}",
    )
    log.info("M          %s (%s)", f"{m:,.0f}", scores.m_name)
    if not m > 0:
        raise InputError(f"{scores.name}: {scores.m_name} of the selected contigs is {m:g}.", expected="more than 0")
    return regressors, m


def _check_counts(
    names: Sequence[str],
    counts: Sequence[TraitCounts],
    moments: PairMoments,
    n_blocks: int,
    source: str,
    scores: str,
) -> None:
    for name, of_trait in zip(names, counts, strict=True):
        log.info(
            "Trait      %s: %s variants, %s with LD scores, %s with chi-square above %.4g left out",
            name,
            f"{of_trait.n_given:,}",
            f"{of_trait.n_merged:,}",
            f"{of_trait.n_removed:,}",
            of_trait.chisq_max,
        )
        if not of_trait.n_merged:
            raise InputError(f"trait {name} of {source} has no variant with LD scores in {scores}.")
    few = np.flatnonzero(moments.count <= n_blocks)
    if few.size:
        row, column = vech_indices(len(names))
        at = few[0]
        which = names[row[at]] if row[at] == column[at] else f"{names[column[at]]} and {names[row[at]]} together"
        raise InputError(
            f"{which}: fewer variants than the jackknife needs.",
            found=f"{moments.count[at]:,} variants, {n_blocks:,} blocks",
            expected=f"more than {n_blocks:,} variants; a useful estimate takes hundreds of thousands",
            do="look at what became of the variants (above, or -v); a smaller n_blocks only helps with test data",
        )


def _result(
    names: list[str],
    structure: GeneticCovariance,
    moments: PairMoments,
    counts: Sequence[TraitCounts],
    lambda_gc: np.ndarray,
    prevalence: Sequence[np.ndarray],
    *,
    stand: bool,
) -> xr.Dataset:
    pair, trait = ("trait", "trait_2"), ("trait",)
    h2, h2_se = np.diag(structure.s), np.diag(structure.s_se)
    liability = np.diag(structure.scale)
    mean_z_product = unvech(moments.z_product)
    mean_chisq = np.diag(mean_z_product)
    intercept, intercept_se = np.diag(structure.intercept), np.diag(structure.intercept_se)
    ratio, ratio_se = attenuation_ratio(intercept, intercept_se, mean_chisq)
    rg, rg_se = genetic_correlation(structure.s, structure.delete_one)
    p = two_sided_p(rg, rg_se)
    np.fill_diagonal(p, np.nan)
    dataset = assemble(
        names,
        {
            "S": structure.s,
            "V": structure.v,
            "I": structure.intercept,
            "N": structure.n,
            "m": np.float64(structure.m),
            "I_se": (pair, structure.intercept_se),
            "rg": (pair, rg),
            "rg_se": (pair, rg_se),
            "p": (pair, p),
            "mean_z_product": (pair, mean_z_product),
            "n_variants": (pair, unvech(moments.count)),
            "h2": (trait, h2.copy()),
            "h2_se": (trait, h2_se.copy()),
            "h2_observed": (trait, h2 / liability),
            "h2_observed_se": (trait, h2_se / liability),
            "intercept": (trait, intercept.copy()),
            "intercept_se": (trait, intercept_se.copy()),
            "ratio": (trait, ratio),
            "ratio_se": (trait, ratio_se),
            "mean_chisq": (trait, mean_chisq.copy()),
            "lambda_gc": (trait, lambda_gc),
            "chisq_max": (trait, np.array([c.chisq_max for c in counts])),
            "n_removed": (trait, np.array([c.n_removed for c in counts], np.int64)),
            "sample_prev": (trait, prevalence[0]),
            "population_prev": (trait, prevalence[1]),
        },
    )
    return dataset if stand else dataset.drop_vars(["S_Stand", "V_Stand", "S_Stand_se"])


def _warn(names: Sequence[str], dataset: xr.Dataset) -> None:
    h2, rg = dataset["h2"].values, dataset["rg"].values
    for name, value in zip(names, h2, strict=True):
        if not value > 0:
            log.warning(
                "%s: the heritability is estimated as %.4g, not positive; its genetic correlations are undefined (NaN)",
                name,
                value,
            )
    for i, j in np.argwhere(np.tril(np.abs(rg) > _OUT_OF_BOUNDS, -1)):
        log.warning(
            "%s, %s: the genetic correlation %.3g is out of bounds; one of the heritabilities is hardly above 0",
            names[j],
            names[i],
            rg[i, j],
        )
