"""Sections of reports on fitted models: covariance structures, SEM, variance components, marker effects."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from daskgen.reporting import figures
from daskgen.reporting.data import text
from daskgen.reporting.page import Section, facts, figure, note, paragraph, preformatted, table

__all__ = ["covstruct", "posterior", "reml", "sem_fit"]

_TOP = 20  # markers, windows
_TRACES = 12  # quantities whose draws are drawn


def covstruct(dataset: xr.Dataset) -> list[Section]:
    """Heritabilities, genetic correlations, and their heat map."""
    from daskgen.plotting import heatmap
    from daskgen.plotting.style import styled

    traits = text(dataset, "trait")
    columns = ["h2", "h2_se", "intercept", "intercept_se", "ratio", "mean_chisq", "lambda_gc"]
    columns += ["sample_prev", "population_prev"]
    by_trait = pd.DataFrame({"trait": traits, **{c: dataset[c].values for c in columns if c in dataset.variables}})
    if "h2" not in by_trait:
        by_trait["S (diagonal)"] = np.diag(dataset["S"].values)
    parts = []
    if "rg" in dataset.variables and len(traits) > 1:
        at = [(i, j) for i in range(len(traits)) for j in range(i)]
        first, second = (np.array(side, np.intp) for side in zip(*at, strict=True))
        pairs: dict[str, Any] = {"trait_1": traits[second], "trait_2": traits[first]}
        for name in ("rg", "rg_se", "p"):
            if name in dataset.variables:
                pairs[name] = dataset[name].values[first, second]
        pairs["covariance"] = dataset["S"].values[first, second]
        parts.append(Section("Genetic correlations", [table(pd.DataFrame(pairs), most=500)]))
    body = [table(by_trait, most=500)]
    with styled():
        body.append(figure(heatmap(dataset), "heat map of genetic correlations"))
    return [Section("Genetic covariance", body, parts)]


def sem_fit(dataset: xr.Dataset) -> list[Section]:
    """The model, how well it fits, its estimates and its path diagram."""
    from daskgen.sem.path_diagram import draw

    names = ["lhs", "op", "rhs", "est", "se", "est_std", "se_std", "est_std_all", "p"]
    estimates = pd.DataFrame(
        {name: text(dataset, name) if name in names[:3] else dataset[name].values for name in names}
    )
    indices = {
        label: float(dataset[name].values)
        for name, label in {
            "chisq": "chi-square",
            "df": "degrees of freedom",
            "p_chisq": "p",
            "aic": "AIC",
            "cfi": "CFI",
            "srmr": "SRMR",
        }.items()
        if name in dataset.variables
    }
    traits = [str(name) for name in text(dataset, "trait")]
    body = [
        preformatted(str(dataset.attrs.get("model", "")).strip()),
        facts({"Estimation": dataset.attrs.get("estimation"), "Free parameters": dataset.attrs.get("npar"), **indices}),
    ]
    if not dataset.attrs.get("converged", 1):
        body.insert(0, note("the fit did not converge"))
    body += [note(warning) for warning in dataset.attrs.get("warnings", [])]
    body += [draw(estimates, traits, "est_std_all").svg, table(estimates, most=500)]
    residual = pd.DataFrame(dataset["residual_cov"].values, columns=traits)
    residual.insert(0, "", traits)
    return [Section("Structural equation model", body, [Section("Residual covariance", [table(residual, most=500)])])]


def reml(dataset: xr.Dataset) -> list[Section]:
    """Variance components, heritability, tests and fixed effects, a section per phenotype."""
    from daskgen.reml.result import RemlFit

    fit = RemlFit(dataset)
    return [_one_reml(fit[name], name) for name in fit.phenotypes]


def _one_reml(fit: Any, name: str) -> Section:
    one = fit.dataset.isel(phenotype=0)
    exact = str(one["method"].values) == "exact"
    body = [
        facts(
            {
                "Samples": int(one["n_samples"].values),
                "Method": "exact" if exact else f"stochastic, {int(one['n_probes'].values)} probes",
                "Passes over the genotypes": int(one["passes"].values),
                "Restricted log-likelihood": float(one["log_likelihood"].values),
                "Ended because": str(one["reason"].values),
            }
        )
    ]
    if not bool(one["converged"].values):
        body.insert(0, note(f"{name}: the maximum was not found; {one['reason'].values}"))
    h2 = fit.heritability
    drawn = figures.bars(h2["component"].tolist(), h2["h2"].to_numpy(), h2["se"].to_numpy(), "share of variance")
    body += [figure(drawn, "heritability by component"), table(h2), table(fit.variance_components), table(fit.lrt)]
    return Section(f"Variance components of {name}", body, [Section("Fixed effects", [table(fit.fixed_effects)])])


def posterior(dataset: xr.Dataset) -> list[Section]:
    """Convergence, traced quantities with their draws, the markers most often in the model."""
    from daskgen.bayes.posterior import Posterior

    result = Posterior(dataset)
    quantities = result.diagnostics().reset_index()
    body = [
        facts(
            {
                "Method": dataset.attrs.get("method"),
                "Schedule": dataset.attrs.get("schedule"),
                "Markers": dataset.sizes["variant"],
                "Samples": dataset.sizes["sample"],
                "Chains": dataset.sizes["chain"],
                "Draws a chain": dataset.sizes["draw"],
            }
        )
    ]
    unsure = result.not_converged()
    body.append(note(f"not converged: {', '.join(unsure)}") if unsure else paragraph("every quantity has converged"))
    body.append(table(quantities))
    drawn = []
    varying = [q for q in quantities["quantity"] if np.ptp(dataset["trace"].sel(quantity=q).values) > 0]
    for name in varying[:_TRACES]:
        draws = dataset["trace"].sel(quantity=name).values
        drawn.append(figure(figures.traces(draws, str(name)), f"draws of {name}"))
    effects = result.marker_effects
    size = np.abs(effects["mean"].values).reshape(effects.sizes["variant"], -1)
    often = effects["pip"].values.reshape(effects.sizes["variant"], -1).max(axis=1)
    order = np.lexsort((-size.max(axis=1), -often))[:_TOP]
    best: dict[str, Any] = {}
    for column in effects.variables:
        label = str(column).removeprefix("variant_")
        if label in ("id", "contig", "position", "mean", "sd", "pip"):
            values = effects[column]
            if values.dims == ("variant",):
                best[label] = text(effects, str(column))[order]
            elif values.dims[:1] == ("variant",) and "trait" in values.dims:
                for at, trait in enumerate(text(effects, "trait")):
                    best[f"{label} {trait}"] = values.values[order, at]
    frame = pd.DataFrame(best).infer_objects()
    return [
        Section(
            "Marker effects",
            body,
            [Section("Draws", drawn), Section("Markers most often in the model", [table(frame)])],
        )
    ]
