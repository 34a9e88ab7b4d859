"""The prior of marker effects on several traits: BayesC with the states in which a marker may be.

The effects of marker j are a_j = D_j beta_j, beta_j ~ N(0, G), and the state delta_j says which traits it affects. A
state is written as 0 and 1 by trait, "10" for the first of two; as a number it has bit k for trait k. G is inverse
Wishart with df + T degrees of freedom and the start value as its mean; Pi is Dirichlet(1) over the states that are
listed. RR-BLUP is the model in which every marker affects every trait. Source: Cheng et al. 2018; defaults as in JWAS.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from daskgen.errors import UsageError

__all__ = ["SAMPLERS", "TraitPrior", "covariance_scale", "covariance_start", "state_name", "trait_prior"]

SAMPLERS = ("auto", "I", "II")
_METHODS = ("BayesC", "RR-BLUP")
_MOST_TRAITS = 10


@dataclass(frozen=True, eq=False)
class TraitPrior:
    """The prior of one set of markers. states: int64 (listed,), pi (listed,); variance, scale: (T, T); df: of the
    inverse Wishart distribution; joint: sampler II.
    """

    method: str
    states: np.ndarray
    pi: np.ndarray
    variance: np.ndarray
    df: float
    scale: np.ndarray
    estimate_pi: bool
    estimate_variance: bool
    joint: bool

    def description(self) -> str:
        """States and their probabilities, for people."""
        traits = len(self.variance)
        shown = [f"P({state_name(int(s), traits)}) {p:.3g}" for s, p in zip(self.states[:8], self.pi, strict=False)]
        more = f", ... {len(self.states)} states" if len(self.states) > 8 else ""
        return f"{', '.join(shown)}{more}{'' if self.estimate_pi else ', fixed'}; sampler {'II' if self.joint else 'I'}"


def state_name(state: int, traits: int) -> str:
    """The state as text, "10" where the first of two traits is affected."""
    return "".join("1" if state >> k & 1 else "0" for k in range(traits))


def covariance_scale(start: np.ndarray, df: float, *, diagonal: bool) -> tuple[float, np.ndarray]:
    """(degrees of freedom, scale) of a covariance matrix's prior with the mean `start`.

    Inverse Wishart with df + T degrees of freedom; with `diagonal` each variance is scaled inverse chi-square with df.
    """
    if diagonal:
        return df, np.diag(np.diagonal(start) * (df - 2))
    traits = len(start)
    return df + traits, start * (df - 1)


def covariance_start(value: Any, name: str, traits: int, default: np.ndarray, *, diagonal: bool) -> np.ndarray:
    """A user's matrix (T, T), a variance for each trait, or the default; UsageError where it cannot be a covariance."""
    if value is None:
        return default
    matrix = np.asarray(value, np.float64)
    if matrix.shape == (traits,):
        matrix = np.diag(matrix)
    if matrix.shape != (traits, traits):
        raise UsageError(
            f"{name} has the wrong shape.", found=matrix.shape, expected=f"({traits}, {traits}), or {traits} variances"
        )
    if diagonal:
        matrix = np.diag(np.diagonal(matrix))
    if not np.allclose(matrix, matrix.T, rtol=1e-10):
        raise UsageError(f"{name} is not symmetric.")
    check_definite(matrix, name)
    return matrix


def check_definite(matrix: np.ndarray, name: str) -> None:
    """UsageError where a matrix is not positive definite."""
    if not np.isfinite(matrix).all() or np.linalg.eigvalsh(matrix)[0] <= 0:
        raise UsageError(f"{name} is not positive definite.", found=np.array2string(matrix, precision=4))


