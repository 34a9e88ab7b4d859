"""The sign of a factor that nothing fixes, told from the cells of a structure alone: that of its first starting value.

The same rule as in `orientation`, for structures that have lost the table they come from. Starting values of loadings
are positive unless the user gives another, so a fit that starts at what is returned here reports effects on a factor
whose first free loading has that sign.
"""

from __future__ import annotations

import numpy as np

from daskgen.sem.structure import DIRECTED, Structure

__all__ = ["turned_like_start"]


def turned_like_start(structure: Structure, theta: np.ndarray) -> np.ndarray:
    """The parameters with factors turned whose first free loading has another sign than its starting value.

    A factor stays if a fixed cell that is not zero decides its sign, or a bound would be violated.
    """
    theta = np.array(theta, np.float64)
    k = len(structure.observed)
    for factor in range(k, structure.n_variables):
        ends = (structure.row == factor).astype(int) + (structure.column == factor)
        once = ends == 1  # a cell with the factor at both ends, its variance, does not change
        free = structure.parameter >= 0
        loading = once & free & (structure.matrix == DIRECTED) & (structure.column == factor)
        if not loading.any() or (once & ~free & (structure.value != 0.0)).any():
            continue
        turned = np.unique(structure.parameter[once & free])
        if np.isin(turned, structure.parameter[~once & free]).any():
            continue
        first = structure.parameter[np.flatnonzero(loading)[0]]
        other = theta.copy()
        other[turned] *= -1.0
        allowed = ((other >= structure.lower) & (other <= structure.upper)).all()
        if theta[first] * structure.start[first] < 0 and allowed:
            theta = other
    return theta
