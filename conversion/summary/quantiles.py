r"""From p values to the size of z, without loss in the tail.

For a two-sided p value :math:`P`, :math:`|z| = \Phi^{-1}(1 - P/2)`, computed as the upper-tail quantile
:math:`-\Phi^{-1}(P/2)`: 1 - P/2 is 1 in floating point from P = 1e-16 on, where a real genome-wide result begins.
Below 1e-300 the logarithm of P is used, :math:`|z| = -(\log \Phi)^{-1}(\log P - \log 2)`, for any size of P.
R's ``sqrt(qchisq(P, 1, lower = FALSE))`` is the same function.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

__all__ = ["SMALLEST_P", "z_of_log10_p", "z_of_p"]

Float64 = npt.NDArray[np.float64]

SMALLEST_P = 1e-300
"""Smaller p values are read from their text or their logarithm, and often only stand for "too small to print"."""


def z_of_p(p: Float64) -> Float64:
    """|z| of two-sided p values in [SMALLEST_P, 1]: float64, relative error below 1e-14; inf at 0, NaN elsewhere."""
    from scipy.special import ndtri  # a fifth of a second, which a table without p values does not need

    return -ndtri(0.5 * np.asarray(p, np.float64)) + 0.0  # + 0.0: no negative zero at P = 1


def z_of_log10_p(log10_p: Float64) -> Float64:
    """|z| of p values given as log10 P (<= 0), of any size: relative error below 1e-11; inf where log10 P is -inf."""
    from scipy.special import ndtri_exp

    return -ndtri_exp(np.asarray(log10_p, np.float64) * np.log(10.0) - np.log(2.0)) + 0.0
