"""Association tests by textbook formulas, one variant after the other, in dense float64."""

from __future__ import annotations

import numpy as np
from scipy import stats


def least_squares(x, y, covariates):
    """(beta, se, t, p) of x in y = 1 + covariates + x by the normal equations' inverse."""
    design = np.column_stack([x, np.ones(len(y)), covariates])
    inverse = np.linalg.inv(design.T @ design)
    coefficient = inverse @ design.T @ y
    rest = y - design @ coefficient
    df = len(y) - design.shape[1]
    se = np.sqrt(rest @ rest / df * inverse[0, 0])
    t = coefficient[0] / se
    return coefficient[0], se, t, 2 * stats.t.sf(abs(t), df)


def linear(calls, y, covariates, *, handling="exclude", min_mac=20):
    """beta, se, t, p (variants,), NaN where there is no test; calls (variants, samples), NaN or negative: missing."""
    out = np.full((4, len(calls)), np.nan)
    present = np.isfinite(y) & np.isfinite(covariates).all(axis=1)
    for v, row in enumerate(np.asarray(calls, float)[:, present]):
        called = np.isfinite(row) & (row >= 0)
        x = row[called]
        if not len(x) or min(x.sum(), 2 * len(x) - x.sum()) < min_mac or np.ptp(x) == 0:
            continue
        if handling == "exclude":
            out[:, v] = least_squares(x, y[present][called], covariates[present][called])
        else:
            filled = np.where(called, row, x.mean())
            out[:, v] = least_squares(filled, y[present], covariates[present])
    return out


def mixed(x, y, design, h):
    """(beta, se) of x by generalised least squares with covariance h, not scaled by a residual variance."""
    whole = np.column_stack([x, design])
    weighted = np.linalg.solve(h, whole)
    inverse = np.linalg.inv(whole.T @ weighted)
    return (inverse @ weighted.T @ y)[0], np.sqrt(inverse[0, 0])
