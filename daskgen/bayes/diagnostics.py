"""Convergence of chains: rank-normalised split R-hat, bulk and tail effective sample size, Monte-Carlo error.

Source: Vehtari, Gelman, Simpson, Carpenter, Burkner (2021), Rank-normalization, folding, and localization: an improved
R-hat for assessing convergence of MCMC, Bayesian Analysis 16, 667-718.
"""

from __future__ import annotations

import numpy as np
from scipy.special import ndtri
from scipy.stats import rankdata

__all__ = ["effective_sample_size", "ess_bulk", "ess_tail", "mcse_mean", "r_hat"]


def _split(draws: np.ndarray) -> np.ndarray:
    """(chains, draws) -> both halves of each chain as chains of their own; an odd draw in the middle is left out."""
    half = draws.shape[1] // 2
    return np.concatenate([draws[:, :half], draws[:, -half:]])


def _normal_scores(draws: np.ndarray) -> np.ndarray:
    """Normal scores of the ranks over all chains, (r - 3/8) / (S + 1/4)."""
    rank = rankdata(draws.ravel(), method="average").reshape(draws.shape)
    return np.asarray(ndtri((rank - 0.375) / (draws.size + 0.25)))


def _plain_r_hat(draws: np.ndarray) -> float:
    n = draws.shape[1]
    within = draws.var(axis=1, ddof=1).mean()
    between = draws.mean(axis=1).var(ddof=1)
    if within == 0:
        return 1.0 if between == 0 else np.inf
    return float(np.sqrt((n - 1) / n + between / within))


def r_hat(draws: np.ndarray) -> float:
    """The larger of rank-normalised split R-hat of the draws (chains, draws) and of their distances from the median.

    NaN for fewer than four draws, 1 for a constant.
    """
    if draws.shape[1] < 4 or not np.isfinite(draws).all():
        return float("nan")
    if np.ptp(draws) == 0:
        return 1.0
    split = _split(draws)
    folded = np.abs(split - np.median(split))
    return max(_plain_r_hat(_normal_scores(split)), _plain_r_hat(_normal_scores(folded)))


def _autocovariance(chain: np.ndarray) -> np.ndarray:
    """Of lags 0 to n - 1, divided by n; by Fourier transform."""
    n = len(chain)
    size = 1 << (2 * n - 1).bit_length()
    spectrum = np.fft.rfft(chain - chain.mean(), size)
    return np.fft.irfft(spectrum * spectrum.conj(), size)[:n] / n


def effective_sample_size(draws: np.ndarray) -> float:
    """Effective number of independent draws of (chains, draws) for the mean: Geyer's initial monotone sequence.

    NaN for fewer than four draws, the number of draws for a constant.
    """
    chains, n = draws.shape
    if n < 4 or not np.isfinite(draws).all():
        return float("nan")
    if np.ptp(draws) == 0:
        return float(draws.size)
    covariance = np.stack([_autocovariance(chain) for chain in draws])
    within = float(covariance[:, 0].mean()) * n / (n - 1)
    total = within * (n - 1) / n
    if chains > 1:
        total += float(draws.mean(axis=1).var(ddof=1))
    if total == 0:
        return float(draws.size)
    rho = 1 - (within - covariance.mean(axis=0) * n / (n - 1)) / total
    rho[0] = 1.0
    pairs = n // 2
    sums = rho[0 : 2 * pairs : 2] + rho[1 : 2 * pairs : 2]
    negative = np.flatnonzero(sums <= 0)
    last = int(negative[0]) if len(negative) else pairs
    kept = np.minimum.accumulate(sums[:last])
    tau = -1 + 2 * float(kept.sum())
    if last < pairs:
        tau += max(float(rho[2 * last]), 0.0)  # the even lag of the first pair that was left out
    tau = max(tau, 1 / np.log10(draws.size))
    return float(draws.size / tau)


def ess_bulk(draws: np.ndarray) -> float:
    """Effective sample size of the normal scores: how well the middle of the distribution is known."""
    return effective_sample_size(_normal_scores(_split(draws))) if _usable(draws) else _degenerate(draws)


def ess_tail(draws: np.ndarray) -> float:
    """The smaller effective sample size of the indicators of the 5 % and 95 % quantiles."""
    if not _usable(draws):
        return _degenerate(draws)
    split = _split(draws)
    return min(effective_sample_size((split <= np.quantile(draws, p)).astype(np.float64)) for p in (0.05, 0.95))


def mcse_mean(draws: np.ndarray) -> float:
    """Monte-Carlo standard error of the mean: SD / sqrt(effective sample size)."""
    if not _usable(draws):
        return 0.0 if draws.size and np.isfinite(draws).all() and np.ptp(draws) == 0 else float("nan")
    return float(draws.std(ddof=1) / np.sqrt(effective_sample_size(_split(draws))))


def _usable(draws: np.ndarray) -> bool:
    return draws.shape[1] >= 4 and bool(np.isfinite(draws).all()) and np.ptp(draws) > 0


def _degenerate(draws: np.ndarray) -> float:
    return float(draws.size) if draws.shape[1] >= 4 and np.isfinite(draws).all() else float("nan")
