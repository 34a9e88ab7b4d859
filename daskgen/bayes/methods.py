"""The priors of marker effects by name of the method: which classes of variance there are and what is estimated.

The effect of a marker is 0 with probability pi, or normal with a variance that depends on the method:

==========  ==============================================================================================
RR-BLUP     N(0, s2a) for all
BayesA      N(0, s2_j), s2_j of its own, scaled inverse chi-square
BayesB      0 with probability pi, else as BayesA
BayesC      0 with probability pi, else N(0, s2a)
BayesR      N(0, gamma_k s2a) with probability pi_k, gamma = 0, 0.01, 0.1, 1
BayesL      double exponential: N(0, g_j s2a), g_j ~ Gamma(1, 8)
==========  ==============================================================================================

Common variances are scaled inverse chi-square with df degrees of freedom and the scale S = s2 (df - 2) / df, whose
mean is the start value s2. Start values split the genetic variance over sum 2 p (1 - p) of the markers. Sources:
Meuwissen et al. 2001 (A, B), Habier et al. 2011 (C pi), Erbe et al. 2012 (R), Park and Casella 2008 (L); defaults as in
JWAS.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from daskgen.errors import UsageError
from daskgen.kernels.gibbs_types import COMMON, INVERSE_CHI_SQUARE, LASSO

__all__ = ["BAYES_R_GAMMA", "BAYES_R_PI", "METHODS", "MarkerPrior", "marker_prior"]

METHODS = ("BayesA", "BayesB", "BayesC", "BayesR", "BayesL", "RR-BLUP")
BAYES_R_GAMMA = (0.0, 0.01, 0.1, 1.0)
BAYES_R_PI = (0.95, 0.03, 0.015, 0.005)

_LASSO_SCALE = 8.0


@dataclass(frozen=True, eq=False)
class MarkerPrior:
    """The prior of one set of markers. gamma, pi: (classes,); pi_marker: P(effect = 0) by marker, or None."""

    method: str
    gamma: np.ndarray
    pi: np.ndarray
    pi_marker: np.ndarray | None
    kind: int
    variance: float
    df: float
    scale: float
    estimate_pi: bool
    estimate_variance: bool

    def description(self) -> str:
        """What it says of zero effects, for people."""
        if len(self.gamma) == 1:
            return "all markers have an effect"
        zero = "of each marker" if self.pi_marker is not None else f"starts at {self.pi[0]:g}"
        return f"P(effect = 0) {zero}" + ("" if self.estimate_pi else ", fixed")


def marker_prior(
    method: str,
    *,
    genetic_variance: float,
    heterozygosity: np.ndarray,
    pi: float | Sequence[float] | np.ndarray = 0.0,
    gamma: Sequence[float] | None = None,
    estimate_pi: bool = True,
    estimate_variance: bool = True,
    marker_variance: float | None = None,
    df: float = 4.0,
) -> MarkerPrior:
    """The prior of a set of markers.

    genetic_variance: of the trait, from this set; heterozygosity: 2 p (1 - p) of its markers; pi: P(effect = 0), a
    number, one for each marker (BayesC, then not estimated), or one for each class (BayesR); gamma: variances of the
    classes relative to s2a (BayesR); marker_variance: start value and prior mean of s2a in place of the split of
    genetic_variance; df: of the variances' prior. Raises UsageError for values out of range.
    """
    if method not in METHODS:
        raise UsageError(f"there is no method {method!r}.", expected=", ".join(METHODS))
    if not df > 2:
        raise UsageError("the degrees of freedom of a variance must be above 2.", found=df)
    if gamma is not None and method != "BayesR":
        raise UsageError("gamma belongs to BayesR.", found=f"method {method}")
    zero = _probabilities(method, pi, len(heterozygosity))
    total = float(heterozygosity.sum())
    classes = np.asarray(BAYES_R_GAMMA if gamma is None else gamma, np.float64)
    pi_marker: np.ndarray | None = None
    kind, lasso = COMMON, 1.0
    if method in ("RR-BLUP", "BayesL"):
        classes, proportions, estimate_pi, spread = np.ones(1), np.ones(1), False, total
        if method == "BayesL":
            kind, lasso = LASSO, _LASSO_SCALE
    elif method == "BayesR":
        _check_classes(classes, zero)
        proportions = zero
        spread = total * float(classes @ zero)
    else:
        classes = np.array([0.0, 1.0])
        if method == "BayesA":
            zero, estimate_pi = np.zeros(1), False
        if method != "BayesC":
            kind = INVERSE_CHI_SQUARE
        if len(zero) > 1:
            pi_marker, estimate_pi = zero, False
            spread = float(heterozygosity @ (1 - zero))
        else:
            spread = total * (1 - float(zero[0]))
        proportions = np.array([float(zero.mean()), 1 - float(zero.mean())])
    if not spread > 0:
        raise UsageError(
            "the prior leaves no marker with an effect.", found=f"pi = {np.max(zero):g}", expected="below 1"
        )
    variance = genetic_variance / spread / lasso if marker_variance is None else float(marker_variance)
    if not (np.isfinite(variance) and variance > 0):
        raise UsageError("the variance of marker effects must be above 0.", found=variance)
    return MarkerPrior(
        method,
        classes,
        proportions,
        pi_marker,
        kind,
        variance,
        float(df),
        variance * (df - 2) / df,
        estimate_pi,
        estimate_variance,
    )


def _probabilities(method: str, pi: float | Sequence[float] | np.ndarray, n_markers: int) -> np.ndarray:
    """P(effect = 0) as one number, one for each marker, or one for each class (BayesR)."""
    found = np.atleast_1d(np.asarray(pi, np.float64))
    if method == "BayesR" and len(found) == 1 and found[0] == 0.0:
        return np.asarray(BAYES_R_PI)
    if found.ndim != 1 or not np.isfinite(found).all() or (found < 0).any() or (found > 1).any():
        raise UsageError("pi must lie in [0, 1]: it is the probability that a marker has no effect.", found=str(pi))
    if method == "BayesR":
        return found
    if len(found) not in (1, n_markers) or (len(found) > 1 and method != "BayesC"):
        raise UsageError(
            f"pi of {method} has the wrong length.",
            found=len(found),
            expected=f"a number{f', or one for each of {n_markers:,} markers' if method == 'BayesC' else ''}",
        )
    return found


def _check_classes(gamma: np.ndarray, pi: np.ndarray) -> None:
    if len(gamma) != len(pi) or len(gamma) < 2:
        raise UsageError("BayesR needs a proportion for each class.", found=f"{len(gamma)} gamma, {len(pi)} pi")
    if (gamma < 0).any() or not np.isfinite(gamma).all() or (gamma[1:] <= 0).any():
        raise UsageError("gamma must be 0 or more, and above 0 from the second class on.", found=gamma.tolist())
    if not np.isclose(pi.sum(), 1.0):
        raise UsageError("the proportions pi of the classes must add up to 1.", found=float(pi.sum()))
