"""Linear association of one variant at a time with covariates, by projection.

The model of phenotype y is y = X b + x beta + e, x the number of copies of allele 1. With Q an orthonormal basis of X
(`design`) and M = I - Q Q',

    beta = x'M y / x'M x,    s^2 = (y'M y - beta x'M y) / df,    se = s / sqrt(x'M x),    t = beta / se,

so that x'Q, x'(M y) and x'x say everything, for any number of phenotypes of the same samples at once. Missing calls are
treated in one of two ways:

- "exclude": samples without a call are left out of this variant's model, df = n_called - c - 1. What they take away is
  subtracted from the sums over all samples: with S the samples that remain, Q_S'Q_S = I - sum q q' over those left out,
  and beta comes from the normal equations on S. This is no approximation.
- "mean": they get the mean of the called samples, df = n - c - 1.

All float64. A variant that cannot be tested has a status and NaN; none raises.
Source: Frisch and Waugh (1933), Econometrica 1:387; Draper and Smith, Applied Regression Analysis, 3rd ed., ch. 2.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

import numpy as np

from daskgen.kernels.t_distribution import log_two_sided_p

__all__ = ["MISSING_CALLS", "STATUS_TEXT", "Alleles", "MissingSums", "Status", "Tests", "known_status", "linear_tests"]

MISSING_CALLS = ("exclude", "mean")

COLLINEAR = 1e-7
"""A variant is collinear with the covariates where less than this share of its variation is outside their span."""


class Status(IntEnum):
    """Why a variant has no test."""

    TESTED = 0
    NO_CALLS = 1
    MONOMORPHIC = 2
    LOW_COUNT = 3
    LOW_INFO = 4
    COLLINEAR = 5
    TOO_FEW = 6


STATUS_TEXT = {
    Status.TESTED: "tested",
    Status.NO_CALLS: "without calls",
    Status.MONOMORPHIC: "monomorphic",
    Status.LOW_COUNT: "below the least minor allele count",
    Status.LOW_INFO: "below the least imputation quality",
    Status.COLLINEAR: "determined by the covariates",
    Status.TOO_FEW: "not more samples than fixed effects",
}


@dataclass(frozen=True)
class Alleles:
    """Of each variant in one set of n samples: called (v,), how many have a call; total and squares (v,), the sums of
    their allele numbers and of the squares of these."""

    n: int
    called: np.ndarray
    total: np.ndarray
    squares: np.ndarray

    @property
    def mean(self) -> np.ndarray:
        """Of the called samples; 0 without any."""
        return np.asarray(self.total / np.maximum(self.called, 1))

    @property
    def frequency(self) -> np.ndarray:
        """Of allele 1; NaN without calls."""
        return np.where(self.called > 0, self.mean / 2, np.nan)

    @property
    def variation(self) -> np.ndarray:
        """sum (x - mean)^2 over called samples, without cancellation for whole numbers."""
        return np.asarray((self.called * self.squares - self.total**2) / np.maximum(self.called, 1))

    @property
    def minor_count(self) -> np.ndarray:
        """Copies of the rarer allele."""
        return np.minimum(self.total, 2 * self.called - self.total)

    @property
    def info(self) -> np.ndarray:
        """Variance of dosages over 2 p (1 - p), the ratio of plink2 and minimac3 (r2); NaN where that is 0."""
        expected = self.mean * (1 - self.mean / 2) * self.called
        return np.divide(self.variation, expected, out=np.full(len(expected), np.nan), where=expected > 0)


@dataclass(frozen=True)
class MissingSums:
    """Of the variants `rows`, sums over the samples without a call: columns [Q, Y] (rows, c + t), Q'[Q, Y]
    (rows, c, c + t), Y squared (rows, t); Y = M y."""

    rows: np.ndarray
    columns: np.ndarray
    cross: np.ndarray
    squares: np.ndarray


@dataclass(frozen=True)
class Tests:
    """beta, se, statistic (t or z), log_p: (v, t); status int16 (v,)."""

    beta: np.ndarray
    se: np.ndarray
    statistic: np.ndarray
    log_p: np.ndarray
    status: np.ndarray


def known_status(
    alleles: Alleles, min_count: float, info: np.ndarray | None = None, min_info: float = 0.0
) -> np.ndarray:
    """Status int16 (v,) as far as it is known before any model: calls, variation, counts, imputation quality."""
    status = np.full(len(alleles.called), Status.TESTED, np.int16)
    if info is not None:
        status[~(info >= min_info)] = Status.LOW_INFO
    # Dosages come in steps of 1/16384.
    status[alleles.minor_count < min_count - 1e-9] = Status.LOW_COUNT
    # Dosages are multiples of 2^-14: a true variation is never below 2^-29.
    status[alleles.variation <= 2.0**-30] = Status.MONOMORPHIC
    status[alleles.called == 0] = Status.NO_CALLS
    return status


def linear_tests(
    products: np.ndarray,
    alleles: Alleles,
    sums_of_squares: np.ndarray,
    missing: MissingSums,
    status: np.ndarray,
    *,
    handling: str = "exclude",
) -> Tests:
    """Tests of a block of variants.

    products (v, c + t): x'[Q, Y] over called samples, Y = M y; sums_of_squares (t,): y'M y; missing: of the variants
    with missing calls; status (v,) from `known_status`; handling: one of MISSING_CALLS.
    """
    t = len(sums_of_squares)
    c = products.shape[1] - t
    rows = missing.rows
    if handling == "mean":
        mean = alleles.mean
        full = products.copy()
        full[rows] += mean[rows, None] * missing.columns
        squares = alleles.squares + mean**2 * (alleles.n - alleles.called)
        free = squares - np.einsum("vc,vc->v", full[:, :c], full[:, :c])
        cross, rest = full[:, c:], np.broadcast_to(sums_of_squares, (len(full), t))
        df = np.full(len(full), float(alleles.n - c - 1))
    else:
        free = alleles.squares - np.einsum("vc,vc->v", products[:, :c], products[:, :c])
        cross, rest = products[:, c:].copy(), np.tile(sums_of_squares, (len(products), 1))
        if len(rows):
            free[rows], cross[rows], rest[rows] = _without_missing(
                products[rows], alleles.squares[rows], sums_of_squares, missing
            )
        df = (alleles.called - c - 1).astype(np.float64)
    return _tests(cross, free, rest, df, alleles.variation, status)


def _without_missing(
    products: np.ndarray, squares: np.ndarray, sums_of_squares: np.ndarray, missing: MissingSums
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(x'M x, x'M y, y'M y) of the samples with a call only, M of these; NaN where their covariates are singular."""
    t = len(sums_of_squares)
    c = products.shape[1] - t
    a = np.eye(c) - missing.cross[:, :, :c]
    # Q'Y over all samples is 0, so over those with a call it is minus what the others have.
    right = np.concatenate([products[:, :c, None], -missing.cross[:, :, c:]], axis=2)
    smallest = np.linalg.eigvalsh(a)[:, 0] if c else np.ones(len(a))
    singular = ~(smallest > COLLINEAR)
    a[singular] = np.eye(c)
    solved = np.linalg.solve(a, right)
    x, y = right[:, :, 0], right[:, :, 1:]
    free = squares - np.einsum("vc,vc->v", x, solved[:, :, 0])
    cross = products[:, c:] - np.einsum("vc,vct->vt", x, solved[:, :, 1:])
    rest = sums_of_squares - missing.squares - np.einsum("vct,vct->vt", y, solved[:, :, 1:])
    free[singular] = np.nan
    return free, cross, rest


def _tests(
    cross: np.ndarray, free: np.ndarray, rest: np.ndarray, df: np.ndarray, variation: np.ndarray, status: np.ndarray
) -> Tests:
    """From x'M y (v, t), x'M x (v,), y'M y (v, t), degrees of freedom (v,) and the variation of x (v,)."""
    status = status.copy()
    open_ = status == Status.TESTED
    status[open_ & ~(free > COLLINEAR * variation)] = Status.COLLINEAR
    status[open_ & (df < 1)] = Status.TOO_FEW
    free, df = (np.where(status == Status.TESTED, values, np.nan)[:, None] for values in (free, df))
    beta = cross / free
    se = np.sqrt(np.maximum(rest - beta * cross, 0.0) / (df * free))
    with np.errstate(divide="ignore", invalid="ignore"):
        statistic = beta / se
    return Tests(beta, se, statistic, log_two_sided_p(statistic, df), status)
