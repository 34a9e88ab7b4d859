"""What a variance-component analysis looks at: genotypes, phenotypes and covariates of the same samples, in groups.

Phenotypes with the same missing samples form a group. Each group has its own samples, hence its own allele
frequencies, scaling, fixed effects and relationship matrices, as if it were analysed alone.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import PurePath
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from daskgen.errors import InputError, UsageError
from daskgen.genotypes.operator import GenotypeOperator
from daskgen.genotypes.reader import Genotypes
from daskgen.genotypes.selection import Selection, select
from daskgen.genotypes.source import GenotypeSource, open_source
from daskgen.genotypes.view import GenotypeView
from daskgen.inputs.covariates import Covariates, read_covariates, read_phenotypes
from daskgen.inputs.sample_table import SampleIds, Table, read_sample_table
from daskgen.passes import PassRunner, n_leaves
from daskgen.reml.components import Components, ComponentSpec, read_components
from daskgen.reml.design import Design, make_design
from daskgen.reml.relationships import Part, Relationships

__all__ = [
    "TABLES",
    "WEIGHTED_TABLES",
    "GenotypeSet",
    "Group",
    "Samples",
    "Study",
    "divided",
    "open_genotype_sets",
    "open_study",
    "read_samples",
]

log = logging.getLogger("daskgen.reml")

GenotypeSets = Genotypes | Sequence[Genotypes] | Mapping[str, Genotypes]
"""One genotype source, or several of the same samples (each a component), with or without names."""

TABLES = ("pheno_name", "covar_name", "covar_categorical", "covar_numeric", "missing_value", "id_style")
"""Arguments that say how tables of phenotypes and covariates are read."""

WEIGHTED_TABLES = (*TABLES, "residual_weights")


@dataclass(frozen=True, eq=False)
class GenotypeSet:
    """One source with what was selected of it. positions: row of each of the study's samples in this source."""

    name: str
    source: GenotypeSource
    view: GenotypeView
    components: Components
    positions: np.ndarray

    @property
    def file_name(self) -> str:
        """The last part of the place the source was opened from; its name where it has none."""
        return PurePath(str(self.source.dataset.encoding.get("source", self.name))).name

    @property
    def leaves(self) -> int:
        """Leaves of a pass, whatever samples a group has of the source, so that groups can share passes."""
        v = self.view
        return n_leaves(v.n_chunks, v.n_variants * v.source_row_bytes, v.reader.n_samples)

    def view_of(self, rows: np.ndarray) -> GenotypeView:
        """The selected variants in the study's samples `rows`, with their own frequencies."""
        v, samples = self.view, self.positions[rows]
        everything = len(samples) == v.reader.n_samples and (np.diff(samples) == 1).all()
        return GenotypeView(
            v.reader, None if everything else samples, v.variants, v.use_dosage, v.scale, v.alpha, v.fixed
        )


@dataclass(frozen=True, eq=False)
class Group:
    """Phenotypes with the same samples. rows: int64, among the study's samples; values (n, T); root_weights: square
    roots of the residual weights (n,), or None."""

    rows: np.ndarray
    phenotypes: tuple[str, ...]
    values: np.ndarray
    design: Design
    root_weights: np.ndarray | None = None

    @property
    def n(self) -> int:
        return len(self.rows)

    @property
    def weighted_values(self) -> np.ndarray:
        """The phenotypes times the root weights, as solvers take them (n, T)."""
        return self.values if self.root_weights is None else self.values * self.root_weights[:, None]


