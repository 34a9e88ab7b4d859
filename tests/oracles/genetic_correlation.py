"""Genetic correlations by Haseman-Elston regression with dense float64 matrices, pair by pair."""

from __future__ import annotations

import numpy as np

from tests.oracles.relationship import standardised


def projection(x):
    """I - X (X'X)^-1 X'."""
    return np.eye(len(x)) - x @ np.linalg.solve(x.T @ x, x.T)


def pair(calls, y, designs, rows, components):
    """theta (components..., residual) of two phenotypes.

    calls (variants, samples); y, designs, rows: of each of the two its values, fixed effects and samples.
    """
    m = [projection(x) for x in designs]
    parts = []
    for members in components:
        sides = [standardised(calls[members][:, own]) for own in rows]
        parts.append(m[0] @ sides[0][0] @ sides[1][0].T @ m[1] / np.sqrt(sides[0][1] * sides[1][1]))
    same = (np.asarray(rows[0])[:, None] == np.asarray(rows[1])).astype(float)
    if same.any():
        parts.append(m[0] @ same @ m[1])
    normal = np.array([[np.sum(a * b) for b in parts] for a in parts])
    theta = np.linalg.solve(normal, [y[0] @ a @ y[1] for a in parts])
    return theta if same.any() else np.append(theta, np.nan)
