"""The fit of one trait."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np

from daskgen.bayes.fitting import finish, load_markers
from daskgen.bayes.inputs import Inputs
from daskgen.bayes.loading import OpenedSet
from daskgen.bayes.methods import marker_prior
from daskgen.bayes.posterior import Posterior
from daskgen.bayes.preparation import check_phenotype, prepare
from daskgen.bayes.records import check_weights, make_records
from daskgen.bayes.result import make_posterior
from daskgen.bayes.sampler import Chains, Problem
from daskgen.bayes.settings import Settings

__all__ = ["fit_trait"]


def fit_trait(name: str, inputs: Inputs, sets: Sequence[OpenedSet], settings: Settings, checkpoint: Any) -> Posterior:
    """The posterior of the trait `name` of `inputs`; see `daskgen.bayes.fit`."""
    settings.check_one_trait()
    phenotype = inputs.traits[name]
    used = ~np.isnan(phenotype) & inputs.complete
    check_phenotype(name, phenotype, used)
    check_weights(inputs.weights, used)
    training = np.where(used, phenotype, np.nan)
    variance = float(np.var(training[used], ddof=1))
    share = 0.5 * variance / (1 + len(inputs.levels))  # what is not genetic, over the random terms and the residual
    genetic = 0.5 * variance if settings.genetic_variance is None else settings.genetic_variance
    residual = share if settings.residual_variance is None else settings.residual_variance
    prior = partial(
        marker_prior,
        settings.method,
        genetic_variance=genetic / len(sets),
        pi=settings.pi,
        gamma=settings.gamma,
        estimate_pi=settings.estimate_pi,
        estimate_variance=settings.estimate_marker_variance,
        marker_variance=settings.marker_variance,
        df=settings.df,
    )
    prior(heterozygosity=np.ones(np.size(settings.pi)))  # raises what is to be raised before genotypes are read
    with_records = np.bincount(inputs.sample[used], minlength=inputs.n_samples) > 0
    prepared = prepare(name, used, with_records, inputs, sets, settings, share)
    priors = [prior(heterozygosity=prepared.heterozygosity(number)) for number in range(len(sets))]
    records = make_records(training, inputs.weights, prepared.design, inputs.sample, inputs.n_samples)
    loaded = load_markers(prepared, settings, priors, records.w)
    problem = Problem(
        loaded.markers,
        records,
        prepared.design,
        priors,
        [one.name for one in sets],
        prepared.set_start,
        prepared.blocks,
        prepared.n_samples,
        residual,
        settings.residual_df,
        settings.estimate_residual_variance,
        settings.schedule == "independent",
        int(used.sum()) - int(prepared.with_records.sum()),
        loaded.feed,
    )
    chains = Chains.start(problem, settings.chains, prepared.draws, settings.seed)
    expected = [1.0 - (float(prior.pi[0]) if len(prior.gamma) > 1 else 0.0) for prior in priors]
    return finish(
        chains,
        prepared,
        settings,
        loaded,
        float(np.average(expected, weights=np.diff(prepared.set_start))),
        [training, inputs.sample, inputs.weights, loaded.matrix.shift],
        checkpoint,
        variance,
        lambda run: make_posterior(
            chains, prepared, settings, run, partial(loaded.matrix.covariance, observed=records.observed)
        ),
    )
