"""`gwas`: association of every variant with phenotypes, linear or in a mixed model."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import xarray as xr

from daskgen.errors import InputError, UsageError
from daskgen.genotypes.reader import Genotypes
from daskgen.genotypes.selection import Selection
from daskgen.genotypes.view import GenotypeView
from daskgen.inputs.arguments import known_arguments
from daskgen.inputs.covariates import read_phenotypes
from daskgen.inputs.sample_table import SampleIds, Table
from daskgen.passes import Checkpoint
from daskgen.reml.association import MISSING_CALLS
from daskgen.reml.association_graph import Scan, ScanGroup, group_rows
from daskgen.reml.association_results import scan_dataset
from daskgen.reml.fitting import fit as fit_model
from daskgen.reml.journal import Journal
from daskgen.reml.mixed_scan import METHODS, MixedSettings, check_fit, fitted_study, mixed_groups, placed_in
from daskgen.reml.result import RemlFit
from daskgen.reml.study import (
    GenotypeSet,
    GenotypeSets,
    Group,
    Study,
    open_genotype_sets,
    open_study,
    read_samples,
)
from daskgen.stores import Location, RunKey, StoreLike

__all__ = ["gwas"]

log = logging.getLogger("daskgen.reml")

MODELS = ("linear", "mixed-loco")
BINARY = ("refuse", "linear")


@known_arguments(*Selection.__dataclass_fields__)
def gwas(
    genotypes: Genotypes,
    phenotypes: Table,
    covariates: Table | None = None,
    *,
    model: str = "linear",
    model_genotypes: GenotypeSets | None = None,
    fit: RemlFit | None = None,
    loco_groups: str | Mapping[str, str] = "contig",
    method: str = "auto",
    refit: bool = False,
    binary: str = "refuse",
    missing_calls: str = "exclude",
    min_mac: float = 20,
    min_info: float | None = None,
    dosage: str | bool = "auto",
    pheno_name: str | Sequence[str] | None = None,
    covar_name: str | Sequence[str] | None = None,
    covar_categorical: str | Sequence[str] | None = None,
    covar_numeric: str | Sequence[str] | None = None,
    missing_value: str | Iterable[str] | None = None,
    id_style: str = "iid",
    memory_limit: int | str | None = None,
    seed: int = 0,
    checkpoint: StoreLike | None = None,
    **selection: Any,
) -> xr.Dataset:
    """Association of every variant with one or several phenotypes, additive in the number of copies of allele 1.

    Parameters
    ----------
    genotypes
        A store, or a Dataset (`open_store`, `convert.open`): what is tested.
    phenotypes, covariates
        As in `fit`. All phenotypes are tested in one pass; each has its own samples and allele frequencies.
    model
        "linear": least squares with covariates, t test. "mixed-loco": also a random effect of all variants outside the
        tested one's contig, chi-square test; variances are those of one fit.
    model_genotypes
        Of mixed models: genotypes that the random effect is made of, if others than those tested; the samples are those
        that both have.
    fit
        Of mixed models: a fit of these phenotypes (`reml.fit`), if there is one; else it is made.
    loco_groups
        "contig": each contig is left out alone, those not placed on a chromosome together; or contig -> name of group.
    method
        Of the left-out models: "exact", dense matrices; "streamed", conjugate gradients and denominators calibrated by
        40 variants; "auto": exact where its predicted time is the lower or below 20 seconds, and it fits in memory.
    refit
        Estimate the variances again for each left-out group, as GCTA's --mlma-loco does (exact).
    binary
        A phenotype of two values is refused, unless "linear" says that least squares is meant.
    missing_calls
        Of the linear model: "exclude" leaves samples without a call out of a variant's model, as plink2 does; "mean"
        gives them the mean of the others, as mixed models do.
    min_mac
        Least number of copies of the rarer allele in the analysed samples; below it a variant has a status, no test.
    min_info
        Least imputation quality: that of the source, else the variance of dosages over 2 p (1 - p).
    dosage
        "auto": dosages where the source has them, else calls; True, False.
    pheno_name, covar_name, covar_categorical, covar_numeric, missing_value, id_style, memory_limit
        As in `fit`.
    seed
        Of the choice of calibrating variants, and of the fit if it is made.
    checkpoint
        Of mixed models: a file for the state of the fit and of the left-out models, so that a stopped run goes on with
        the same numbers; removed when the result has been written.
    selection
        keep, remove, extract, exclude, contig, region, maf_min, missing_max (see `daskgen.genotypes`). The random
        effect is made of all variants of its genotypes.

    Returns
    -------
    xarray.Dataset
        Lazy (the left-out models of "mixed-loco" are solved at once): beta, se, t, p, n_called, allele_frequency and
        status (variant), with a first dimension `trait` for several phenotypes, the columns of the variants,
        n_samples, n_fixed (fixed effects with intercept). The effect is that of allele 1. Of mixed models the attribute
        `left_out` has, by phenotype, the way that was taken and the calibration gamma or the variances (group, and last
        without a group left out; component). `.dg` has table, top, lambda_gc, manhattan, qq, to_store and to_tsv.

    Raises
    ------
    UsageError, InputError
        Arguments or tables that cannot be used, a phenotype of two values, no sample or variant left.
    PlanError
        On computing: more memory than the limit.
    """
    _check_options(model, binary, missing_calls, min_mac, min_info)
    mixed = {"model_genotypes": model_genotypes, "fit": fit, "refit": refit or None}
    given = [name for name, value in mixed.items() if value is not None]
    if model == "linear" and given:
        raise UsageError(f"{', '.join(given)}: only mixed models have a random effect.", do='model="mixed-loco"')
    if method not in METHODS:
        raise UsageError(f"method = {method!r} is not understood.", expected=", ".join(METHODS))
    sets, ids, eligible = open_genotype_sets(
        genotypes, Selection(**selection), dosage=dosage, memory_limit=memory_limit
    )
    scanned = sets[0]
    tables: dict[str, Any] = {
        "pheno_name": pheno_name,
        "covar_name": covar_name,
        "covar_categorical": covar_categorical,
        "covar_numeric": covar_numeric,
        "missing_value": missing_value,
        "id_style": id_style,
    }
    facts: dict[str, Any] = {}
    of_model: dict[str, Any] = {}
    saved: Checkpoint | None = None
    inputs, sources = [list(scanned.view.key)], [scanned.file_name]
    if model == "linear":
        samples = read_samples(ids, eligible, scanned.name, phenotypes, covariates, **tables)
        groups = samples.groups()
        if binary == "refuse":
            _refuse_two_values(_values_of(groups))
        names = list(samples.phenotypes)
        everyone = np.unique(np.concatenate([group.rows for group in groups]))
        parts = [_scan_group(group, everyone, names) for group in groups]
    else:
        if binary == "refuse":
            _refuse_two_values(_measured(ids, eligible, scanned.name, phenotypes, tables))
        source = genotypes if model_genotypes is None else model_genotypes
        everybody = model_genotypes is None and eligible.all()
        common = {"keep": None if everybody else ids[eligible].tolist(), "memory_limit": memory_limit, **tables}
        of_model = {
            "loco_groups": loco_groups if isinstance(loco_groups, str) else dict(loco_groups),
            "method": method,
            "refit": refit,
            "seed": seed,
        }
        key = {**of_model, "min_mac": float(min_mac), "scanned": list(scanned.view.key)}
        modelled = _modelled(fit, source, phenotypes, covariates, common, key, checkpoint)
        study, saved = modelled.study, modelled.checkpoint
        groups, names = list(study.groups), list(study.samples.phenotypes)
        scanned = placed_in(scanned, study.samples.ids)
        settings = MixedSettings(loco_groups, method, refit, float(min_mac), seed, memory_limit)
        parts, everyone, facts = mixed_groups(scanned, study, modelled.variances, settings, modelled.journal)
        # Rounded: threads of a factorisation may differ in the last bits.
        of_model["theta"] = [[f"{value:.6g}" for value in modelled.variances[name]] for name in names]
        inputs += [list(s.view.key) for s in study.genotypes]
        sources += [s.file_name for s in study.genotypes if s.file_name not in sources]
    view = scanned.view_of(everyone)
    scan = Scan(
        view,
        parts,
        len(names),
        len(names) == 1,
        group_rows(view),
        handling=missing_calls if model == "linear" else "mean",
        min_count=float(min_mac),
        min_info=min_info,
        info=None if min_info is None else _info_scores(scanned, view),
    )
    arguments = {
        "model": model,
        "missing_calls": scan.handling,
        "min_mac": float(min_mac),
        "min_info": min_info,
        "samples": [group.rows for group in groups],
        "values": [group.values for group in groups],
        "basis": [group.design.basis for group in groups],
        **of_model,
    }
    return scan_dataset(
        scan,
        scanned.source,
        names,
        arguments=arguments,
        inputs=inputs,
        sources=sources,
        distribution="t" if model == "linear" else "normal",
        more={"model": model, "covariates": list(groups[0].design.names), **facts},
        checkpoint=saved,
    )


def _check_options(model: str, binary: str, missing_calls: str, min_mac: float, min_info: float | None) -> None:
    for name, value, known in (
        ("model", model, MODELS),
        ("binary", binary, BINARY),
        ("missing_calls", missing_calls, MISSING_CALLS),
    ):
        if value not in known:
            raise UsageError(f"{name} = {value!r} is not understood.", expected=", ".join(known))
    if not min_mac >= 0:
        raise UsageError(f"min_mac = {min_mac} is out of range.", expected="0 or more")
    if min_info is not None and not 0 <= min_info <= 1:
        raise UsageError(f"min_info = {min_info} is out of range.", expected="0 to 1")


@dataclass(frozen=True)
class _Modelled:
    """The model; variances: theta (G + 1,) by phenotype; journal: keeps the left-out models in the checkpoint."""

    study: Study
    variances: Mapping[str, np.ndarray]
    journal: Journal
    checkpoint: Checkpoint


def _modelled(
    fit: RemlFit | None,
    genotypes: GenotypeSets,
    phenotypes: Table,
    covariates: Table | None,
    common: dict[str, Any],
    key: Mapping[str, Any],
    place: StoreLike | None,
) -> _Modelled:
    """From a fit that is made here, given, or not needed because a run that was stopped has kept its variances."""
    made = fit is None
    if fit is None and not (place is not None and Location.of(place).exists()):
        in_between = None if place is None else f"{place}.fit"
        fit = fit_model(genotypes, phenotypes, covariates, seed=key["seed"], checkpoint=in_between, **common)
    study = _study_of(fit, genotypes, phenotypes, covariates, common, made=made)
    names = list(study.samples.phenotypes)
    arguments = {
        **key,
        "values": [group.values for group in study.groups],
        "basis": [group.design.basis for group in study.groups],
    }
    if fit is not None:
        theta = fit.dataset["variance_component"].sel(phenotype=names).values
        if not made:
            arguments["theta"] = theta
    views = [list(s.view.key) for s in study.genotypes]
    checkpoint = Checkpoint(place, RunKey("reml-gwas left out", arguments, views))
    journal = Journal(checkpoint)
    if (known := journal.known("fit")) is not None:
        theta = known["theta"]
    journal.keep("fit", lambda: {"theta": theta})
    journal.write(force=True)
    return _Modelled(study, dict(zip(names, theta, strict=True)), journal, checkpoint)


def _study_of(
    fit: RemlFit | None,
    genotypes: GenotypeSets,
    phenotypes: Table,
    covariates: Table | None,
    common: Mapping[str, Any],
    *,
    made: bool,
) -> Study:
    """The study that the fit is of; opened again where it was read from a store, or where there is no fit."""
    study = None if fit is None else fitted_study(fit)
    if made and study is not None:
        return study
    tables = {name: value for name, value in common.items() if name not in ("keep", "memory_limit")}
    if study is None:
        attrs = {} if fit is None else fit.dataset.attrs
        of_fit = attrs.get("arguments") or attrs.get("provenance", {}).get("arguments", {})
        study = open_study(
            genotypes,
            phenotypes,
            covariates,
            keep=common["keep"],
            components=of_fit.get("components"),
            dosage=of_fit.get("dosage", "auto"),
            scale=attrs.get("scale", "empirical"),
            alpha=attrs.get("alpha", -1.0),
            memory_limit=common["memory_limit"],
            **tables,
        )
    else:
        # It holds phenotypes already; these are read to see that they are the same, and which are to be tested.
        first = study.genotypes[0].name
        own = read_samples(study.samples.ids, study.samples.eligible, first, phenotypes, covariates, **tables)
        study = replace(study, samples=own, groups=own.groups())
    if fit is not None:
        check_fit(fit, study)
    return study


def _values_of(groups: Sequence[Group]) -> Iterator[tuple[str, np.ndarray]]:
    for group in groups:
        yield from zip(group.phenotypes, group.values.T, strict=True)


def _measured(
    ids: np.ndarray, eligible: np.ndarray, name: str, phenotypes: Table, tables: Mapping[str, Any]
) -> Iterator[tuple[str, np.ndarray]]:
    """Each phenotype and its values in the samples that may be analysed."""
    known = SampleIds(ids, name, tables["id_style"])
    found = read_phenotypes(phenotypes, known, names=tables["pheno_name"], missing_value=tables["missing_value"])
    for phenotype, values in found.items():
        yield phenotype, values[eligible & ~np.isnan(values)]


def _refuse_two_values(measured: Iterable[tuple[str, np.ndarray]]) -> None:
    for name, values in measured:
        found, counts = np.unique(values, return_counts=True)
        if len(found) == 2:
            raise InputError(
                f"the phenotype {name} has two values; linear and mixed models are of measurements.",
                found=f"{found[1]:g} in {counts[1]:,} of {len(values):,} samples ({counts[1] / len(values):.1%}), "
                f"{found[0]:g} in the others",
                do='binary="linear" (--binary linear) tests it as a measurement: p values are fair where cases '
                "are not rare, effects are differences of risk",
            )


def _scan_group(group: Group, everyone: np.ndarray, names: Sequence[str]) -> ScanGroup:
    at = np.searchsorted(everyone, group.rows)
    n = len(everyone)
    basis, values = np.zeros((n, group.design.rank)), np.zeros((n, len(group.phenotypes)))
    basis[at], values[at] = group.design.basis, group.design.residual(group.values)
    members = np.zeros(n, bool)
    members[at] = True
    return ScanGroup(members, basis, values, np.array([names.index(name) for name in group.phenotypes]))


def _info_scores(scanned: GenotypeSet, view: GenotypeView) -> np.ndarray | None:
    """The source's imputation quality of the scanned variants; None where it is to be computed from dosages."""
    found = scanned.source.column("variant_info_score")
    if found is not None:
        return np.asarray(found if view.variants is None else found[view.variants], np.float64)
    if not view.use_dosage:
        raise UsageError(
            "min_info needs imputation quality: the genotypes have neither INFO scores nor dosages.",
            do="leave min_info out; missing_max and maf_min are for hard calls",
        )
    return None
