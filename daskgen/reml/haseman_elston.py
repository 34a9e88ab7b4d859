"""Haseman-Elston regression: variance components from moments, in two or three passes and without iteration.

In the space that the fixed effects leave, E[y'A_i y] = sum_j theta_j tr(A_i A_j) for A = K_1, ..., K_G, I, so that

    theta = T^-1 q,   T_ij = tr(A_i A_j),   q_i = y'A_i y,   cov(theta) = 2 T^-1 [tr(A_i H A_j H)] T^-1 (normal y).

Estimates may be negative. Traces are exact from dense matrices, or means over random probes with the exact tr K_g.
Source: Haseman and Elston (1972), Behavior Genetics 2:3; Wu and Sankararaman (2018), Bioinformatics 34:i187.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from daskgen.genotypes.selection import Selection
from daskgen.inputs.arguments import known_arguments
from daskgen.inputs.sample_table import Table
from daskgen.reml.assembling import fit_dataset
from daskgen.reml.choosing import chosen_method
from daskgen.reml.components import ComponentSpec
from daskgen.reml.dense_model import DenseModel
from daskgen.reml.design import Design
from daskgen.reml.estimates import Estimates
from daskgen.reml.fitting import checked_options, opened_relationships, run_attributes
from daskgen.reml.model import FittedGroup, FittedModel
from daskgen.reml.probes import signs
from daskgen.reml.relationships import Relationships, Some
from daskgen.reml.result import RemlFit
from daskgen.reml.study import WEIGHTED_TABLES, GenotypeSets, Group, divided, open_study

__all__ = ["he_regression"]

PROBES, PROBES_OF_ERRORS = 48, 12


@known_arguments(*WEIGHTED_TABLES, *Selection.__dataclass_fields__)
def he_regression(
    genotypes: GenotypeSets,
    phenotypes: Table,
    covariates: Table | None = None,
    *,
    components: ComponentSpec = None,
    scale: str = "empirical",
    alpha: float = -1.0,
    method: str = "auto",
    n_probes: int | str = "auto",
    dosage: str | bool = "auto",
    memory_limit: int | str | None = None,
    cache: bool = True,
    seed: int = 0,
    **more: Any,
) -> RemlFit:
    """Variance components by Haseman-Elston regression, with the tables of `fit`.

    n_probes: "auto" is 48. All other arguments as in `fit`; so are the tables, without likelihoods and predictions.
    """
    checked_options(method, n_probes, 0.5)
    model: dict[str, Any] = {"components": components, "dosage": dosage, "scale": scale, "alpha": alpha}
    study = open_study(genotypes, phenotypes, covariates, memory_limit=memory_limit, cache=cache, **model, **more)
    probes = PROBES if n_probes == "auto" else int(n_probes)
    fitted, diagonals, methods = [], [], []
    for group in study.groups:
        relationships = opened_relationships(study, group)
        way = chosen_method(method, study, group, relationships, probes)
        solve = _exactly if way == "exact" else _streamed
        estimates, diagonal = solve(group, relationships, probes, seed)
        fitted.append(FittedGroup(group, relationships, estimates))
        diagonals.append(diagonal)
        methods.append(f"haseman-elston {way}")
    numbers = {"scale": scale, "alpha": float(alpha), "seed": int(seed)}
    _, selection = divided(more)
    arguments = {"components": components, "method": method, "n_probes": n_probes, "dosage": dosage}
    attrs = run_attributes(study, numbers, arguments | selection)
    return RemlFit(fit_dataset(study, fitted, diagonals, methods, attrs), FittedModel(study, fitted))


def _exactly(
    group: Group, relationships: Relationships, n_probes: int, seed: int
) -> tuple[list[Estimates], np.ndarray]:
    used = relationships.used
    matrices = relationships.dense()[used]
    model = DenseModel(matrices, group.design)
    q = group.design.basis
    parts = [*model.projected, np.eye(len(q)) - q @ q.T]
    normal = np.array([[float(np.vdot(a, b)) for b in parts] for a in parts])
    found = []
    for y in group.weighted_values.T:
        rest = group.design.residual(y)
        theta = _inverse(normal) @ [float(rest @ (a @ rest)) for a in parts]
        h = np.tensordot(theta, np.stack(parts), 1)
        products = [a @ h for a in parts]
        spread = np.array([[2 * float(np.vdot(a, b.T)) for b in products] for a in products])
        estimates = _estimates(theta, normal, spread, None, y, group.design, model.squares)
        estimates.passes = relationships.passes
        estimates.put_back(used, len(relationships.counted))
        found.append(estimates)
    return found, relationships.mean_diagonals([np.diag(k) for k in matrices], used)


def _streamed(
    group: Group, relationships: Relationships, n_probes: int, seed: int
) -> tuple[list[Estimates], np.ndarray]:
    used, design = relationships.used, group.design
    kernels = Some(relationships, used)
    basis, t = design.basis, group.values.shape[1]
    dimension = len(basis) - design.rank
    rest = design.residual(group.weighted_values)
    z = design.residual(signs(group.rows, 0, n_probes, seed))
    found = kernels.products(np.hstack([basis, rest, z]), label="moments")
    squares = np.stack([basis.T @ k[:, : design.rank] for k in found])
    ky, kz = (
        np.stack([design.residual(k[:, part]) for k in found])
        for part in (slice(design.rank, design.rank + t), slice(design.rank + t, None))
    )
    diagonals = relationships.diagonals[used]
    root = relationships.root_weights
    traces = diagonals @ (np.ones(len(basis)) if root is None else root**2) - np.array([np.trace(s) for s in squares])
    by_probe = np.array([[np.einsum("nr,nr->r", a, b) for b in [*kz, z]] for a in [*kz, z]])
    by_probe[-1, :-1] = by_probe[:-1, -1] = traces[:, None]
    by_probe[-1, -1] = dimension
    normal = by_probe.mean(axis=2)
    few = slice(0, min(PROBES_OF_ERRORS, n_probes))
    estimates = []
    for i in range(t):
        y = rest[:, i]
        theta = _inverse(normal) @ np.append(ky[:, :, i] @ y, y @ y)
        spread = _spread(kernels, design, theta, kz[:, :, few], z[:, few])
        deviations = np.einsum("ijr,j->ri", by_probe - normal[:, :, None], theta)
        estimates.append(_estimates(theta, normal, spread, deviations, group.weighted_values[:, i], design, squares))
    for e in estimates:
        e.n_probes, e.passes = n_probes, relationships.passes
        e.put_back(used, len(relationships.counted))
    return estimates, relationships.mean_diagonals(diagonals, used, weighted=False)


def _inverse(normal: np.ndarray) -> np.ndarray:
    """T^-1; components with the same relationships share what they explain equally."""
    return np.asarray(np.linalg.pinv(normal, rcond=1e-10, hermitian=True))


def _spread(kernels: Some, design: Design, theta: np.ndarray, kz: np.ndarray, z: np.ndarray) -> np.ndarray:
    """2 tr(A_i H A_j H) as the mean over probes of 2 (H A_i z)'(A_j H z)."""
    g, _, r = kz.shape
    hz = np.tensordot(theta[:-1], kz, 1) + theta[-1] * z
    right = [*(design.residual(k) for k in kernels.products(hz, label="errors")), hz]
    columns = np.concatenate([*kz], axis=1)
    left = design.residual(kernels.combined(theta[:-1], columns, label="errors")) + theta[-1] * columns
    parts = [*np.split(left, g, axis=1), hz]
    found = np.array([[2 * float(np.vdot(a, b)) / r for b in right] for a in parts])
    return (found + found.T) / 2


def _estimates(
    theta: np.ndarray,
    normal: np.ndarray,
    spread: np.ndarray,
    deviations: np.ndarray | None,
    y: np.ndarray,
    design: Design,
    squares: Sequence[np.ndarray] | np.ndarray,
) -> Estimates:
    inverse = _inverse(normal)
    covariance = inverse @ spread @ inverse
    monte_carlo = np.zeros_like(covariance)
    if deviations is not None:
        r = len(deviations)
        monte_carlo = inverse @ (deviations.T @ deviations / (r * (r - 1))) @ inverse
    size = len(theta)
    return Estimates(
        theta,
        np.full(size, np.nan),
        np.linalg.pinv(covariance, rcond=1e-14, hermitian=True),
        np.zeros(size, bool),
        np.nan,
        np.nan,
        monte_carlo,
        np.nan,
        True,
        "moments",
        projected=np.full(len(y), np.nan),
        gamma=design.basis.T @ y,
        gamma_covariance=np.tensordot(theta[:-1], np.asarray(squares), 1) + theta[-1] * np.eye(design.rank),
    )
