"""The closed form of a fit with fixed measurement against the same fit done densely, and what must hold of it."""

from __future__ import annotations

import numpy as np
import pytest

from daskgen.kernels import sem_fixed
from daskgen.kernels.sem_fixed import fit_fixed
from tests.oracles import sem_snp as oracle
from tests.sem.fixed_models import MODELS, problem

RESULTS = ("estimate", "se", "variance", "chisq", "aic", "q_snp", "covariance", "status")


def same(one, other, rows=slice(None)):
    return all(np.array_equal(getattr(one, n)[..., rows], getattr(other, n), equal_nan=True) for n in RESULTS)


@pytest.mark.parametrize("name", MODELS)
def test_every_parameter_equals_the_dense_fit(name):
    made = problem(name, n=4)
    fits = fit_fixed(made.beta, made.se, made.variance, made.folded.constants, report="covariances")
    estimate, covariance = made.folded.in_order(fits)
    assert (fits.status == sem_fixed.CONVERGED).all()
    for i in range(4):
        dense = oracle.fit(made.structure, *made.moments(i), start=estimate[:, i])
        assert np.abs((estimate[:, i] - dense.theta) / dense.se).max() < 1e-8
        scale = np.outer(dense.se, dense.se)
        np.testing.assert_allclose(covariance[:, :, i] / scale, dense.omega / scale, atol=1e-8)
        assert fits.chisq[i] == pytest.approx(dense.chisq, rel=1e-9)
        assert fits.aic[i] == pytest.approx(dense.chisq + 2 * len(dense.theta), rel=1e-9)
        s_full, v_full = made.moments(i)
        for f, rows in enumerate(made.folded.constants.indicators):
            assert fits.q_snp[f, i] == pytest.approx(oracle.q_snp(s_full, dense.sigma, v_full, rows), rel=1e-7)


@pytest.mark.parametrize("name", MODELS)
def test_results_are_the_same_whatever_is_reported(name):
    # One effect, reported alone, has a kernel of its own.
    made = problem(name, n=50)
    arguments = made.beta, made.se, made.variance, made.folded.constants
    effects = fit_fixed(*arguments)
    parameters, covariances = (fit_fixed(*arguments, report=what) for what in ("parameters", "covariances"))
    assert (effects.status == 0).all()
    t = made.folded.constants.n_effects
    for other in (parameters, covariances):
        assert np.abs((effects.estimate - other.estimate[:t]) / effects.se).max() < 1e-9
        np.testing.assert_allclose(effects.se, other.se[:t], rtol=1e-9)
        for field in ("variance", "chisq", "aic", "q_snp"):
            np.testing.assert_allclose(getattr(effects, field), getattr(other, field), rtol=1e-9)
    assert effects.covariance.shape == (0, 50)
    assert np.array_equal(parameters.estimate, covariances.estimate)
    _, covariance = made.folded.in_order(covariances)
    errors = np.sqrt(np.diagonal(covariance)).T[made.folded.order]
    np.testing.assert_allclose(parameters.se, errors, rtol=1e-12)


@pytest.mark.parametrize("report", ["effects", "covariances"])
@pytest.mark.parametrize("name", ["one factor", "two factors", "one factor, two of its traits"])
@pytest.mark.parametrize("size", [1, 15, 16, 17, 33])
def test_a_snp_has_the_same_bits_in_a_block_of_any_size(name, size, report):
    made = problem(name, n=70)
    made.beta[:, 20] = np.nan
    made.beta[:, 40] *= 300
    constants = made.folded.constants
    whole = fit_fixed(made.beta, made.se, made.variance, constants, report=report)
    for start in range(0, 70, size):
        rows = slice(start, start + size)
        part = fit_fixed(made.beta[:, rows], made.se[:, rows], made.variance[rows], constants, report=report)
        assert same(whole, part, rows)


