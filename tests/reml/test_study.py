"""Samples, groups of phenotypes, several stores, predictions, and input that cannot be used."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from daskgen import reml
from daskgen.errors import InputError, PlanError, UsageError
from daskgen.reml import choosing
from daskgen.reml.choosing import Predicted, predict_costs
from tests.genotypes.cohort import store
from tests.reml.data import cohort


@pytest.fixture(scope="module")
def people(tmp_path_factory):
    return cohort(tmp_path_factory.mktemp("reml"), n=90, m=200, seed=2)


def test_frequencies_are_those_of_the_analysed_samples(people):
    y = people.phenotype(seed=1, missing=40)
    rows = np.flatnonzero(~y.isna().to_numpy())
    fit = reml.fit(people.path, y, method="exact")
    z, c = people.z(rows)
    assert fit.dataset["n_counted"].values[0, 0] == c
    assert fit.dataset["mean_diagonal"].values[0, 0] == pytest.approx((z**2).sum() / c / len(rows), rel=1e-12)
    assert fit.dataset["used"].values.sum() == len(rows)
    kept = reml.fit(people.path, people.phenotype(seed=1, missing=40), keep=people.ids[:70].tolist(), method="exact")
    assert kept.dataset["used"].values[0, 70:].sum() == 0


def test_several_stores_are_components(people, tmp_path):
    order = np.random.default_rng(0).permutation(90)
    first = store(tmp_path / "common.zarr", people.calls[:120])
    calls = people.calls[120:][:, order]
    second = store(tmp_path / "rare.zarr", calls)
    ids = people.ids
    y = people.phenotype(seed=3)
    # The second store has its samples in the same order here; shuffled ids are matched by name.
    same = store(tmp_path / "same.zarr", people.calls[120:])
    found = reml.fit([first, same], y, method="exact")
    alone = reml.fit(people.path, y, components={"common": range(120), "same": range(120, 200)}, method="exact")
    assert found.components == ["common", "same"]
    np.testing.assert_allclose(found.variance_components["estimate"], alone.variance_components["estimate"], rtol=1e-10)
    np.testing.assert_allclose(
        found.random_effects()["effect"], alone.random_effects()["effect"], rtol=1e-8, atol=1e-12
    )
    np.testing.assert_allclose(found.predict([first, same]), alone.predict(people.path), rtol=1e-8, atol=1e-10)
    named = reml.fit({"x": first, "y": same}, y, method="stochastic", n_probes=4, tol=0.5)
    assert named.components == ["x", "y"]
    with pytest.raises(UsageError, match="components already"):
        reml.fit([first, second], y, components="contig")
    with pytest.raises(UsageError, match="different numbers"):
        found.predict(first)
    assert len(ids) == 90


def test_prediction_matches_alleles(people, tmp_path):
    y = people.phenotype(seed=3)
    fit = reml.fit(people.path, y, method="exact")
    expected = fit.random_effects()["effect"].sum("component").values
    turned = np.where(people.calls < 0, -1, 2 - people.calls).astype(np.int8)
    calls = np.where((np.arange(200) % 3 == 0)[:, None], turned, people.calls)
    allele = np.array([["G", "A"] if i % 3 == 0 else ["A", "G"] for i in range(200)], dtype=object)
    other = store(tmp_path / "turned.zarr", calls, allele=allele)
    np.testing.assert_allclose(fit.predict(other), expected, atol=1e-9)
    few = store(tmp_path / "few.zarr", people.calls[:60])
    with pytest.raises(InputError, match="of the"):
        fit.predict(few)
    assert np.isfinite(fit.predict(few, least_share=0.1).values).all()


def test_monomorphic_variants_are_left_out(people, tmp_path):
    calls = people.calls.copy()
    calls[50:] = 1
    calls[60] = -1
    y = people.phenotype(seed=3)
    found = reml.fit(
        store(tmp_path / "m.zarr", calls), y, method="exact", components={"a": range(50), "b": range(50, 200)}
    )
    assert found.dataset["n_counted"].values[0].tolist()[1] == 0
    assert found.variance_components["at_bound"].tolist()[1]
    calls[:] = 1
    with pytest.raises(InputError, match="no variant varies"):
        reml.fit(store(tmp_path / "n.zarr", calls), y)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (lambda y: y * 0 + 3, "constant"),
        (lambda y: y * np.nan, "no sample is left"),
        (lambda y: y.where(y.index == "s3"), "more than one sample"),
        (lambda y: y.where(y.index.isin(["s3", "s4"])), "more samples than fixed effects|constant"),
    ],
)
def test_phenotypes_that_cannot_be_analysed(people, values, message):
    covariates = pd.DataFrame({"age": np.arange(90.0)}, index=people.ids)
    with pytest.raises(InputError, match=message):
        reml.fit(people.path, values(people.phenotype(seed=1)), covariates)


def test_a_phenotype_that_the_covariates_determine(people):
    y = people.phenotype(seed=1)
    with pytest.raises(InputError, match="determined by the covariates"):
        reml.fit(people.path, y, pd.DataFrame({"twice": 2 * y + 1}))


def test_arguments_that_are_not_understood(people):
    y = people.phenotype(seed=1)
    for options in ({"method": "fast"}, {"n_probes": 1}, {"tol": 0.0}, {"id_style": "x"}, {"pheno_name": "height"}):
        with pytest.raises(UsageError):
            reml.fit(people.path, y, **options)
    with pytest.raises(UsageError, match="components"):
        reml.fit(people.path, y, component="contig")
    with pytest.raises(InputError, match="positive"):
        reml.fit(people.path, y, residual_weights=pd.Series(-1.0, index=people.ids))


def test_the_faster_way_that_fits_is_taken(people, monkeypatch):
    assert predict_costs(1_000, 20_000, 1, 1, 24, 2).choose(10**10) == "exact"
    assert predict_costs(20_000, 100_000, 1, 1, 24, 2).choose(10**11) == "stochastic"
    assert predict_costs(1_000, 20_000, 1, 1, 24, 2).choose(10**6) == "stochastic"
    # With a thousand phenotypes of the same samples the eigenvalues are shared.
    assert predict_costs(5_000, 50_000, 1, 1_000, 24, 2).choose(10**10) == "exact"
    monkeypatch.setattr(choosing, "predict_costs", lambda *_: Predicted(1.0, 2.0, 10**15))
    with pytest.raises(PlanError, match="stochastic"):
        reml.fit(people.path, people.phenotype(seed=1), method="exact")


def test_haseman_elston(people):
    y = people.phenotype(seed=3, h2=0.7)
    sets = {"a": np.arange(100), "b": np.arange(100, 200)}
    exact = reml.he_regression(people.path, y, components=sets, method="exact")
    kernels = [people.kernel(variants=s) for s in sets.values()]
    m = np.eye(90) - 1 / 90
    parts = [m @ k @ m for k in kernels] + [m]
    rest = m @ y.to_numpy()
    normal = np.array([[np.trace(a @ b) for b in parts] for a in parts])
    theta = np.linalg.solve(normal, [rest @ a @ rest for a in parts])
    np.testing.assert_allclose(exact.variance_components["estimate"], theta, rtol=1e-8)
    h = sum(t * a for t, a in zip(theta, parts, strict=True))
    spread = np.array([[2 * np.trace(a @ h @ b @ h) for b in parts] for a in parts])
    covariance = np.linalg.inv(normal) @ spread @ np.linalg.inv(normal)
    np.testing.assert_allclose(exact.variance_components["se"], np.sqrt(np.diag(covariance)), rtol=1e-6)
    found = reml.he_regression(people.path, y, components=sets, method="stochastic", n_probes=200, seed=1)
    table = found.variance_components
    assert (np.abs(table["estimate"] - theta) <= 4 * table["monte_carlo_se"]).all()
    np.testing.assert_allclose(table["se"], np.sqrt(np.diag(covariance)), rtol=0.3)
    assert np.isnan(found.lrt["p"][0])


def test_components_that_cannot_be_told_apart(people):
    y = people.phenotype(seed=3, h2=0.7)
    one = reml.fit(people.path, y, method="exact")
    twice = reml.fit(people.path, y, components={"a": range(200), "b": range(200)}, method="exact")
    assert twice.converged
    assert twice.log_likelihood == pytest.approx(one.log_likelihood, abs=1e-8)
    total = twice.variance_components["estimate"].iloc[:2].sum()
    assert total == pytest.approx(one.variance_components["estimate"][0], rel=1e-4)


@pytest.mark.parametrize("n", [2, 3, 5, 8])
def test_very_few_samples(tmp_path, n):
    few = cohort(tmp_path, n=n, m=40, seed=n, missing=0)
    for components in (None, {"a": range(20), "b": range(20, 40)}):
        fit = reml.fit(few.path, few.phenotype(seed=n), components=components, method="exact")
        assert fit.converged
        assert fit.heritability["h2"].between(0, 1).all()
        assert np.isfinite(fit.random_effects()["effect"]).all()
        with pytest.raises(UsageError, match="more samples"):
            reml.fit(few.path, few.phenotype(seed=n), components=components, method="stochastic")


def test_high_heritability_with_several_components(tmp_path):
    made = cohort(tmp_path, n=100, m=200, seed=2, missing=0)
    sets = {"a": range(100), "b": range(100, 200)}
    exact = reml.fit(made.path, made.phenotype(seed=2, h2=0.9), components=sets, method="exact").variance_components
    found = reml.fit(made.path, made.phenotype(seed=2, h2=0.9), components=sets, method="stochastic")
    assert found.converged
    table = found.variance_components
    assert (np.abs(table["estimate"] - exact["estimate"]) <= 4 * table["monte_carlo_se"]).all()
