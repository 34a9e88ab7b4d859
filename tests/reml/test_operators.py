"""REML with matrices of the user's own."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import daskgen as dg
from daskgen import reml
from daskgen.errors import InputError, UsageError
from tests.reml.data import cohort


@pytest.fixture(scope="module")
def people(tmp_path_factory):
    return cohort(tmp_path_factory.mktemp("reml"), n=150, m=400, seed=4)


def test_dense_matrices_give_the_fit_of_genotypes(people):
    y = people.phenotype(seed=2)
    sets = {"a": np.arange(200), "b": np.arange(200, 400)}
    kernels = {name: people.kernel(variants=s) for name, s in sets.items()}
    x = pd.DataFrame({"age": np.random.default_rng(0).normal(size=150)}, index=y.index)
    fit = reml.fit_operator(y, x, kernels)
    expected = reml.fit(people.path, y, x, components=sets, method="exact")
    pd.testing.assert_frame_equal(fit.variance_components, expected.variance_components, rtol=1e-6)
    pd.testing.assert_frame_equal(fit.fixed_effects, expected.fixed_effects, rtol=1e-6)
    np.testing.assert_allclose(fit.random_effects()["effect"], expected.random_effects()["effect"], atol=1e-6)


@pytest.mark.parametrize("several", [False, True])
def test_products_are_enough(people, several):
    y = people.phenotype(seed=2, h2=0.7)
    one, two = people.kernel(variants=np.arange(200)), people.kernel(variants=np.arange(200, 400))
    matrices = {"a": one, "b": two} if several else {"a": people.kernel()}
    exact = reml.fit_operator(y, None, matrices, method="exact").variance_components
    functions = {name: (lambda v, k=k: k @ v) for name, k in matrices.items()}
    traces = {name: np.trace(k) for name, k in matrices.items()}
    found = reml.fit_operator(y, None, functions, traces=traces, n_probes=60).variance_components
    assert (np.abs(found["estimate"] - exact["estimate"]) <= 4 * found["monte_carlo_se"] + 5e-3 * exact["se"]).all()


def test_an_operator_of_genotypes(people):
    y = people.phenotype(seed=2, h2=0.7)
    found = reml.fit_operator(y, None, dg.genotypes.operator(people.path), n_probes=20)
    same = reml.fit(people.path, y, method="stochastic", n_probes=20)
    np.testing.assert_allclose(found.variance_components["estimate"], same.variance_components["estimate"], rtol=1e-4)


def test_what_cannot_be_used(people):
    y = people.phenotype(seed=2)
    k = people.kernel()
    with pytest.raises(UsageError, match="trace"):
        reml.fit_operator(y, None, lambda v: k @ v)
    with pytest.raises(UsageError, match="no kernels"):
        reml.fit_operator(y)
    with pytest.raises(UsageError, match="needs matrices"):
        reml.fit_operator(y, None, lambda v: k @ v, traces=150.0, method="exact")
    with pytest.raises(InputError, match="missing"):
        reml.fit_operator(y.where(y.index != "s3"), None, k)
    with pytest.raises(InputError, match="another shape"):
        reml.fit_operator(y, None, lambda v: v[:3], traces=150.0)
