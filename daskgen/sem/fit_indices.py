"""How well a model fits, and where it does not: chi-square, AIC, CFI, SRMR, and Q of pairs of factors.

With r = vech(S - Sigma) and V the full sampling covariance of vech(S),

    chi-square = r' V^-1 r,    AIC = chi-square + 2 npar,    SRMR = sqrt(mean_cells (S_ij - Sigma_ij)^2 / (S_ii S_jj)),
    CFI = ((Q_0 - df_0) - (chi-square - df)) / (Q_0 - df_0), at most 1,

Q_0 = r_0' V^-1 r_0 with r_0 the covariances without the variances: the misfit of independence, df_0 = k (k - 1) / 2.
These are GenomicSEM's (Grotzinger et al. 2019); chi-square does not depend on the weights of the fit.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from daskgen.gwas.p_values import chisq_p
from daskgen.linalg.vech import vech, vech_indices
from daskgen.sem.single_fit import TableFit

__all__ = ["INDICES", "factor_misfit", "fit_indices", "latent_correlations"]

INDICES = ("chisq", "df", "p_chisq", "aic", "cfi", "srmr")


def fit_indices(fit: TableFit, *, cfi: bool = True) -> dict[str, float]:
    """The indices of `INDICES` by name."""
    s, v, df = fit.moments.s, fit.moments.v, fit.df
    chisq = _quadratic(vech(s - fit.sigma), v)
    independence = vech(s - np.diag(np.diag(s)))
    df_0 = len(s) * (len(s) - 1) // 2
    excess = _quadratic(independence, v) - df_0 if cfi else np.nan
    scale = np.sqrt(np.outer(np.diag(s), np.diag(s)))
    return {
        "chisq": chisq,
        "df": float(df),
        "p_chisq": float(chisq_p(chisq, df)),
        "aic": chisq + 2 * fit.n_parameters,
        "cfi": float(np.minimum((excess - (chisq - df)) / excess, 1.0)),
        "srmr": float(np.sqrt(np.mean(vech((s - fit.sigma) / scale) ** 2))),
    }


def _quadratic(residual: np.ndarray, v: np.ndarray) -> float:
    return float(residual @ np.linalg.solve(v, residual))


def latent_correlations(fit: TableFit) -> np.ndarray:
    """Correlations of the factors that the model implies, (latent, latent); NaN where a variance is not positive."""
    a, p = fit.structure.matrices(fit.theta)
    total = np.linalg.inv(np.eye(len(a)) - a)
    covariance = (total @ p @ total.T)[len(fit.structure.observed) :, len(fit.structure.observed) :]
    with np.errstate(invalid="ignore", divide="ignore"):
        scale = np.sqrt(np.diag(covariance))
        return np.asarray(covariance / np.outer(scale, scale))


def factor_misfit(fit: TableFit) -> pd.DataFrame:
    """Misfit of the covariances between the indicators of two factors, for each pair of correlated factors.

    Columns factor_1, factor_2, chisq = r' V^-1 r over the cells (an indicator of one, an indicator of the other), df
    (the number of these cells less one) and p; NaN where there is one cell. Indicators are observed ones.
    """
    traits, latent = list(fit.moments.traits), fit.table.latent
    residual, v = vech(fit.moments.s - fit.sigma), fit.moments.v
    number = {
        frozenset((traits[i], traits[j])): n for n, (i, j) in enumerate(zip(*vech_indices(len(traits)), strict=True))
    }
    indicators = {
        name: [row.rhs for row in fit.table.rows if row.op == "=~" and row.lhs == name and row.rhs in traits]
        for name in latent
    }
    correlation = latent_correlations(fit)
    out = []
    for column, second in enumerate(latent):
        for row in range(column + 1, len(latent)):
            first = latent[row]
            if correlation[row, column] == 0.0:
                continue
            pairs = (frozenset((a, b)) for b in indicators[second] for a in indicators[first])
            cells = [number[pair] for pair in dict.fromkeys(pairs)]
            df = len(cells) - 1
            chisq = _quadratic(residual[cells], v[np.ix_(cells, cells)]) if df > 0 else np.nan
            out.append((first, second, chisq, df, float(chisq_p(chisq, df))))
    return pd.DataFrame(out, columns=["factor_1", "factor_2", "chisq", "df", "p"])
