"""`efa`: exploratory factor analysis of the genetic correlations, by maximum likelihood.

With the correlations R of p traits and uniquenesses psi, e_1 >= ... >= e_p the eigenvalues of Psi^-1/2 R Psi^-1/2, the
likelihood of q factors is largest over the loadings where psi minimises

    f(psi) = sum over j > q of e_j - log e_j - 1,          d f / d psi_i = (Lambda Lambda' + Psi - R)_ii / psi_i^2,

and Lambda = Psi^1/2 E_q (diag(e_1, ..., e_q) - I)^1/2 (Lawley and Maxwell 1971, Factor Analysis as a Statistical
Method). psi stays within 0.005 and 1. Varimax makes the squares of the loadings vary most within a factor, after each
trait's were scaled to length one (Kaiser 1958); promax regresses their fourth powers (with sign) on them and so lets
the factors correlate (Hendrickson and White 1964).
"""

from __future__ import annotations

import numpy as np
import xarray as xr

from daskgen.errors import NotConvergedError, UsageError
from daskgen.inputs.arguments import known_arguments
from daskgen.sem.moments import CovarianceSource, read_moments

__all__ = ["efa"]

ROTATIONS = ("promax", "varimax", "none")
LOWEST_UNIQUENESS = 0.005
_POWER = 4


@known_arguments()
def efa(covstruct: CovarianceSource, n_factors: int, *, rotation: str = "promax") -> xr.Dataset:
    """Exploratory factor analysis of a genetic covariance structure, as factanal() of R on the smoothed S.

    Parameters
    ----------
    covstruct
        Path of a store of `daskgen ldsc` or `daskgen convert covstruct`, or a Dataset such as `dg.ldsc.ldsc` returns. S
        is replaced by the nearest positive definite matrix where it is not positive definite, and standardised.
    n_factors
        Number of factors q; ((p - q)^2 - p - q) / 2 must not be negative for p traits.
    rotation
        "promax" (factors may correlate), "varimax" or "none".

    Returns
    -------
    xarray.Dataset
        loadings (trait, factor), uniqueness (trait), factor_correlation (factor, factor_2), ss_loadings, proportion
        (factor): sums of squared loadings and their share of p. Factors are in the order of ss_loadings, largest first,
        and the loadings of each add up to more than zero. Attributes: df, discrepancy (the minimum of f).

    Raises
    ------
    UsageError
        A number of factors that the traits do not carry, a rotation that is not known.
    InputError
        What is no covariance structure.
    NotConvergedError
        The search for psi does not end.

    Standard errors are not given: fit the model that the loadings suggest (`write_model`) with `usermodel`.
    """
    moments, _ = read_moments(covstruct).smoothed()
    p = len(moments.traits)
    if rotation not in ROTATIONS:
        raise UsageError("this rotation is not known.", found=rotation, expected=", ".join(ROTATIONS))
    if isinstance(n_factors, bool) or n_factors != int(n_factors) or n_factors < 1:
        raise UsageError("n_factors must be a whole number from 1.", found=n_factors)
    q = int(n_factors)
    df = ((p - q) ** 2 - p - q) // 2
    if q >= p or df < 0:
        most = max((m for m in range(1, p) if (p - m) ** 2 >= p + m), default=0)
        raise UsageError(
            f"{p} traits do not carry {q} factors.",
            found=f"df {df}",
            expected=f"at most {most} factors" if most else "three traits or more",
        )
    scale = 1.0 / np.sqrt(np.diag(moments.s))
    correlation = moments.s * np.outer(scale, scale)
    uniqueness, discrepancy = _uniqueness(correlation, q)
    loadings, _ = _in_order(_loadings(correlation, uniqueness, q), np.eye(q))  # the order that rotations start from
    between = np.eye(q)
    if rotation == "promax" and q > 1:
        loadings, turn = _promax(loadings)
        back = np.linalg.inv(turn)
        between = back @ back.T
    elif rotation == "varimax" and q > 1:
        loadings, _ = _varimax(loadings)
    loadings, between = _in_order(loadings, between)
    squares = (loadings**2).sum(0)
    factors = np.array([f"F{i + 1}" for i in range(q)], dtype=object)
    return xr.Dataset(
        {
            "loadings": (("trait", "factor"), loadings),
            "uniqueness": ("trait", uniqueness),
            "factor_correlation": (("factor", "factor_2"), between),
            "ss_loadings": ("factor", squares),
            "proportion": ("factor", squares / p),
        },
        coords={"trait": np.array(moments.traits, dtype=object), "factor": factors, "factor_2": factors},
        attrs={"kind": "efa", "rotation": rotation, "df": df, "discrepancy": discrepancy},
    )