@dataclass(frozen=True, eq=False)
class Samples:
    """Phenotypes and covariates of all samples of a study. ids (N,); eligible: bool, selected and with all covariates
    (and weights)."""

    ids: np.ndarray
    phenotypes: Mapping[str, np.ndarray]
    covariates: Covariates
    eligible: np.ndarray
    weights: np.ndarray | None = None

    def groups(self) -> list[Group]:
        """Groups of phenotypes with the same samples, in the order of their first phenotype.

        Raises InputError for a phenotype without samples, constant, or determined by the covariates.
        """
        found: dict[bytes, list[str]] = {}
        for name, values in self.phenotypes.items():
            present = self.eligible & ~np.isnan(values)
            found.setdefault(np.packbits(present).tobytes(), []).append(name)
        return [self._group(names) for names in found.values()]

    def _group(self, names: Sequence[str]) -> Group:
        first = self.phenotypes[names[0]]
        rows = np.flatnonzero(self.eligible & ~np.isnan(first))
        if not len(rows):
            present, eligible = int((~np.isnan(first)).sum()), int(self.eligible.sum())
            raise InputError(
                f"{names[0]}: no sample is left.",
                found=f"{present:,} with phenotype, {eligible:,} selected and with all covariates, none with both",
            )
        root = None if self.weights is None else np.sqrt(self.weights[rows])
        design = make_design(self.covariates.columns(rows), len(rows), root_weights=root)
        values = np.column_stack([self.phenotypes[name][rows] for name in names])
        group = Group(rows, tuple(names), values, design, root)
        y = group.weighted_values
        rest = design.residual(y)
        for t, name in enumerate(names):
            if np.ptp(values[:, t]) == 0:
                raise InputError(
                    f"the phenotype {name} is constant.", found=f"{values[0, t]:g} in {len(rows):,} samples"
                )
            if np.linalg.norm(rest[:, t]) <= 1e-7 * np.linalg.norm(y[:, t] - y[:, t].mean()):
                raise InputError(f"the phenotype {name} is determined by the covariates.")
        return group


@dataclass(frozen=True, eq=False)
class Study:
    """Genotypes and samples of an analysis; groups: phenotypes by their samples."""

    genotypes: Sequence[GenotypeSet]
    samples: Samples
    groups: Sequence[Group]
    memory_limit: int | str | None = None
    cache: bool = True
    runner: PassRunner = field(default_factory=PassRunner)

    def relationships(self, group: Group) -> Relationships:
        """The relationship matrices of a group's samples."""
        parts = [
            Part(
                GenotypeOperator(
                    g.view_of(group.rows),
                    components=dict(zip(g.components.names, g.components.members.T, strict=True)),
                    memory_limit=self.memory_limit,
                    cache=self.cache,
                    runner=self.runner,
                    leaves=g.leaves,
                ),
                g.components,
            )
            for g in self.genotypes
        ]
        return Relationships(parts, group.root_weights)


def open_genotype_sets(
    genotypes: GenotypeSets,
    selection: Selection,
    *,
    components: ComponentSpec = None,
    dosage: str | bool = "auto",
    scale: str = "empirical",
    alpha: float = -1.0,
    memory_limit: int | str | None = None,
) -> tuple[list[GenotypeSet], np.ndarray, np.ndarray]:
    """(the sources, ids of the samples of the first (N,), which of them all sources have and the selection leaves).

    Raises UsageError for components together with several sources, InputError where no sample is in all of them.
    """
    named = _named(genotypes)
    if len(named) > 1 and components is not None:
        raise UsageError(
            "several genotype sources are components already.", do="leave out components, or give one source"
        )
    opened = [(name, open_source(source)) for name, source in named]
    ids = opened[0][1].sample_id
    eligible = np.ones(len(ids), bool)
    sets = []
    for name, source in opened:
        view = select(source, selection, dosage=dosage, scale=scale, alpha=alpha, memory_limit=memory_limit)
        chosen = source.sample_id if view.samples is None else source.sample_id[view.samples]
        eligible &= pd.Index(ids).isin(chosen)
        positions = pd.Index(source.sample_id).get_indexer(pd.Index(ids)).astype(np.int64)
        parts = read_components(components, source, view.variants)
        if len(opened) > 1:
            parts = Components((name,), parts.members)
        sets.append(GenotypeSet(name, source, view, parts, positions))
    if not eligible.any():
        raise InputError(
            "no sample is in all genotype sources.", found=", ".join(f"{s.sample_id[0]} ({n})" for n, s in opened)
        )
    return sets, ids, eligible


def _named(genotypes: GenotypeSets) -> list[tuple[str, Genotypes]]:
    if isinstance(genotypes, (xr.Dataset, str, os.PathLike)):
        return [(source_name(genotypes), genotypes)]
    if isinstance(genotypes, Mapping):
        named = [(str(name), source) for name, source in genotypes.items()]
    else:
        sources = list(genotypes)
        names = [source_name(source, f"genotypes_{i + 1}") for i, source in enumerate(sources)]
        repeated = len(set(names)) < len(names)
        named = [(f"{n}_{i + 1}" if repeated else n, s) for i, (n, s) in enumerate(zip(names, sources, strict=True))]
    if not named:
        raise UsageError("no genotypes are given.")
    return named