def trait_prior(
    method: str,
    traits: int,
    *,
    genetic_covariance: np.ndarray,
    heterozygosity: np.ndarray,
    pi: Any = 0.0,
    estimate_pi: bool = True,
    estimate_variance: bool = True,
    marker_variance: Any = None,
    df: float = 4.0,
    sampler: str = "auto",
    constraint: bool = False,
) -> TraitPrior:
    """The prior of a set of markers.

    genetic_covariance: (T, T), from this set; heterozygosity: 2 p (1 - p) of its markers; pi: a mapping state ->
    probability, an array of the 2^T states in the order of their numbers ("00", "10", "01", "11"), or the probability
    with which an effect on a trait is zero, the traits being independent; marker_variance: G, in place of the split of
    genetic_covariance over sum 2 p (1 - p) P(both traits affected); constraint: covariances are zero.
    """
    if method not in _METHODS:
        raise UsageError(
            f"{method} is for one trait at a time.", expected=f"several traits: {', '.join(_METHODS)}",
            do="choose one trait: pheno_name (--pheno-name)",
        )  # fmt: skip
    if traits > _MOST_TRAITS:
        raise UsageError("too many traits for one model.", found=traits, expected=f"at most {_MOST_TRAITS}")
    if not df > 2:
        raise UsageError("the degrees of freedom of a variance must be above 2.", found=df)
    if method == "RR-BLUP":
        pi, estimate_pi = {"1" * traits: 1.0}, False
    states, proportions = _states(pi, traits)
    joint = _joint(sampler, states, proportions, estimate_pi, traits)
    bits = states[:, None] >> np.arange(traits) & 1
    together = np.einsum("s,sk,sq->kq", proportions, bits, bits) * float(heterozygosity.sum())
    if marker_variance is None:
        if (np.diagonal(together) <= 0).any():
            raise UsageError("the states leave a trait without any marker that affects it.", found=_table(states, pi))
        wanted = np.diag(np.diagonal(genetic_covariance)) if constraint else genetic_covariance
        if ((together <= 0) & (wanted != 0)).any():
            raise UsageError("traits with a genetic covariance need a state in which both are affected.")
        variance = np.where(wanted != 0, wanted / np.where(together > 0, together, 1.0), 0.0)
        check_definite(variance, "the covariance matrix of marker effects that follows from these states")
    else:
        variance = covariance_start(marker_variance, "marker_variance", traits, genetic_covariance, diagonal=constraint)
    full, scale = covariance_scale(variance, df, diagonal=constraint)
    return TraitPrior(method, states, proportions, variance, full, scale, estimate_pi, estimate_variance, joint)


def _states(pi: Any, traits: int) -> tuple[np.ndarray, np.ndarray]:
    """(numbers of the listed states, increasing; their probabilities)."""
    everything = 1 << traits
    if isinstance(pi, Mapping):
        found: dict[int, float] = {}
        for key, value in pi.items():
            text = key if isinstance(key, str) else "".join(str(int(bit)) for bit in key)
            if len(text) != traits or set(text) - set("01"):
                raise UsageError(
                    f"the state {key!r} of pi is not understood.",
                    expected=f"0 or 1 for each of {traits} traits, such as {'1' * traits}",
                )
            number = sum(1 << k for k, bit in enumerate(text) if bit == "1")
            if number in found:
                raise UsageError(f"the state {text} of pi is given twice.")
            found[number] = float(value)
        states = np.array(sorted(found), np.int64)
        values = np.array([found[int(number)] for number in states])
    else:
        values = np.asarray(pi, np.float64)
        states = np.arange(everything)
        if values.ndim == 0:
            zero = float(values)
            bits = states[:, None] >> np.arange(traits) & 1
            values = np.where(bits == 1, 1 - zero, zero).prod(axis=1)
        elif values.shape != (everything,):
            raise UsageError(
                "pi of several traits has the wrong length.", found=values.shape,
                expected=f"a number, {everything} numbers in the order "
                f"{', '.join(state_name(s, traits) for s in range(min(4, everything)))}, ..., or a mapping of states",
            )  # fmt: skip
    if not np.isfinite(values).all() or (values < 0).any() or (values > 1).any():
        raise UsageError("pi must lie in [0, 1].", found=_table(states, pi))
    if not len(values) or not np.isclose(values.sum(), 1.0):
        raise UsageError("the probabilities pi of the states must add up to 1.", found=float(values.sum()))
    return states.astype(np.int64), values / values.sum()


def _joint(sampler: str, states: np.ndarray, pi: np.ndarray, estimate_pi: bool, traits: int) -> bool:
    """Whether sampler II is used. I needs every state to be possible: it changes one trait at a time."""
    if sampler not in SAMPLERS:
        raise UsageError(f"there is no multi_trait_sampler {sampler!r}.", expected=", ".join(SAMPLERS))
    excluded = len(states) < 1 << traits or (not estimate_pi and bool((pi == 0).any()))
    if sampler == "I" and excluded:
        raise UsageError(
            "sampler I cannot be used where states are excluded: it changes one trait at a time.",
            found=f"{int((pi > 0).sum())} of {1 << traits} states can occur",
            do='multi_trait_sampler="II" or "auto"',
        )
    return excluded if sampler == "auto" else sampler == "II"


def _table(states: np.ndarray, pi: Any) -> str:
    return str(pi)[:120] if len(states) else "no state"
