"""Phenotypes with known truth for given genotypes: an additive model, streamed over the genotypes.

    y_t = sum over components c of g_ct + e_t,      g_ct = Z b_ct,      Z standardised genotypes (samples x variants)

The effects b of a causal variant on several traits are normal with the correlation matrix rg; they are then scaled so
that g_ct has the variance h2_ct in these samples exactly (ddof 1). e_t is normal with variance 1 - sum_c h2_ct, so that
y_t has variance 1 in expectation, and the realised heritability is h2 up to the sampling of e.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from daskgen.errors import InputError
from daskgen.genotypes import operator
from daskgen.genotypes.reader import Genotypes
from daskgen.genotypes.source import open_source
from daskgen.inputs.arguments import known_arguments
from daskgen.kernels.philox import philox_key
from daskgen.simulate import architecture

__all__ = ["PhenotypeTruth", "phenotypes"]

Heritability = float | Sequence[float] | Mapping[str, float | Sequence[float]]


class PhenotypeTruth(dict[str, Any]):
    """What simulated phenotypes were made of: ``table.attrs["truth"]``.

    The mapping has the small figures, as plain numbers: "seed"; "h2" and "realised_h2" (component -> trait -> value;
    realised also for "total"); "rg" and "realised_rg" (trait -> trait -> value). Attributes:

    effects: DataFrame with a row for each causal variant of each component: component, variant (row of the store),
        variant_id, and for each trait the effect of one standard deviation of the genotype
    genetic_values: DataFrame (sample_id x traits), the sum of all components
    component_values: component -> DataFrame (sample_id x traits)
    """

    def __init__(
        self,
        figures: Mapping[str, Any],
        *,
        effects: pd.DataFrame,
        genetic_values: pd.DataFrame,
        component_values: dict[str, pd.DataFrame],
    ):
        super().__init__(figures)
        self.effects = effects
        self.genetic_values = genetic_values
        self.component_values = component_values

    def __deepcopy__(self, memo: dict[int, Any]) -> PhenotypeTruth:
        # pandas copies attrs deeply in every operation; the truth does not change.
        return self


@known_arguments()
def phenotypes(
    genotypes: Genotypes,
    *,
    h2: Heritability,
    n_causal: int | Mapping[str, int] | None = None,
    components: str | Mapping[str, Any] | None = None,
    traits: int | Sequence[str] = 1,
    rg: float | np.ndarray | None = None,
    seed: int = 0,
    dosage: str | bool = "auto",
    memory_limit: str | int | None = None,
) -> pd.DataFrame:
    """Simulate phenotypes of every sample of `genotypes`.

    Parameters
    ----------
    genotypes
        Path of a store, or a Dataset.
    h2
        Heritability, the variance of the genetic values where that of the phenotype is 1: a number, a list in the order
        of the traits, or a mapping from component to one of these. Without a mapping several components share it in
        proportion to their numbers of polymorphic variants.
    n_causal
        None: every polymorphic variant. A number: so many of them, drawn at random; several components share it in
        proportion to their numbers of polymorphic variants, with at least one each. A mapping: component to number.
    components
        None: one, called "genetic"; "contig": one for each contig that has variants; or a mapping from name to indices
        or a boolean mask of variants, which may overlap.
    traits
        Their number (they are then called trait_1, trait_2, ...) or their names.
    rg
        Genetic correlation of the traits' effects: None (0), a number for all pairs, or a matrix (traits, traits).
    seed
        Whole number, at least 0.
    dosage, memory_limit
        As in `daskgen.genotypes.operator`.

    Returns
    -------
    pandas.DataFrame
        float64, one column per trait, indexed by sample_id; ``.attrs["truth"]`` is a `PhenotypeTruth`.

    Raises
    ------
    UsageError
        Numbers out of range, heritabilities above 1 in all, unknown components, too many causal variants.
    InputError
        A component without a polymorphic variant, or without variance in these samples.

    One counting pass over the genotypes and one for the products, whatever the number of traits and components.
    """
    source = open_source(genotypes)
    products = operator(genotypes, dosage=dosage, memory_limit=memory_limit)
    names = architecture.trait_names(traits)
    members = architecture.members(components, source.contig)
    correlation = architecture.correlation(rg, len(names))
    random = _generator(seed)
    _shares(h2, n_causal, members, len(names))  # refused before the genotypes are counted
    varies = products.moments.polymorphic
    available = {name: variants[varies[variants]] for name, variants in members.items()}
    heritability, numbers = _shares(h2, n_causal, available, len(names))

    causal = [np.sort(random.choice(available[name], numbers[name], replace=False)) for name in members]
    effects = [random.standard_normal((len(c), len(names))) @ architecture.square_root(correlation) for c in causal]
    coefficients = np.zeros((products.n_variants, len(members), len(names)))
    for c, variants in enumerate(causal):
        coefficients[variants, c] = effects[c]
    values = products.zs(coefficients.reshape(products.n_variants, -1), label="genetic values")
    values = values.reshape(products.n_samples, len(members), len(names))
    scale = _scale(values, heritability, list(members))
    values *= scale
    residual = np.sqrt(np.maximum(0.0, 1.0 - heritability.sum(axis=0)))
    noise = random.standard_normal((products.n_samples, len(names))) * residual

    def by_sample(array: np.ndarray) -> pd.DataFrame:
        return pd.DataFrame(array, index=pd.Index(source.sample_id, name="sample_id"), columns=names)

    table = by_sample(values.sum(axis=1) + noise)
    scaled = [effect * scale[c] for c, effect in enumerate(effects)]
    table.attrs["truth"] = PhenotypeTruth(
        {"seed": int(seed)} | _figures(table.to_numpy(), values, heritability, correlation, list(members), names),
        effects=_effects(source.variant_id, list(members), causal, scaled, names),
        genetic_values=by_sample(values.sum(axis=1)),
        component_values={name: by_sample(values[:, c]) for c, name in enumerate(members)},
    )
    return table


def _shares(
    h2: Heritability, n_causal: int | Mapping[str, int] | None, variants: Mapping[str, np.ndarray], n_traits: int
) -> tuple[np.ndarray, dict[str, int]]:
    """Heritability (components, traits) and number of causal variants of each component, from those it may have."""
    if empty := [name for name, positions in variants.items() if not len(positions)]:
        raise InputError(f"component {empty[0]!r} has no polymorphic variant.", found=", ".join(empty[:10]))
    sizes = {name: len(positions) for name, positions in variants.items()}
    return architecture.heritability(h2, sizes, n_traits), architecture.causal_numbers(n_causal, sizes)


def _generator(seed: int) -> np.random.Generator:
    low, high = (int(word) for word in philox_key(architecture.whole("seed", seed, 0), "phenotypes"))
    return np.random.Generator(np.random.Philox(key=low | high << 32))


def _scale(values: np.ndarray, heritability: np.ndarray, components: list[str]) -> np.ndarray:
    """float64 (components, traits): the factors that give `values` (samples, components, traits) their variances."""
    variance = values.var(axis=0, ddof=1) if len(values) > 1 else np.zeros(values.shape[1:])
    constant = ((variance <= 0) & (heritability > 0)).any(axis=1)
    if constant.any():
        raise InputError(
            f"the genetic values of component {components[int(np.argmax(constant))]!r} do not vary in these samples.",
            found=f"{len(values):,} samples",
            do="take more samples or more causal variants",
        )
    return np.sqrt(heritability / np.where(variance > 0, variance, 1.0))


def _effects(
    variant_id: np.ndarray,
    components: list[str],
    causal: list[np.ndarray],
    effects: list[np.ndarray],
    traits: list[str],
) -> pd.DataFrame:
    variants = np.concatenate(causal)
    where = {
        "component": np.repeat(components, [len(c) for c in causal]),
        "variant": variants,
        "variant_id": variant_id[variants],
    }
    return pd.DataFrame(where | dict(zip(traits, np.concatenate(effects).T, strict=True)))


def _figures(
    phenotype: np.ndarray,
    values: np.ndarray,
    heritability: np.ndarray,
    correlation: np.ndarray,
    components: list[str],
    traits: list[str],
) -> dict[str, Any]:
    """Asked and realised heritabilities and genetic correlations, as plain numbers."""
    spread = np.ptp(phenotype, axis=0) > 0
    total = np.where(spread, phenotype.var(axis=0), np.nan)
    genetic = values.sum(axis=1)
    with np.errstate(invalid="ignore", divide="ignore"):
        realised = np.vstack([values.var(axis=0), genetic.var(axis=0)]) / total
        realised_rg = np.atleast_2d(np.corrcoef(genetic, rowvar=False)) if len(genetic) > 1 else correlation * np.nan

    def table(rows: list[str], array: np.ndarray) -> dict[str, dict[str, float]]:
        return {row: dict(zip(traits, line.tolist(), strict=True)) for row, line in zip(rows, array, strict=True)}

    return {
        "h2": table(components, heritability),
        "realised_h2": table([*components, "total"], realised),
        "rg": table(traits, correlation),
        "realised_rg": table(traits, realised_rg),
    }
