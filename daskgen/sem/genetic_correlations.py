"""`rgmodel`: genetic correlations and their sampling covariance, by the model that has nothing else.

Every trait is one standardised factor, and the correlations R of the factors are free: a saturated model, R = D^-1/2 S
D^-1/2 with D = diag(S). Its sandwich is then the delta method,

    V_R = G V G',     d r_ij / d s_ij = 1 / sqrt(s_ii s_jj),     d r_ij / d s_ii = -r_ij / (2 s_ii).
"""

from __future__ import annotations

import numpy as np
import xarray as xr

from daskgen.errors import InputError
from daskgen.inputs.arguments import known_arguments
from daskgen.inputs.covariance import vech_names
from daskgen.linalg.vech import unvech, vech_indices
from daskgen.sem.moments import CovarianceSource, read_moments

__all__ = ["correlation_covariance", "rgmodel"]


@known_arguments()
def rgmodel(covstruct: CovarianceSource) -> xr.Dataset:
    """Genetic correlations of all traits and their sampling covariance, as rgmodel() of GenomicSEM.

    Parameters
    ----------
    covstruct
        Path of a store of `daskgen ldsc` or `daskgen convert covstruct`, or a Dataset such as `dg.ldsc.ldsc` returns. S
        and V are replaced by the nearest positive definite matrix where they are not positive definite.

    Returns
    -------
    xarray.Dataset
        R, R_se (trait, trait_2), 1 and 0 on the diagonal, and V_R (pair, pair_2), the pairs in the order of the
        column-wise lower triangle without its diagonal: 21, 31, ..., 32, ...

    Raises
    ------
    InputError
        A covariance structure that cannot be read, or that has one trait only.
    """
    moments, _ = read_moments(covstruct).smoothed()
    k = len(moments.traits)
    if k < 2:
        raise InputError("a genetic correlation needs two traits.", found=", ".join(moments.traits))
    scale = 1.0 / np.sqrt(np.diag(moments.s))
    correlation = moments.s * np.outer(scale, scale)
    np.fill_diagonal(correlation, 1.0)
    v_r = correlation_covariance(moments.s, moments.v)
    row, column = vech_indices(k)
    below = row != column
    error = np.zeros(len(row))
    error[below] = np.sqrt(np.diag(v_r))
    names = np.array(moments.traits, dtype=object)
    pairs = np.array([name for name, kept in zip(vech_names(moments.traits), below, strict=True) if kept], dtype=object)
    return xr.Dataset(
        {
            "R": (("trait", "trait_2"), correlation),
            "R_se": (("trait", "trait_2"), unvech(error)),
            "V_R": (("pair", "pair_2"), v_r),
        },
        coords={"trait": names, "trait_2": names, "pair": pairs, "pair_2": pairs},
        attrs={"kind": "rgmodel"},
    )


def correlation_covariance(s: np.ndarray, v: np.ndarray) -> np.ndarray:
    """V_R = G V G' of the k (k - 1) / 2 correlations, from S (k, k) and V of its lower triangle."""
    row, column = vech_indices(len(s))
    place = {(r, c): i for i, (r, c) in enumerate(zip(row.tolist(), column.tolist(), strict=True))}
    pairs = [(r, c) for r, c in place if r != c]
    slopes = np.zeros((len(pairs), len(row)))
    for i, (r, c) in enumerate(pairs):
        size = np.sqrt(s[r, r] * s[c, c])
        slopes[i, place[r, c]] = 1.0 / size
        for own in (r, c):
            slopes[i, place[own, own]] = -s[r, c] / size / (2.0 * s[own, own])
    return np.asarray(slopes @ v @ slopes.T)