def _uniqueness(correlation: np.ndarray, q: int) -> tuple[np.ndarray, float]:
    """psi (p,) and the minimum of f."""
    from scipy.optimize import minimize

    p = len(correlation)
    start = np.clip((1.0 - 0.5 * q / p) / np.diag(np.linalg.inv(correlation)), LOWEST_UNIQUENESS, 1.0)

    def value(psi: np.ndarray) -> float:
        rest = _scaled_eigen(correlation, psi)[0][: p - q]
        return float((rest - np.log(rest) - 1.0).sum())

    def slope(psi: np.ndarray) -> np.ndarray:
        loadings = _loadings(correlation, psi, q)
        return np.asarray(((loadings**2).sum(1) + psi - np.diag(correlation)) / psi**2)

    bounds = [(LOWEST_UNIQUENESS, 1.0)] * p
    found = minimize(
        value,
        start,
        jac=slope,
        method="L-BFGS-B",
        bounds=bounds,
        options={"ftol": 1e-15, "gtol": 1e-10, "maxiter": 10_000, "maxfun": 100_000, "maxcor": p + 5},
    )
    psi = np.asarray(found.x)
    inside = (psi > LOWEST_UNIQUENESS) & (psi < 1.0)
    left = float(np.abs(slope(psi))[inside].max(initial=0.0))
    if not left < 1e-4:
        raise NotConvergedError("the factor analysis did not converge.", found=f"largest slope {left:.2g}")
    return psi, float(found.fun)


def _scaled_eigen(correlation: np.ndarray, psi: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Eigenvalues of Psi^-1/2 R Psi^-1/2, smallest first, and eigenvectors."""
    scale = 1.0 / np.sqrt(psi)
    values, vectors = np.linalg.eigh(correlation * np.outer(scale, scale))
    return values, vectors


def _loadings(correlation: np.ndarray, psi: np.ndarray, q: int) -> np.ndarray:
    values, vectors = _scaled_eigen(correlation, psi)
    size = np.sqrt(np.maximum(values[::-1][:q] - 1.0, 0.0))
    return np.asarray(np.sqrt(psi)[:, None] * vectors[:, ::-1][:, :q] * size)


def _in_order(loadings: np.ndarray, between: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Factors by decreasing sum of squares, each with the sign that makes its loadings add up to more than zero."""
    order = np.argsort(-(loadings**2).sum(0), kind="stable")
    sign = np.where(loadings.sum(0) < 0, -1.0, 1.0)[order]
    return loadings[:, order] * sign, between[np.ix_(order, order)] * np.outer(sign, sign)


def _varimax(loadings: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(rotated loadings, orthogonal T): the loadings are those given times T.

    Pairs of factors are turned by the angle that is best for the pair, in closed form, until none turns any more.
    """
    p, q = loadings.shape
    length = np.sqrt((loadings**2).sum(1, keepdims=True))
    length[length == 0] = 1.0
    x, turn = loadings / length, np.eye(q)
    for _ in range(1_000):
        largest = 0.0
        for i in range(q - 1):
            for j in range(i + 1, q):
                u, v = x[:, i] ** 2 - x[:, j] ** 2, 2.0 * x[:, i] * x[:, j]
                sine = 2.0 * (u @ v) - 2.0 * u.sum() * v.sum() / p
                cosine = (u**2 - v**2).sum() - (u.sum() ** 2 - v.sum() ** 2) / p
                angle = 0.25 * np.arctan2(sine, cosine) if max(abs(sine), abs(cosine)) > 1e-14 * p else 0.0
                largest = max(largest, abs(angle))
                plane = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
                x[:, [i, j]] = x[:, [i, j]] @ plane
                turn[:, [i, j]] = turn[:, [i, j]] @ plane
        if largest < 1e-10:
            break
    return loadings @ turn, turn


def _promax(loadings: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(rotated loadings, T): the factors have covariance (T'T)^-1 = I on the diagonal."""
    rotated, turn = _varimax(loadings)
    target = rotated * np.abs(rotated) ** (_POWER - 1)
    oblique = np.linalg.lstsq(rotated, target, rcond=None)[0]
    oblique = oblique * np.sqrt(np.diag(np.linalg.inv(oblique.T @ oblique)))
    return rotated @ oblique, turn @ oblique
