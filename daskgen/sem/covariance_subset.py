"""`index_s` and `sub_sv`: elements of S (or of the correlations) with their part of V, for regressions on them.

Elements are numbered from 1 along the column-wise lower triangle, which is the order of V; `index_s` shows the numbers,
`sub_sv` takes them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from daskgen.errors import InputError, UsageError
from daskgen.inputs.arguments import known_arguments
from daskgen.inputs.covariance import vech_names
from daskgen.linalg.vech import unvech, vech, vech_indices
from daskgen.sem.genetic_correlations import rgmodel
from daskgen.sem.moments import CovarianceSource, read_moments

__all__ = ["index_s", "sub_sv"]

_KINDS = ("S", "S_Stand", "R")


@known_arguments()
def index_s(covstruct: CovarianceSource, *, R: bool = False) -> pd.DataFrame:
    """The number of each element of S, as indexS() of GenomicSEM: int, (traits, traits).

    R: of the correlations instead, which have none on the diagonal (0). Raises InputError for what is no covariance
    structure.
    """
    traits = read_moments(covstruct).traits
    row, column = vech_indices(len(traits))
    counted = row != column if R else np.ones(len(row), bool)
    return pd.DataFrame(unvech(np.where(counted, np.cumsum(counted), 0)), index=traits, columns=traits)


@known_arguments()
def sub_sv(covstruct: CovarianceSource, index_vals: Sequence[int], *, type: str = "S") -> xr.Dataset:
    """Some elements of S and their sampling covariance, as subSV() of GenomicSEM.

    Parameters
    ----------
    covstruct
        A covariance structure: path of a store, or Dataset.
    index_vals
        Numbers of elements, as `index_s` shows them (for "R": ``index_s(covstruct, R=True)``), in the order wanted.
    type
        "S", genetic covariances; "S_Stand", standardised ones; "R", correlations of `rgmodel`.

    Returns
    -------
    xarray.Dataset
        sub_S (element), sub_V (element, element_2); coordinates are the pairs of traits, "T1~~T2".

    Raises
    ------
    UsageError
        A type that is not known, numbers that are not those of elements.
    InputError
        No covariance structure, or one that cannot be standardised.
    """
    if type not in _KINDS:
        raise UsageError("this type is not known.", found=type, expected=", ".join(_KINDS))
    moments = read_moments(covstruct)
    names = vech_names(moments.traits)
    row, column = vech_indices(len(moments.traits))
    if type == "R":
        below = row != column
        correlations = rgmodel(covstruct)
        values, v = vech(correlations["R"].values)[below], correlations["V_R"].values
        names = [name for name, kept in zip(names, below, strict=True) if kept]
    else:
        if type == "S_Stand":
            if not (np.diag(moments.s) > 0).all():
                raise InputError("S cannot be standardised: a heritability is not positive.")
            moments = moments.standardised()
        values, v = vech(moments.s), moments.v
    numbers = np.asarray(index_vals)
    if numbers.ndim != 1 or not len(numbers) or numbers.dtype.kind not in "iu":
        raise UsageError("index_vals must be a list of numbers of elements.", found=_shown(index_vals))
    if numbers.min() < 1 or numbers.max() > len(values):
        raise UsageError(
            "index_vals has numbers that no element has.", found=_shown(index_vals), expected=f"1 to {len(values)}"
        )
    at = numbers - 1
    elements = np.array([names[i] for i in at], dtype=object)
    return xr.Dataset(
        {"sub_S": ("element", values[at]), "sub_V": (("element", "element_2"), v[np.ix_(at, at)])},
        coords={"element": elements, "element_2": elements},
        attrs={"type": type},
    )


def _shown(values: Any) -> str:
    return np.array2string(np.asarray(values), threshold=8)
