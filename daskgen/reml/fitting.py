"""`fit`: variance components of phenotypes, exactly or with streamed genotypes."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from daskgen.errors import InputError, UsageError
from daskgen.genotypes.selection import Selection
from daskgen.genotypes.shared import shared_diagonals, shared_moments
from daskgen.inputs.arguments import known_arguments
from daskgen.inputs.sample_table import Table
from daskgen.passes import Checkpoint
from daskgen.reml.asking import Asking, Request, answered, together
from daskgen.reml.assembling import fit_dataset
from daskgen.reml.choosing import chosen_method, most_columns
from daskgen.reml.components import ComponentSpec
from daskgen.reml.dense_model import DenseModel
from daskgen.reml.estimates import Estimates
from daskgen.reml.journal import Journal
from daskgen.reml.lanczos_fit import LanczosFit
from daskgen.reml.model import FittedGroup, FittedModel
from daskgen.reml.pcg_fit import PcgFit
from daskgen.reml.relationships import Relationships, Some, shared_products
from daskgen.reml.result import RemlFit
from daskgen.reml.study import GenotypeSets, Group, Study, open_study
from daskgen.stores import RunKey, StoreLike

__all__ = ["fit"]

log = logging.getLogger("daskgen.reml")

Fitted = tuple[list[Estimates], np.ndarray]
"""Estimates of a group's phenotypes, and mean diagonals (G + 1,) of its matrices."""

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
    keep_checkpoint: bool = False,
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
        Random probes of the stochastic way. "auto": as many as bring the Monte-Carlo error of every variance to 5 % of
        its standard error (10 % above 10,000 samples or with several components); 40 (24) at first, at most 256.
    tol
        The stochastic way ends when estimates change by less than this share of their standard errors, or by what is
        random.
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
        File for the state of the stochastic way, so that a stopped run goes on after the last pass.
    keep_checkpoint
        Leave the file when the fit has converged, for who has still to write the result: the same call then ends after
        a few passes.
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
    model: dict[str, Any] = {"components": components, "dosage": dosage, "scale": scale, "alpha": alpha}
    study = open_study(
        genotypes,
        phenotypes,
        covariates,
        memory_limit=memory_limit,
        cache=cache,
        **model,
        pheno_name=pheno_name,
        covar_name=covar_name,
        covar_categorical=covar_categorical,
        covar_numeric=covar_numeric,
        missing_value=missing_value,
        id_style=id_style,
        residual_weights=residual_weights,
        **selection,
    )
    probes = None if n_probes == "auto" else int(n_probes)
    opened = opened_groups(study)
    methods = [
        chosen_method(method, study, group, relationships, probes)
        for group, relationships in zip(study.groups, opened, strict=True)
    ]
    journal = Journal(_checkpoint(checkpoint, study, opened, methods, probes, tol, seed))
    found = _fit_groups(study, opened, methods, probes, tol, seed, journal)
    fitted = [
        FittedGroup(group, relationships, estimates)
        for group, relationships, (estimates, _) in zip(study.groups, opened, found, strict=True)
    ]
    arguments = {"components": components, "method": method, "n_probes": n_probes, "tol": tol, "dosage": dosage}
    attrs = run_attributes(study, {"scale": scale, "alpha": float(alpha), "seed": int(seed)}, arguments | selection)
    dataset = fit_dataset(study, fitted, [diagonal for _, diagonal in found], methods, attrs)
    if keep_checkpoint:
        journal.write(force=True)
    elif dataset["converged"].values.all():
        journal.remove()
    if not dataset["converged"].values.all():
        left = dataset.isel(phenotype=~dataset["converged"].values)
        told = zip(left["phenotype"].values, left["reason"].values, strict=True)
        log.warning("not converged: %s", ", ".join(f"{name} ({reason})" for name, reason in told))
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
        "sources": [{"name": g.file_name} for g in study.genotypes],
    }


def opened_relationships(study: Study, group: Group) -> Relationships:
    """The relationship matrices of a group, checked."""
    relationships = study.relationships(group)
    check_variation(relationships)
    return relationships


def check_variation(relationships: Relationships) -> None:
    """InputError where no variant varies, a log line for those left out."""
    if not relationships.counted.any():
        raise InputError("no variant varies in the analysed samples.", found=f"{relationships.n_variants:,} variants")
    moments = [part.operator.moments for part in relationships.parts]
    left_out = int(sum((~m.polymorphic).sum() for m in moments))
    text = f"; {left_out:,} that do not vary in these samples left out" if left_out else ""
    log.info("Variants   %s%s", f"{relationships.n_variants:,}", text)
    for name, c in zip(relationships.names, relationships.counted, strict=True):
        if not c:
            log.warning("component %s has no variant that varies: its variance is 0", name)


