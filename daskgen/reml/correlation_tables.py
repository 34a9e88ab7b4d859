"""From (co)variances of pairs of phenotypes, with their parts by blocks of samples, to correlations with errors.

A figure f of the estimates has the parts sum_i df/dtheta_i (parts of theta_i) (delta method), and its variance is that
of a sum over pairs of blocks (`block_jackknife`). Pure NumPy.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import erfc

from daskgen.reml.block_jackknife import block_covariance, block_variances
from daskgen.reml.cross_moments import PairEstimate

__all__ = ["Figure", "Trait", "correlation", "correlation_rows", "covariance_structure", "part_of", "total_of"]


@dataclass(frozen=True)
class Figure:
    """An estimate with the parts (B, B) of its deviation, and those of random vectors (J,)."""

    value: float
    parts: np.ndarray
    monte_carlo: np.ndarray

    @property
    def se(self) -> float:
        return float(np.sqrt(block_variances(self.parts[None])[0])) if np.isfinite(self.value) else np.nan

    @property
    def monte_carlo_se(self) -> float:
        return float(np.sqrt((self.monte_carlo**2).sum())) if np.isfinite(self.value) else np.nan

    def scaled(self, factor: float) -> Figure:
        return Figure(self.value * factor, self.parts * factor, self.monte_carlo * factor)


@dataclass(frozen=True)
class Trait:
    """name; n: samples; shares (G + 1,): tr(A_i) / n of components and residual, which is 1; own: the regression of the
    phenotype on itself."""

    name: str
    n: int
    shares: np.ndarray
    own: PairEstimate


def part_of(estimate: PairEstimate, i: int, share: float = 1.0) -> Figure:
    """theta_i times the share."""
    return Figure(estimate.theta[i], estimate.influence[i], estimate.monte_carlo[:, i]).scaled(share)


def total_of(estimate: PairEstimate, shares: np.ndarray) -> Figure:
    """sum of theta_i times its share; a component without an estimate counts as 0."""
    weights = np.where(np.isnan(estimate.theta[: len(shares)]), 0.0, shares)
    k = len(weights)
    return Figure(
        float(weights @ np.nan_to_num(estimate.theta[:k])),
        np.tensordot(weights, estimate.influence[:k], 1),
        estimate.monte_carlo[:, :k] @ weights,
    )


def correlation(covariance: Figure, first: Figure, second: Figure) -> Figure:
    """covariance / sqrt(first second); NaN where one of these is not positive."""
    if not (first.value > 0 and second.value > 0):
        return Figure(np.nan, covariance.parts, covariance.monte_carlo)
    root = np.sqrt(first.value * second.value)
    value = covariance.value / root
    halves = [value / (2 * f.value) for f in (first, second)]
    return Figure(
        value,
        covariance.parts / root - halves[0] * first.parts - halves[1] * second.parts,
        covariance.monte_carlo / root - halves[0] * first.monte_carlo - halves[1] * second.monte_carlo,
    )


def ratio(part: Figure, whole: Figure) -> Figure:
    """part / whole."""
    value = part.value / whole.value
    return Figure(
        value,
        (part.parts - value * whole.parts) / whole.value,
        (part.monte_carlo - value * whole.monte_carlo) / whole.value,
    )


def correlation_rows(
    first: Trait, second: Trait, cross: PairEstimate, overlap: int, components: Sequence[str]
) -> list[dict[str, object]]:
    """The rows of one pair: of each component and, last, of the total; of one component the total alone."""
    g = len(components)
    both = np.sqrt(first.shares * second.shares)
    residual = part_of(cross, g, both[g])
    phenotypic = [total_of(trait.own, trait.shares) for trait in (first, second)]
    rows = []
    for i, name in [*enumerate(components), (None, "total")] if g > 1 else [(None, "total")]:
        if i is None:
            covariance = total_of(cross, both[:g])
            own = [total_of(trait.own, trait.shares[:g]) for trait in (first, second)]
        else:
            covariance = part_of(cross, i, both[i])
            own = [part_of(trait.own, i, trait.shares[i]) for trait in (first, second)]
        found = correlation(covariance, *own)
        shares = [ratio(part, whole) for part, whole in zip(own, phenotypic, strict=True)]
        # Of one component the residual belongs to its row; of several to the total's.
        e = residual if i is None else residual.scaled(np.nan)
        row: dict[str, object] = {"trait_1": first.name, "trait_2": second.name}
        if g > 1:
            row["component"] = name
        row |= {
            "rg": found.value,
            "se": found.se,
            "p": float(erfc(abs(found.value / found.se) / np.sqrt(2.0))),
            "monte_carlo_se": found.monte_carlo_se,
            "cov_g": covariance.value,
            "cov_g_se": covariance.se,
            "cov_e": e.value,
            "cov_e_se": e.se,
            "h2_1": shares[0].value,
            "h2_1_se": shares[0].se,
            "h2_2": shares[1].value,
            "h2_2_se": shares[1].se,
            "n_1": first.n,
            "n_2": second.n,
            "n_both": overlap,
        }
        rows.append(row)
    return rows


def covariance_structure(
    traits: Sequence[Trait], crosses: dict[tuple[int, int], PairEstimate]
) -> tuple[np.ndarray, np.ndarray]:
    """(S (k, k), V): total genetic covariances of phenotypes of variance 1, and the sampling covariance of the
    column-wise lower triangle of S."""
    k, g = len(traits), len(traits[0].shares) - 1
    whole = [total_of(trait.own, trait.shares) for trait in traits]
    s, parts = np.zeros((k, k)), []
    for j in range(k):
        for i in range(j, k):
            if i == j:
                found = ratio(total_of(traits[i].own, traits[i].shares[:g]), whole[i])
            else:
                both = np.sqrt(traits[i].shares * traits[j].shares)[:g]
                found = correlation(total_of(crosses[j, i], both), whole[j], whole[i])
            s[i, j] = s[j, i] = found.value
            parts.append((found.parts + found.parts.T) / 2)
    single, pairs = block_covariance(np.stack(parts))
    return s, _positive(single) + _positive(pairs)


def _positive(matrix: np.ndarray) -> np.ndarray:
    """The nearest positive semidefinite matrix."""
    values, vectors = np.linalg.eigh((matrix + matrix.T) / 2)
    return np.asarray((vectors * np.maximum(values, 0.0)) @ vectors.T)
