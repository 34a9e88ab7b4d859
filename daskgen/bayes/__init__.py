"""Bayesian marker-effect models: BayesA, BayesB, BayesC, BayesR, BayesL and RR-BLUP; BayesC of several traits.

posterior = dg.bayes.fit("cohort.zarr", "phenotypes.txt", method="BayesC", pi=0.95)
posterior.heritability, posterior.breeding_values, posterior.diagnostics()
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np

from daskgen.bayes.inputs import read_inputs
from daskgen.bayes.loading import open_sets
from daskgen.bayes.one_trait import fit_trait
from daskgen.bayes.posterior import Posterior
from daskgen.bayes.settings import Settings
from daskgen.bayes.several_traits import fit_traits
from daskgen.bayes.trait_posterior import TraitPosterior
from daskgen.genotypes.reader import Genotypes
from daskgen.genotypes.selection import Selection
from daskgen.inputs.arguments import known_arguments
from daskgen.inputs.sample_table import SampleIds, Table
from daskgen.stores import StoreLike

__all__ = ["Posterior", "TraitPosterior", "fit"]


@known_arguments(*Selection.__dataclass_fields__)
def fit(
    genotypes: Genotypes | np.ndarray | Mapping[str, Genotypes | np.ndarray],
    phenotypes: Table,
    covariates: Table | None = None,
    *,
    method: str = "BayesC",
    pi: float | Sequence[float] | np.ndarray | Mapping[Any, float] = 0.0,
    estimate_pi: bool = True,
    chain_length: int = 2_000,
    burn_in: int = 500,
    thin: int = 1,
    chains: int = 4,
    blocks: Literal["auto"] | int | Sequence[int] | None = "auto",
    schedule: Literal["exact", "jwas", "independent"] = "exact",
    gamma: Sequence[float] | None = None,
    marker_variance: Any = None,
    residual_variance: Any = None,
    genetic_variance: Any = None,
    estimate_marker_variance: bool = True,
    estimate_residual_variance: bool = True,
    df: float = 4.0,
    residual_df: float = 4.0,
    random: str | Sequence[str] | Mapping[str, Any] | None = None,
    weights: Table | None = None,
    multi_trait_sampler: Literal["auto", "I", "II"] = "auto",
    constraint: bool = False,
    center: bool = True,
    maf_min: float = 0.01,
    dosage: Literal["auto"] | bool = "auto",
    keep_effects: bool | None = None,
    pheno_name: str | Sequence[str] | None = None,
    covar_name: str | Sequence[str] | None = None,
    covar_categorical: str | Sequence[str] | None = None,
    covar_numeric: str | Sequence[str] | None = None,
    missing_value: str | Sequence[str] | None = None,
    id_style: Literal["iid", "fid_iid"] = "iid",
    seed: int = 0,
    checkpoint: StoreLike | None = None,
    keep_checkpoint: bool = False,
    memory_limit: int | str | None = None,
    **selection: Any,
) -> Posterior:
    """Sample the posterior of marker effects of one trait, or of several jointly.

    The model is y = X b + sum_k W_k u_k + Z a + e with flat priors of the fixed effects b, u_k ~ N(0, Q_k^-1 s2u_k),
    e ~ N(0, s2e / weight), and the prior of the effects a that `method` names (`daskgen.bayes.methods`). Z is the
    number of counted alleles, centred by the training samples' mean; missing calls are at the mean. Several columns of
    phenotypes are a multi-trait BayesC (`daskgen.bayes.trait_priors`): effects a_j = D_j beta_j with beta_j ~ N(0, G),
    residuals N(0, R / weight), and what a sample lacks of the traits is drawn in each iteration.

    Parameters
    ----------
    genotypes
        A store, a Dataset, an array (samples, variants) of allele counts or dosages, or a mapping name -> such: sets
        with a prior each.
    phenotypes, covariates
        Tables (see `daskgen.inputs`); every sample of the genotypes without a record gets a breeding value too.
        Phenotypes may have several rows of a sample; covariates and weights then have a row for each sample, or the
        same rows.
    method
        BayesA, BayesB, BayesC, BayesR, BayesL or RR-BLUP; several traits: BayesC, or RR-BLUP with all effects in.
    pi
        P(effect = 0): a number, or one for each marker (BayesC, not estimated then); BayesR: one for each class,
        default 0.95, 0.03, 0.015, 0.005. `estimate_pi`: draw it, Dirichlet(1) prior (not BayesA, BayesL, RR-BLUP).
        Several traits: a mapping of states to probabilities, {"00": 0.8, "11": 0.2}, whose other states are excluded;
        an array of all 2^T in the order 00, 10, 01, 11; or a number, the traits being independent.
    chain_length, burn_in, thin, chains
        Iterations of each chain, how many of the first are left out, every which one is kept, number of chains.
    blocks
        "auto": the power of two next to n / 16, from 16 to 256; a size; 0-based starts; None: marker by marker.
    schedule
        "exact": full sweeps. "jwas": each block is repeated as often as it has markers, and chain_length is divided by
        the block's size (not with explicit starts). "independent": the residual is frozen during a sweep, an
        approximation that is stopped where it diverges.
    gamma
        Variances of the classes of BayesR relative to the marker variance; default 0, 0.01, 0.1, 1.
    marker_variance, residual_variance, genetic_variance
        Start values and prior means. Default: half the phenotypic variance is genetic, the rest is shared by the
        residual and the random terms; the marker variance is genetic_variance / sum 2 p (1 - p) (1 - pi). Several
        traits: matrices (T, T), or a variance for each.
    estimate_marker_variance, estimate_residual_variance
        False holds them fixed. df, residual_df: degrees of freedom of their priors, 4 (several traits: + T).
    random
        Columns of the covariates that are random with independent levels, or a mapping column -> None or (precision
        matrix, names of its rows).
    weights
        Of the records: the residual variance of sample i is s2e / weight_i.
    multi_trait_sampler
        "I" changes one trait of a marker at a time, "II" all of them, over the listed states; "auto" is I where every
        state can occur, else II, which is then required.
    constraint
        True: covariances of effects and of residuals between traits are 0.
    center
        False takes allele counts as they are.
    maf_min
        Markers with a minor allele frequency of at most this in the training samples are left out, as those without
        variation.
    dosage
        "auto": dosages where the genotypes have them, else hard calls; True demands dosages, False takes hard calls.
    keep_effects
        Keep the effects of every draw (for `Posterior.windows`); None: where it is at most 20 million numbers.
    pheno_name, covar_name, covar_categorical, covar_numeric, missing_value, id_style
        Columns and their kinds, words for missing values, how ids are written.
    seed
        Draws depend on seed, chain, iteration and marker alone: the same for any number of threads and workers,
        wherever the genotypes are, and after a resume.
    checkpoint
        A file in which the chains are kept, so that a killed run goes on.
    keep_checkpoint
        Leave the file when all is done, for who has still to write the result: the same call then samples no more.
    memory_limit
        Where calls do not fit into so much memory, blocks of them are read from the store in each sweep; a plan that
        needs more even so is refused.
    selection
        keep, remove, extract, exclude, contig, region, missing_max (see `daskgen.genotypes`).

    Returns
    -------
    Posterior, or for several traits TraitPosterior, whose tables have the dimension trait.

    Raises
    ------
    UsageError, InputError
        For arguments and data that cannot be used, before sampling. PlanError over the memory limit.
    NotConvergedError
        Where a chain diverges.
    """
    settings = Settings(
        method=method,
        pi=_plain_pi(pi),
        estimate_pi=estimate_pi,
        chain_length=chain_length,
        burn_in=burn_in,
        thin=thin,
        chains=chains,
        blocks=blocks if blocks is None or isinstance(blocks, (str, int)) else [int(start) for start in blocks],
        schedule=schedule,
        gamma=None if gamma is None else [float(value) for value in gamma],
        marker_variance=_plain(marker_variance),
        residual_variance=_plain(residual_variance),
        genetic_variance=_plain(genetic_variance),
        estimate_marker_variance=estimate_marker_variance,
        estimate_residual_variance=estimate_residual_variance,
        df=df,
        residual_df=residual_df,
        center=center,
        maf_min=maf_min,
        keep_effects=keep_effects,
        seed=seed,
        sampler=multi_trait_sampler,
        constraint=constraint,
        memory_limit=memory_limit,
        keep_checkpoint=keep_checkpoint,
    )
    settings.check()
    sets = open_sets(genotypes, Selection(**selection), dosage)
    samples = SampleIds(sets[0].sample_id, "the genotypes", id_style)
    inputs = read_inputs(
        phenotypes,
        covariates,
        samples,
        pheno_name=pheno_name,
        covar_name=covar_name,
        covar_categorical=covar_categorical,
        covar_numeric=covar_numeric,
        missing_value=missing_value,
        random=random,
        weights=weights,
    )
    if len(inputs.traits) > 1:
        return fit_traits(inputs, sets, settings, checkpoint)
    return fit_trait(next(iter(inputs.traits)), inputs, sets, settings, checkpoint)


def _plain(value: Any) -> Any:
    """Numbers and lists, which a checkpoint can compare."""
    return None if value is None else np.asarray(value, np.float64).tolist()


def _plain_pi(pi: Any) -> Any:
    if isinstance(pi, Mapping):
        return {key if isinstance(key, str) else "".join(str(int(bit)) for bit in key): float(pi[key]) for key in pi}
    return _plain(pi)
