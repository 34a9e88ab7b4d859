"""The result of `dg.reml.fit`: tables of estimates, predictions from them, and their store."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import numpy as np
import pandas as pd
import xarray as xr

from daskgen.errors import StoreError, UsageError
from daskgen.genotypes.reader import Genotypes
from daskgen.inputs.arguments import known_arguments
from daskgen.reml.inference import Heritability, boundary_p, heritability
from daskgen.reml.predicting import predict_from
from daskgen.stores import RunKey, StoreLike, open_dataset, write_result

__all__ = ["Model", "RemlFit"]


class Model(Protocol):
    """What a fit in memory can still compute of its genotypes."""

    def snp_effects(self, result: xr.Dataset) -> xr.Dataset: ...

    def random_effects(self, result: xr.Dataset, snp_effects: xr.Dataset, *, pev: bool | str) -> xr.Dataset: ...


class RemlFit:
    """Variance components of one or several phenotypes.

    Tables have a column `phenotype` where there are several; ``fit["height"]`` is the fit of one. `dataset` has
    everything as arrays.
    """

    def __init__(self, dataset: xr.Dataset, model: Model | None = None):
        self.dataset = dataset
        self._model = model
        self._snp_effects: xr.Dataset | None = dataset if "snp_effect" in dataset else None
        self._random_effects: xr.Dataset | None = dataset if "random_effect" in dataset else None

    # -- selection -----------------------------------------------------------------------------------------
    @property
    def phenotypes(self) -> list[str]:
        """Names of the phenotypes."""
        return [str(name) for name in self.dataset["phenotype"].values]

    @property
    def components(self) -> list[str]:
        """Names of the genetic components."""
        return [str(name) for name in self.dataset["component"].values]

    def __getitem__(self, phenotype: str) -> RemlFit:
        if phenotype not in self.phenotypes:
            raise UsageError(f"there is no phenotype {phenotype!r}.", expected=", ".join(self.phenotypes))
        return RemlFit(self.dataset.isel(phenotype=[self.phenotypes.index(phenotype)]), self._model)

    @property
    def _several(self) -> bool:
        return len(self.phenotypes) > 1

    def _rows(self, make: Any) -> pd.DataFrame:
        tables = []
        for t, name in enumerate(self.phenotypes):
            table = make(self.dataset.isel(phenotype=t))
            if self._several:
                table.insert(0, "phenotype", name)
            tables.append(table)
        return pd.concat(tables, ignore_index=True)

    def _scalars(self, name: str) -> Any:
        values = self.dataset[name].values.tolist()
        return pd.Series(values, index=self.phenotypes) if self._several else values[0]

    # -- tables --------------------------------------------------------------------------------------------
    @property
    def variance_components(self) -> pd.DataFrame:
        """component, estimate, se, monte_carlo_se, at_bound; the last row of a phenotype is "residual".

        se: from the average information, 0 for a component at its bound; monte_carlo_se: spread over random probes.
        """
        return self._rows(
            lambda one: pd.DataFrame(
                {
                    "component": one["parameter"].values.astype(object),
                    "estimate": one["variance_component"].values,
                    "se": np.sqrt(np.diag(one["covariance"].values)),
                    "monte_carlo_se": np.sqrt(np.diag(one["monte_carlo_covariance"].values)),
                    "at_bound": one["at_bound"].values,
                }
            )
        )

    @property
    def heritability(self) -> pd.DataFrame:
        """component, h2, se, monte_carlo_se: shares of the phenotypic variance; the last row is "total"."""

        def rows(one: xr.Dataset) -> pd.DataFrame:
            found = heritability_of(one)
            return pd.DataFrame(
                {
                    "component": [*one["component"].values.astype(object), "total"],
                    "h2": found.estimate,
                    "se": found.se,
                    "monte_carlo_se": found.monte_carlo_se,
                }
            )

        return self._rows(rows)

    @property
    def fixed_effects(self) -> pd.DataFrame:
        """name, estimate, se of the columns that were kept, on the scale of the covariates."""

        def rows(one: xr.Dataset) -> pd.DataFrame:
            table = pd.DataFrame(
                {
                    "name": one["fixed_effect"].values.astype(object),
                    "estimate": one["fixed_effect_estimate"].values,
                    "se": one["fixed_effect_se"].values,
                }
            )
            return table.dropna(subset=["estimate"]).reset_index(drop=True)

        return self._rows(rows)

    @property
    def log_likelihood(self) -> Any:
        """Restricted log-likelihood with the term -(n - c)/2 log 2 pi: a number, or a Series by phenotype."""
        return self._scalars("log_likelihood")

    @property
    def lrt(self) -> pd.DataFrame:
        """statistic, components, p: twice the log-likelihood ratio against no genetic variance, at the boundary."""

        def rows(one: xr.Dataset) -> pd.DataFrame:
            statistic = float(np.maximum(2 * (one["log_likelihood"] - one["null_log_likelihood"]), 0.0))
            k = int((one["n_counted"].values > 0).sum())
            return pd.DataFrame(
                {
                    "statistic": [statistic],
                    "components": [k],
                    "p": [boundary_p(statistic, k)],
                    "monte_carlo_se": [2 * float(one["log_likelihood_error"])],
                }
            )

        return self._rows(rows)

    @property
    def converged(self) -> Any:
        """Whether the maximum was found: bool, or a Series by phenotype."""
        return self._scalars("converged")

    @property
    def reason(self) -> Any:
        """Why the iteration ended: text, or a Series by phenotype."""
        return self._scalars("reason")

    @property
    def history(self) -> pd.DataFrame:
        """A row per iteration: what the solver looked at."""
        return self._rows(lambda one: pd.DataFrame(json.loads(str(one["history"].values[()]))))

    # -- effects -------------------------------------------------------------------------------------------
    def snp_effects(self) -> xr.Dataset:
        """Effects of variants (component, variant), with a first dimension `phenotype` where there are several.

        standardised: of a genotype of variance 1, so that Z b = u; per_allele: of one copy of allele 1; mean, factor:
        the standardisation in the analysed samples. Computed in one pass, the first time.
        """
        found = self._with_snp_effects()
        names = self.phenotypes
        chosen = found.sel(phenotype=names)
        groups = chosen["group"].values
        effect = chosen["snp_effect"]
        factor = found["variant_factor"].values[groups]
        dims = ("phenotype", "component", "variant")
        out = xr.Dataset(
            {
                "standardised": (dims, effect.values),
                "per_allele": (dims, effect.values * factor[:, None, :]),
                "mean": (("phenotype", "variant"), found["variant_mean"].values[groups]),
                "factor": (("phenotype", "variant"), factor),
                "variant_contig": ("variant", found["variant_contig"].values),
                "variant_position": ("variant", found["variant_position"].values),
                "variant_allele": (("variant", "allele"), found["variant_allele"].values),
            },
            coords={
                "phenotype": names,
                "component": self.components,
                "variant_id": ("variant", found["variant_id"].values),
            },
        )
        return out if self._several else out.isel(phenotype=0, drop=True)

    def random_effects(self, *, pev: bool | str = "auto") -> xr.Dataset:
        """Random effects (component, sample) of every sample of the genotypes, phenotyped or not.

        effect: the prediction u; pev: its error variance; reliability: 1 - pev / (theta_g k_ii); phenotyped: whether
        the sample was analysed. pev: "auto" computes it from matrices samples x samples where these fit
        (up to 8,000 samples); True samples it otherwise (some forty passes; see pev_monte_carlo_se); False leaves it
        out (NaN). With several phenotypes they are the first dimension.
        """
        known = self._random_effects
        if known is None or (pev is True and self._model is not None and known["pev"].isnull().all()):
            if self._model is None:
                raise _without_effects("random_effects")
            self._random_effects = self._model.random_effects(self.dataset, self._with_snp_effects(), pev=pev)
        assert self._random_effects is not None
        found = self._random_effects.sel(phenotype=self.phenotypes)
        out = xr.Dataset(
            {
                "effect": (("phenotype", "component", "sample"), found["random_effect"].values),
                "pev": (("phenotype", "component", "sample"), found["pev"].values),
                "pev_monte_carlo_se": (("phenotype", "component", "sample"), found["pev_monte_carlo_se"].values),
                "reliability": (("phenotype", "component", "sample"), found["reliability"].values),
                "phenotyped": (("phenotype", "sample"), self.dataset["used"].values),
            },
            coords={
                "phenotype": self.phenotypes,
                "component": self.components,
                "sample_id": ("sample", self.dataset["sample_id"].values),
            },
        )
        return out if self._several else out.isel(phenotype=0, drop=True)

    @known_arguments()
    def predict(
        self, genotypes: Genotypes | Sequence[Genotypes] | Mapping[str, Genotypes], *, least_share: float = 0.5
    ) -> xr.DataArray:
        """Genetic values of the samples of other genotypes: sum of all components, (sample) or (phenotype, sample).

        Variants are matched by contig, position and alleles; with the other allele counted they are turned; what is
        not there counts as the training mean. Means and scale factors are those of the analysed samples.
        Raises InputError where less than `least_share` of the variants with an effect are matched.
        """
        found = predict_from(self._with_snp_effects().sel(phenotype=self.phenotypes), genotypes, least_share)
        return found if self._several else found.isel(phenotype=0, drop=True)

    def _with_snp_effects(self) -> xr.Dataset:
        if self._snp_effects is None:
            if self._model is None:
                raise _without_effects("SNP effects")
            self._snp_effects = self._model.snp_effects(self.dataset)
        return self._snp_effects

    # -- stores --------------------------------------------------------------------------------------------
    def to_store(self, path: StoreLike, *, effects: bool = True, force: bool = False) -> str:
        """Write the fit as a store of kind "reml"; returns its place.

        effects: with SNP effects and random effects, so that `predict` works from the store.
        """
        dataset = self.dataset
        if effects:
            of_variants, of_samples = self._with_snp_effects(), None
            self.random_effects()
            of_samples = self._random_effects
            assert of_samples is not None
            names = self.phenotypes
            variables = ("snp_effect", "variant_mean", "variant_factor", "variant_contig", "variant_position")
            more = {name: of_variants.sel(phenotype=names)[name].variable for name in variables}
            for name in ("variant_id", "variant_allele", "variant_set"):
                more[name] = of_variants[name].variable
            for name in ("random_effect", "pev", "pev_monte_carlo_se", "reliability"):
                more[name] = of_samples.sel(phenotype=names)[name].variable
            dataset = dataset.assign(more)
        attrs = dict(dataset.attrs)
        run = RunKey("reml", attrs.get("arguments", {}), attrs.get("inputs", []))
        provenance = {"sources": attrs.pop("sources", []), "arguments": run.as_dict()["arguments"]}
        stored = dataset.copy(deep=False)
        stored.attrs = {name: value for name, value in attrs.items() if name not in ("arguments", "inputs")}
        return write_result(path, stored, kind="reml", run=run, provenance=provenance, force=force).url

    @classmethod
    def open(cls, path: StoreLike) -> RemlFit:
        """The fit in a store. Raises StoreError if there is none."""
        return cls(open_dataset(path, "reml").load())

    # -- text ----------------------------------------------------------------------------------------------
    def hsq(self, phenotype: str | None = None) -> str:
        """The estimates of one phenotype as GCTA writes them in a .hsq file.

        V(G) is theta_g times the mean diagonal of K_g, so that the variances add up to Vp; logL is without the term
        (n - c)/2 log 2 pi, as GCTA prints it.
        """
        if phenotype is None and self._several:
            raise UsageError("a .hsq file has one phenotype.", expected=", ".join(self.phenotypes))
        one = (self if phenotype is None else self[phenotype]).dataset.isel(phenotype=0)
        return hsq_text(one)

    def __repr__(self) -> str:
        lines = [f"RemlFit of {len(self.phenotypes)} phenotype{'s' * self._several}"]
        total = self.heritability[self.heritability["component"] == "total"]
        for name, h2, se in zip(self.phenotypes, total["h2"], total["se"], strict=True):
            lines.append(f"  {name}: h2 {h2:.4f} (SE {se:.4f})")
        return "\n".join(lines)

    def _repr_html_(self) -> str:
        return f"<b>REML</b>{self.heritability.to_html(index=False)}{self.variance_components.to_html(index=False)}"


def heritability_of(one: xr.Dataset) -> Heritability:
    """Heritabilities of one phenotype of a fit."""
    return heritability(
        one["variance_component"].values,
        one["covariance"].values,
        one["mean_diagonal"].values,
        one["monte_carlo_covariance"].values,
    )


def hsq_text(one: xr.Dataset) -> str:
    """See `RemlFit.hsq`."""
    share = one["mean_diagonal"].values
    values = one["variance_component"].values * share
    errors = np.sqrt(np.diag(one["covariance"].values)) * share
    found = heritability_of(one)
    g = len(values) - 1
    names = ["G"] if g == 1 else [f"G{i + 1}" for i in range(g)]
    rows: list[tuple[Any, ...]] = [("Source", "Variance", "SE")]
    rows += [(f"V({name})", *pair) for name, *pair in zip([*names, "e"], values, errors, strict=True)]
    rows.append(("Vp", found.phenotypic_variance, found.phenotypic_variance_se))
    rows += [(f"V({name})/Vp", h, se) for name, h, se in zip(names, found.estimate[:g], found.se[:g], strict=True)]
    if g > 1:
        rows.append(("Sum of V(G)/Vp", found.estimate[-1], found.se[-1]))
    dimension = int(one["n_samples"]) - int(one["n_fixed"])
    statistic = max(2 * float(one["log_likelihood"] - one["null_log_likelihood"]), 0.0)
    shift = dimension / 2 * np.log(2 * np.pi)
    rows += [
        ("logL", float(one["log_likelihood"]) + shift),
        ("logL0", float(one["null_log_likelihood"]) + shift),
        ("LRT", statistic),
        ("df", g),
        ("Pval", boundary_p(statistic, g)),
        ("n", int(one["n_samples"])),
    ]
    return "".join("\t".join(_cell(value) for value in row) + "\n" for row in rows)


def _cell(value: Any) -> str:
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def _without_effects(what: str) -> StoreError:
    return StoreError(f"the store has no {what}.", do="write the fit with effects: fit.to_store(path)")
