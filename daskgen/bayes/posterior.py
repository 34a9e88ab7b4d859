"""The posterior of a fit: means, uncertainties, diagnostics, prediction, and its store."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal

import numpy as np
import pandas as pd
import xarray as xr

from daskgen.bayes import diagnostics
from daskgen.bayes.windows import EffectDraws, Windows, make_windows, window_table
from daskgen.errors import InputError, UsageError
from daskgen.genotypes.matching import VariantKeys, match_variants
from daskgen.genotypes.operator import GenotypeOperator
from daskgen.genotypes.reader import Genotypes
from daskgen.genotypes.selection import Selection, select
from daskgen.genotypes.source import open_source
from daskgen.genotypes.view import GenotypeView
from daskgen.stores import RunKey, StoreLike, open_dataset, open_group, write_result

__all__ = ["Posterior"]

log = logging.getLogger("daskgen.bayes")

R_HAT_LIMIT = 1.01
ESS_PER_CHAIN = 100

_MATCHED_LIMIT = 0.5  # share of the squared effects that a prediction needs


@dataclass(eq=False)
class Posterior:
    """What a chain of marker effects says about one trait.

    dataset: all numbers, with the dimensions variant, sample, chain, draw, quantity and location. The tables below
    are views of it. marker_covariance: covariance matrix of the markers first to last - 1 over the training samples,
    where the genotypes are still in memory.
    """

    dataset: xr.Dataset
    run: RunKey | None = None
    warnings: list[str] = field(default_factory=list)
    marker_covariance: Callable[[int, int], np.ndarray] | None = None

    # -- tables --------------------------------------------------------------------------------------------
    @property
    def marker_effects(self) -> xr.Dataset:
        """mean, sd (variant,) of the effect of a copy of the counted allele, pip = P(effect is not 0)."""
        names = {"effect_mean": "mean", "effect_sd": "sd", "pip": "pip"}
        columns = [name for name in self.dataset if str(name).startswith("variant_")]
        return self.dataset[[*names, *columns]].rename(names)

    @property
    def breeding_values(self) -> xr.Dataset:
        """Of every sample of the genotypes: mean, pev (posterior variance), reliability, phenotyped."""
        names = {"breeding_value": "mean", "pev": "pev", "reliability": "reliability", "phenotyped": "phenotyped"}
        return self.dataset[list(names)].rename(names)

    @cached_property
    def _summary(self) -> pd.DataFrame:
        rows = []
        for name in self.dataset["quantity"].values.tolist():
            draws = self.dataset["trace"].sel(quantity=name).values
            rows.append(
                {
                    "quantity": str(name),
                    "mean": draws.mean(),
                    "sd": draws.std(ddof=1) if draws.size > 1 else np.nan,
                    "mcse": diagnostics.mcse_mean(draws),
                    "ess_bulk": diagnostics.ess_bulk(draws),
                    "ess_tail": diagnostics.ess_tail(draws),
                    "r_hat": diagnostics.r_hat(draws),
                }
            )
        return pd.DataFrame(rows).set_index("quantity")

    def diagnostics(self) -> pd.DataFrame:
        """Per quantity: mean, sd, mcse, ess_bulk, ess_tail, r_hat (Vehtari et al. 2021)."""
        return self._summary.copy()

    @property
    def variances(self) -> pd.DataFrame:
        """Mean, SD and Monte-Carlo error of the variances."""
        kept = [name for name in self._summary.index if "variance" in str(name)]
        return self._summary.loc[kept, ["mean", "sd", "mcse"]].copy()

    @property
    def heritability(self) -> pd.Series:
        """Of the draws: variance of the breeding values over (that + residual variance). mean, sd, mcse."""
        return self._summary.loc["heritability", ["mean", "sd", "mcse"]].copy()

    @property
    def pi(self) -> pd.DataFrame:
        """Posterior of the proportions; `pi` is P(effect = 0)."""
        kept = [name for name in self._summary.index if str(name).split("_")[0] == "pi"]
        return self._summary.loc[kept, ["mean", "sd", "mcse"]].copy()

    @property
    def fixed_effects(self) -> pd.DataFrame:
        """Mean and SD of the fixed and random effects of location, by name."""
        draws = self.dataset["location_draws"].values
        flat = draws.reshape(-1, draws.shape[-1])
        index = pd.Index(self.dataset["location"].values.tolist(), name="effect")
        return pd.DataFrame({"mean": flat.mean(axis=0), "sd": flat.std(axis=0, ddof=1)}, index=index)

    @property
    def converged(self) -> bool:
        """Whether no quantity has an R-hat above 1.01 or fewer than 100 effective draws a chain."""
        return not self.not_converged()

    def not_converged(self) -> list[str]:
        """Names of quantities whose R-hat is above 1.01 or whose effective sample sizes are below 100 a chain."""
        table = self._summary
        chains = self.dataset.sizes["chain"]
        varies = table["sd"] > 0
        bad = (table["r_hat"] > R_HAT_LIMIT) | (table[["ess_bulk", "ess_tail"]].min(axis=1) < ESS_PER_CHAIN * chains)
        bad |= table[["r_hat", "ess_bulk"]].isna().any(axis=1)
        return [str(name) for name in table.index[varies & bad]]

    # -- draws ---------------------------------------------------------------------------------------------
    def to_datatree(self) -> xr.DataTree:
        """The draws in ArviZ's layout: a group "posterior" with dimensions (chain, draw)."""
        trace = self.dataset["trace"]
        posterior = xr.Dataset(
            {str(name): trace.sel(quantity=name, drop=True) for name in trace["quantity"].values.tolist()},
        )
        posterior["location"] = self.dataset["location_draws"].rename(location="effect")
        posterior = posterior.assign_coords(chain=np.arange(trace.sizes["chain"]), draw=np.arange(trace.sizes["draw"]))
        return xr.DataTree.from_dict({"/posterior": posterior})

    def windows(self, size: str | int = "1Mb", threshold: float = 0.001, *, sliding: bool = False) -> pd.DataFrame:
        """Share of the genetic variance and WPPA of windows of markers (`daskgen.bayes.windows`), in map order.

        size: "1Mb", "500kb", base pairs, or "20snp"; threshold: share above which a window counts in a draw. Needs the
        effects of the draws (`keep_effects`) and the genotypes of this fit: UsageError where they are not there.
        """
        runs, covariance = self._window_runs(size, sliding)
        genetic = self.dataset["trace"].sel(quantity="genetic_variance").values
        return window_table(runs, self._draws_where(slice(None), genetic), covariance, threshold=threshold)

    def _window_runs(self, size: str | int, sliding: bool) -> tuple[Windows, Callable[[int, int], np.ndarray]]:
        """(windows, covariance matrices of their markers)."""
        ds = self.dataset
        if "effect_draw_value" not in ds:
            raise UsageError("the effects of the draws were not kept.", do="fit with keep_effects=True")
        if self.marker_covariance is None:
            raise UsageError(
                "windows need the genotypes, which an opened posterior does not hold.", do="ask before it is stored"
            )
        n = ds.sizes["variant"]
        if "variant_position" in ds:
            contig, position = ds["variant_contig_name"].values.astype(object), ds["variant_position"].values
        else:
            contig, position = np.full(n, "", dtype=object), np.arange(n)
        return make_windows(contig, position, size, sliding=sliding), self.marker_covariance

    def _draws_where(self, chosen: Any, genetic_variance: np.ndarray) -> EffectDraws:
        """The chosen entries of the kept effects; genetic_variance: (chain, draw)."""
        ds = self.dataset
        place = ds["effect_draw_place"].values[:, chosen]
        return EffectDraws(
            place[0].astype(np.int64) * ds.sizes["draw"] + place[1],
            ds["effect_draw_variant"].values[chosen],
            ds["effect_draw_value"].values[chosen],
            genetic_variance.ravel(),
        )

    # -- prediction ----------------------------------------------------------------------------------------
    def predict(
        self,
        genotypes: Genotypes,
        *,
        min_matched: float = _MATCHED_LIMIT,
        dosage: Literal["auto"] | bool = "auto",
        **selection: Any,
    ) -> xr.DataArray:
        """Breeding values (sample,), or (sample, trait), of the samples of other genotypes, with the training means.

        Variants are matched by contig, position and alleles, flips are handled; a variant that is missing there counts
        as at its mean. Raises InputError where less than `min_matched` of the sum of squared effects is at markers that
        match.
        """
        source = open_source(genotypes)
        view = select(source, Selection(**selection), dosage=dosage)
        match = match_variants(self._keys(), source.keys())
        if view.variants is not None:
            inside = np.isin(match.other, view.variants)
            reference, other, flipped = match.reference[inside], match.other[inside], match.flipped[inside]
        else:
            reference, other, flipped = match.reference, match.other, match.flipped
        effect = self.dataset["effect_mean"].values
        total = float(np.sum(effect**2))
        share = float(np.sum(effect[reference] ** 2)) / total if total > 0 else len(reference) / len(effect)
        log.info("%s of %s markers matched, %.1f %% of the squared effects", len(reference), len(effect), 100 * share)
        if share < min_matched:
            raise InputError(
                f"only {100 * share:.1f} % of the squared effects are at variants that match.",
                found=f"{len(reference):,} of {len(effect):,} markers",
                expected=f"at least {100 * min_matched:.0f} %",
                do="check the genome build and the alleles, or lower min_matched",
            )
        centre = self.dataset["effect_centre"].values[reference]
        mean = np.where(flipped, 2.0 - centre, centre)
        effects = (effect[reference].T * np.where(flipped, -1.0, 1.0)).T
        variants = other.astype(np.int64)
        fixed = (mean, np.ones(len(variants)))
        target = GenotypeView(view.reader, view.samples, variants, view.use_dosage, "empirical", 0.0, fixed)
        values = GenotypeOperator(target).zs(effects)
        ids = source.sample_id if view.samples is None else source.sample_id[view.samples]
        coords: dict[str, Any] = {"sample_id": ("sample", ids)}
        if values.ndim > 1:
            coords["trait"] = self.dataset["trait"].values
        dims = ("sample", "trait")[: values.ndim]
        return xr.DataArray(values, dims=dims, coords=coords, name="breeding_value")

    def _keys(self) -> VariantKeys:
        if "variant_allele" not in self.dataset:
            raise UsageError("the genotypes of the fit have no variant names, so nothing can be matched with them.")
        ds = self.dataset
        return VariantKeys(
            ds["variant_contig_name"].values.astype(object),
            ds["variant_position"].values,
            ds["variant_id"].values.astype(object),
            ds["variant_allele"].values.astype(object),
        )

    # -- store ---------------------------------------------------------------------------------------------
    def to_store(self, path: StoreLike, *, force: bool = False) -> str:
        """Write a store of kind "posterior"; returns its place."""
        run = self.run or RunKey("bayes", {}, [])
        stored = self.dataset.copy(deep=False)
        stored.attrs = {**stored.attrs, "warnings": json.dumps(self.warnings)}
        for name in [name for name in stored.variables if stored[name].dtype == bool]:
            stored[name] = stored[name].astype(np.int8)
        return write_result(path, stored, kind="posterior", run=run, provenance={}, force=force).url

    @classmethod
    def open(cls, path: StoreLike) -> Posterior:
        """Open what `to_store` wrote, of one trait or several."""
        from daskgen.bayes.trait_posterior import TraitPosterior  # which is made of this class

        open_group(path, "posterior")
        dataset = open_dataset(path).load().set_coords(["sample_id"])
        dataset["phenotyped"] = dataset["phenotyped"].astype(bool)
        kind = TraitPosterior if "trait" in dataset.dims else cls
        return kind(dataset, None, json.loads(str(dataset.attrs.get("warnings", "[]"))))

    # -- for people ----------------------------------------------------------------------------------------
    def summary(self) -> Mapping[str, Any]:
        """Numbers for programs."""
        return {
            "method": self.dataset.attrs.get("method"),
            "diagnostics": self._summary.reset_index().to_dict(orient="records"),
            "not_converged": self.not_converged(),
        }

    def __repr__(self) -> str:
        h2 = self.heritability
        sizes = self.dataset.sizes
        return (
            f"<Posterior {self.dataset.attrs.get('method')}: {sizes['variant']:,} markers, "
            f"{int(self.dataset['phenotyped'].sum()):,} records, {sizes['chain']} chains x {sizes['draw']:,} draws; "
            f"h2 {h2['mean']:.3f} (SD {h2['sd']:.3f})>"
        )
