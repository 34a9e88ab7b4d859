"""Every sample of the store gets a prediction with its error variance, whether it has a phenotype or not."""

from __future__ import annotations

import logging

import numpy as np
import pytest

from daskgen import reml
from daskgen.reml import model
from tests.genotypes.cohort import store
from tests.oracles import reml as oracle
from tests.reml.data import cohort


@pytest.fixture(scope="module")
def people(tmp_path_factory):
    return cohort(tmp_path_factory.mktemp("candidates"), n=140, m=260, seed=9)


@pytest.fixture(scope="module")
def y(people):
    return people.phenotype(h2=0.7, seed=2, missing=45)


def whole_kernel(people, rows):
    """(K of all samples, Z of all samples), standardised as the samples `rows` are."""
    x = np.where(people.calls < 0, np.nan, people.calls).astype(float)
    with np.errstate(invalid="ignore"):
        called = np.isfinite(x[:, rows]).any(axis=1)
        mean = np.where(called, np.nanmean(np.where(called[:, None], x[:, rows], 0), axis=1), 0)
        size = np.nanstd(np.where(called[:, None], x[:, rows], 0), axis=1)
    varies = size > 1e-7
    z = np.nan_to_num((x[varies] - mean[varies, None]) / size[varies, None]).T
    return z @ z.T / varies.sum(), z, varies


def by_hand(people, y, theta):
    """(BLUP, PEV, reliability) of every sample."""
    rows = np.flatnonzero(y.notna())
    k, _, _ = whole_kernel(people, rows)
    x = np.ones((len(rows), 1))
    p, _, _ = oracle.projection(theta, x, [k[np.ix_(rows, rows)]])
    cross = k[:, rows]
    pev = theta[0] * np.diag(k) - theta[0] ** 2 * np.einsum("ij,jk,ik->i", cross, p, cross)
    return theta[0] * cross @ p @ y.to_numpy()[rows], pev, 1 - pev / (theta[0] * np.diag(k))


@pytest.mark.parametrize(("method", "close"), [("exact", 1e-7), ("stochastic", 1e-3)])
def test_predictions_and_error_variances_of_everyone(people, y, method, close):
    fit = reml.fit(people.path, y, method=method)
    theta = fit.variance_components["estimate"].to_numpy()
    effect, pev, reliability = by_hand(people, y, theta)
    found = fit.random_effects().isel(component=0)
    np.testing.assert_allclose(found["effect"], effect, atol=close * np.abs(effect).max())
    np.testing.assert_allclose(found["pev"], pev, rtol=1e-6)
    np.testing.assert_allclose(found["reliability"], reliability, atol=1e-6)
    assert (found["pev_monte_carlo_se"] == 0).all()
    assert found["phenotyped"].values.tolist() == y.notna().tolist()
    # Those without a phenotype are predicted less reliably.
    assert reliability[y.isna()].mean() < reliability[y.notna()].mean()


def test_sampled_error_variances_of_everyone(people, y, monkeypatch):
    fit = reml.fit(people.path, y, method="exact")
    _, pev, _ = by_hand(people, y, fit.variance_components["estimate"].to_numpy())
    monkeypatch.setattr(model, "PEV_SAMPLES", 10)
    assert np.isnan(reml.RemlFit(fit.dataset, fit._model).random_effects()["pev"]).all()
    found = reml.RemlFit(fit.dataset, fit._model).random_effects(pev=True).isel(component=0)
    z = (found["pev"].values - pev) / found["pev_monte_carlo_se"].values
    assert 0.5 < np.sqrt(np.mean(z**2)) < 1.6
    assert (found["pev_monte_carlo_se"] > 0).all()
    assert ((found["reliability"] > -0.5) & (found["reliability"] < 1)).all()


@pytest.mark.parametrize(("method", "close"), [("exact", 1e-9), ("stochastic", 1e-3)])
def test_what_effects_add_up_to(people, y, method, close):
    """Z b = u for every sample, y = X b + u + e for the analysed ones."""
    fit = reml.fit(people.path, y, method=method)
    rows = np.flatnonzero(y.notna())
    _, z, varies = whole_kernel(people, rows)
    effects, u = fit.snp_effects(), fit.random_effects()["effect"].values[0]
    b = effects["standardised"].values[0]
    assert (b[~varies] == 0).all()
    np.testing.assert_allclose(z @ b[varies], u, atol=1e-9 * np.abs(u).max())
    theta = fit.variance_components["estimate"].to_numpy()
    e = theta[1] * fit.dataset["projected"].values[0]
    total = fit.fixed_effects["estimate"][0] + u + e
    np.testing.assert_allclose(total[rows], y.to_numpy()[rows], atol=close * y.std())
    np.testing.assert_allclose(fit.predict(people.path), u, atol=1e-9 * np.abs(u).max())


def test_what_is_not_in_the_other_genotypes_counts_as_the_mean(people, y, tmp_path, caplog):
    fit = reml.fit(people.path, y, method="exact")
    rows = np.flatnonzero(y.notna())
    _, z, varies = whole_kernel(people, rows)
    b = fit.snp_effects()["standardised"].values[0][varies]
    kept = np.arange(len(people.calls)) % 4 != 1
    other = store(tmp_path / "other.zarr", people.calls[kept], position=np.arange(1, len(people.calls) + 1)[kept])
    with caplog.at_level(logging.INFO, "daskgen.reml"):
        found = fit.predict(other)
    expected = z[:, kept[varies]] @ b[kept[varies]]
    np.testing.assert_allclose(found, expected, atol=1e-9 * np.abs(expected).max())
    share = 100 * kept[varies].mean()
    assert f"Prediction {share:.1f} % of {varies.sum():,} variants matched, 0 of them turned" in caplog.text
