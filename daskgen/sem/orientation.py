"""Which of two equally good solutions is reported: the sign of a factor whose scale no loading fixes.

Turning the sign of a factor turns its loadings, its regressions and its covariances, and leaves Sigma as it is. A
factor is turned so that its first free loading is positive (has the sign of the user's starting value, where there is
one), unless a fixed parameter that is not zero, a bound or a constraint decides.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from daskgen.sem.parameters import ParameterTable

__all__ = ["Flip", "factor_flips", "oriented"]


@dataclass(frozen=True, eq=False)
class Flip:
    """A factor that may be turned. target: parameter that tells its sign; sign: what it should be, 1 or -1;
    parameters: int64, all that change their sign with the factor.
    """

    factor: str
    target: int
    sign: float
    parameters: np.ndarray


def factor_flips(table: ParameterTable) -> tuple[Flip, ...]:
    """The factors that may be turned, those that are indicators of others first."""
    flips = [flip for name in table.latent if (flip := _flip(table, name)) is not None]
    indicator_of = {row.rhs: row.lhs for row in table.rows if row.op == "=~"}

    def height(name: str) -> int:
        level = 0
        while name in indicator_of and level <= len(table.latent):
            name, level = indicator_of[name], level + 1
        return -level

    return tuple(sorted(flips, key=lambda flip: height(flip.factor)))


def _flip(table: ParameterTable, factor: str) -> Flip | None:
    held = table.parameter_of_row
    turned: set[int] = set()
    unturned: set[int] = set()
    target: int | None = None
    sign = 1.0
    for row, parameter in zip(table.rows, held.tolist(), strict=True):
        if (row.lhs == factor) == (row.rhs == factor):
            unturned.add(parameter)
            continue
        if parameter < 0:
            if row.value != 0.0:
                return None
            continue
        turned.add(parameter)
        if target is None and row.op == "=~" and row.lhs == factor:
            target = parameter
            sign = -1.0 if row.start is not None and row.start < 0 else 1.0
    if target is None or turned & unturned:
        return None
    return Flip(factor, target, sign, np.array(sorted(turned), np.int64))


def oriented(
    theta: np.ndarray, flips: tuple[Flip, ...], allowed: Callable[[np.ndarray], bool] = lambda theta: True
) -> np.ndarray:
    """The parameters of one fit (parameters,) with factors turned where that is `allowed` (bounds, constraints)."""
    theta = np.array(theta, np.float64)
    for flip in flips:
        if theta[flip.target] * flip.sign < 0:
            turned = theta.copy()
            turned[flip.parameters] *= -1.0
            if allowed(turned):
                theta = turned
    return theta
