"""The sampling kernel of several traits against single-site updates written out, enumeration, and its invariances."""

from __future__ import annotations

import numpy as np
import pytest
from numba import types
from scipy import stats

from daskgen.bayes.planes import from_planes
from daskgen.kernels.compile import input_array, kernel, output_array
from daskgen.kernels.small_matrices import draw_covariance
from tests.bayes.trait_problems import TraitCase, small_traits
from tests.oracles import bayes_traits as oracle


def covariance(rng, traits, scale):
    a = rng.standard_normal((traits, traits + 2))
    return scale * a @ a.T / (traits + 2)


@pytest.mark.parametrize("traits", [2, 3, 5])
@pytest.mark.parametrize("joint", [False, True])
@pytest.mark.parametrize("starts", [(0,), (0, 5, 6), tuple(range(19))])
@pytest.mark.parametrize("weighted", [False, True])
def test_a_sweep_over_blocks_is_the_single_site_sweep(traits, joint, starts, weighted):
    codes, y = small_traits(traits=traits, missing=0.05)
    rng = np.random.default_rng(3)
    y = y - y.mean(axis=0)
    w = rng.uniform(0.3, 2, len(y)) if weighted else np.ones(len(y))
    g, r = covariance(rng, traits, 0.3), covariance(rng, traits, 1.0)
    pi = rng.dirichlet(np.ones(1 << traits))
    case = TraitCase(codes, y, starts=starts, w=w, g=g, r=r, pi=pi, joint=joint, intercept=False)
    beta = rng.standard_normal((case.p, traits)) * 0.3
    delta = rng.integers(0, 2, (case.p, traits))
    residual = y - case.x @ (beta * delta)
    case.set_start(residual, beta, delta)
    uniforms, normals = rng.random((case.p, traits)), rng.standard_normal((case.p, traits))
    assert case.run(1, given=(uniforms[None], normals[None]))
    if joint:
        expected = oracle.sweep_jointly(
            case.x, w, residual, beta, delta, g, r, oracle.state_bits(traits), pi, uniforms, normals
        )
    else:
        expected = oracle.sweep_one_by_one(case.x, w, residual, beta, delta, g, r, pi, uniforms, normals)
    np.testing.assert_allclose(case.chains.state.slab[0], expected[1], atol=1e-10)
    np.testing.assert_allclose(case.effect, expected[1] * expected[2], atol=1e-10)
    np.testing.assert_allclose(case.residual, expected[0], atol=1e-10)


@pytest.mark.parametrize("joint", [False, True])
@pytest.mark.parametrize("gaps", [False, True])
def test_posterior_of_known_covariances_by_enumeration(joint, gaps):
    codes, y = small_traits(seed=4, n=31, p=3)
    y = (y - y.mean(axis=0)) / y.std(axis=0)
    w = np.random.default_rng(1).uniform(0.5, 1.5, 31)
    if gaps:  # no sample has both traits
        y[::2, 0] = np.nan
        y[1::2, 1] = np.nan
    g, r = np.array([[0.3, 0.12], [0.12, 0.2]]), np.array([[1.0, 0.4], [0.4, 0.8]])
    pi = np.array([0.4, 0.2, 0.1, 0.3])
    case = TraitCase(codes, y, starts=(0, 2), w=w, g=g, r=r, pi=pi, joint=joint, chains=2, draws=40_000)
    probability, mean = oracle.enumerate_states(case.x, y, w, g, r, oracle.state_bits(2), pi)
    case.run(40_500, burn_in=500)
    draws = 2 * 40_000
    assert np.abs(case.chains.sums.states.sum(axis=0) / draws - probability).max() < 0.012
    assert np.abs(case.chains.sums.effect.sum(axis=0) / draws - mean).max() < 0.012


def test_excluded_states_do_not_occur():
    codes, y = small_traits(traits=3)
    case = TraitCase(codes, y, states=[0, 7], pi=[0.5, 0.5], joint=True, estimate=True, draws=200)
    case.run(300, burn_in=100)
    assert set(np.unique(case.chains.state.group)) <= {0, 7}
    included = case.chains.sums.included[0]
    assert np.array_equal(included[:, 0], included[:, 1])


