"""`write_model`: the model that a table of factor loadings suggests, in lavaan's language."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from daskgen.errors import InputError, UsageError
from daskgen.inputs.arguments import known_arguments
from daskgen.sem.moments import read_moments

__all__ = ["write_model"]

LOWEST_RESIDUAL = ".0001"
"""The bound of residual variances that GenomicSEM writes."""


@known_arguments()
def write_model(
    loadings: Any,
    s_ld: Any = None,
    *,
    cutoff: float,
    fix_resid: bool = True,
    bifactor: bool = False,
    mustload: bool = False,
    common: bool = False,
) -> str:
    """A model whose factors have the traits that load on them, as write.model() of GenomicSEM.

    Parameters
    ----------
    loadings
        (traits, factors): array, DataFrame with the traits as index, or the result of `efa`.
    s_ld
        What names the traits if `loadings` doesn't: a covariance structure, a DataFrame S, or a list of names.
    cutoff
        A trait is put on the factors on which its loading is larger than this, whatever its sign.
    fix_resid
        Keep the residual variance of each trait above 0.0001.
    bifactor
        Add a factor of all traits, Common_F, and keep the factors uncorrelated.
    mustload
        Put a trait that loads on no factor on the one on which it loads most.
    common
        One factor of all traits, whatever the loadings.

    Returns
    -------
    str
        Statements, one a line. Residual variances are labelled r1, r2, ... in the order of the traits (GenomicSEM draws
        labels at random).

    Raises
    ------
    UsageError
        `common` and `bifactor` together.
    InputError
        Loadings that are not finite or do not fit the names, or a factor on which no trait loads.
    """
    values, names = _loadings(loadings, s_ld)
    if common and bifactor:
        raise UsageError("common and bifactor exclude each other: both add a factor of all traits.")
    if common:
        on = np.ones((len(names), 1), bool)
    else:
        on = np.abs(values) > cutoff
        if mustload:
            largest = np.abs(values).argmax(1)
            on[np.arange(len(names)), largest] |= ~on.any(1)
    lines = []
    for factor, traits in enumerate(on.T, start=1):
        if not traits.any():
            raise InputError(
                f"no trait loads on factor {factor}.",
                found=f"a largest loading of {np.abs(values[:, factor - 1]).max():.3g}",
                expected=f"more than {cutoff:g}",
                do="lower cutoff, or take fewer factors",
            )
        lines.append(f"F{factor} =~ " + " + ".join(name for name, yes in zip(names, traits, strict=True) if yes))
    factors = [f"F{i + 1}" for i in range(on.shape[1])]
    if bifactor:
        lines.append("Common_F =~ " + " + ".join(names))
        factors.insert(0, "Common_F")
        lines += [f"{a} ~~ 0*{b}" for i, a in enumerate(factors) for b in factors[i + 1 :]]
    if fix_resid:
        used = [name for name, loads in zip(names, on, strict=True) if bifactor or loads.any()]
        for i, name in enumerate(used, start=1):
            lines += [f"{name} ~~ r{i}*{name}", f"r{i} > {LOWEST_RESIDUAL}"]
    return "\n".join(lines) + "\n"


def _loadings(loadings: Any, s_ld: Any) -> tuple[np.ndarray, list[str]]:
    """Loadings (traits, factors) and the names of the traits."""
    names: Sequence[Any] | None = None
    if isinstance(loadings, xr.Dataset):
        loadings, names = loadings["loadings"].values, loadings["trait"].values.tolist()
    elif isinstance(loadings, pd.DataFrame):
        names = None if isinstance(loadings.index, pd.RangeIndex) else loadings.index.tolist()
    values = np.asarray(loadings, np.float64)
    if isinstance(s_ld, pd.DataFrame):
        names = s_ld.columns.tolist()
    elif isinstance(s_ld, xr.Dataset):
        names = s_ld["trait"].values.tolist()
    elif isinstance(s_ld, Sequence) and not isinstance(s_ld, str):
        names = s_ld
    elif s_ld is not None:
        names = read_moments(s_ld).traits
    if values.ndim == 1:
        values = values[:, None]
    if names is None:
        raise InputError("the traits of the loadings have no names.", do="give s_ld, or loadings with an index")
    if values.ndim != 2 or len(values) != len(names) or not np.isfinite(values).all():
        raise InputError(
            "the loadings must be finite numbers, traits x factors.",
            found=f"shape {values.shape}, {len(names)} traits",
        )
    return values, [str(name) for name in names]
