"""`local_srmd`: how much the parameters of a model change when they are held equal between groups."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from daskgen.errors import InputError
from daskgen.inputs.arguments import known_arguments

__all__ = ["local_srmd"]


@known_arguments()
def local_srmd(
    unconstrained: npt.ArrayLike,
    constrained: npt.ArrayLike,
    lhsvar: Sequence[Sequence[float]],
    rhsvar: Sequence[Sequence[float]],
) -> float:
    """The local standardised root mean difference, as localSRMD() of GenomicSEM.

    With u and c the estimates of the same parameters without and with the constraint, and s_l, s_r the pooled standard
    deviations of the variables on their left and right sides,

        sqrt( mean over parameters of ((u - c) / (s_l s_r))^2 ).

    Parameters
    ----------
    unconstrained, constrained
        Estimates (parameters,): all variables of the first group, then of the second, and so on. NaN is left out.
    lhsvar, rhsvar
        For each variable its variances in the groups; pooled is the square root of their mean.

    Raises
    ------
    InputError
        Lengths that don't fit each other, variances that are not positive.
    """
    free, held = (np.asarray(values, np.float64) for values in (unconstrained, constrained))
    pooled = [_pooled(name, variances) for name, variances in (("lhsvar", lhsvar), ("rhsvar", rhsvar))]
    counts = f"{free.size} and {held.size} estimates, {len(pooled[0])} and {len(pooled[1])} variables"
    if free.ndim != 1 or free.shape != held.shape or len(pooled[0]) != len(pooled[1]) or not free.size:
        raise InputError("estimates and variables don't fit each other.", found=counts)
    if free.size % len(pooled[0]):
        raise InputError("there must be as many estimates of each variable.", found=counts)
    scale = np.resize(pooled[0] * pooled[1], free.size)
    return float(np.sqrt(np.nanmean(((free - held) / scale) ** 2)))


def _pooled(name: str, variances: Sequence[Sequence[float]]) -> np.ndarray:
    groups = {len(one) for one in variances}
    if len(groups) != 1 or 0 in groups:
        raise InputError(f"{name} must have the variances of each variable in all groups.", found=f"{variances}")
    values = np.asarray(variances, np.float64)
    if not (values > 0).all():
        raise InputError(f"{name} must be positive.", found=f"{values.min():g}")
    return np.asarray(np.sqrt(values.mean(1)))
