"""The joint posterior of several traits: as `Posterior`, with an axis of traits, covariances and correlations."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from daskgen.bayes.posterior import Posterior
from daskgen.bayes.windows import EffectDraws, window_correlations, window_table

__all__ = ["TraitPosterior"]


class TraitPosterior(Posterior):
    """What chains say about several traits. dataset: as of `Posterior`, with the dimension trait."""

    @property
    def traits(self) -> list[str]:
        """Their names, in order."""
        return [str(name) for name in self.dataset["trait"].values]

    @property
    def marker_effects(self) -> xr.Dataset:
        """mean, sd, pip (variant, trait); state_probability (variant, state), "10" affecting the first trait alone."""
        effects = super().marker_effects
        if "state_probability" in self.dataset:
            effects["state_probability"] = self.dataset["state_probability"]
        return effects

    def _of_traits(self, what: str) -> pd.DataFrame:
        table = self._summary.loc[[f"{what}_{name}" for name in self.traits], ["mean", "sd", "mcse"]]
        return table.set_axis(pd.Index(self.traits, name="trait"))

    @property
    def heritability(self) -> pd.DataFrame:
        """By trait, of the draws: variance of the breeding values over (that + residual variance). mean, sd, mcse."""
        return self._of_traits("heritability")

    def _matrix(self, what: str) -> xr.DataArray:
        names = self.traits
        found = np.empty((len(names), len(names)))
        for a, name in enumerate(names):
            found[a, a] = self._summary.loc[f"{what}_variance_{name}", "mean"]
            for b, other in enumerate(names[:a]):
                found[a, b] = found[b, a] = self._summary.loc[f"{what}_covariance_{other}_{name}", "mean"]
        return xr.DataArray(found, dims=("trait", "other_trait"), coords={"trait": names, "other_trait": names})

    @property
    def genetic_covariance(self) -> xr.DataArray:
        """Posterior mean of the covariance matrix of breeding values (trait, other_trait)."""
        return self._matrix("genetic")

    @property
    def residual_covariance(self) -> xr.DataArray:
        """Posterior mean of R (trait, other_trait)."""
        return self._matrix("residual")

    @property
    def genetic_correlations(self) -> pd.DataFrame:
        """A row per pair of traits: mean, sd, mcse of the correlation of breeding values in a draw."""
        names = self.traits
        rows = [
            {"trait": other, "other_trait": name}
            | self._summary.loc[f"genetic_correlation_{other}_{name}", ["mean", "sd", "mcse"]].to_dict()
            for a, name in enumerate(names)
            for other in names[:a]
        ]
        return pd.DataFrame(rows)

    # -- windows -------------------------------------------------------------------------------------------
    def _effect_draws(self) -> list[EffectDraws]:
        """Of each trait."""
        trait = self.dataset["effect_draw_trait"].values
        genetic = self.dataset["trace"]
        return [
            self._draws_where(trait == k, genetic.sel(quantity=f"genetic_variance_{name}").values)
            for k, name in enumerate(self.traits)
        ]

    def windows(self, size: str | int = "1Mb", threshold: float = 0.001, *, sliding: bool = False) -> pd.DataFrame:
        """As `Posterior.windows`, a row per window and trait, with the column trait."""
        runs, covariance = self._window_runs(size, sliding)
        tables = [
            window_table(runs, draws, covariance, threshold=threshold).assign(trait=name)
            for name, draws in zip(self.traits, self._effect_draws(), strict=True)
        ]
        return pd.concat(tables, ignore_index=True)

    def window_correlations(self, size: str | int = "1Mb", *, sliding: bool = False) -> pd.DataFrame:
        """Local genetic correlations, a row per window and pair of traits: mean and SD of the covariance of what the
        window contributes, and of the correlation over the draws in which it affects both traits; their share `both`.
        """
        runs, covariance = self._window_runs(size, sliding)
        draws, names = self._effect_draws(), self.traits
        tables = [
            window_correlations(runs, draws[b], draws[a], covariance).assign(trait=names[b], other_trait=names[a])
            for a in range(len(names))
            for b in range(a)
        ]
        return pd.concat(tables, ignore_index=True)

    # -- for people ----------------------------------------------------------------------------------------
    def summary(self) -> Mapping[str, Any]:
        """Numbers for programs."""
        return {**super().summary(), "traits": self.traits}

    def __repr__(self) -> str:
        sizes, h2 = self.dataset.sizes, self.heritability["mean"]
        found = ", ".join(f"{name} {value:.3f}" for name, value in h2.items())
        return (
            f"<Posterior {self.dataset.attrs.get('method')} of {len(self.traits)} traits: {sizes['variant']:,} "
            f"markers, {sizes['chain']} chains x {sizes['draw']:,} draws; h2 {found}>"
        )
