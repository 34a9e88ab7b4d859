"""The fully standardised solution: every observed and latent variable at variance one.

With C the implied covariance of all variables, a loading or regression is multiplied by sd(cause) / sd(effect),
a residual variance divided by the variance, a residual covariance by the standard deviations of the two residuals.
A := parameter is its function of the standardised parameters. (Bollen 1989, Structural Equations with Latent
Variables.)
"""

from __future__ import annotations

import numpy as np

from daskgen.sem.parameters import ParameterTable
from daskgen.sem.single_fit import TableFit
from daskgen.sem.structure import Structure

__all__ = ["fully_standardised"]

_CONSTANT = 1e-7
"""Derivative, in units of the parameter, below which a standardised value is the same whatever the parameters are."""


def fully_standardised(fit: TableFit) -> tuple[np.ndarray, np.ndarray]:
    """(values of the rows, values of the := parameters) of the fully standardised solution.

    Where such a value is what it is by construction (the variance of an exogenous variable, a fixed path), the row's
    own estimate stands, as in GenomicSEM's table.
    """
    table = fit.table
    structure = table.structure(fit.moments.traits, sample=fit.moments.s, by_row=True)
    free = np.array([row.free for row in table.rows], bool)
    own = fit.values
    theta = own[free]
    value = _standardised(table, structure, theta)
    sensitive = np.zeros(len(value), bool)
    for i in range(len(theta)):
        step = 1e-4 * max(abs(theta[i]), 0.01)
        up, down = theta.copy(), theta.copy()
        up[i] += step
        down[i] -= step
        difference = _standardised(table, structure, up) - _standardised(table, structure, down)
        with np.errstate(invalid="ignore"):
            sensitive |= np.abs(difference) / (2 * step) * max(abs(theta[i]), 0.01) > _CONSTANT
    value = np.where(sensitive & np.isfinite(value), value, own)
    held = table.parameter_of_row
    by_parameter = np.array([value[np.flatnonzero(held == p)[0]] for p in range(len(table.parameters))])
    return value, table.defined().value(by_parameter)


def _standardised(table: ParameterTable, structure: Structure, theta: np.ndarray) -> np.ndarray:
    a, p = structure.matrices(theta)
    total = np.linalg.inv(np.eye(len(a)) - a)
    place = {name: i for i, name in enumerate(structure.observed + structure.latent)}
    out = np.empty(len(table.rows))
    with np.errstate(invalid="ignore", divide="ignore"):
        sd = np.sqrt(np.diag(total @ p @ total.T))
        residual = np.sqrt(np.diag(p))
        for n, row in enumerate(table.rows):
            left, right = place[row.lhs], place[row.rhs]
            if row.op == "~~":
                scale = 1.0 / (sd[left] * sd[left] if left == right else residual[left] * residual[right])
                out[n] = p[left, right] * scale
            else:
                cause, effect = (left, right) if row.op == "=~" else (right, left)
                out[n] = a[effect, cause] * sd[cause] / sd[effect]
    return out