def opened_groups(study: Study) -> list[Relationships]:
    """The relationship matrices of all groups; what varies in each is counted in one pass."""
    opened = [study.relationships(group) for group in study.groups]
    for parts in zip(*(relationships.parts for relationships in opened), strict=True):
        shared_moments([part.operator for part in parts])
    for relationships in opened:
        check_variation(relationships)
    return opened


def _checkpoint(
    place: StoreLike | None,
    study: Study,
    opened: Sequence[Relationships],
    methods: Sequence[str],
    probes: int | None,
    tol: float,
    seed: int,
) -> Checkpoint:
    """The file that keeps the state of what is streamed."""
    streamed = [
        (group, relationships)
        for group, relationships, way in zip(study.groups, opened, methods, strict=True)
        if way == "stochastic"
    ]
    arguments = {
        "phenotypes": [list(group.phenotypes) for group, _ in streamed],
        "values": [group.weighted_values for group, _ in streamed],
        "basis": [group.design.basis for group, _ in streamed],
        "weights": [part.weights for _, relationships in streamed for part in relationships.parts],
        "probes": probes,
        "tol": tol,
        "seed": seed,
    }
    views = [list(part.operator.view.key) for _, relationships in streamed for part in relationships.parts]
    return Checkpoint(place if streamed else None, RunKey("reml", arguments, views))


def _fit_groups(
    study: Study,
    opened: Sequence[Relationships],
    methods: Sequence[str],
    probes: int | None,
    tol: float,
    seed: int,
    journal: Journal,
) -> list[Fitted]:
    """All groups, those that are streamed side by side."""
    streamed = [number for number, way in enumerate(methods) if way == "stochastic"]
    if streamed:
        for parts in zip(*(opened[number].parts for number in streamed), strict=True):
            shared_diagonals([part.operator for part in parts])
    asking = [
        _streamed(study, study.groups[i], opened[i], probes, tol, seed, journal.within(f"group {i}")) for i in streamed
    ]

    def answer(requests: Sequence[Request]) -> list[np.ndarray]:
        journal.write()
        return shared_products(requests)

    from_streams = dict(zip(streamed, answered(together(asking), answer), strict=True))
    return [
        from_streams[i] if i in from_streams else _fit_exactly(group, relationships)
        for i, (group, relationships) in enumerate(zip(study.groups, opened, strict=True))
    ]


def _fit_exactly(group: Group, relationships: Relationships) -> Fitted:
    """Estimates of the group's phenotypes with dense matrices."""
    used = relationships.used
    matrices = relationships.dense()[used]
    diagonal = relationships.mean_diagonals([np.diag(k) for k in matrices], used)
    model = DenseModel(matrices, group.design)
    found = [model.fit(np.ascontiguousarray(y)) for y in group.weighted_values.T]
    return _completed(found, relationships), diagonal


def _streamed(
    study: Study,
    group: Group,
    relationships: Relationships,
    n_probes: int | None,
    tol: float,
    seed: int,
    journal: Journal,
) -> Asking[Fitted]:
    """The same with streamed products and random probes."""
    used, root = relationships.used, relationships.root_weights
    diagonals = relationships.diagonals[used]
    diagonal = relationships.mean_diagonals(diagonals, used, weighted=False)
    names = [f"phenotype {t}" for t in range(len(group.phenotypes))]
    known = [kept for name in names if (kept := journal.estimates(name)) is not None]
    if len(known) == len(names):
        return known, diagonal
    traces = diagonals @ (np.ones(group.n) if root is None else root**2)
    data = (Some(relationships, used), group.design, group.weighted_values, group.rows)
    options: dict[str, Any] = {"seed": seed, "n_probes": n_probes, "tol": tol, "journal": journal}
    if len(used) == 1:
        most = most_columns(group.n, study.memory_limit)
        found = yield from LanczosFit(*data, float(traces[0]), most_columns=most, **options).fit()
    else:
        found = yield from PcgFit(*data, traces, **options).fit()
    journal.forget()
    for name, estimates in zip(names, _completed(found, relationships), strict=True):
        journal.keep_estimates(name, estimates)
    return found, diagonal


def _completed(found: list[Estimates], relationships: Relationships) -> list[Estimates]:
    """With the passes that were made and the components that have no variants."""
    for estimates in found:
        estimates.passes = relationships.passes
        estimates.put_back(relationships.used, len(relationships.counted))
    return found
