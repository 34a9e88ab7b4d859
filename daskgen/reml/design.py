"""Fixed effects: a full-rank design matrix, its orthonormal basis, and the way back to the raw scale.

Model y = X b + g + e with X (n, c), an intercept among its columns or in their span. Everything else is done in the
space that X leaves: with Q an orthonormal basis of X and M = I - Q Q', the restricted likelihood of y is the ordinary
likelihood of M y, whose covariance is M H M on n - c dimensions. What is wanted of X itself comes back from

    X = Q R,   b = R^-1 gamma,   cov(b) = R^-1 cov(gamma) R^-T,   log|X'H^-1X| = log|Q'H^-1Q| + 2 log|det R|,

with gamma the coefficients on Q. Columns are centred (where X spans the intercept) and scaled before they are
orthogonalised: a year such as 2003 beside an intercept would otherwise cost six digits.

Source: Patterson and Thompson (1971), Biometrika 58:545; Harville (1974), Biometrika 61:383.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from daskgen.errors import InputError

__all__ = ["INTERCEPT", "Design", "make_design"]

log = logging.getLogger("daskgen.reml")

INTERCEPT = "intercept"

RANK_TOLERANCE = 1e-7
"""A column is dropped if less than this share of its (centred) length is outside the span of those before it."""


@dataclass(frozen=True)
class Design:
    """names: columns that were kept (c,); basis: Q (n, c) orthonormal; upper: R (c, c) with X = Q R on the raw scale;
    dropped: name -> why."""

    names: tuple[str, ...]
    basis: np.ndarray
    upper: np.ndarray
    dropped: Mapping[str, str] = field(default_factory=dict)

    @property
    def rank(self) -> int:
        """c, the number of fixed effects."""
        return self.basis.shape[1]

    @property
    def log_determinant(self) -> float:
        """log|X'X|."""
        return float(2 * np.linalg.slogdet(self.upper)[1])

    def residual(self, vectors: np.ndarray) -> np.ndarray:
        """M V: what of V (n,) or (n, r) is orthogonal to X. Twice, so that rounding is removed too."""
        once = vectors - self.basis @ (self.basis.T @ vectors)
        return np.asarray(once - self.basis @ (self.basis.T @ once))

    def raw_scale(self, gamma: np.ndarray, covariance: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """(b, cov(b)) of the raw columns from the coefficients on Q and their covariance."""
        inverse = np.linalg.inv(self.upper)
        return inverse @ gamma, inverse @ covariance @ inverse.T


def make_design(columns: Mapping[str, np.ndarray], n: int, *, root_weights: np.ndarray | None = None) -> Design:
    """The design of `columns` (name -> float64 (n,)), with an intercept unless they span it.

    Columns are taken in order, and one that the earlier ones span is dropped. root_weights: (n,) factors of the rows
    (square roots of residual weights), which are applied to the intercept and the columns alike.
    Raises InputError for n = 1, for values that are not finite, and unless n is larger than the number of columns kept.
    """
    if n < 2:
        raise InputError("a model needs more than one sample.", found=f"{n} with phenotype and covariates")
    for name, column in columns.items():
        if not np.isfinite(column).all():
            raise InputError(f"the covariate {name} has values that are not finite.")
    rows = np.ones(n) if root_weights is None else np.asarray(root_weights, np.float64)
    raw = {name: np.asarray(column, np.float64) * rows for name, column in columns.items()}
    if not _spans(list(raw.values()), rows):
        raw = {INTERCEPT: rows, **raw}
    basis = np.empty((n, 0))
    kept: list[str] = []
    dropped: dict[str, str] = {}
    centred = INTERCEPT in raw
    for name, column in raw.items():
        start = column / max(np.abs(column).max(initial=0.0), np.finfo(float).tiny)
        if centred and name != INTERCEPT:
            start = start - rows * ((rows @ start) / (rows @ rows))
        length = float(np.linalg.norm(start))
        rest = start
        for _ in range(2):
            rest = rest - basis @ (basis.T @ rest)
        left = np.linalg.norm(rest)
        if left <= RANK_TOLERANCE * length or length <= 1e-12 * np.sqrt(n):
            dropped[name] = _reason(start, length, basis, kept, n)
            continue
        kept.append(name)
        basis = np.column_stack([basis, rest / left])
        if len(kept) >= n:
            break
    if len(kept) >= n:
        raise InputError(
            "there are not more samples than fixed effects.",
            found=f"{n} samples, {len(raw)} columns with the intercept",
            do="leave out covariates",
        )
    for name, why in dropped.items():
        log.warning("covariate %s is left out: %s", name, why)
    matrix = np.column_stack([raw[name] for name in kept])
    return Design(tuple(kept), np.ascontiguousarray(basis), basis.T @ matrix, dropped)


def _spans(columns: list[np.ndarray], target: np.ndarray) -> bool:
    """Whether the columns span `target`, to the tolerance of rank."""
    usable = [column / size for column in columns if (size := np.linalg.norm(column)) > 0]
    if not usable:
        return False
    basis, sizes, _ = np.linalg.svd(np.column_stack(usable), full_matrices=False)
    basis = basis[:, sizes > 1e-10 * sizes[0]]
    rest = target - basis @ (basis.T @ target)
    return bool(np.linalg.norm(rest) <= RANK_TOLERANCE * np.linalg.norm(target))


def _reason(start: np.ndarray, length: float, basis: np.ndarray, kept: list[str], n: int) -> str:
    if length <= 1e-12 * np.sqrt(n):
        return "it is constant"
    share = np.abs(basis.T @ start) / length
    others = [name for name, part in zip(kept, share, strict=True) if part > 1e-6 and name != INTERCEPT]
    if len(others) == 1:
        return f"it is determined by {others[0]}"
    shown = ", ".join(others[:6]) + (", ..." if len(others) > 6 else "")
    return f"it is a combination of {shown}" if others else "it is constant"
