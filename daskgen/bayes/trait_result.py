"""Sums and traces of chains of several traits as a `TraitPosterior`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import xarray as xr

from daskgen.bayes.copies import Copies
from daskgen.bayes.planes import from_planes
from daskgen.bayes.preparation import Prepared
from daskgen.bayes.result import draws_of_effects, fit_attributes, mean_and_variance, variant_columns, warn_of
from daskgen.bayes.settings import Settings
from daskgen.bayes.trait_posterior import TraitPosterior
from daskgen.bayes.trait_priors import state_name
from daskgen.bayes.trait_sampler import TraitChains, trait_trace_columns
from daskgen.stores import RunKey

__all__ = ["make_trait_posterior"]


def make_trait_posterior(
    chains: TraitChains,
    prepared: Prepared,
    settings: Settings,
    copies: Copies,
    seen: np.ndarray,
    run: RunKey,
    covariance: Callable[[int, int], np.ndarray],
) -> TraitPosterior:
    """The posterior of several traits. copies: of the samples, by their records; seen: bool (T, copies), where there is
    a value; covariance: see `Posterior`.
    """
    problem, sums = chains.problem, chains.sums
    names, t = list(problem.traits), problem.n_traits
    total = chains.n_chains * chains.saved
    mean, spread = mean_and_variance(sums.effect, sums.effect_square, total)
    value, pev = (
        from_planes(planes, problem.n_samples).T[copies.first]
        for planes in mean_and_variance(sums.genetic, sums.genetic_square, total)
    )
    phenotyped = np.zeros((len(copies.first), t), bool)
    np.logical_or.at(phenotyped, copies.sample, seen.T)
    trace = sums.trace[:, : chains.saved]
    columns = trait_trace_columns(problem)
    genetic = np.array([trace[:, :, columns.index(f"genetic_variance_{name}")].mean() for name in names])
    with np.errstate(invalid="ignore", divide="ignore"):
        reliability = np.where(genetic > 0, np.clip(1 - pev / genetic, 0.0, 1.0), 0.0)
    text = np.dtypes.StringDType()
    variables: dict[str, Any] = {
        "effect_mean": (("variant", "trait"), mean),
        "effect_sd": (("variant", "trait"), np.sqrt(spread)),
        "pip": (("variant", "trait"), sums.included.sum(axis=0) / total),
        "effect_centre": ("variant", np.concatenate([2 * one.frequency for one in prepared.loaded])),
        "breeding_value": (("sample", "trait"), value),
        "pev": (("sample", "trait"), pev),
        "reliability": (("sample", "trait"), reliability),
        "phenotyped": (("sample", "trait"), phenotyped),
        "trace": (("chain", "draw", "quantity"), trace),
        "location_draws": (("chain", "draw", "location"), sums.theta[:, : chains.saved]),
        **draws_of_effects(chains),
        **variant_columns(prepared.loaded),
    }
    if "effect_draw_variant" in variables:
        dims, entry = variables["effect_draw_variant"]
        variables["effect_draw_variant"] = (dims, entry // t)
        variables["effect_draw_trait"] = (dims, (entry % t).astype(np.int8))
    if sums.states.shape[1]:
        variables["state_probability"] = (("variant", "state"), sums.states.sum(axis=0) / total)
    dataset = xr.Dataset(
        variables,
        coords={
            "quantity": np.array(columns, text),
            "location": np.array([f"{effect}:{name}" for effect in problem.design.names for name in names], text),
            "trait": np.array(names, text),
            "state": np.array([state_name(int(state), t) for state in problem.priors[0].states], text),
            "sample_id": (
                "sample",
                np.array([str(i) for i in prepared.loaded[0].opened.sample_id[copies.first]], text),
            ),
        },
        attrs=fit_attributes(chains, prepared, settings),
    )
    posterior = TraitPosterior(dataset, run, marker_covariance=covariance)
    warn_of(posterior)
    return posterior