@pytest.mark.parametrize("name", ["one factor", "two factors"])
def test_snps_that_cannot_be_fitted_have_a_status_and_no_numbers(name):
    made = problem(name, n=20)
    beta, se, variance = made.beta.copy(), made.se.copy(), made.variance.copy()
    beta[0, 1], beta[1, 2], se[0, 3], se[1, 4], se[2, 5] = np.nan, np.inf, np.nan, 0, -0.1
    variance[6], variance[7], variance[8] = 0, np.nan, np.inf
    beta[:, 9] *= 1e3
    fits = fit_fixed(beta, se, variance, made.folded.constants)
    assert (fits.status[1:9] == sem_fixed.BAD_INPUT).all()
    assert fits.status[9] == sem_fixed.NOT_POSITIVE_DEFINITE
    good = [0, *range(10, 20)]
    assert (fits.status[good] == sem_fixed.CONVERGED).all()
    for field in RESULTS[:-1]:
        assert np.isnan(getattr(fits, field)[..., 1:10]).all()
        assert np.isfinite(getattr(fits, field)[..., good]).all()
    clean = fit_fixed(made.beta[:, good], made.se[:, good], made.variance[good], made.folded.constants)
    assert same(fits, clean, good)


@pytest.mark.parametrize("name", ["one factor", "two factors"])
def test_the_covariance_of_snp_and_traits_decides_by_its_smallest_eigenvalue(name):
    made = problem(name, n=64)
    made.beta *= np.linspace(1, 60, 64)
    status = fit_fixed(made.beta, made.se, made.variance, made.folded.constants).status
    smallest = [np.linalg.eigvalsh(made.moments(i)[0])[0] for i in range(64)]
    assert np.array_equal(status == sem_fixed.NOT_POSITIVE_DEFINITE, np.array(smallest) <= 0)
    assert 0 < (status == sem_fixed.NOT_POSITIVE_DEFINITE).sum() < 64


def test_a_snp_variance_with_a_large_error_is_estimated_too():
    made = problem("one factor", n=3, snp_se=0.05)
    fits = fit_fixed(made.beta, made.se, made.variance, made.folded.constants)
    assert np.abs(fits.variance / made.variance - 1).max() > 1e-5
    for i in range(3):
        dense = oracle.fit(made.structure, *made.moments(i))
        assert fits.estimate[0, i] == pytest.approx(dense.theta[made.folded.effects[0]], abs=1e-8 * dense.se.max())
        assert fits.se[0, i] == pytest.approx(dense.se[made.folded.effects[0]], rel=1e-8)


@pytest.mark.parametrize("name", ["one factor", "two factors"])
def test_numbers_beyond_what_can_be_computed_have_a_status_too(name):
    made = problem(name, n=7)
    beta, se, variance = made.beta.copy(), made.se.copy(), made.variance.copy()
    se[:, 0], se[:, 1], beta[:, 2], variance[3], variance[4] = 1e-200, 1e200, 1e200, 1e-300, 1e300
    se[0, 5] = 1e-160
    beta[:, 6] = 0.0
    fits = fit_fixed(beta, se, variance, made.folded.constants)
    failed = fits.status != sem_fixed.CONVERGED
    assert failed[[0, 1, 2, 4]].all()
    assert np.isnan(fits.estimate[:, failed]).all()
    assert fits.status[6] == sem_fixed.CONVERGED
    assert np.isfinite(fits.chisq[~failed]).all()


def test_a_block_of_missing_values_has_no_results():
    made = problem("one factor", n=40)
    fits = fit_fixed(np.full((3, 40), np.nan), made.se, made.variance, made.folded.constants)
    assert (fits.status == sem_fixed.BAD_INPUT).all()
    assert np.isnan(fits.estimate).all()
    assert np.isnan(fits.q_snp).all()


def test_no_snps_are_no_results():
    made = problem("one factor", n=1)
    fits = fit_fixed(np.empty((3, 0)), np.empty((3, 0)), np.empty(0), made.folded.constants)
    assert fits.estimate.shape == (1, 0)
    assert fits.status.shape == (0,)


def test_shapes_are_checked():
    made = problem("one factor", n=2)
    with pytest.raises(ValueError, match=r"\(3, n\)"):
        fit_fixed(made.beta[:2], made.se[:2], made.variance, made.folded.constants)
