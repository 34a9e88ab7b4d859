"""A covariance structure that was estimated elsewhere: S, V and what belongs to them, checked.

S is the genetic covariance of k traits, V the sampling covariance of its lower triangle, column by column (vech: 11,
21, ..., k1, 22, ...), as R GenomicSEM's ldsc() returns them.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from daskgen.errors import InputError
from daskgen.inputs.kinds import is_frame

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["DIMENSIONS", "check_sample_sizes", "checked_covariance", "trait_names", "vech_names"]

log = logging.getLogger("daskgen.inputs")

DIMENSIONS = {
    "S": ("trait", "trait_2"),
    "V": ("vech", "vech_2"),
    "I": ("trait", "trait_2"),
    "N": ("vech",),
    "m": (),
    "S_Stand": ("trait", "trait_2"),
    "V_Stand": ("vech", "vech_2"),
}
"""Names of the dimensions of each part."""

_SYMMETRY = 1e-6
"""Largest difference of a matrix from its transpose, relative to its largest element: what printed digits leave."""


def vech_names(traits: Sequence[str]) -> list[str]:
    """Names of the cells of the lower triangle, column by column: "A~~A", "B~~A", ..."""
    return [f"{lower}~~{upper}" for j, upper in enumerate(traits) for lower in traits[j:]]


def trait_names(s: Any, traits: Sequence[str] | None) -> list[str]:
    """The names of the traits: those given, else the columns of S where it is a DataFrame, else V1, V2, ... as in R.

    InputError unless there is one for each row of S, all different.
    """
    if traits is not None:
        names = [str(name) for name in traits]
    elif is_frame(s):
        names = [str(name) for name in s.columns]
    else:
        names = [f"V{i + 1}" for i in range(len(np.atleast_1d(s)))]
    if len(names) != len(s):
        raise InputError(
            "traits must name every row of S.", found=f"{len(names)}: {', '.join(names)}", expected=f"{len(s)} names"
        )
    if len(set(names)) != len(names):
        raise InputError("two traits have the same name.", found=", ".join(names))
    return names


def checked_covariance(
    s: Any, v: Any, traits: Sequence[str], *, i: Any = None, n: Any = None, m: Any = None
) -> dict[str, np.ndarray]:
    """S, V, and what is given of I, N and m as float64 arrays of `DIMENSIONS`.

    A DataFrame S with named rows and columns may have them in any order. Raises InputError for shapes that don't fit,
    values that are not finite, matrices that are not symmetric, variances in V, sample sizes and m that are not
    positive; logs a warning where V is not positive semidefinite.
    """
    s = _ordered(s, list(traits)) if is_frame(s) else s
    checked = {"S": _matrix(s, "S"), "V": _matrix(v, "V")}
    k, q = len(traits), len(traits) * (len(traits) + 1) // 2
    if len(checked["S"]) != k:
        raise InputError("S does not fit its traits.", found=f"{len(checked['S'])} rows", expected=f"{k}")
    if len(checked["V"]) != q:
        raise InputError(
            f"V does not fit S of {k} traits.", found=f"{len(checked['V'])} rows", expected=f"{q} = k (k + 1) / 2"
        )
    _check_sampling_covariance(checked["V"], traits)
    if i is not None:
        checked["I"] = _matrix(i, "I")
        if len(checked["I"]) != k:
            raise InputError("I does not fit S.", found=checked["I"].shape, expected=(k, k))
    if n is not None:
        checked["N"] = _numbers(n, "N").reshape(-1)
        if len(checked["N"]) != q:
            raise InputError(
                "N needs one value for each cell of the lower triangle.", found=len(checked["N"]), expected=q
            )
        check_sample_sizes(checked["N"], vech_names(traits))
    if m is not None:
        number = _numbers(m, "m").reshape(-1)
        if len(number) != 1 or not number[0] > 0:
            found = f"{len(number)} numbers" if len(number) != 1 else f"{number[0]:g}"
            raise InputError("m is one number, the count of variants.", found=found, expected="more than 0")
        checked["m"] = number[0]
    return checked


def check_sample_sizes(n: np.ndarray, cells: Sequence[str]) -> None:
    """InputError for sample sizes that are not positive, with the cells they belong to."""
    wrong = np.flatnonzero(n <= 0)
    if wrong.size:
        found = ", ".join(f"{cells[i]} ({n[i]:g})" for i in wrong[:3])
        raise InputError("N has a sample size that is not positive.", found=found, expected="more than 0")


def _check_sampling_covariance(v: np.ndarray, traits: Sequence[str]) -> None:
    variances = np.diag(v)
    if (variances <= 0).any():
        cells = vech_names(traits)
        bad = [f"{cells[c]} ({variances[c]:.3g})" for c in np.flatnonzero(variances <= 0)]
        raise InputError("V has a sampling variance that is not positive.", found=", ".join(bad[:3]))
    if np.linalg.eigvalsh(v).min() < -1e-10 * variances.max():
        log.warning("V is not positive semidefinite; models smooth it where they need to")


def _ordered(frame: pd.DataFrame, traits: list[str]) -> pd.DataFrame:
    """Columns, and rows where they have names, in the order of the traits."""
    columns, rows = [str(c) for c in frame.columns], [str(r) for r in frame.index]
    if sorted(columns) != sorted(traits):
        if set(columns).isdisjoint(traits):
            return frame  # names of other things, such as numbers
        raise InputError(
            "S and traits do not have the same names.", found=", ".join(columns), expected=", ".join(traits)
        )
    if sorted(rows) == sorted(traits):
        return frame.iloc[[rows.index(name) for name in traits], [columns.index(name) for name in traits]]
    if columns != traits:
        raise InputError(
            "S has its columns in another order than traits, and its rows have no names.",
            found=", ".join(columns),
            expected=", ".join(traits),
        )
    return frame


def _numbers(value: Any, name: str) -> np.ndarray:
    try:
        numbers = np.asarray(value, np.float64)
    except (TypeError, ValueError) as error:
        raise InputError(f"{name} must be numbers.", found=str(error)) from None
    if not np.isfinite(numbers).all():
        raise InputError(f"{name} has values that are not finite.", found=f"{(~np.isfinite(numbers)).sum()} of them")
    return numbers


def _matrix(value: Any, name: str) -> np.ndarray:
    """A symmetric matrix of finite numbers; the mean with its transpose where they differ by printed digits."""
    matrix = _numbers(value, name)
    if matrix.ndim != 2 or matrix.shape[0] != matrix.shape[1] or not matrix.size:
        raise InputError(f"{name} must be a square matrix.", found=f"shape {matrix.shape}")
    difference = np.abs(matrix - matrix.T).max()
    if difference > _SYMMETRY * np.abs(matrix).max():
        raise InputError(
            f"{name} is not symmetric.",
            found=f"elements that differ by {difference:.3g}",
            do=f"give the whole of {name}",
        )
    return np.asarray((matrix + matrix.T) / 2)
