"""The sampling kernel against single-site updates written out, and its invariances."""

from __future__ import annotations

import numpy as np
import pytest

from daskgen.bayes.planes import from_planes, to_planes
from tests.bayes.problems import Case, centred, small_cohort
from tests.oracles import bayes as oracle


def random_numbers(seed, p, repeats=1):
    rng = np.random.default_rng(seed)
    return {"uniform": rng.random((1, repeats, p)), "normal": rng.standard_normal((1, repeats, p))}


@pytest.mark.parametrize("n", [1, 3, 4, 57, 2049])
def test_planes_and_back(n):
    values = np.random.default_rng(0).standard_normal((2, n))
    assert np.array_equal(from_planes(to_planes(values), n), values)


@pytest.mark.parametrize("missing", [0.0, 0.1])
@pytest.mark.parametrize("starts", [(0,), (0, 5, 6, 20), tuple(range(23))])
@pytest.mark.parametrize(
    ("gamma", "pi"), [((0.0, 1.0), (0.6, 0.4)), ((0.0, 0.01, 0.1, 1.0), (0.4, 0.3, 0.2, 0.1)), ((1.0,), (1.0,))]
)
@pytest.mark.parametrize("weighted", [False, True])
def test_a_sweep_over_blocks_is_the_single_site_sweep(missing, starts, gamma, pi, weighted):
    codes, y = small_cohort(missing=missing)
    y = y - y.mean()
    w = np.random.default_rng(5).uniform(0.3, 2, len(y)) if weighted else np.ones(len(y))
    case = Case(codes, y, starts=starts, gamma=gamma, pi=pi, w=w, intercept=False)
    given = random_numbers(3, case.p)
    assert case.run(1, given=given) == 1
    effect, residual, classes = oracle.sweep(
        centred(codes)[0],
        w,
        y,
        np.zeros(case.p),
        1.0,
        lambda j: np.array(gamma) * 0.2,
        lambda j: np.log(pi),
        given["uniform"][0, 0],
        given["normal"][0, 0],
    )
    np.testing.assert_allclose(case.effect, effect, atol=1e-12)
    np.testing.assert_allclose(case.residual, residual, atol=1e-11)
    assert np.array_equal(case.state.group[0], classes)


def test_many_tiles_of_samples():
    codes, y = small_cohort(n=5_003, p=19, missing=0.02)
    y = y - y.mean()
    case = Case(codes, y, starts=(0, 7), intercept=False)
    given = random_numbers(1, case.p)
    case.run(1, given=given)
    x = centred(codes)[0]
    np.testing.assert_allclose(case.residual, y - x @ case.effect, atol=1e-9)


def test_float32_gram_matrices_stay_close():
    codes, y = small_cohort()
    given = random_numbers(3, codes.shape[1])
    exact, single = (Case(codes, y, starts=(0, 9), gram32=gram32) for gram32 in (False, True))
    for case in (exact, single):
        case.run(1, given=given)
    np.testing.assert_allclose(single.effect, exact.effect, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("independent", [False, True])
@pytest.mark.parametrize("team", [2, 3])
def test_the_size_of_the_team_changes_no_bit(team, independent):
    codes, y = small_cohort(n=9_000, p=40, missing=0.01)
    cases = [
        Case(codes, y, starts=range(0, 40, 8), estimate=True, chains=2, draws=6, independent=independent)
        for _ in range(2)
    ]
    cases[0].run(7, burn_in=1, team=1)
    cases[1].run(7, burn_in=1, team=team)
    for one, other in zip([*cases[0].state, *cases[0].sums], [*cases[1].state, *cases[1].sums], strict=True):
        assert np.array_equal(one, other)


def test_iterations_can_be_cut_anywhere():
    codes, y = small_cohort()
    whole, cut = (Case(codes, y, estimate=True) for _ in range(2))
    whole.run(12)
    cut.run(5)
    cut.run(7, first=6)
    for one, other in zip(whole.state, cut.state, strict=True):
        assert np.array_equal(one, other)


@pytest.mark.parametrize(("gamma", "pi"), [((0.0, 1.0), (0.7, 0.3)), ((0.0, 0.1, 1.0), (0.5, 0.3, 0.2))])
@pytest.mark.parametrize("weighted", [False, True])
def test_posterior_of_known_variances_by_enumeration(gamma, pi, weighted):
    codes, y = small_cohort(seed=4, n=31, p=5)
    w = np.random.default_rng(1).uniform(0.5, 1.5, 31) if weighted else np.ones(31)
    y = (y - y.mean()) / y.std()
    probability, mean = oracle.enumerate_models(centred(codes)[0], y, w, 0.2, 1.0, pi, gamma)
    case = Case(codes, y, starts=(0, 3), gamma=gamma, pi=pi, w=w, chains=2, draws=40_000)
    case.run(40_500, burn_in=500)
    draws = 2 * 40_000
    included = case.sums.included.sum(axis=0) / draws
    assert np.abs(included - (1 - probability[:, 0])).max() < 0.012
    assert np.abs(case.sums.effect.sum(axis=0) / draws - mean).max() < 0.012


def test_without_inclusion_the_variances_follow_their_priors():
    """With pi = 1 nothing enters, so s2e given the data is scaled inverse chi-square with known moments."""
    codes, y = small_cohort(n=30, p=4)
    y = (y - y.mean()) / y.std()
    case = Case(codes, y, pi=(1.0, 0.0), estimate=True, draws=20_000, intercept=False)
    case.priors.estimate_pi[0] = 0
    case.run(20_000, burn_in=0)
    s2e, s2a = case.sums.trace[0, :, 0], case.sums.trace[0, :, 3]
    # (r'r + df S) / chi2(df + n): mean (r'r + df S) / (df + n - 2); with nothing included s2a has its prior's mean.
    assert s2e.mean() == pytest.approx((y @ y + 4 * 0.4) / (4 + 30 - 2), rel=0.01)
    assert s2a.mean() == pytest.approx(0.1 * 4 / 2, rel=0.2)
    assert np.median(s2a) == pytest.approx(0.1 * 4 / 3.3567, rel=0.03)
