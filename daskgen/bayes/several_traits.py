"""The joint fit of several traits."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np

from daskgen.bayes.copies import copies_of
from daskgen.bayes.fitting import finish, load_markers
from daskgen.bayes.inputs import Inputs
from daskgen.bayes.loading import OpenedSet
from daskgen.bayes.preparation import check_phenotype, prepare
from daskgen.bayes.records import check_weights
from daskgen.bayes.settings import Settings
from daskgen.bayes.trait_posterior import TraitPosterior
from daskgen.bayes.trait_priors import covariance_start, trait_prior
from daskgen.bayes.trait_result import make_trait_posterior
from daskgen.bayes.trait_sampler import TraitChains, TraitProblem, make_trait_records
from daskgen.errors import UsageError

__all__ = ["fit_traits"]


def fit_traits(inputs: Inputs, sets: Sequence[OpenedSet], settings: Settings, checkpoint: Any) -> TraitPosterior:
    """The joint posterior of all traits of `inputs`; see `daskgen.bayes.fit`.

    A record takes part where it has any of the traits and all covariates; what it lacks is drawn in each iteration.
    """
    if settings.gamma is not None:
        raise UsageError("gamma belongs to BayesR.", found=f"method {settings.method}")
    names = list(inputs.traits)
    phenotypes = np.stack([inputs.traits[name] for name in names])
    used = ~np.isnan(phenotypes).all(axis=0) & inputs.complete
    for name, phenotype in zip(names, phenotypes, strict=True):
        check_phenotype(name, phenotype, used)
    check_weights(inputs.weights, used)
    phenotypes = np.where(used, phenotypes, np.nan)
    variance = np.nanvar(phenotypes, axis=1, ddof=1)
    share = 0.5 * variance / (1 + len(inputs.levels))
    start = partial(covariance_start, traits=len(names), diagonal=settings.constraint)
    genetic = start(settings.genetic_variance, "genetic_variance", default=np.diag(0.5 * variance))
    residual = start(settings.residual_variance, "residual_variance", default=np.diag(share))
    prior = partial(
        trait_prior,
        settings.method,
        len(names),
        genetic_covariance=genetic / len(sets),
        pi=settings.pi,
        estimate_pi=settings.estimate_pi,
        estimate_variance=settings.estimate_marker_variance,
        marker_variance=settings.marker_variance,
        df=settings.df,
        sampler=settings.sampler,
        constraint=settings.constraint,
    )
    prior(heterozygosity=np.ones(1))  # raises what is to be raised before genotypes are read
    copies = copies_of(inputs, used)
    standing = np.zeros(len(copies.sample), bool)
    standing[copies.first] = True
    standing &= copies.spread(used, False)
    prepared = prepare(", ".join(names), used, standing, inputs, copies.sets(sets), settings, 1.0, len(names))
    priors = [prior(heterozygosity=prepared.heterozygosity(number)) for number in range(len(sets))]
    weights = None if inputs.weights is None else copies.spread(inputs.weights, 0.0)
    records = make_trait_records(
        copies.spread(phenotypes, np.nan), copies.spread(used, False), weights, prepared.design, standing
    )
    loaded = load_markers(prepared, settings, priors, records.w)
    problem = TraitProblem(
        loaded.markers,
        records,
        prepared.design,
        priors,
        [one.name for one in sets],
        prepared.set_start,
        prepared.blocks,
        prepared.n_samples,
        names,
        residual,
        settings.residual_df,
        [np.diag(share)] * len(inputs.levels),
        settings.estimate_residual_variance,
        settings.constraint,
        settings.schedule == "independent",
        loaded.feed,
    )
    chains = TraitChains.start(problem, settings.chains, prepared.draws, settings.seed)
    bits = priors[0].states[:, None] >> np.arange(len(names)) & 1
    return finish(
        chains,
        prepared,
        settings,
        loaded,
        float((priors[0].pi @ bits).mean()),
        [phenotypes, inputs.sample, inputs.weights, loaded.matrix.shift],
        checkpoint,
        variance,
        lambda run: make_trait_posterior(
            chains,
            prepared,
            settings,
            copies,
            copies.spread(~np.isnan(phenotypes), False),
            run,
            partial(loaded.matrix.covariance, observed=records.observed),
        ),
    )
