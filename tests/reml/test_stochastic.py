"""The stochastic way against the exact one, and what it must not depend on."""

from __future__ import annotations

import dask.config
import numpy as np
import pandas as pd
import pytest

import daskgen as dg
from daskgen import reml
from daskgen.errors import ResumeError
from daskgen.passes import PassRunner
from daskgen.reml.probes import signs
from daskgen.reml.spectrum import ExactSpectrum, SampledSpectrum, evaluate
from tests.reml.data import cohort

SETS = {"a": np.arange(400), "b": np.arange(300, 1200)}


@pytest.fixture(scope="module")
def people(tmp_path_factory):
    return cohort(tmp_path_factory.mktemp("reml"), n=300, m=1200, seed=1)


def covariates_of(people):
    generator = np.random.default_rng(3)
    return pd.DataFrame({"age": generator.normal(50, 10, len(people.ids))}, index=people.ids)


@pytest.mark.parametrize("components", [None, SETS])
def test_estimates_are_within_their_monte_carlo_error(people, components):
    y, x = people.phenotype(seed=5, h2=0.6), covariates_of(people)
    exact = reml.fit(people.path, y, x, components=components, method="exact")
    found = reml.fit(people.path, y, x, components=components, method="stochastic", n_probes=80)
    assert found.converged
    a, b = exact.variance_components, found.variance_components
    assert (np.abs(a["estimate"] - b["estimate"]) <= 4 * b["monte_carlo_se"] + 5e-3 * a["se"]).all()
    assert (b["monte_carlo_se"] < 0.3 * b["se"])[~b["at_bound"]].all()
    assert abs(found.log_likelihood - exact.log_likelihood) <= 4 * found.lrt["monte_carlo_se"][0] + 1e-3
    np.testing.assert_allclose(b["se"], a["se"], rtol=0.1)
    np.testing.assert_allclose(found.fixed_effects["se"], exact.fixed_effects["se"], rtol=0.02)
    difference = (found.fixed_effects["estimate"] - exact.fixed_effects["estimate"]) / exact.fixed_effects["se"]
    assert difference.abs().max() < 0.05


def test_effects_at_the_same_theta(people):
    y = people.phenotype(seed=5, h2=0.6)
    for components in (None, SETS):
        found = reml.fit(people.path, y, components=components, method="stochastic", n_probes=30)
        theta = found.variance_components["estimate"].to_numpy()
        kernels = [people.kernel(variants=s) for s in ([None] if components is None else SETS.values())]
        h = sum(t * k for t, k in zip(theta[:-1], kernels, strict=True)) + theta[-1] * np.eye(len(y))
        inverse = np.linalg.inv(h)
        ones = np.ones((len(y), 1))
        p = inverse - inverse @ ones @ ones.T @ inverse / (ones.T @ inverse @ ones)
        q = p @ y.to_numpy()
        np.testing.assert_allclose(found.dataset["projected"].values[0], q, atol=1e-3 * np.abs(q).max())
        u = found.random_effects(pev=False)["effect"].values
        for g, k in enumerate(kernels):
            expected = theta[g] * k @ q
            np.testing.assert_allclose(u[g], expected, atol=1e-3 * np.abs(expected).max())


def test_a_phenotype_does_not_depend_on_the_others(people):
    table = pd.DataFrame({"a": people.phenotype(seed=1), "b": people.phenotype(seed=2, missing=30)})
    table["c"] = people.phenotype(seed=3, h2=0.2)
    together = reml.fit(people.path, table, method="stochastic", n_probes=20)
    for name in table:
        alone = reml.fit(people.path, table[name], method="stochastic", n_probes=20)
        np.testing.assert_allclose(
            together[name].variance_components["estimate"], alone.variance_components["estimate"], rtol=1e-5
        )


