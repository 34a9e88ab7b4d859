"""A fit together with its genotypes: what needs another pass is computed when it is asked for."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import xarray as xr

from daskgen import limits
from daskgen.errors import UsageError
from daskgen.reml.effects import GroupEffects, group_effects, random_effects
from daskgen.reml.error_variances import exact_errors, sampled_errors
from daskgen.reml.estimates import Estimates
from daskgen.reml.relationships import Relationships
from daskgen.reml.study import Group, Study

__all__ = ["FittedGroup", "FittedModel"]

log = logging.getLogger("daskgen.reml")

PEV_SAMPLES = 8_000
"""Most samples for which error variances are computed from matrices: three of this order are 1.5 GB."""


@dataclass(eq=False)
class FittedGroup:
    """A group with the relationship matrices of its samples and the estimates of its phenotypes."""

    group: Group
    relationships: Relationships
    estimates: Sequence[Estimates]

    @property
    def theta(self) -> np.ndarray:
        """Genetic variances (T, G)."""
        return np.array([e.theta[:-1] for e in self.estimates])


@dataclass(eq=False)
class FittedModel:
    """Groups in the order of the study."""

    study: Study
    fitted: Sequence[FittedGroup]
    _effects: list[list[GroupEffects]] | None = None

    def _of_groups(self) -> list[list[GroupEffects]]:
        """Effects by group and genotype source."""
        if self._effects is None:
            self._effects = []
            for f in self.fitted:
                root = f.group.root_weights
                q = np.column_stack([e.projected for e in f.estimates])
                q = q if root is None else q * root[:, None]
                self._effects.append([group_effects(part, q) for part in f.relationships.parts])
        return self._effects

    def snp_effects(self, result: xr.Dataset) -> xr.Dataset:
        """snp_effect (phenotype, component, variant) of all sources one after the other, with what they are."""
        names = [str(n) for n in _all_phenotypes(self.study)]
        sets = self.study.genotypes
        m = [len(_variant_rows(s.view.variants, s.source.reader.n_variants)) for s in sets]
        g = [len(s.components) for s in sets]
        total, components = sum(m), sum(g)
        effect = np.zeros((len(names), components, total))
        mean, factor = np.zeros((len(self.fitted), total)), np.zeros((len(self.fitted), total))
        for number, (f, by_set) in enumerate(zip(self.fitted, self._of_groups(), strict=True)):
            at = [names.index(name) for name in f.group.phenotypes]
            for k, found in enumerate(by_set):
                variants = slice(sum(m[:k]), sum(m[: k + 1]))
                parts = slice(sum(g[:k]), sum(g[: k + 1]))
                effect[at, parts, variants] = found.standardised(f.theta[:, parts])
                mean[number, variants], factor[number, variants] = found.mean, found.factor
        contig, position, ids, allele = [], [], [], []
        for s in sets:
            rows = _variant_rows(s.view.variants, s.source.reader.n_variants)
            keys = s.source.keys()
            contig.append(keys.contig[rows])
            position.append(np.asarray(keys.position)[rows])
            ids.append(keys.variant_id[rows])
            allele.append(keys.allele[rows])
        return xr.Dataset(
            {
                "snp_effect": (("phenotype", "component", "variant"), effect),
                "variant_mean": (("group_row", "variant"), mean),
                "variant_factor": (("group_row", "variant"), factor),
                "variant_contig": ("variant", np.concatenate(contig).astype(object)),
                "variant_position": ("variant", np.concatenate(position).astype(np.int64)),
                "variant_id": ("variant", np.concatenate(ids).astype(object)),
                "variant_allele": (("variant", "allele"), np.concatenate(allele).astype(object)),
                "variant_set": ("variant", np.repeat(np.arange(len(sets)), m)),
                "group": ("phenotype", _groups_of(self.fitted, names)),
            },
            coords={"phenotype": names},
        )

    def random_effects(self, result: xr.Dataset, snp_effects: xr.Dataset, *, pev: bool | str) -> xr.Dataset:
        """random_effect, pev, reliability (phenotype, component, sample) of all samples of the first source."""
        if pev not in (True, False, "auto"):
            raise UsageError(f"pev = {pev!r} is not understood.", expected='"auto", True or False')
        names = [str(n) for n in _all_phenotypes(self.study)]
        everyone = np.flatnonzero(np.all([s.positions >= 0 for s in self.study.genotypes], axis=0))
        shape = (len(names), len(result["component"]), len(self.study.samples.ids))
        effect, error, spread, reliability = (np.full(shape, np.nan) for _ in range(4))
        fits = self._pev_fits(len(everyone), shape[1])
        if pev == "auto" and not fits:
            log.info("error variances are left out for %s samples; pev=True samples them", f"{len(everyone):,}")
        for f, by_set in zip(self.fitted, self._of_groups(), strict=True):
            at = [names.index(name) for name in f.group.phenotypes]
            first = 0
            for s, part, found in zip(self.study.genotypes, f.relationships.parts, by_set, strict=True):
                chosen = slice(first, first + len(s.components))
                u = random_effects(part, found, f.theta[:, chosen], s.positions[everyone])
                for i, t in enumerate(at):
                    effect[t][chosen][:, everyone] = u[i]
                first = chosen.stop
            if pev is False or (pev == "auto" and not fits):
                continue
            rows = [s.positions[everyone] for s in self.study.genotypes]
            analysed = np.searchsorted(everyone, f.group.rows)
            solve = exact_errors if fits else sampled_errors
            found_errors = solve(f.group, f.relationships, f.estimates, by_set, rows, analysed)
            for i, t in enumerate(at):
                error[t][:, everyone], spread[t][:, everyone] = found_errors.variance[i], found_errors.monte_carlo_se[i]
                prior = f.theta[i][:, None] * found_errors.diagonals
                with np.errstate(invalid="ignore", divide="ignore"):
                    reliability[t][:, everyone] = np.where(prior > 0, 1 - found_errors.variance[i] / prior, np.nan)
        dims = ("phenotype", "component", "sample")
        return xr.Dataset(
            {
                "random_effect": (dims, effect),
                "pev": (dims, error),
                "pev_monte_carlo_se": (dims, spread),
                "reliability": (dims, reliability),
            },
            coords={"phenotype": names},
        )

    def _pev_fits(self, n: int, components: int) -> bool:
        return n <= PEV_SAMPLES and 8 * n * n * (components + 4) < limits.memory_limit(self.study.memory_limit)


def _variant_rows(variants: np.ndarray | None, n: int) -> np.ndarray:
    return np.arange(n) if variants is None else variants


def _all_phenotypes(study: Study) -> list[str]:
    return list(study.samples.phenotypes)


def _groups_of(fitted: Sequence[FittedGroup], names: list[str]) -> np.ndarray:
    number = {name: i for i, f in enumerate(fitted) for name in f.group.phenotypes}
    return np.array([number[name] for name in names])
