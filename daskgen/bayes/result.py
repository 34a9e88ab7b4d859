"""Sums and traces of chains as a `Posterior`."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import xarray as xr

from daskgen.bayes.chains import ChainsOfKernel
from daskgen.bayes.loading import GenotypeSet
from daskgen.bayes.planes import from_planes
from daskgen.bayes.posterior import Posterior
from daskgen.bayes.preparation import Prepared
from daskgen.bayes.sampler import Chains, trace_columns
from daskgen.bayes.settings import Settings
from daskgen.stores import RunKey

__all__ = ["draws_of_effects", "fit_attributes", "make_posterior", "mean_and_variance", "variant_columns", "warn_of"]

log = logging.getLogger("daskgen.bayes")


def make_posterior(
    chains: Chains,
    prepared: Prepared,
    settings: Settings,
    run: RunKey,
    covariance: Callable[[int, int], np.ndarray],
) -> Posterior:
    """The posterior of one trait. covariance: of markers, see `Posterior`."""
    loaded = prepared.loaded
    problem = chains.problem
    total = chains.n_chains * chains.saved
    mean, spread = mean_and_variance(chains.sums.effect, chains.sums.effect_square, total)
    value, pev = (
        from_planes(planes, problem.n_samples)
        for planes in mean_and_variance(chains.sums.genetic, chains.sums.genetic_square, total)
    )
    trace = chains.sums.trace[:, : chains.saved]
    genetic = float(trace[:, :, 1].mean())
    with np.errstate(invalid="ignore", divide="ignore"):
        reliability = np.clip(1 - pev / genetic, 0.0, 1.0) if genetic > 0 else np.zeros_like(pev)
    text = np.dtypes.StringDType()
    variables: dict[str, Any] = {
        "effect_mean": ("variant", mean),
        "effect_sd": ("variant", np.sqrt(spread)),
        "pip": ("variant", chains.sums.included.sum(axis=0) / total),
        "effect_centre": ("variant", np.concatenate([2 * one.frequency for one in loaded])),
        "breeding_value": ("sample", value),
        "pev": ("sample", pev),
        "reliability": ("sample", reliability),
        "phenotyped": ("sample", prepared.with_records),
        "trace": (("chain", "draw", "quantity"), trace),
        "location_draws": (("chain", "draw", "location"), chains.sums.theta[:, : chains.saved]),
    }
    variables |= draws_of_effects(chains)
    variables |= variant_columns(loaded)
    dataset = xr.Dataset(
        variables,
        coords={
            "quantity": np.array(trace_columns(problem), text),
            "location": np.array(problem.design.names, text),
            "sample_id": ("sample", np.array([str(i) for i in loaded[0].opened.sample_id], text)),
        },
        attrs=fit_attributes(chains, prepared, settings),
    )
    posterior = Posterior(dataset, run, marker_covariance=covariance)
    warn_of(posterior)
    return posterior


def mean_and_variance(sums: np.ndarray, squares: np.ndarray, total: int) -> tuple[np.ndarray, np.ndarray]:
    """Over `total` draws, from the sums (chains, ...) and sums of squares of each chain; variance with total - 1."""
    mean = sums.sum(axis=0) / total
    return mean, np.maximum(squares.sum(axis=0) / total - mean**2, 0.0) * total / max(1, total - 1)


def fit_attributes(chains: ChainsOfKernel, prepared: Prepared, settings: Settings) -> dict[str, Any]:
    """What was fitted and how, as attributes of a result."""
    return {
        "method": settings.method,
        "trait": prepared.name,
        "schedule": settings.schedule,
        "seed": settings.seed,
        "n_iterations": chains.iteration,
        "burn_in": settings.burn_in,
        "thin": settings.thin,
        "largest_block": int(prepared.blocks.sizes.max()),
    }


def warn_of(posterior: Posterior) -> None:
    """Name what has not converged in the posterior's warnings and in the log."""
    table = posterior.diagnostics()
    for quantity in posterior.not_converged():
        row = table.loc[quantity]
        posterior.warnings.append(
            f"{quantity} has not converged: R-hat {row['r_hat']:.3f}, effective draws {row['ess_bulk']:.0f} (bulk), "
            f"{row['ess_tail']:.0f} (tail)"
        )
    for warning in posterior.warnings:
        log.warning("%s", warning)


def draws_of_effects(chains: ChainsOfKernel) -> dict[str, Any]:
    """The effects that are not 0 of the draws that were kept, sorted by chain, draw and marker."""
    if not chains.draws:
        return {}
    place = np.concatenate([place for place, _, _ in chains.draws], axis=1)
    marker = np.concatenate([marker for _, marker, _ in chains.draws])
    kept = np.concatenate([value for _, _, value in chains.draws])
    order = np.lexsort([marker, place[1], place[0]])  # not in the order of pieces, which a restart changes
    return {
        "effect_draw_place": (("pair", "entry"), place[:, order]),
        "effect_draw_variant": ("entry", marker[order]),
        "effect_draw_value": ("entry", kept[order]),
    }


def variant_columns(loaded: Sequence[GenotypeSet]) -> dict[str, Any]:
    """Set, and where the source has them id, contig, position and alleles of the markers."""
    text = np.dtypes.StringDType()
    columns: dict[str, Any] = {}
    if len(loaded) > 1:
        columns["variant_set"] = (
            "variant",
            np.concatenate([np.full(one.n_markers, one.opened.name, dtype=object) for one in loaded]).astype(text),
        )
    if any(one.opened.source is None for one in loaded):
        return columns
    parts: dict[str, list[np.ndarray]] = {}
    for one in loaded:
        source, view = one.opened.source, one.opened.view
        assert source is not None
        assert view is not None
        rows = one.kept if view.variants is None else view.variants[one.kept]
        keys = source.keys()
        parts.setdefault("variant_id", []).append(keys.variant_id[rows])
        parts.setdefault("variant_contig_name", []).append(keys.contig[rows])
        parts.setdefault("variant_position", []).append(keys.position[rows])
        parts.setdefault("variant_allele", []).append(keys.allele[rows])
    for name, arrays in parts.items():
        values = np.concatenate(arrays)
        dims = ("variant", "allele") if name == "variant_allele" else "variant"
        columns[name] = (dims, values if name == "variant_position" else values.astype(text))
    return columns