def test_probes_are_a_function_of_seed_sample_and_number():
    rows = np.array([0, 5, 2**33 + 1])
    found = signs(rows, 0, 200, seed=1)
    assert set(np.unique(found)) == {-1.0, 1.0}
    np.testing.assert_array_equal(signs(rows[[2, 0]], 100, 180, seed=1), found[[2, 0], 100:180])
    assert (signs(rows, 0, 200, seed=2) != found).any()
    many = signs(np.arange(4000), 0, 8, 0)
    assert np.abs(many.mean(axis=0)).max() < 0.06
    assert np.abs(np.corrcoef(many.T) - np.eye(8)).max() < 0.08


def test_traces_with_control_variates_are_exact_for_lines():
    generator = np.random.default_rng(0)
    values, squares = generator.uniform(0, 3, 50), generator.chisquare(1, 50)
    exact = ExactSpectrum(values, squares)
    weights = generator.chisquare(1, (6, 50))
    sampled = SampledSpectrum(values, squares, np.tile(values, (6, 1)), weights, 50, values.sum())
    found, covariance = sampled.trace(lambda x: np.stack([2 + 3 * x, np.log(x + 1)]))
    assert found[0] == pytest.approx(100 + 3 * values.sum(), rel=1e-12)
    assert np.abs(covariance[0]).max() < 1e-9
    assert found[1] == pytest.approx(np.log(values + 1).sum(), abs=4 * np.sqrt(covariance[1, 1]) + 1e-6)
    at = evaluate(exact, np.array([0.7, 0.4]))
    steps = np.array([[1e-6, 0], [0, 1e-6]])
    for i, step in enumerate(steps):
        up, down = (evaluate(exact, np.array([0.7, 0.4]) + s * step).log_likelihood for s in (1, -1))
        assert at.score[i] == pytest.approx((up - down) / 2e-6, rel=1e-6)
        up, down = (evaluate(exact, np.array([0.7, 0.4]) + s * step).score for s in (1, -1))
        np.testing.assert_allclose(at.observed[i], -(up - down) / 2e-6, rtol=1e-5)


def test_the_monte_carlo_covariance_of_traces():
    """What one set of probes says of its error is how much traces differ between sets."""
    n, r, generator = 200, 20, np.random.default_rng(1)
    values, vectors = np.linalg.eigh(np.cov(generator.normal(size=(n, 400))))
    found, covariances = [], []
    for seed in range(300):
        squares = (vectors.T @ signs(np.arange(n), 0, r, seed)).T ** 2
        sampled = SampledSpectrum(values, squares[0], np.tile(values, (r, 1)), squares, n, values.sum())
        trace, covariance = sampled.trace(lambda x: np.stack([np.log(x + 0.1), 1 / (x + 0.1)]))
        found.append(trace)
        covariances.append(covariance)
    errors = np.array(found) - [np.log(values + 0.1).sum(), (1 / (values + 0.1)).sum()]
    said, is_so = np.mean(covariances, axis=0), errors.T @ errors / len(errors)
    np.testing.assert_allclose(np.sqrt(np.diag(said)), np.sqrt(np.diag(is_so)), rtol=0.15)
    assert said[0, 1] < 0
    assert np.std([c[0, 0] for c in covariances]) < 0.1 * said[0, 0]


def test_more_probes_than_samples(tmp_path):
    """The space is then all there is, and the result exact but for products in float32."""
    few = cohort(tmp_path, n=40, m=200, seed=3)
    y = few.phenotype(seed=1, h2=0.6)
    exact = reml.fit(few.path, y, method="exact").variance_components
    for probes in (38, 60, 256):
        found = reml.fit(few.path, y, method="stochastic", n_probes=probes)
        assert found.converged
        np.testing.assert_allclose(found.variance_components["estimate"], exact["estimate"], rtol=1e-3)


class _StoppedError(Exception):
    pass


