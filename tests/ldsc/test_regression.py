"""The pure parts of LD-score regression: blocks, regression, jackknife, weights, liability, correlations."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import chi2, norm

from daskgen.ldsc.blocks import block_ranks, n_blocks_for
from daskgen.ldsc.correlation import genetic_correlation, standardised, two_sided_p
from daskgen.ldsc.diagnostics import MEDIAN_CHISQ, attenuation_ratio, genomic_control
from daskgen.ldsc.liability import liability_factor
from daskgen.ldsc.regression import BlockRegression, is_singular, jackknife_covariance, normal_equations
from daskgen.ldsc.weights import aggregate_heritability
from daskgen.linalg.vech import vech, vech_indices


@given(n=st.integers(3, 10**7), blocks=st.integers(2, 1_000))
def test_blocks_are_even_and_cover_every_variant_once(n, blocks):
    if n <= blocks:
        return
    ranks = block_ranks(n, blocks)
    sizes = np.diff(ranks)
    assert (ranks[0], ranks[-1]) == (0, n)
    assert sizes.min() >= 1
    assert sizes[:-1].max() - sizes[:-1].min() <= 1
    np.testing.assert_array_equal(block_ranks(np.array([n, n]), blocks), [ranks, ranks])


def test_blocks_begin_where_r_begins_them():
    # floor(seq(1, n, length.out = B + 1)) of R 4.2
    assert block_ranks(1_000, 3).tolist() == [0, 333, 666, 1_000]
    assert block_ranks(11, 10).tolist() == [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 11]


def test_more_than_18_traits_need_more_blocks():
    assert [n_blocks_for(k, 200) for k in (1, 18, 19, 30)] == [200, 200, 211, 497]
    assert n_blocks_for(19, 1_000) == 211


def test_regression_and_jackknife_are_those_of_the_rows():
    generator = np.random.default_rng(0)
    x = np.column_stack([generator.gamma(2, 10, 700), np.ones(700)])
    w, y = generator.uniform(0.1, 2, 700), generator.normal(size=700)
    edges = [0, *sorted(generator.choice(np.arange(20, 680), 8, replace=False)), 700]
    parts = [slice(a, b) for a, b in zip(edges[:-1], edges[1:], strict=True)]
    terms = np.column_stack([w * x[:, 0] ** 2, w * x[:, 0], w, w * x[:, 0] * y, w * y])
    fit = BlockRegression.fit(*normal_equations(np.array([terms[part].sum(axis=0) for part in parts])))
    root = np.sqrt(w)

    def least_squares(rows):
        return np.linalg.lstsq(x[rows] * root[rows, None], y[rows] * root[rows])[0]

    np.testing.assert_allclose(fit.estimate, least_squares(slice(None)), rtol=1e-9)
    for block, part in enumerate(parts):
        others = np.setdiff1d(np.arange(700), np.arange(700)[part])
        np.testing.assert_allclose(fit.delete_one[block], least_squares(others), rtol=1e-9)
    covariance = jackknife_covariance(fit.pseudo_values.T)
    np.testing.assert_allclose(np.sqrt(np.diag(covariance)), fit.standard_error, rtol=1e-12)
    assert fit.n_blocks == 9


def test_a_predictor_that_does_not_vary_is_noticed():
    w = np.random.default_rng(0).uniform(0.1, 1, 10_000)
    for score, singular in ((7.3, True), (0.0, True), (np.linspace(7.3, 7.301, 10_000), False)):
        x = np.broadcast_to(score, 10_000)
        xwx, _ = normal_equations(np.array([(w * x**2).sum(), (w * x).sum(), w.sum(), 0, 0]))
        assert bool(is_singular(xwx)) is singular


def test_the_aggregate_heritability_is_kept_between_0_and_1():
    found = aggregate_heritability(np.array([0.9, 1.5, 90.0, np.nan]), np.full(4, 1e6), 1e6)
    assert found.tolist() == [0.0, 0.5, 1.0, 0.0]


def test_the_liability_scale_is_that_of_lee_and_others():
    k, p = 0.01, 0.3
    threshold = norm.isf(k)
    expected = k**2 * (1 - k) ** 2 / (p * (1 - p) * norm.pdf(threshold) ** 2)
    found = liability_factor(np.array([p, np.nan]), np.array([k, np.nan]))
    np.testing.assert_allclose(found, [expected, 1.0], rtol=1e-13)


def test_diagnostics():
    assert pytest.approx(chi2.ppf(0.5, 1), rel=1e-14) == MEDIAN_CHISQ
    assert genomic_control(np.array([0.1, MEDIAN_CHISQ, 9.0])) == 1.0
    assert np.isnan(genomic_control(np.array([])))
    ratio, error = attenuation_ratio(np.array([1.1, 0.9, 1.1]), np.full(3, 0.02), np.array([1.5, 1.5, 0.99]))
    np.testing.assert_allclose(ratio, [0.2, -0.2, np.nan])
    np.testing.assert_allclose(error, [0.04, 0.04, np.nan])


def test_correlations_are_scaled_covariances():
    s = np.array([[0.25, 0.1], [0.1, 0.16]])
    v = np.diag([1e-4, 2e-4, 3e-4])
    s_stand, v_stand = standardised(s, v)
    np.testing.assert_allclose(s_stand, [[1, 0.5], [0.5, 1]])
    np.testing.assert_allclose(np.diag(v_stand), [1e-4 / 0.25**2, 2e-4 / (0.25 * 0.16), 3e-4 / 0.16**2])


def test_the_error_of_a_correlation_grows_with_that_of_the_heritabilities():
    generator = np.random.default_rng(1)
    s = np.array([[0.25, 0.1], [0.1, 0.16]])
    row, column = vech_indices(2)
    blocks = 50
    noise = generator.normal(size=(3, blocks)) / (blocks - 1)
    noise -= noise.mean(axis=1, keepdims=True)
    quiet = vech(s)[:, None] + noise * np.array([0.0, 0.02, 0.0])[:, None]
    loud = vech(s)[:, None] + noise * np.array([0.05, 0.02, 0.05])[:, None]
    errors = [genetic_correlation(s, deleted)[1][1, 0] for deleted in (quiet, loud)]
    # Without error of the heritabilities it is that of the covariance.
    pseudo = -(blocks - 1) * quiet[row != column] / np.sqrt(0.25 * 0.16)
    assert errors[0] == pytest.approx(pseudo.std(ddof=1) / np.sqrt(blocks), rel=1e-6)
    assert errors[1] > errors[0]


def test_p_values_are_two_sided():
    np.testing.assert_allclose(two_sided_p(np.array([1.96, -1.0]), np.ones(2)), 2 * norm.sf([1.96, 1.0]), rtol=1e-12)
    assert np.isnan(two_sided_p(np.array([np.nan]), np.ones(1))).all()