def source_name(genotypes: Genotypes, default: str = "the genotypes") -> str:
    """The last part of a source's path without its ending; `default` where it has no path."""
    place = genotypes.encoding.get("source") if isinstance(genotypes, xr.Dataset) else os.fspath(genotypes)
    return PurePath(str(place)).name.split(".")[0] if place else default


def read_samples(
    ids: np.ndarray,
    eligible: np.ndarray,
    name: str,
    phenotypes: Table,
    covariates: Table | None = None,
    *,
    pheno_name: str | Sequence[str] | None = None,
    covar_name: str | Sequence[str] | None = None,
    covar_categorical: str | Sequence[str] | None = None,
    covar_numeric: str | Sequence[str] | None = None,
    missing_value: str | Iterable[str] | None = None,
    id_style: str = "iid",
    residual_weights: Table | None = None,
) -> Samples:
    """Phenotypes and covariates for the samples `ids` of the genotypes called `name`.

    Raises UsageError and InputError as `daskgen.inputs.covariates` says, and for weights that are not positive.
    """
    known = SampleIds(ids, name, id_style)
    found = read_phenotypes(phenotypes, known, names=pheno_name, missing_value=missing_value)
    others = read_covariates(
        covariates,
        known,
        names=covar_name,
        categorical=covar_categorical,
        numeric=covar_numeric,
        missing_value=missing_value,
    )
    weights = None
    usable = eligible & others.complete
    if residual_weights is not None:
        table = read_sample_table(residual_weights, known, "residual_weights", missing_value=missing_value)
        if table.shape[1] != 1:
            raise UsageError("residual_weights must have one column.", found=list(table.columns))
        weights = pd.to_numeric(table.iloc[:, 0], errors="coerce").to_numpy(np.float64, na_value=np.nan)
        if (weights[usable & ~np.isnan(weights)] <= 0).any() or np.isinf(weights).any():
            raise InputError("residual_weights must be positive and finite.")
        usable &= ~np.isnan(weights)
    with_phenotype = ~np.isnan(np.column_stack(list(found.values())))
    _report(len(ids), eligible, with_phenotype, usable, found, covariates is not None)
    return Samples(ids, found, others, usable, weights)


def _report(
    n: int, eligible: np.ndarray, with_phenotype: np.ndarray, usable: np.ndarray, names: Iterable[str], covariates: bool
) -> None:
    some = (with_phenotype & eligible[:, None]).any(axis=1)
    used = (with_phenotype & usable[:, None]).sum(axis=0)
    text = f"{used[0]:,}" if len(used) == 1 else f"{used.min():,} to {used.max():,} a phenotype"
    parts = [f"{n:,} in the genotypes"]
    if not eligible.all():
        parts.append(f"{int(eligible.sum()):,} selected")
    parts.append(f"{int(some.sum()):,} with phenotype")
    if covariates:
        parts.append(f"{int((some & usable).sum()):,} with all covariates")
    log.info("Samples    %s: %s used", ", ".join(parts), text)


def divided(more: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """(the tables' arguments, the others, which are those of `Selection`)."""
    tables = {name: value for name, value in more.items() if name in WEIGHTED_TABLES}
    return tables, {name: value for name, value in more.items() if name not in tables}


def open_study(
    genotypes: GenotypeSets,
    phenotypes: Table,
    covariates: Table | None,
    *,
    components: ComponentSpec = None,
    dosage: str | bool = "auto",
    scale: str = "empirical",
    alpha: float = -1.0,
    memory_limit: int | str | None = None,
    cache: bool = True,
    **more: Any,
) -> Study:
    """A study of its parts. more: the tables' arguments (`read_samples`), and those of `Selection`."""
    tables, selection = divided(more)
    sets, ids, eligible = open_genotype_sets(
        genotypes,
        Selection(**selection),
        components=components,
        dosage=dosage,
        scale=scale,
        alpha=alpha,
        memory_limit=memory_limit,
    )
    samples = read_samples(ids, eligible, sets[0].name, phenotypes, covariates, **tables)
    groups = samples.groups()
    for group in groups:
        kept = [name for name in group.design.names if name != "intercept"]
        text = f"{len(kept)} columns" + (" + intercept" if len(kept) < group.design.rank else "")
        dropped = f"; dropped {', '.join(group.design.dropped)}" if group.design.dropped else ""
        log.info("Covariates %s%s", text, dropped)
    return Study(sets, samples, groups, memory_limit, cache)
