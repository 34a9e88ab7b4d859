"""Implied covariance and Jacobian of every kind of model, against sums over paths and differences."""

from __future__ import annotations

import numpy as np
import pytest

from daskgen.sem.discrepancy import MaximumLikelihood, WeightedLeastSquares, normal_theory_weight
from daskgen.sem.parameters import parameter_table
from daskgen.sem.syntax import parse_model
from tests.oracles import sem as oracle
from tests.sem.small import TRAITS, sampling_covariance, true_covariance

MODELS = {
    "one factor": "F1 =~ T1 + T2 + T3",
    "two factors": "F1 =~ NA*T1 + T2 + T3\nF2 =~ NA*T4 + T5 + T6 + T1\nF1 ~~ 1*F1\nF2 ~~ 1*F2",
    "bifactor": "G =~ NA*T1 + T2 + T3 + T4\nB =~ NA*T1 + a*T1 + a*T2 + T3\nG ~~ 1*G\nB ~~ 1*B\nG ~~ 0*B",
    "second order": "F1 =~ T1 + T2\nF2 =~ T3 + T4\nF3 =~ T5 + T6\nG =~ F1 + F2 + F3",
    "paths": "T3 ~ T1 + T2\nT4 ~ T3 + T1\nT1 ~~ T2",
    "factor regression": "F1 =~ T1 + T2 + T3\nF2 =~ T4 + T5\nF2 ~ F1 + T6\nT5 ~ T3",
    "residual covariance": "F1 =~ 1*T1 + .8*T2 + T3 + T4\nT1 ~~ T2",
    "single indicator": "F1 =~ T1\nF2 =~ T2 + T3 + T4\nF1 ~~ a*F2",
}


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("by_row", [False, True])
def test_implied_covariance_and_jacobian(name, by_row):
    table = parameter_table(parse_model(MODELS[name]), TRAITS)
    structure = table.structure(by_row=by_row)
    theta = structure.start + np.random.default_rng(2).uniform(-0.2, 0.2, structure.n_parameters)
    k = len(structure.observed)
    np.testing.assert_allclose(structure.implied(theta), oracle.implied(structure.matrices, theta, k), atol=1e-13)
    difference = oracle.jacobian(structure.matrices, theta, k)
    np.testing.assert_allclose(structure.jacobian(theta), difference, atol=1e-8)


def test_discrepancies_are_their_definitions_and_their_slopes_the_differences():
    s, v = true_covariance(1), sampling_covariance(6)
    sigma = true_covariance() * 1.1
    for one, name in ((WeightedLeastSquares(s, 1 / np.diag(v)), "DWLS"), (MaximumLikelihood(s), "ML")):
        assert one.value(sigma) == pytest.approx(oracle.discrepancy(sigma, s, v, name), rel=1e-12)
        slope = one.slope(sigma)
        for at, (i, j) in enumerate(oracle.cells(6)):
            up, down = sigma.copy(), sigma.copy()
            for matrix, step in ((up, 1e-6), (down, -1e-6)):
                matrix[i, j] += step
                matrix[j, i] = matrix[i, j]
            assert slope[at] == pytest.approx((one.value(up) - one.value(down)) / 2e-6, rel=2e-5, abs=1e-5)
        weighted = one.weighted(sigma, np.eye(21))
        np.testing.assert_allclose(weighted, oracle.weight(sigma, v, name), rtol=1e-10, atol=1e-10)
    assert MaximumLikelihood(s).value(-sigma) == np.inf
    np.testing.assert_allclose(normal_theory_weight(sigma), oracle.weight(sigma, v, "ML"), rtol=1e-11, atol=1e-11)
