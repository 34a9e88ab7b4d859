"""Several records of a sample with several traits: against dense mixed models, and what is counted once."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from daskgen import bayes
from daskgen.bayes.copies import copies_of
from daskgen.bayes.inputs import Inputs
from daskgen.inputs.covariates import Covariates
from tests.bayes.problems import centred
from tests.bayes.trait_problems import small_traits
from tests.oracles.mixed_model import mixed_model_posterior

N, P, RECORDS = 40, 5, 90
G, R = np.array([[0.3, 0.1], [0.1, 0.2]]), np.array([[1.5, 0.6], [0.6, 1.0]])


@pytest.fixture(scope="module")
def data():
    """Codes, tables of phenotypes, covariates and weights by record, and the sample of each; some have no record."""
    rng = np.random.default_rng(2)
    codes, _ = small_traits(n=N, p=P, missing=0.05)
    sample = rng.permutation(np.concatenate([np.arange(30), rng.integers(0, 30, RECORDS - 30)]))
    x = np.where(codes == 3, 1, codes)
    age, w = rng.standard_normal(RECORDS), rng.uniform(0.5, 2, RECORDS)
    y = x[sample] @ rng.multivariate_normal([0, 0], G, P) + np.outer(age, [0.8, -0.5]) + [3, 1]
    y += rng.multivariate_normal([0, 0], R, RECORDS) / np.sqrt(w)[:, None]
    y[rng.random((RECORDS, 2)) < 0.25] = np.nan
    iid = [str(i) for i in sample]
    tables = (
        pd.DataFrame({"IID": iid, "one": y[:, 0], "two": y[:, 1]}),
        pd.DataFrame({"IID": iid, "age": age}),
        pd.DataFrame({"IID": iid, "w": w}),
    )
    return codes, tables, sample


def test_against_the_dense_solution(data):
    codes, (phenotypes, covariates, weights), sample = data
    posterior = bayes.fit(
        np.where(codes == 3, 9, codes), phenotypes, covariates, weights=weights, method="RR-BLUP", marker_variance=G,
        residual_variance=R, estimate_marker_variance=False, estimate_residual_variance=False, maf_min=0.0,
        chain_length=6_000, burn_in=200, chains=2, seed=3,
    )  # fmt: skip
    y, age, w = phenotypes[["one", "two"]].to_numpy(), covariates["age"].to_numpy(), weights["w"].to_numpy()
    used = ~np.isnan(y).all(axis=1)
    seen = np.unique(sample[used])
    x = np.where(codes == 3, 0.0, codes - centred(codes[seen])[1])
    fixed, random, right = [], [], []
    for r in np.flatnonzero(used):
        o = ~np.isnan(y[r])
        white = np.linalg.inv(np.linalg.cholesky(R[np.ix_(o, o)] / w[r]))
        traits = np.eye(2)[o]
        fixed.append(white @ np.kron([1.0, age[r] - age[used].mean()], traits))
        random.append(white @ np.kron(x[sample[r]], traits))
        right.append(white @ y[r, o])
    right = np.concatenate(right)
    expected, covariance = mixed_model_posterior(
        right, np.ones(len(right)), 1.0, np.vstack(fixed), [(np.vstack(random), np.kron(np.eye(P), np.linalg.inv(G)))]
    )
    names = ["intercept:one", "intercept:two", "age:one", "age:two"]
    assert posterior.dataset["location"].values.tolist() == names
    spread = np.sqrt(np.diagonal(covariance))
    draws = posterior.dataset["location_draws"].values.reshape(-1, 4)
    assert (np.abs(draws.mean(axis=0) - expected[:4]) / spread[:4]).max() < 0.15
    effects = posterior.marker_effects
    assert (np.abs(effects["mean"].values.ravel() - expected[4:]) / spread[4:]).max() < 0.15
    np.testing.assert_allclose(effects["sd"].values.ravel(), spread[4:], rtol=0.1)
    value = posterior.breeding_values
    np.testing.assert_allclose(value["mean"], x @ effects["mean"].values, atol=1e-9)
    assert value["sample"].size == N
    for k, name in enumerate(("one", "two")):
        assert set(np.flatnonzero(value["phenotyped"][:, k])) == set(sample[~np.isnan(phenotypes[name])])


def test_a_sample_counts_once(data):
    """Of the genetic variance, the frequencies, and the windows."""
    codes, (phenotypes, _, _), sample = data
    posterior = bayes.fit(
        np.where(codes == 3, 9, codes),
        phenotypes,
        chain_length=40,
        burn_in=10,
        chains=2,
        maf_min=0.0,
        keep_effects=True,
    )
    seen = np.unique(sample[phenotypes[["one", "two"]].notna().any(axis=1)])
    x, mean = centred(codes[seen])
    np.testing.assert_allclose(posterior.dataset["effect_centre"], mean)
    ds = posterior.dataset
    effects = np.zeros((2, 30, P, 2))
    effects[(*ds["effect_draw_place"].values, ds["effect_draw_variant"], ds["effect_draw_trait"])] = ds[
        "effect_draw_value"
    ]
    u = np.einsum("nj,cdjt->cdnt", x, effects)
    np.testing.assert_allclose(
        ds["trace"].sel(quantity="genetic_variance_two"), u[..., 1].var(axis=2, ddof=1), rtol=1e-4
    )
    np.testing.assert_allclose(posterior.windows(f"{P}snp")["share"], 1, rtol=1e-4)


def test_copies():
    sample = np.array([0, 0, 0, 2, 4, 4])
    inputs = Inputs(sample, 5, {}, Covariates.none(6), {}, {}, None)
    copies = copies_of(inputs, np.array([False, True, True, False, True, True]))
    assert copies.sample.tolist() == [0, 0, 0, 2, 4, 4, 1, 3]
    assert copies.first.tolist() == [1, 6, 3, 7, 4]
    assert not copies.own
    assert copies.spread(np.arange(6.0), np.nan)[5:].tolist()[0] == 5
    single = Inputs(np.arange(3), 3, {}, Covariates.none(3), {}, {}, None)
    assert copies_of(single, np.array([True, False, True])).own
