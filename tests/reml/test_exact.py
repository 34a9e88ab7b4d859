"""The exact way against the textbook's dense formulas, and identities that hold at the maximum."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from daskgen import reml
from daskgen.reml.dense_model import DenseModel
from daskgen.reml.design import make_design
from daskgen.reml.error_variances import exact_errors, sampled_errors
from tests.oracles import reml as oracle
from tests.reml.data import cohort


@pytest.fixture(scope="module")
def people(tmp_path_factory):
    return cohort(tmp_path_factory.mktemp("reml"))


def covariates_of(people, seed=3):
    generator = np.random.default_rng(seed)
    n = len(people.ids)
    year = 2000.0 + generator.permutation(n)
    return pd.DataFrame({"age": generator.normal(50, 10, n), "year": year}, index=people.ids)


def fitted(people, components=None, covariates=None, **options):
    y = people.phenotype(seed=2)
    fit = reml.fit(people.path, y, covariates, components=components, method="exact", **options)
    x = np.ones((len(y), 1))
    if covariates is not None:
        x = np.column_stack([x, covariates.to_numpy()])
    sets = [None] if components is None else list(components.values())
    return fit, y.to_numpy(), x, [people.kernel(variants=s) for s in sets]


@pytest.mark.parametrize("components", [None, {"a": np.arange(150), "b": np.arange(100, 300)}])
@pytest.mark.parametrize("with_covariates", [False, True])
def test_estimates_are_those_of_dense_formulas(people, components, with_covariates):
    fit, y, x, kernels = fitted(people, components, covariates_of(people) if with_covariates else None)
    table = fit.variance_components
    theta = table["estimate"].to_numpy()
    free = ~table["at_bound"].to_numpy()
    assert fit.converged
    assert fit.log_likelihood == pytest.approx(oracle.log_likelihood(theta, y, x, kernels), abs=1e-8)
    score = oracle.score(theta, y, x, kernels)
    average, _, observed = oracle.informations(theta, y, x, kernels)
    steps = np.linalg.solve(observed[np.ix_(free, free)], score[free])
    assert np.abs(steps / theta[free]).max() < 1e-8
    assert (score[~free] <= 0).all()
    np.testing.assert_allclose(fit.dataset["information"].values[0], average, rtol=1e-7)
    np.testing.assert_allclose(
        table["se"][free], np.sqrt(np.diag(np.linalg.inv(average[np.ix_(free, free)]))), rtol=1e-6
    )
    b, covariance = oracle.fixed_effects(theta, y, x, kernels)
    np.testing.assert_allclose(fit.fixed_effects["estimate"], b, rtol=1e-6, atol=1e-9)
    np.testing.assert_allclose(fit.fixed_effects["se"], np.sqrt(np.diag(covariance)), rtol=1e-6)
    null = len(kernels) * [0.0] + [float(np.sum((y - x @ np.linalg.lstsq(x, y)[0]) ** 2) / (len(y) - x.shape[1]))]
    statistic = 2 * (fit.log_likelihood - oracle.log_likelihood(null, y, x, kernels))
    assert fit.lrt["statistic"][0] == pytest.approx(statistic, abs=1e-6)


def test_identities_at_the_maximum(people):
    fit, y, x, kernels = fitted(people, None, covariates_of(people))
    theta = fit.variance_components["estimate"].to_numpy()
    q = fit.dataset["projected"].values[0]
    assert y @ q == pytest.approx(len(y) - x.shape[1], rel=1e-9)  # y'Py = n - c
    np.testing.assert_allclose(x.T @ q, 0, atol=1e-7 * np.abs(x).max())
    u = fit.random_effects()["effect"].values[0]
    b = fit.fixed_effects["estimate"].to_numpy()
    np.testing.assert_allclose(x @ b + u + theta[-1] * q, y, atol=1e-7)
    z, _ = people.z()
    effects = fit.snp_effects()
    np.testing.assert_allclose(z @ effects["standardised"].values[0], u, atol=1e-10)
    np.testing.assert_allclose(
        effects["per_allele"].values[0], effects["standardised"].values[0] * effects["factor"].values, rtol=1e-12
    )
    np.testing.assert_allclose(u, theta[0] * kernels[0] @ q, atol=1e-9)


@pytest.mark.parametrize("factor", [1e-6, 37.0, 1e7])
def test_the_unit_of_the_phenotype_does_not_matter(people, factor):
    y = people.phenotype(seed=4)
    sets = {"a": np.arange(150), "b": np.arange(150, 300)}
    one = reml.fit(people.path, y, components=sets, method="exact")
    other = reml.fit(people.path, y * factor + 3 * factor, components=sets, method="exact")
    np.testing.assert_allclose(
        other.variance_components["estimate"], one.variance_components["estimate"] * factor**2, rtol=1e-7, atol=1e-30
    )
    np.testing.assert_allclose(other.heritability["se"], one.heritability["se"], rtol=1e-7)


@pytest.mark.parametrize("scale", ["empirical", "hwe"])
@pytest.mark.parametrize("alpha", [-1.0, -0.25, 0.0])
def test_scales(people, scale, alpha):
    y = people.phenotype(seed=2)
    fit = reml.fit(people.path, y, scale=scale, alpha=alpha, method="exact")
    kernel = people.kernel(scale=scale, alpha=alpha)
    theta = fit.variance_components["estimate"].to_numpy()
    x = np.ones((len(y), 1))
    assert np.abs(oracle.score(theta, y.to_numpy(), x, [kernel]) * theta).max() < 1e-6
    share = theta * [np.trace(kernel) / len(y), 1]
    assert fit.heritability["h2"].iloc[-1] == pytest.approx(share[0] / share.sum(), rel=1e-10)


def test_error_variances_of_predictions(people):
    y = people.phenotype(seed=2, missing=20)
    fit = reml.fit(people.path, y, method="exact")
    rows = np.flatnonzero(~y.isna().to_numpy())
    theta = fit.variance_components["estimate"].to_numpy()
    effects = fit.random_effects()
    x = np.ones((len(rows), 1))
    expected = oracle.prediction_error(theta, x, [people.kernel(rows)], 0)
    np.testing.assert_allclose(effects["pev"].values[0, rows], expected, rtol=1e-8)
    assert effects["phenotyped"].values.sum() == len(rows)
    others = np.setdiff1d(np.arange(len(y)), rows)
    assert np.isfinite(effects["effect"].values[0, others]).all()
    assert (effects["reliability"].values[0, others] < 1).all()
    assert effects["reliability"].values[0, others].mean() < effects["reliability"].values[0, rows].mean()
    again = reml.RemlFit(fit.dataset, fit._model)
    assert np.isnan(again.random_effects(pev=False)["pev"].values).all()
    np.testing.assert_array_equal(again.random_effects(pev=True)["pev"], effects["pev"])


def test_residual_weights_are_the_model_with_scaled_residuals(people):
    generator = np.random.default_rng(5)
    weights = pd.Series(generator.uniform(0.5, 3, len(people.ids)), index=people.ids)
    y, covariates = people.phenotype(seed=2), covariates_of(people)
    fit = reml.fit(people.path, y, covariates, residual_weights=weights, method="exact")
    root = np.sqrt(weights.to_numpy())
    x = np.column_stack([np.ones(len(y)), covariates.to_numpy()])
    kernel = people.kernel() * np.outer(root, root)
    theta = fit.variance_components["estimate"].to_numpy()
    assert np.abs(oracle.score(theta, y.to_numpy() * root, x * root[:, None], [kernel]) * theta).max() < 1e-6
    b, _ = oracle.fixed_effects(theta, y.to_numpy() * root, x * root[:, None], [kernel])
    np.testing.assert_allclose(fit.fixed_effects["estimate"], b, rtol=1e-6)
    u = fit.random_effects()["effect"].values[0]
    e = theta[-1] * fit.dataset["projected"].values[0] / root
    np.testing.assert_allclose(x @ b + u + e, y, atol=1e-7)


def test_many_phenotypes_equal_single_fits(people):
    table = pd.DataFrame(
        {f"t{i}": people.phenotype(h2=0.1 + 0.2 * (i % 4), seed=i, missing=[0, 7][i % 2]) for i in range(6)}
    )
    together = reml.fit(people.path, table, method="exact")
    for name in table:
        alone = reml.fit(people.path, table[name], method="exact")
        np.testing.assert_allclose(
            together[name].variance_components["estimate"], alone.variance_components["estimate"], rtol=1e-10
        )
        assert together.log_likelihood[name] == pytest.approx(alone.log_likelihood, rel=1e-12)
    assert together.heritability["phenotype"].nunique() == 6


def test_components_at_zero_are_flagged_and_come_back(people):
    generator = np.random.default_rng(0)
    z, c = people.z(variants=np.arange(150))
    y = z @ generator.standard_normal(150) / np.sqrt(c) + 0.5 * generator.standard_normal(len(z))
    sets = {"causal": np.arange(150), "empty": [], "other": np.arange(150, 300)}
    fit = reml.fit(people.path, y, components=sets, method="exact")
    table = fit.variance_components.set_index("component")
    assert table["at_bound"]["empty"]
    assert table["estimate"]["empty"] == 0
    assert table["estimate"]["causal"] > 0.3
    model = DenseModel(
        np.stack([people.kernel(variants=np.arange(150)), people.kernel(variants=np.arange(150, 300))]),
        make_design({}, len(y)),
    )
    score = oracle.score(
        table["estimate"][["causal", "other", "residual"]].to_numpy(), y, np.ones((len(y), 1)), list(model.matrices)
    )
    assert (score[table["at_bound"][["causal", "other", "residual"]].to_numpy()] <= 1e-6).all()


def test_the_store_gives_back_the_fit(people, tmp_path):
    y = pd.DataFrame({"a": people.phenotype(seed=1), "b": people.phenotype(seed=2, missing=9)})
    fit = reml.fit(
        people.path, y, covariates_of(people), components={"x": range(150), "y": range(150, 300)}, method="exact"
    )
    opened = reml.RemlFit.open(fit.to_store(tmp_path / "fit.zarr"))
    for table in ("variance_components", "heritability", "fixed_effects", "lrt", "history"):
        pd.testing.assert_frame_equal(getattr(opened, table), getattr(fit, table))
    np.testing.assert_array_equal(opened["b"].predict(people.path), fit["b"].predict(people.path))
    np.testing.assert_array_equal(opened.random_effects()["pev"], fit.random_effects()["pev"])
    np.testing.assert_allclose(
        fit.predict(people.path).values, fit.random_effects()["effect"].sum("component").values, atol=1e-9
    )


def test_the_hsq_text_is_gctas(people):
    fit = reml.fit(people.path, people.phenotype(seed=2), method="exact")
    rows = dict(line.split("\t", 1) for line in fit.hsq().splitlines())
    assert list(rows) == ["Source", "V(G)", "V(e)", "Vp", "V(G)/Vp", "logL", "logL0", "LRT", "df", "Pval", "n"]
    assert float(rows["V(G)/Vp"].split("\t")[0]) == pytest.approx(fit.heritability["h2"][0], rel=1e-5)
    shift = (len(people.ids) - 1) / 2 * np.log(2 * np.pi)
    assert float(rows["logL"]) == pytest.approx(fit.log_likelihood + shift, rel=1e-5)


@pytest.mark.parametrize("weighted", [False, True])
def test_error_variances_by_sampling_are_those_of_matrices(people, weighted):
    y = people.phenotype(seed=2, h2=0.8, missing=20)
    weights = pd.Series(np.random.default_rng(5).uniform(0.5, 3, len(y)), index=people.ids) if weighted else None
    sets = {"a": np.arange(150), "b": np.arange(150, 300)}
    fit = reml.fit(people.path, y, components=sets, residual_weights=weights, method="exact")
    (fitted,), effects = fit._model.fitted, fit._model._of_groups()[0]
    arguments = fitted.group, fitted.relationships, fitted.estimates, effects, [np.arange(len(y))], fitted.group.rows
    exact, sampled = exact_errors(*arguments), sampled_errors(*arguments, draws=400)
    np.testing.assert_allclose(sampled.diagonals, exact.diagonals, rtol=1e-10)
    for g, theta in enumerate(fitted.theta[0]):
        if theta > 0:
            z = (sampled.variance[0, g] - exact.variance[0, g]) / sampled.monte_carlo_se[0, g]
            assert 0.6 < np.sqrt((z**2).mean()) < 1.5
            assert abs(z.mean()) < 0.6
