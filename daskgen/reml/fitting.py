"""`fit`: variance components of phenotypes, exactly or with streamed genotypes."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from daskgen.errors import InputError, UsageError
from daskgen.genotypes.selection import Selection
from daskgen.inputs.arguments import known_arguments
from daskgen.inputs.sample_table import Table
from daskgen.passes import Checkpoint
from daskgen.reml.assembling import fit_dataset
from daskgen.reml.choosing import chosen_method
from daskgen.reml.components import ComponentSpec
from daskgen.reml.dense_model import DenseModel
from daskgen.reml.estimates import Estimates
from daskgen.reml.lanczos_fit import LanczosFit
from daskgen.reml.model import FittedGroup, FittedModel
from daskgen.reml.pcg_fit import PcgFit
from daskgen.reml.relationships import Relationships, Some
from daskgen.reml.result import RemlFit
from daskgen.reml.study import GenotypeSets, Group, Study, open_study
from daskgen.stores import Location, RunKey, StoreLike

__all__ = ["fit"]

log = logging.getLogger("daskgen.reml")

METHODS = ("auto", "exact", "stochastic")


@known_arguments(*Selection.__dataclass_fields__)
def fit(
    genotypes: GenotypeSets,
    phenotypes: Table,
    covariates: Table | None = None,
    *,
    components: ComponentSpec = None,
    scale: str = "empirical",
    alpha: float = -1.0,
    method: str = "auto",
    n_probes: int | str = "auto",
    tol: float = 1e-3,
    dosage: str | bool = "auto",
    pheno_name: str | Sequence[str] | None = None,
    covar_name: str | Sequence[str] | None = None,
    covar_categorical: str | Sequence[str] | None = None,
    covar_numeric: str | Sequence[str] | None = None,
    missing_value: str | Iterable[str] | None = None,
    id_style: str = "iid",
    residual_weights: Table | None = None,
    memory_limit: int | str | None = None,
    cache: bool = True,
    seed: int = 0,
    checkpoint: StoreLike | None = None,
    **selection: Any,
) -> RemlFit:
    """Variance components by restricted maximum likelihood (REML).

    y = X b + sum_g u_g + e, u_g ~ N(0, theta_g K_g), e ~ N(0, theta_e I), K_g = Z_g Z_g' / c_g with Z standardised in
    the analysed samples and c_g the number of the component's variants that vary in them.

    Parameters
    ----------
    genotypes
        A store or Dataset; a list, or a mapping from names, of several makes each of them a component.
    phenotypes
        DataFrame or Series indexed by sample id, array in the order of the store, or a file with columns FID IID.
        Several columns are separate fits, each with its own samples.
    covariates
        Likewise. An intercept is added unless they span it; collinear columns are dropped and named.
    components
        None: one; "contig": one per contig; name -> indices or boolean mask of variants (in the order of the store);
        or the path of a specification (JSON or .npz). Components may overlap, leave variants out, or be empty.
    scale, alpha
        z = (x - mean) v^(alpha / 2), v the variance observed ("empirical") or 2 p (1 - p) ("hwe").
    method
        "exact": dense matrices in float64; "stochastic": streamed products and random probes; "auto": exact where its
        predicted time is the lower or below five seconds, and it fits in memory.
    n_probes
        Random probes of the stochastic way. "auto": 24, and as many more as bring the Monte-Carlo error of every
        variance to 5 % of its standard error (10 % with several components), at most 256.
    tol
        The stochastic way ends when estimates change by less than this share of their standard errors.
    dosage
        "auto": dosages where the source has them, else calls; True, False.
    pheno_name, covar_name
        Columns to take; default all.
    covar_categorical, covar_numeric
        Covariates that are classes (treatment contrasts), or measurements although they are few whole numbers.
    missing_value
        Words that stand for missing values; default NA, NaN, nan and nothing.
    id_style
        "iid", or "fid_iid" where the genotypes' ids are FID_IID.
    residual_weights
        w of each sample: e ~ N(0, theta_e diag(1 / w)).
    memory_limit, cache
        As in `daskgen.genotypes.operator`.
    seed
        Of the probes; with the same samples the same probes whatever else is fitted.
    checkpoint
        File for the state of the stochastic way, so that a stopped run goes on.
    selection
        keep, remove, extract, exclude, contig, region, maf_min, missing_max (see `daskgen.genotypes`).

    Returns
    -------
    RemlFit

    Raises
    ------
    UsageError, InputError
        Arguments or tables that cannot be used (see `daskgen.inputs`), components out of range, nothing that varies.
    PlanError
        More memory than the limit.
    """
    checked_options(method, n_probes, tol)
    study = open_study(
        genotypes,
        phenotypes,
        covariates,
        Selection(**selection),
        components=components,
        dosage=dosage,
        scale=scale,
        alpha=alpha,
        memory_limit=memory_limit,
        cache=cache,
        pheno_name=pheno_name,
        covar_name=covar_name,
        covar_categorical=covar_categorical,
        covar_numeric=covar_numeric,
        missing_value=missing_value,
        id_style=id_style,
        residual_weights=residual_weights,
    )
    probes = None if n_probes == "auto" else int(n_probes)
    fitted, diagonals, methods, saved = [], [], [], []
    for number, group in enumerate(study.groups):
        relationships = opened_relationships(study, group)
        way = chosen_method(method, study, group, relationships, probes)
        if way == "exact":
            estimates, mean_diagonal = _fit_exactly(group, relationships)
        else:
            states = _checkpoints(checkpoint, number, group, relationships, probes, tol, seed)
            saved += states
            estimates, mean_diagonal = _fit_streamed(group, relationships, probes, tol, seed, states)
        fitted.append(FittedGroup(group, relationships, estimates))
        diagonals.append(mean_diagonal)
        methods.append(way)
    arguments = {"components": components, "method": method, "n_probes": n_probes, "tol": tol, "dosage": dosage}
    attrs = run_attributes(study, {"scale": scale, "alpha": float(alpha), "seed": int(seed)}, arguments | selection)
    dataset = fit_dataset(study, fitted, diagonals, methods, attrs)
    if dataset["converged"].values.all():
        for state in saved:
            state.remove()
    else:
        names = dataset["phenotype"].values[~dataset["converged"].values]
        log.warning("not converged: %s", ", ".join(f"{name} ({dataset['reason'].values[0]})" for name in names))
    return RemlFit(dataset, FittedModel(study, fitted))


def checked_options(method: str, n_probes: int | str, tol: float) -> None:
    """UsageError for options that are not understood."""
    if method not in METHODS:
        raise UsageError(f"method = {method!r} is not understood.", expected=", ".join(METHODS))
    if n_probes != "auto" and (not isinstance(n_probes, (int, np.integer)) or n_probes < 2):
        raise UsageError(f"n_probes = {n_probes!r} is not understood.", expected='"auto" or a number from 2')
    if not 0 < tol < 1:
        raise UsageError(f"tol = {tol!r} is out of range.", expected="a number between 0 and 1, as 0.001")


def run_attributes(study: Study, numbers: Mapping[str, Any], arguments: Mapping[str, Any]) -> dict[str, Any]:
    """Attributes of a fit: what it was made of, and what with."""
    return {
        **numbers,
        "arguments": {name: value for name, value in arguments.items() if value is not None},
        "inputs": [list(g.view.key) for g in study.genotypes],
        "sources": [{"name": g.name} for g in study.genotypes],
    }


def opened_relationships(study: Study, group: Group) -> Relationships:
    """The relationship matrices of a group; InputError where no variant varies, a log line for those left out."""
    relationships = study.relationships(group)
    if not relationships.counted.any():
        raise InputError("no variant varies in the analysed samples.", found=f"{relationships.n_variants:,} variants")
    moments = [part.operator.moments for part in relationships.parts]
    left_out = int(sum((~m.polymorphic).sum() for m in moments))
    text = f"; {left_out:,} that do not vary in these samples left out" if left_out else ""
    log.info("Variants   %s%s", f"{relationships.n_variants:,}", text)
    for name, c in zip(relationships.names, relationships.counted, strict=True):
        if not c:
            log.warning("component %s has no variant that varies: its variance is 0", name)
    return relationships


def _checkpoints(
    place: StoreLike | None,
    number: int,
    group: Group,
    relationships: Relationships,
    probes: int | None,
    tol: float,
    seed: int,
) -> list[Checkpoint]:
    """One per phenotype of the group (the first serves all of them where they are fitted together)."""
    views = [list(part.operator.view.key) for part in relationships.parts]
    # Without the first file there is nothing to continue: what other phenotypes left behind is of another run.
    fresh = place is not None and number == 0 and not Location.of(place).exists()
    found = []
    for t, name in enumerate(group.phenotypes):
        arguments = {
            "values": group.weighted_values if t == 0 else group.weighted_values[:, t],
            "basis": group.design.basis,
            "weights": [part.weights for part in relationships.parts],
            "probes": probes,
            "tol": tol,
            "seed": seed,
        }
        suffix = "" if number == t == 0 else f".{number}.{t}"
        path = None if place is None else f"{place}{suffix}"
        found.append(Checkpoint(path, RunKey(f"reml {name}", arguments, views)))
        if fresh:
            found[-1].remove()
    return found


def _fit_exactly(group: Group, relationships: Relationships) -> tuple[list[Estimates], np.ndarray]:
    """(estimates of the group's phenotypes, mean diagonals (G + 1,)) with dense matrices."""
    used = relationships.used
    matrices = relationships.dense()[used]
    diagonal = relationships.mean_diagonals([np.diag(k) for k in matrices], used)
    model = DenseModel(matrices, group.design)
    found = [model.fit(np.ascontiguousarray(y)) for y in group.weighted_values.T]
    for estimates in found:
        estimates.passes = relationships.passes
    return [with_empty(e, used, len(relationships.counted)) for e in found], diagonal


def _fit_streamed(
    group: Group,
    relationships: Relationships,
    n_probes: int | None,
    tol: float,
    seed: int,
    saved: Sequence[Checkpoint],
) -> tuple[list[Estimates], np.ndarray]:
    """The same with streamed products and random probes."""
    used, root = relationships.used, relationships.root_weights
    diagonals = relationships.diagonals[used]
    traces = diagonals @ (np.ones(group.n) if root is None else root**2)
    kernels = Some(relationships, used)
    y = group.weighted_values
    options: dict[str, Any] = {"seed": seed, "n_probes": n_probes, "tol": tol}
    if len(used) == 1:
        one = LanczosFit(
            lambda v: kernels.combined(np.ones(1), v),
            group.design,
            y,
            group.rows,
            float(traces[0]),
            saved=saved[0],
            **options,
        )
        found = one.fit()
    else:
        several = PcgFit(kernels, group.design, group.rows, traces, **options)
        found = [several.fit(np.ascontiguousarray(column), state) for column, state in zip(y.T, saved, strict=True)]
    for estimates in found:
        estimates.passes = relationships.passes
    full = [with_empty(e, used, len(relationships.counted)) for e in found]
    return full, relationships.mean_diagonals(diagonals, used, weighted=False)


def with_empty(estimates: Estimates, used: np.ndarray, components: int) -> Estimates:
    """Components without variants put back: variance 0, at its bound."""
    if len(used) == components:
        return estimates
    at = np.append(used, components)
    for name in ("theta", "score"):
        full = np.zeros(components + 1)
        full[at] = getattr(estimates, name)
        setattr(estimates, name, full)
    for name in ("information", "monte_carlo"):
        square = np.zeros((components + 1, components + 1))
        square[np.ix_(at, at)] = getattr(estimates, name)
        setattr(estimates, name, square)
    bound = np.ones(components + 1, bool)
    bound[at] = estimates.at_bound
    estimates.at_bound = bound
    return estimates
