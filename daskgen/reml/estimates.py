"""What a REML solver returns, whichever way it went: estimates with their information, and P y."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

__all__ = ["Estimates"]


@dataclass
class Estimates:
    """Estimates of one phenotype with G genetic components; order of parameters: components, then residual.

    theta (G + 1,): variances; score, information (G + 1, G + 1): derivative and average information of the restricted
    log-likelihood there; at_bound (G + 1,): the variance is at 0 (its edge); log_likelihood, null_log_likelihood: with
    the term (n - c) log 2 pi, without and with all components at 0; monte_carlo (G + 1, G + 1): covariance of theta
    over random probes (0: exact); log_likelihood_error: the same for the log-likelihood, as standard error;
    projected (n,): q = P y; gamma (c,), gamma_covariance (c, c): fixed effects on the orthonormal basis.
    """

    theta: np.ndarray
    score: np.ndarray
    information: np.ndarray
    at_bound: np.ndarray
    log_likelihood: float
    null_log_likelihood: float
    monte_carlo: np.ndarray
    log_likelihood_error: float
    converged: bool
    reason: str
    projected: np.ndarray = field(default_factory=lambda: np.empty(0))
    gamma: np.ndarray = field(default_factory=lambda: np.empty(0))
    gamma_covariance: np.ndarray = field(default_factory=lambda: np.empty((0, 0)))
    history: list[dict[str, float]] = field(default_factory=list)
    n_probes: int = 0
    passes: int = 0

    @property
    def covariance(self) -> np.ndarray:
        """Sampling covariance of theta: inverse average information of what is not at its bound, 0 elsewhere."""
        free = np.flatnonzero(~self.at_bound)
        out = np.zeros_like(self.information)
        # Components that cannot be told apart (the same variants) have no information of their own.
        out[np.ix_(free, free)] = np.linalg.pinv(self.information[np.ix_(free, free)], rcond=1e-12, hermitian=True)
        return out

    def put_back(self, used: np.ndarray, components: int) -> None:
        """Put back components that were left out of the model: variance 0, at its bound. used: those it had."""
        if len(used) == components:
            return
        at = np.append(used, components)
        for name in ("theta", "score"):
            full = np.zeros(components + 1)
            full[at] = getattr(self, name)
            setattr(self, name, full)
        for name in ("information", "monte_carlo"):
            square = np.zeros((components + 1, components + 1))
            square[np.ix_(at, at)] = getattr(self, name)
            setattr(self, name, square)
        bound = np.ones(components + 1, bool)
        bound[at] = self.at_bound
        self.at_bound = bound
