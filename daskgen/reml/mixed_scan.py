"""From a variance-component fit to a scan whose mixed models leave the tested variant's contigs out."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd

from daskgen import limits
from daskgen.errors import InputError, UsageError
from daskgen.genotypes.operator import GenotypeOperator
from daskgen.passes import MemoryItem, Plan
from daskgen.reml.association_graph import ScanGroup
from daskgen.reml.design import Design
from daskgen.reml.journal import Journal
from daskgen.reml.left_out import ContigGroups, Problem, exact_models, predict_seconds, streamed_models
from daskgen.reml.model import FittedModel
from daskgen.reml.relationships import Relationships
from daskgen.reml.result import RemlFit
from daskgen.reml.study import GenotypeSet, Study

__all__ = ["METHODS", "MixedSettings", "check_fit", "fitted_study", "mixed_groups", "placed_in"]

log = logging.getLogger("daskgen.reml")

METHODS = ("auto", "exact", "streamed")

UNIMPORTANT = 20.0
"""Seconds below which the exact way is taken without a comparison."""


@dataclass(frozen=True)
class MixedSettings:
    """loco_groups: as `gwas` takes them; method: one of METHODS; refit: variances again for each left-out group;
    min_mac, seed: of the calibrating variants; memory_limit."""

    loco_groups: str | Mapping[str, str] = "contig"
    method: str = "auto"
    refit: bool = False
    min_mac: float = 20.0
    seed: int = 0
    memory_limit: int | str | None = None


def placed_in(scanned: GenotypeSet, ids: np.ndarray) -> GenotypeSet:
    """The scanned genotypes with the places of the samples `ids` in them, -1 where one is not there."""
    index = pd.Index(scanned.source.sample_id)
    return replace(scanned, positions=index.get_indexer(pd.Index(ids)).astype(np.int64))


def mixed_groups(
    scanned: GenotypeSet,
    study: Study,
    variances: Mapping[str, np.ndarray],
    settings: MixedSettings,
    journal: Journal,
) -> tuple[list[ScanGroup], np.ndarray, dict[str, Any]]:
    """(groups of the scan, the study's samples that are in it, facts for the result's attributes).

    scanned: what is tested, placed in the study's samples; study: the model; variances: theta (G + 1,) by phenotype;
    journal: keeps the left-out models.
    Raises InputError for analysed samples without scanned genotypes, PlanError where the exact way does not fit.
    """
    groups, names = study.groups, list(study.samples.phenotypes)
    everyone = np.unique(np.concatenate([group.rows for group in groups]))
    absent = everyone[scanned.positions[everyone] < 0]
    if len(absent):
        raise InputError(
            f"{len(absent):,} analysed samples are not in {scanned.name}.",
            found=", ".join(str(name) for name in study.samples.ids[absent[:4]]),
            do="give phenotypes of those that are, or genotypes of all",
        )
    contigs = ContigGroups.of([s.source for s in study.genotypes], settings.loco_groups)
    of_parts = [contigs.of_variants(s.source, s.view.variants) for s in study.genotypes]
    of_scanned = contigs.of_variants(scanned.source, scanned.view.variants)
    _report(contigs, scanned, of_scanned)
    found, facts = [], []
    for number, group in enumerate(groups):
        phenotypes = list(group.phenotypes)
        theta = np.stack([variances[name] for name in phenotypes])
        view = scanned.view_of(group.rows)
        problem = Problem(
            _unweighted(study.relationships(group)),
            of_parts,
            len(contigs.names),
            group.design,
            group.values,
            theta,
            view,
            of_scanned,
        )
        left_out, facts_of_group = _solved(problem, settings, journal.within(f"group {number}"))
        facts += facts_of_group
        projected = np.zeros((len(left_out.projected), len(everyone), len(phenotypes)))
        at = np.searchsorted(everyone, group.rows)
        projected[:, at] = left_out.projected
        members = np.zeros(len(everyone), bool)
        members[at] = True
        found.append(
            ScanGroup(
                members,
                _embedded(group.design, at, len(everyone)),
                np.zeros((len(everyone), 0)),
                np.array([names.index(name) for name in phenotypes]),
                replace(left_out, projected=projected),
            )
        )
    return found, everyone, {"loco_groups": list(contigs.names), "left_out": facts}


def _embedded(design: Design, at: np.ndarray, n: int) -> np.ndarray:
    basis = np.zeros((n, design.rank))
    basis[at] = design.basis
    return basis


def _unweighted(relationships: Relationships) -> Relationships:
    if relationships.root_weights is not None:
        raise UsageError("mixed models of association are without residual weights.", do="a fit without them")
    return relationships


def _report(contigs: ContigGroups, scanned: GenotypeSet, groups: np.ndarray) -> None:
    outside = int((groups < 0).sum())
    log.info("Groups     %d of contigs are left out in turn: %s", len(contigs.names), ", ".join(contigs.names[:30]))
    if outside:
        log.info(
            "           %s variants of %s are on contigs without a variant of the model: nothing is left out for them",
            f"{outside:,}",
            scanned.name,
        )


def _solved(problem: Problem, settings: MixedSettings, journal: Journal) -> tuple[Any, list[dict[str, Any]]]:
    """(LeftOut, what is to be known of each phenotype)."""
    exact, streamed = predict_seconds(problem)
    memory = limits.memory_limit(settings.memory_limit)
    n, components = len(problem.values), problem.theta.shape[1] - 1
    needed = 8 * n * n * (3 * components + 6) + 2_000_000_000
    way = settings.method
    if way == "auto":
        cheap = needed <= memory and exact <= max(streamed, UNIMPORTANT)
        way = "exact" if cheap or settings.refit else "streamed"
    predicted = f"predicted: exact {exact:.0f} s, streamed {streamed:.0f} s on one core"
    log.info("Plan       left-out models: %s; %s", way, predicted)
    if way == "exact":
        item = MemoryItem(f"matrices of {n:,} x {n:,} samples", needed, lower='method="streamed"')
        Plan(f"exact left-out models of {n:,} samples", memory=[item], memory_limit=memory).check()
        left_out, variances = exact_models(problem, refit=settings.refit, journal=journal)
        return left_out, [{"way": way, "variances": variances[:, i].tolist()} for i in range(problem.values.shape[1])]
    if settings.refit:
        raise UsageError("refit needs dense matrices.", do='method="exact", or without refit')
    moments = GenotypeOperator(problem.scanned, memory_limit=settings.memory_limit).moments
    count = moments.n_called * np.minimum(moments.mean, 2 - moments.mean)
    testable = moments.polymorphic & (count >= max(settings.min_mac, 1))
    if not testable.any():
        raise InputError("no variant has the least minor allele count.", found=f"min_mac = {settings.min_mac:g}")
    left_out = streamed_models(problem, testable=testable, seed=settings.seed, journal=journal)
    assert left_out.gamma is not None
    return left_out, [{"way": way, "gamma": float(gamma)} for gamma in left_out.gamma]


def check_fit(fit: RemlFit, study: Study) -> None:
    """InputError unless `fit` is one of the study's phenotypes in the same samples."""
    dataset, samples = fit.dataset, study.samples
    known = {name: i for i, name in enumerate(fit.phenotypes)}
    place = pd.Index(dataset["sample_id"].values.astype(object)).get_indexer(pd.Index(samples.ids.astype(object)))
    for group in study.groups:
        for name in group.phenotypes:
            if name not in known:
                raise InputError(f"the fit has no phenotype {name}.", found=", ".join(known))
            used, value = (dataset[array].values[known[name]] for array in ("used", "phenotype_value"))
            at = place[group.rows]
            same = (at >= 0).all() and used.sum() == group.n and used[at].all()
            if not same or not np.array_equal(value[at], samples.phenotypes[name][group.rows]):
                raise InputError(
                    f"the fit of {name} is one of other samples or values.",
                    found=f"{int(used.sum()):,} samples in the fit, {group.n:,} here",
                    do="fit and scan the same phenotypes, covariates and samples",
                )


def fitted_study(fit: RemlFit) -> Study | None:
    """The study behind a fit that was made in this session; None for one that was read from a store."""
    return fit._model.study if isinstance(fit._model, FittedModel) else None