@pytest.mark.parametrize(
    ("components", "share"),
    [(None, 0.2), (None, 0.5), (None, 0.9), (SETS, 0.1), (SETS, 0.5), (SETS, 0.7), (SETS, 0.95)],
)
def test_a_stopped_run_goes_on_with_the_same_bits(people, tmp_path, monkeypatch, components, share):
    y = people.phenotype(seed=5)
    options = {"components": components, "method": "stochastic"}
    run_sum, made, limit = PassRunner.run_sum, [0], [10_000]

    def counting(self, *args, **keywords):
        made[0] += 1
        if made[0] > limit[0]:
            raise _StoppedError
        return run_sum(self, *args, **keywords)

    monkeypatch.setattr(PassRunner, "run_sum", counting)
    whole = reml.fit(people.path, y, **options)
    total, limit[0], made[0] = made[0], int(share * made[0]), 0
    state = tmp_path / "state"
    with dask.config.set({"daskgen.checkpoint-seconds": 0}), pytest.raises(_StoppedError):
        reml.fit(people.path, y, checkpoint=state, **options)
    assert state.exists()
    with pytest.raises(ResumeError):
        reml.fit(people.path, y, checkpoint=state, **{**options, "seed": 5})
    stopped, limit[0], made[0] = limit[0], 10_000, 0
    resumed = reml.fit(people.path, y, checkpoint=state, **options)
    assert not state.exists()
    # Only products that are needed by component are made again, and the diagonal.
    assert made[0] <= total - stopped + (2 if components is None else 7)
    for name in ("variance_component", "monte_carlo_covariance", "log_likelihood", "projected", "history"):
        np.testing.assert_array_equal(resumed.dataset[name], whole.dataset[name], err_msg=name)


def test_phenotypes_go_on_together(people, tmp_path, monkeypatch):
    table = pd.DataFrame({"a": people.phenotype(seed=1), "b": people.phenotype(seed=2, missing=30, h2=0.8)})
    options = {"method": "stochastic", "n_probes": 10}
    whole = reml.fit(people.path, table, **options)
    run_sum, made = PassRunner.run_sum, [0]

    def stopping(self, *args, **keywords):
        made[0] += 1
        if made[0] > 9:
            raise _StoppedError
        return run_sum(self, *args, **keywords)

    state = tmp_path / "state"
    with dask.config.set({"daskgen.checkpoint-seconds": 0}), monkeypatch.context() as patch:
        patch.setattr(PassRunner, "run_sum", stopping)
        with pytest.raises(_StoppedError):
            reml.fit(people.path, table, checkpoint=state, **options)
    resumed = reml.fit(people.path, table, checkpoint=state, **options)
    assert not list(tmp_path.iterdir())
    np.testing.assert_array_equal(resumed.dataset["variance_component"], whole.dataset["variance_component"])
    np.testing.assert_array_equal(resumed.dataset["projected"], whole.dataset["projected"])


def test_the_bits_do_not_depend_on_the_workers(people):
    y = people.phenotype(seed=5)
    for method in ("exact", "stochastic"):
        options = {"components": SETS, "method": method, "n_probes": 5, "tol": 0.05}
        with dg.cluster.connect("threads:1"):
            one = reml.fit(people.path, y, **options)
        with dg.cluster.connect("threads:2"):
            two = reml.fit(people.path, y, **options)
        np.testing.assert_array_equal(one.dataset["variance_component"], two.dataset["variance_component"])
        np.testing.assert_array_equal(one.dataset["projected"], two.dataset["projected"])


@pytest.mark.slow
@pytest.mark.timeout(1200)
@pytest.mark.parametrize("components", [None, SETS])
def test_coverage_over_seeds(people, components):
    """Over seeds the error against the exact maximum is what the Monte-Carlo error says."""
    y = people.phenotype(seed=5, h2=0.6)
    exact = reml.fit(people.path, y, components=components, method="exact").variance_components
    scores = []
    for seed in range(50):
        found = reml.fit(people.path, y, components=components, method="stochastic", n_probes=24, seed=seed)
        table = found.variance_components
        free = ~table["at_bound"].to_numpy()
        scores.append(((table["estimate"] - exact["estimate"]) / table["monte_carlo_se"])[free])
    z = np.concatenate(scores)
    assert 0.7 < np.sqrt((z**2).mean()) < 1.4
    assert (np.abs(z) > 3).mean() < 0.04
