"""The covariance structure: S and V with what belongs to them, as a Dataset named as R GenomicSEM names things."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from daskgen.inputs.arguments import known_arguments
from daskgen.inputs.covariance import DIMENSIONS, checked_covariance, trait_names, vech_names
from daskgen.ldsc.correlation import standardised
from daskgen.linalg.vech import unvech

if TYPE_CHECKING:
    import xarray as xr

__all__ = ["assemble", "covstruct"]


@known_arguments()
def covstruct(
    S: Any, V: Any, *, traits: Sequence[str] | None = None, I: Any = None, N: Any = None, m: float | None = None
) -> xr.Dataset:
    """A covariance structure from matrices that were estimated elsewhere.

    Parameters
    ----------
    S
        Genetic covariance, array or DataFrame (k, k), symmetric.
    V
        Sampling covariance of vech(S), (k (k + 1) / 2) squared, in the order of the column-wise lower triangle: 11, 21,
        ..., k1, 22, ... Symmetric, its diagonal positive.
    traits
        Names of the k traits; None takes the columns of S where it is a DataFrame, else V1, V2, ..., as R does. A
        DataFrame S with the traits as rows and columns may have them in another order.
    I
        LD-score regression intercepts (k, k).
    N
        Sample sizes, (k (k + 1) / 2,) or (1, k (k + 1) / 2), in the order of V.
    m
        Number of variants of the LD scores.

    Returns
    -------
    xarray.Dataset
        S, V, and what was given of I, N, m; S_se, and S_Stand, V_Stand, S_Stand_se, rg (NaN where a heritability is not
        positive); coordinates trait, trait_2, vech, vech_2.

    Raises
    ------
    InputError
        Shapes that don't fit, values that are not finite, matrices that are not symmetric, repeated names.

    A V that is not positive semidefinite is kept and a warning is logged: models smooth it where they need to.
    """
    names = trait_names(S, traits)
    return assemble(names, checked_covariance(S, V, names, i=I, n=N, m=m))


def assemble(traits: Sequence[str], values: Mapping[str, Any], attrs: Mapping[str, Any] | None = None) -> xr.Dataset:
    """The Dataset of checked values by name: parts of `DIMENSIONS`, and any other as (dimensions, array).

    S_se, S_Stand, V_Stand, S_Stand_se and rg are added where they are not among them.
    """
    import xarray as xr

    data: dict[str, Any] = {
        name: value if isinstance(value, tuple) else (DIMENSIONS[name], value) for name, value in values.items()
    }
    pair = DIMENSIONS["S"]
    s, v = (np.asarray(data[name][1]) for name in ("S", "V"))
    data.setdefault("S_se", (pair, unvech(np.sqrt(np.diag(v)))))
    if "S_Stand" not in data:
        s_stand, v_stand = standardised(s, v)
        data["S_Stand"], data["V_Stand"] = (pair, s_stand), (DIMENSIONS["V"], v_stand)
        data["S_Stand_se"] = (pair, unvech(np.sqrt(np.diag(v_stand))))
    data.setdefault("rg", (pair, np.asarray(data["S_Stand"][1])))
    names, cells = np.array(traits, dtype=object), np.array(vech_names(traits), dtype=object)
    coordinates = {"trait": names, "trait_2": names, "vech": cells, "vech_2": cells}
    return xr.Dataset(data, coords=coordinates, attrs={"kind": "covstruct", **(attrs or {})})
