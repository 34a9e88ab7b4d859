"""Prediction error variances of random effects, for every sample of the genotypes: exactly, or by sampling.

    PEV_i = var(u_i - u^_i) = theta_g k_ii - theta_g^2 k_i'P k_i,      k_i = K_g[analysed, i]

Where matrices samples x samples do not fit, phenotypes y* = sum_g u*_g + e* are drawn from the model at the estimates
and predicted; u^* and u* - u^* are independent, so that mean (u* - u^*)^2 and theta_g k_ii - mean u^*^2 are independent
estimates of the same thing, and are averaged by their precision.
Source: Garcia-Cortes, Moreno, Varona, Altarriba (1992), J. Anim. Breed. Genet. 109:358; Hickey et al. (2009), Genet.
Sel. Evol. 41:23.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from daskgen.genotypes.operator import GenotypeOperator
from daskgen.linalg.conjugate_gradient import conjugate_gradient
from daskgen.reml.dense_model import DenseModel
from daskgen.reml.effects import GroupEffects, fixed_operator, random_effects, relationships_with
from daskgen.reml.estimates import Estimates
from daskgen.reml.graph import standardised_products, standardised_squares, standardised_sums
from daskgen.reml.relationships import Relationships
from daskgen.reml.study import Group

__all__ = ["ErrorVariances", "exact_errors", "sampled_errors"]

DRAWS, TOGETHER = 64, 16
"""Phenotypes that are drawn, and how many of them at a time."""

SOLVE_TOLERANCE = 1e-4


@dataclass(frozen=True)
class ErrorVariances:
    """variance (T, G, N) of T phenotypes, G components, N samples; its monte_carlo_se; diagonals k_ii (G, N)."""

    variance: np.ndarray
    monte_carlo_se: np.ndarray
    diagonals: np.ndarray


def exact_errors(
    group: Group,
    relationships: Relationships,
    estimates: Sequence[Estimates],
    effects: Sequence[GroupEffects],
    rows: Sequence[np.ndarray],
    analysed: np.ndarray,
) -> ErrorVariances:
    """From dense matrices of all samples.

    effects: SNP side of the fit by genotype source; rows: the samples' rows in each source (N,); analysed: which of
    them the group has (n,).
    """
    parts = zip(relationships.parts, effects, rows, strict=True)
    matrices = np.concatenate([relationships_with(part, found, samples) for part, found, samples in parts])
    diagonals = np.array([np.diag(k) for k in matrices])
    cross = matrices[:, analysed]
    own = cross[:, :, analysed]
    root = group.root_weights
    if root is not None:
        cross, own = cross * root[:, None], own * (root[:, None] * root)
    model = DenseModel(own, group.design)
    found = np.empty((len(estimates), *diagonals.shape))
    for t, e in enumerate(estimates):
        for g, k in enumerate(cross):
            explained = np.einsum("ni,ni->i", k, model.inverse_times(e.theta, k))
            found[t, g] = e.theta[g] * diagonals[g] - e.theta[g] ** 2 * explained
    return ErrorVariances(found, np.zeros_like(found), diagonals)


def sampled_errors(
    group: Group,
    relationships: Relationships,
    estimates: Sequence[Estimates],
    effects: Sequence[GroupEffects],
    rows: Sequence[np.ndarray],
    analysed: np.ndarray,
    *,
    draws: int = DRAWS,
) -> ErrorVariances:
    """From phenotypes drawn at the estimates; some ten passes for every 16 of them. Arguments as `exact_errors`."""
    sources = list(zip(relationships.parts, effects, rows, strict=True))
    operators = [fixed_operator(part, own, samples) for part, own, samples in sources]
    diagonals = np.concatenate(
        [standardised_squares(o, own.weights).T for o, own in zip(operators, effects, strict=True)]
    )
    root = np.ones(group.n) if group.root_weights is None else group.root_weights
    found, errors = (np.empty((len(estimates), *diagonals.shape)) for _ in range(2))
    for t, e in enumerate(estimates):
        missed, predicted = np.zeros(diagonals.shape), np.zeros(diagonals.shape)
        for first in range(0, draws, TOGETHER):
            s = min(TOGETHER, draws - first)
            generator = np.random.Generator(np.random.Philox(key=np.array([first, 0x504556], dtype=np.uint64)))
            drawn = [
                _drawn(operator, own, e.theta[these], generator, s)
                for operator, own, these in zip(operators, effects, _slices(relationships), strict=True)
            ]
            u = np.concatenate(drawn)
            noise = np.sqrt(e.theta[-1]) * generator.standard_normal((group.n, s))
            y = u.sum(axis=0)[analysed] * root[:, None] + noise
            u_hat = _predicted(group, relationships, e, effects, y, rows)
            missed += ((u - u_hat) ** 2).sum(axis=2) / draws
            predicted += (u_hat**2).sum(axis=2) / draws
        prior = e.theta[:-1, None] * diagonals
        p, v = (a.mean(axis=1, keepdims=True) for a in (missed, predicted))
        with np.errstate(invalid="ignore", divide="ignore"):
            weight = np.where(p + v > 0, v**2 / (p**2 + v**2), 0.0)
        found[t] = weight * missed + (1 - weight) * (prior - predicted)
        # Variances of means of squares of normals, at the averages.
        errors[t] = np.sqrt(2 / draws * (weight**2 * p**2 + (1 - weight) ** 2 * v**2))
    return ErrorVariances(found, errors, diagonals)


def _slices(relationships: Relationships) -> list[slice]:
    edges = np.cumsum([0, *(len(part.components) for part in relationships.parts)])
    return [slice(a, b) for a, b in zip(edges[:-1], edges[1:], strict=True)]


def _drawn(
    operator: GenotypeOperator,
    effects: GroupEffects,
    theta: np.ndarray,
    generator: np.random.Generator,
    draws: int,
) -> np.ndarray:
    """Random effects (G, N, draws) of the components of one source: Z (sqrt(theta_g / c_g) xi), xi standard normal."""
    m, g = effects.weights.shape
    sizes = np.sqrt(theta * effects.weights)
    coefficients = sizes[:, :, None] * generator.standard_normal((m, g, draws))
    sums = standardised_sums(operator, coefficients.reshape(m, g * draws))
    return sums.reshape(len(sums), g, draws).transpose(1, 0, 2)


def _predicted(
    group: Group,
    relationships: Relationships,
    estimates: Estimates,
    effects: Sequence[GroupEffects],
    weighted: np.ndarray,
    rows: Sequence[np.ndarray],
) -> np.ndarray:
    """Predictions (G, N, s) from phenotypes times the root weights, (n, s), at the estimates."""
    theta, design = estimates.theta, group.design

    def product(vectors: np.ndarray, _: np.ndarray) -> np.ndarray:
        return design.residual(relationships.combined(theta[:-1], vectors)) + theta[-1] * vectors

    q = conjugate_gradient(product, design.residual(weighted), tol=SOLVE_TOLERANCE).solution
    q = q if group.root_weights is None else q * group.root_weights[:, None]
    found = []
    for part, own, samples, these in zip(relationships.parts, effects, rows, _slices(relationships), strict=True):
        of_draws = replace(own, products=standardised_products(part.operator, q))
        u = random_effects(part, of_draws, np.tile(theta[these], (q.shape[1], 1)), samples)
        found.append(u.transpose(1, 2, 0))
    return np.concatenate(found)
