"""Exploratory factor analysis: the likelihood's maximum, rotations by their definitions, order and signs."""

from __future__ import annotations

import numpy as np
import pytest

import daskgen as dg
from daskgen.errors import UsageError
from tests.oracles import factor_analysis as oracle
from tests.sem.small import TRAITS, sampling_covariance, structure_of


def correlation_of(structure):
    s = structure["S"].values
    return s / np.sqrt(np.outer(np.diag(s), np.diag(s)))


@pytest.mark.parametrize("q", [1, 2])
def test_uniquenesses_maximise_the_likelihood(q):
    structure = structure_of()
    result = dg.sem.efa(structure, q, rotation="none")
    psi, least = oracle.likelihood_fit(correlation_of(structure), q)
    np.testing.assert_allclose(result["uniqueness"], psi, atol=2e-4)
    assert result.attrs["discrepancy"] <= least + 1e-9
    assert result.attrs["discrepancy"] == pytest.approx(least, abs=1e-6)


@pytest.mark.parametrize("rotation", ["none", "varimax", "promax"])
def test_loadings_uniquenesses_and_correlations_imply_the_same_matrix_whatever_the_rotation(rotation):
    structure = structure_of()
    result = dg.sem.efa(structure, 2, rotation=rotation)
    loadings, between = result["loadings"].values, result["factor_correlation"].values
    implied = loadings @ between @ loadings.T
    np.testing.assert_allclose(np.diag(implied) + result["uniqueness"], 1, atol=1e-8)
    plain = dg.sem.efa(structure, 2, rotation="none")["loadings"].values
    np.testing.assert_allclose(implied, plain @ plain.T, atol=1e-12)
    np.testing.assert_allclose(np.diag(between), 1, rtol=1e-12)
    assert (np.diff(result["ss_loadings"]) <= 0).all()
    assert (loadings.sum(0) > 0).all()
    np.testing.assert_allclose(result["proportion"], (loadings**2).sum(0) / 6)


def test_varimax_is_the_best_of_all_rotations():
    result = dg.sem.efa(structure_of(), 2, rotation="varimax")["loadings"].values
    best = oracle.varimax_criterion(result)
    angles = np.linspace(-np.pi, np.pi, 2001)
    others = [oracle.varimax_criterion(result @ oracle.rotation(a)) for a in angles]
    assert best >= max(others) - 1e-12


def test_promax_is_the_regression_of_powers_on_varimax_loadings():
    structure = structure_of()
    varimax = dg.sem.efa(structure, 2, rotation="varimax")["loadings"].values
    target = np.sign(varimax) * varimax**4
    slopes = np.linalg.inv(varimax.T @ varimax) @ varimax.T @ target
    slopes = slopes @ np.diag(np.sqrt(np.diag(np.linalg.inv(slopes.T @ slopes))))
    wanted = varimax @ slopes
    between = np.linalg.inv(slopes.T @ slopes)
    result = dg.sem.efa(structure, 2)
    order = np.argsort(-(wanted**2).sum(0))
    np.testing.assert_allclose(result["loadings"], wanted[:, order], atol=1e-7)
    np.testing.assert_allclose(result["factor_correlation"], between[np.ix_(order, order)], atol=1e-7)


def test_the_factors_of_the_truth_are_found_and_lead_to_the_model():
    structure = structure_of(noise_seed=None)
    result = dg.sem.efa(structure, 2)
    groups = np.abs(result["loadings"].values).argmax(1)
    assert sorted([groups[:3].tolist(), groups[3:].tolist()]) == [[0, 0, 0], [1, 1, 1]]
    assert float(result["factor_correlation"][0, 1]) == pytest.approx(0.4, abs=0.1)
    assert result.attrs["discrepancy"] < 1e-10
    text = dg.sem.write_model(result, cutoff=0.3, fix_resid=False)
    assert {frozenset(line.partition(" =~ ")[2].split(" + ")) for line in text.splitlines()} == {
        frozenset(TRAITS[:3]),
        frozenset(TRAITS[3:]),
    }


def test_a_matrix_that_is_not_positive_definite_is_smoothed():
    s = np.array([[1, 0.9, 0.9, 0.3], [0.9, 1, 0.5, 0.3], [0.9, 0.5, 1, 0.3], [0.3, 0.3, 0.3, 1]])
    structure = dg.ldsc.covstruct(s, sampling_covariance(4), traits=list("ABCD"))
    result = dg.sem.efa(structure, 1)
    assert (result["uniqueness"] >= 0.005 - 1e-12).all()
    assert result["factor_correlation"].values.tolist() == [[1.0]]


def test_too_many_factors_and_unknown_rotations_are_refused():
    structure = structure_of()
    with pytest.raises(UsageError, match="6 traits do not carry 4 factors") as refused:
        dg.sem.efa(structure, 4)
    assert "at most 3 factors" in str(refused.value)
    for bad in (0, -1, 1.5, True):
        with pytest.raises(UsageError, match="n_factors"):
            dg.sem.efa(structure, bad)
    with pytest.raises(UsageError, match="rotation"):
        dg.sem.efa(structure, 2, rotation="quartimax")
