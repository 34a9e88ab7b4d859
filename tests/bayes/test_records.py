"""Location effects and records against dense mixed models: factors, random terms, weights, repeated records, sets."""

from __future__ import annotations

from functools import partial

import numpy as np
import pandas as pd
import pytest
import scipy.sparse

from daskgen import bayes
from daskgen.bayes import random_terms
from daskgen.bayes.columns import column_products
from daskgen.bayes.planes import from_planes
from daskgen.bayes.records import make_design, make_records
from daskgen.errors import InputError
from daskgen.inputs.covariates import Covariates
from tests.bayes.problems import centred, small_cohort
from tests.oracles.mixed_model import mixed_model_posterior

LONG = {"chain_length": 6_000, "burn_in": 200, "chains": 2, "seed": 3}
KNOWN = {
    "method": "RR-BLUP", "marker_variance": 0.3, "residual_variance": 1.5, "estimate_marker_variance": False,
    "estimate_residual_variance": False, "maf_min": 0.0,
}  # fmt: skip


def compare(posterior, expected, covariance, names, markers):
    """Means within 5 Monte-Carlo errors of the dense solution, which has `names` and then the markers."""
    flat = posterior.dataset["location_draws"].values.reshape(-1, posterior.dataset.sizes["location"])
    own = dict(zip(posterior.dataset["location"].values.tolist(), flat.T, strict=True))
    spread = np.sqrt(np.diagonal(covariance))
    for i, name in enumerate(names):
        draws = own[name]
        blocks = draws[: len(draws) // 50 * 50].reshape(50, -1).mean(axis=1)
        assert abs(draws.mean() - expected[i]) < 5 * blocks.std(ddof=1) / np.sqrt(50) + 1e-9, name
        assert draws.std() == pytest.approx(spread[i], rel=0.15)
    effects = posterior.marker_effects["mean"].values
    error = np.abs(effects - expected[len(names) : len(names) + markers]) / spread[len(names) : len(names) + markers]
    assert error.max() < 0.15


def test_column_products():
    rng = np.random.default_rng(0)
    x = rng.standard_normal((40, 9)) * (rng.random((40, 9)) < 0.4)
    row, column = np.nonzero(x)
    one, other, value = column_products(row, column, x[row, column], 9)
    dense = np.zeros((9, 9))
    dense[one, other] = value
    np.testing.assert_allclose(dense, x.T @ x, atol=1e-12)


@pytest.mark.parametrize("repeats", [1, 3])
def test_moments_of_records(repeats):
    """What the kernel is given adds up to the sums over records."""
    rng = np.random.default_rng(1)
    n = 12
    sample = np.sort(rng.integers(0, n, n * repeats)) if repeats > 1 else np.arange(n)
    size = len(sample)
    fixed = Covariates(
        {"age": rng.standard_normal(size)}, {"sex": rng.choice(["f", "m"], size).astype(object)}, ("age", "sex"), size
    )
    y, w = rng.standard_normal(size), rng.uniform(0.5, 2, size)
    y[3] = np.nan
    used = ~np.isnan(y)
    design = make_design(fixed, [], used, intercept=True)
    records = make_records(y, w, design, sample, n)
    x = np.zeros((size, 3))
    for q in range(3):
        part = slice(design.pointer[q], design.pointer[q + 1])
        x[design.sample[part], q] = design.value[part]
    w, y = np.where(used, w, 0), np.where(used, y, 0)
    mean_x = np.zeros((n, 3))
    for q in range(3):
        part = slice(records.pointer[q], records.pointer[q + 1])
        mean_x[records.sample[part], q] = records.value[part]
    total, mean_y = from_planes(records.w, n), from_planes(records.y, n)
    within = np.zeros((3, 3))
    for q in range(3):
        part = slice(records.within_pointer[q], records.within_pointer[q + 1])
        within[q, records.within_column[part]] = records.within[part]
    np.testing.assert_allclose(total, np.bincount(sample, weights=w, minlength=n))
    np.testing.assert_allclose(mean_x.T @ (total[:, None] * mean_x) + within, x.T @ (w[:, None] * x), atol=1e-12)
    np.testing.assert_allclose(records.diagonal, np.diagonal(x.T @ (w[:, None] * x)))
    np.testing.assert_allclose(mean_x.T @ (total * mean_y) + records.within_right, x.T @ (w * y), atol=1e-12)
    np.testing.assert_allclose((total * mean_y**2).sum() + records.within_square[0], (w * y**2).sum())


def test_repeated_records_weights_and_covariates_of_each_record(monkeypatch):
    rng = np.random.default_rng(2)
    codes, _ = small_cohort(n=40, p=6)
    sample = np.concatenate([np.arange(40), rng.integers(0, 40, 50)])
    ids = np.array([str(i) for i in range(40)])
    age, herd = rng.standard_normal(90), rng.integers(0, 5, 90)
    w = rng.uniform(0.5, 2, 90)
    herd_effect = rng.standard_normal(5)
    x = centred(codes)[0]
    y = 3 + 0.8 * age + herd_effect[herd] + x[sample] @ rng.standard_normal(6) * 0.5
    y += rng.standard_normal(90) / np.sqrt(w)
    tables = [
        pd.DataFrame({"IID": ids[sample], "y": y}),
        pd.DataFrame({"IID": ids[sample], "age": age, "herd": [f"h{h}" for h in herd]}),
        pd.DataFrame({"IID": ids[sample], "w": w}),
    ]
    known = 0.25 * y.var(ddof=1)
    monkeypatch.setattr(random_terms, "RandomTerm", partial(random_terms.RandomTerm, df=1e9))
    posterior = bayes.fit(codes, tables[0], tables[1], random="herd", weights=tables[2], **KNOWN, **LONG)
    fixed = np.column_stack([np.ones(90), age - age.mean()])
    factor = np.eye(5)[herd]
    expected, covariance = mixed_model_posterior(
        y, w, 1.5, fixed, [(factor, np.eye(5) / known), (x[sample], np.eye(6) / 0.3)]
    )
    names = ["intercept", "age", *(f"herd=h{h}" for h in range(5))]
    compare(posterior, expected, covariance, names, 6)
    value = posterior.breeding_values
    np.testing.assert_allclose(value["mean"], x @ posterior.marker_effects["mean"].values, atol=1e-9)
    assert value["phenotyped"].all()
    # The order of the rows is of no importance, and a covariate of the samples is one of their records.
    order = rng.permutation(90)
    again = bayes.fit(
        codes, tables[0].iloc[order], tables[1].iloc[order], random="herd",
        weights=tables[2].iloc[order], **KNOWN, **(LONG | {"chain_length": 20, "burn_in": 5}),
    )  # fmt: skip
    assert again.dataset.sizes["sample"] == 40
    with pytest.raises(InputError, match="not as the phenotypes do"):
        bayes.fit(codes, tables[0], tables[1].iloc[:50], **KNOWN, **LONG)


def test_the_residual_variance_of_repeated_records():
    """With no marker included s2e given the intercept-free data is scaled inverse chi-square over all records."""
    rng = np.random.default_rng(3)
    codes, _ = small_cohort(n=30, p=4)
    sample = np.repeat(np.arange(30), 3)
    ids = np.array([str(i) for i in range(30)])
    y = rng.standard_normal(90) * 2 + 1
    posterior = bayes.fit(
        codes, pd.DataFrame({"IID": ids[sample], "y": y}), method="BayesC", pi=1 - 1e-12,
        estimate_pi=False, residual_variance=1.0, marker_variance=1e-6, chain_length=8_000, burn_in=100, chains=2,
        maf_min=0.0,
    )  # fmt: skip
    # Intercept integrated out: (SS + df S) / chi2(df + n - 1), of mean (SS + df S) / (df + n - 3).
    expected = (((y - y.mean()) ** 2).sum() + 4 * 0.5) / (4 + 90 - 1 - 2)
    found = posterior.diagnostics().loc["residual_variance"]
    assert abs(found["mean"] - expected) < 5 * found["mcse"]


@pytest.mark.parametrize("form", ["dense", "sparse"])
def test_precision_matrices_of_users(form, monkeypatch):
    rng = np.random.default_rng(4)
    codes, _ = small_cohort(n=60, p=5)
    a = rng.standard_normal((8, 8))
    precision = np.where(rng.random((8, 8)) < 0.5, a @ a.T / 8, 0)
    precision = np.tril(precision, -1) + np.tril(precision, -1).T
    precision += np.diag(np.abs(precision).sum(axis=1) + 0.5)
    level = rng.integers(0, 7, 60)  # the last level has no record
    x = centred(codes)[0]
    y = rng.standard_normal(8)[level] + x @ rng.standard_normal(5) * 0.4 + rng.standard_normal(60)
    given = scipy.sparse.csc_array(precision) if form == "sparse" else precision
    names = [f"a{i}" for i in range(8)]
    monkeypatch.setattr(random_terms, "RandomTerm", partial(random_terms.RandomTerm, df=1e9))
    posterior = bayes.fit(
        codes, y, pd.DataFrame({"animal": [names[i] for i in level]}, index=[str(i) for i in range(60)]),
        random={"animal": (given, names)}, **KNOWN, **LONG,
    )  # fmt: skip
    known = 0.25 * y.var(ddof=1)
    expected, covariance = mixed_model_posterior(
        y, np.ones(60), 1.5, np.ones((60, 1)), [(np.eye(8)[level], precision / known), (x, np.eye(5) / 0.3)]
    )
    compare(posterior, expected, covariance, ["intercept", *(f"animal={name}" for name in names)], 5)


def test_a_factor_with_many_levels_is_sparse():
    rng = np.random.default_rng(5)
    n, levels = 3_000, 700
    herd = np.append(np.arange(levels), rng.integers(0, levels, n - levels))
    text = np.array([f"h{i}" for i in herd], object)
    fixed = Covariates({"age": rng.standard_normal(n)}, {"herd": text}, ("age", "herd"), n)
    design = make_design(fixed, [], np.ones(n, bool), intercept=True)
    assert len(design.names) == levels + 1
    assert len(design.value) < 3 * n
    same = Covariates(fixed.numeric, {"herd": text, "copy": text}, ("age", "herd", "copy"), n)
    with pytest.raises(InputError, match="combination of the others"):
        make_design(same, [], np.ones(n, bool), intercept=True)


def test_sets_of_genotypes_with_variances_of_their_own():
    """Two sets, the same prior variance known: the dense solution of both together."""
    codes, y = small_cohort(n=50, p=9)
    x = centred(codes)[0]
    posterior = bayes.fit({"a": codes[:, :4], "b": codes[:, 4:]}, y, **KNOWN, **LONG)
    expected, covariance = mixed_model_posterior(y, np.ones(50), 1.5, np.ones((50, 1)), [(x, np.eye(9) / 0.3)])
    compare(posterior, expected, covariance, ["intercept"], 9)


def test_what_repeats_must_fit():
    codes, y = small_cohort(n=30, p=5)
    ids = np.array([str(i) for i in range(30)])
    repeated = pd.DataFrame({"IID": ids[np.repeat(np.arange(30), 2)], "y": np.repeat(y, 2), "z": np.repeat(y, 2) ** 2})
    with pytest.raises(InputError, match="several rows of one sample"):
        bayes.fit(codes, y, repeated, chain_length=20, burn_in=5)
