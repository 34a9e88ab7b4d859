"""Simulation-based calibration: where parameters are drawn from the prior, their ranks among draws are uniform.

Source: Talts, Betancourt, Simpson, Vehtari, Gelman (2018), Validating Bayesian inference algorithms with
simulation-based calibration, arXiv 1804.06788.
"""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from daskgen import bayes

REPEATS, DRAWS, BINS = 200, 99, 10
N, P = 60, 8
LENGTH = {"chain_length": 200 + 40 * DRAWS, "burn_in": 200, "thin": 40, "chains": 1, "maf_min": 0.0}
DF = 6.0


def genotypes(rng):
    codes = rng.binomial(2, rng.uniform(0.25, 0.5, P), (N, P)).astype(np.int8)
    codes[0], codes[1] = 0, 2
    return codes


def rank(truth, draws, rng):
    """How many of the draws are below the truth; ties, such as effects of zero, at random."""
    return int((draws < truth).sum() + rng.integers(0, (draws == truth).sum() + 1))


def effects_of(posterior, *axes):
    """Effects (draws, P) or (draws, P, T) of the only chain."""
    ds = posterior.dataset
    effects = np.zeros((DRAWS, P, *axes))
    index = [ds["effect_draw_place"].values[1], ds["effect_draw_variant"].values]
    if axes:
        index.append(ds["effect_draw_trait"].values)
    effects[tuple(index)] = ds["effect_draw_value"].values
    return effects


def uniform(ranks):
    """p-value of the chi-square test of each quantity's ranks, 0 to DRAWS."""
    found = {}
    for name, values in ranks.items():
        counts = np.bincount(np.asarray(values) * BINS // (DRAWS + 1), minlength=BINS)
        found[name] = stats.chisquare(counts).pvalue
    return found


def one_trait(method, seed):
    """Ranks of the parameters of one data set."""
    rng = np.random.default_rng([seed, len(method)])
    codes = genotypes(rng)
    variance = {"marker": 0.15, "residual": 1.0}
    s2 = {name: value * (DF - 2) / rng.chisquare(DF) for name, value in variance.items()}
    gamma = np.array([0.0, 0.1, 1.0]) if method == "BayesR" else np.array([0.0, 1.0])
    pi = rng.dirichlet(np.ones(len(gamma)))
    group = rng.choice(len(gamma), P, p=pi)
    effects = rng.standard_normal(P) * np.sqrt(gamma[group] * s2["marker"])
    y = 3 + codes @ effects + rng.standard_normal(N) * np.sqrt(s2["residual"])
    options = {"gamma": gamma, "pi": np.full(3, 1 / 3)} if method == "BayesR" else {"pi": 0.5}
    posterior = bayes.fit(
        codes, y, method=method, marker_variance=variance["marker"], residual_variance=variance["residual"], df=DF,
        residual_df=DF, keep_effects=True, seed=seed, **options, **LENGTH,
    )  # fmt: skip
    trace = posterior.dataset["trace"][0]
    drawn = effects_of(posterior)
    value = codes @ effects
    found = {
        "residual_variance": (s2["residual"], trace.sel(quantity="residual_variance").values),
        "marker_variance": (s2["marker"], trace.sel(quantity="marker_variance").values),
        "pi": (pi[0], trace.sel(quantity="pi").values),
        "genetic_variance": (value.var(ddof=1), trace.sel(quantity="genetic_variance").values),
        "first effect": (effects[0], drawn[:, 0]),
        "last effect": (effects[-1], drawn[:, -1]),
    }
    return {name: rank(truth, draws, rng) for name, (truth, draws) in found.items()}


def two_traits(seed):
    """Ranks of the parameters of one data set of two traits, a fifth of whose values are missing."""
    rng = np.random.default_rng([seed, 2])
    codes = genotypes(rng)
    means = {"G": np.array([[0.2, 0.05], [0.05, 0.15]]), "R": np.array([[1.0, 0.3], [0.3, 0.8]])}
    g, r = (stats.invwishart(DF + 2, means[name] * (DF - 1)).rvs(random_state=rng) for name in ("G", "R"))
    pi = rng.dirichlet(np.ones(4))
    state = rng.choice(4, P, p=pi)
    beta = rng.multivariate_normal([0, 0], g, P)
    effects = beta * np.column_stack([state & 1, state >> 1])
    y = np.array([1.0, -2.0]) + codes @ effects + rng.multivariate_normal([0, 0], r, N)
    y[rng.random((N, 2)) < 0.2] = np.nan
    posterior = bayes.fit(
        codes, y, pi=np.full(4, 0.25), marker_variance=means["G"], residual_variance=means["R"], df=DF, residual_df=DF,
        multi_trait_sampler="I" if seed % 2 else "II", keep_effects=True, seed=seed, **LENGTH,
    )  # fmt: skip
    trace = posterior.dataset["trace"][0]
    drawn = effects_of(posterior, 2)
    one, two = "phenotypes_1", "phenotypes_2"
    found = {
        "R11": (r[0, 0], f"residual_variance_{one}"),
        "R12": (r[0, 1], f"residual_covariance_{one}_{two}"),
        "R22": (r[1, 1], f"residual_variance_{two}"),
        "G11": (g[0, 0], f"marker_variance_{one}"),
        "G12": (g[0, 1], f"marker_covariance_{one}_{two}"),
        "G22": (g[1, 1], f"marker_variance_{two}"),
        "Pi00": (pi[0], "pi_00"),
        "Pi11": (pi[3], "pi_11"),
    }
    ranks = {name: rank(truth, trace.sel(quantity=label).values, rng) for name, (truth, label) in found.items()}
    for k in range(2):
        ranks[f"first effect on {k}"] = rank(effects[0, k], drawn[:, 0, k], rng)
    return ranks


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("model", ["BayesC", "BayesR", "two traits"])
def test_ranks_are_uniform(model):
    ranks = {}
    for seed in range(REPEATS):
        for name, value in (two_traits(seed) if model == "two traits" else one_trait(model, seed)).items():
            ranks.setdefault(name, []).append(value)
    found = uniform(ranks)
    assert min(found.values()) > 0.001, found