@pytest.mark.parametrize("independent", [False, True])
def test_the_number_of_threads_changes_no_bit(independent):
    codes, y = small_traits(n=9_000, p=20, missing=0.01, missing_traits=0.2)
    cases = [
        TraitCase(codes, y, starts=range(0, 20, 8), estimate=True, draws=5, independent=independent) for _ in range(3)
    ]
    for case, threads in zip(cases, (1, 2, 3), strict=True):
        case.run(6, burn_in=1, threads=threads)
    for other in cases[1:]:
        for part in ("state", "sums"):
            for one, again in zip(getattr(cases[0].chains, part), getattr(other.chains, part), strict=True):
                assert np.array_equal(one, again)


def test_iterations_can_be_cut_anywhere():
    codes, y = small_traits(missing_traits=0.3)
    whole, cut = (TraitCase(codes, y, estimate=True, joint=True) for _ in range(2))
    whole.run(12)
    cut.run(5)
    cut.run(7)
    for one, other in zip(whole.chains.state, cut.chains.state, strict=True):
        assert np.array_equal(one, other)


def test_residuals_stay_what_they_are():
    codes, y = small_traits(n=2_500, p=30, missing=0.02, missing_traits=0.3)
    case = TraitCase(codes, y, starts=(0, 11), estimate=True)
    case.run(40)
    state = case.chains.state
    imputed = from_planes(state.y[0], case.n).T
    seen = ~np.isnan(y)
    np.testing.assert_array_equal(imputed[seen], y[seen])
    fitted = seen.any(axis=1)[:, None] * state.theta[0, 0] + case.x @ case.effect  # no intercept without any trait
    np.testing.assert_allclose(case.residual, imputed - fitted, atol=1e-9)


def test_missing_residuals_have_their_conditional_distribution():
    rng = np.random.default_rng(0)
    n, r = 20_000, np.array([[1.0, 0.5, 0.2], [0.5, 2.0, -0.3], [0.2, -0.3, 1.5]])
    y = rng.multivariate_normal(np.zeros(3), r, n)
    w = rng.uniform(0.5, 2, n)
    y /= np.sqrt(w)[:, None]
    codes = rng.binomial(2, 0.5, (n, 1)).astype(np.int8)
    gone = y.copy()
    gone[::2, 1], gone[1::2, 0], gone[1::2, 2] = np.nan, np.nan, np.nan
    case = TraitCase(codes, gone, w=w, r=r, states=[0], pi=[1.0], joint=True, intercept=False)
    case.run(1)
    z = case.residual * np.sqrt(w)[:, None]
    np.testing.assert_allclose(np.cov(z.T), r, atol=0.06)
    left = z[::2]  # trait 1 given 0 and 2
    slope = np.linalg.solve(r[np.ix_([0, 2], [0, 2])], r[[0, 2], 1])
    spread = np.sqrt(r[1, 1] - r[1, [0, 2]] @ slope)
    assert stats.kstest((left[:, 1] - left[:, [0, 2]] @ slope) / spread, "norm").pvalue > 0.001


def test_inverse_wishart_moments_and_margins():
    """The compiled draw against SciPy's, and its diagonal form against the chi-square distribution."""
    matrix = output_array(types.float64, 2)

    @kernel(
        types.void(matrix, types.float64, types.boolean, input_array(types.uint32, 1), output_array(types.float64, 3))
    )
    def many(scale, df, diagonal, key, out):
        work = np.empty(scale.shape)
        for i in range(out.shape[0]):
            draw_covariance(scale, df, diagonal, i + 1, 3, 10, key, work, out[i])

    scale = np.array([[2.0, 0.7, 0.1], [0.7, 1.0, -0.2], [0.1, -0.2, 1.5]])
    draws = np.empty((20_000, 3, 3))
    many(scale, 9.0, False, np.array([1, 2], np.uint32), draws)
    np.testing.assert_allclose(draws.mean(axis=0), scale / (9 - 3 - 1), atol=0.02)
    reference = stats.invwishart(9, scale).rvs(20_000, random_state=1)
    for pick in (lambda d: d[:, 0, 0], lambda d: d[:, 0, 1], lambda d: np.linalg.det(d)):
        assert stats.ks_2samp(pick(draws), pick(reference)).pvalue > 0.001
    many(scale, 7.0, True, np.array([1, 2], np.uint32), draws)
    assert (draws[:, 0, 1] == 0).all()
    assert stats.kstest(scale[1, 1] / draws[:, 1, 1], stats.chi2(7).cdf).pvalue > 0.001
