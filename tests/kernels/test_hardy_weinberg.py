"""The exact test of Hardy-Weinberg proportions against its definition in rational numbers."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import gammaln, logsumexp

from daskgen.kernels.hardy_weinberg import exact_p
from tests.oracles.genotypes import hardy_weinberg_p

COUNTS = st.integers(0, 40)


@given(COUNTS, COUNTS, COUNTS)
def test_small_counts_follow_the_definition(n_hom1, n_het, n_hom2):
    assert exact_p(n_hom1, n_het, n_hom2) == pytest.approx(hardy_weinberg_p(n_hom1, n_het, n_hom2), rel=1e-13)


@pytest.mark.parametrize(
    "counts",
    [
        (2000, 100, 3000),  # far too few heterozygotes
        (100, 2000, 2500),  # p of 1e-45
        (3000, 1500, 300),
        (1000, 2002, 1000),  # the most likely outcome
        (0, 1, 4999),
        (0, 300, 4700),
        (1, 0, 4999),
    ],
)
def test_thousands_of_samples_follow_the_definition(counts):
    assert exact_p(*counts) == pytest.approx(hardy_weinberg_p(*counts), rel=1e-12)


@given(COUNTS, COUNTS, COUNTS)
def test_the_two_alleles_can_be_exchanged(n_hom1, n_het, n_hom2):
    assert exact_p(n_hom1, n_het, n_hom2) == pytest.approx(float(exact_p(n_hom2, n_het, n_hom1)), rel=1e-13)


@pytest.mark.parametrize("counts", [(0, 0, 0), (0, 0, 7), (500_000, 0, 0), (0, 1, 0), (0, 1, 3)])
def test_p_is_one_where_there_is_no_choice(counts):
    assert exact_p(*counts) == 1


def log_p(n_hom1: int, n_het: int, n_hom2: int) -> float:
    """ln p from log-gamma functions, for counts that are too large for rational numbers."""
    n, copies = n_hom1 + n_het + n_hom2, 2 * n_hom1 + n_het
    het = np.arange(copies % 2, min(copies, 2 * n - copies) + 1, 2)
    hom1, hom2 = (copies - het) // 2, (2 * n - copies - het) // 2
    weight = het * np.log(2) - gammaln(hom1 + 1) - gammaln(het + 1) - gammaln(hom2 + 1)
    at_most = weight <= weight[het == n_het] + 1e-7
    return float(logsumexp(weight[at_most]) - logsumexp(weight))


@pytest.mark.parametrize(
    "counts",
    [
        (100_000, 245_000, 155_000),
        (125_000, 250_000, 125_000),
        (125_300, 249_400, 125_300),
        (0, 1_000, 499_000),
        (3, 1_000, 498_997),
        (80_000, 240_000, 180_000),
        (99_250, 232_500, 168_250),  # p of about 1e-295
    ],
)
def test_half_a_million_samples_neither_overflow_nor_underflow(counts):
    assert np.log(exact_p(*counts)) == pytest.approx(log_p(*counts), rel=1e-6, abs=1e-6)


def test_a_p_below_the_smallest_float_is_zero():
    np.testing.assert_array_equal(exact_p([250_000, 0, 1000], [0, 500_000, 0], [250_000, 0, 499_000]), 0)


def test_arrays_of_any_shape_are_taken_and_spread():
    p = exact_p(np.array([[1], [2]]), np.array([3, 4, 5], np.int32), 6)
    assert p.shape == (2, 3)
    assert p[1, 2] == pytest.approx(hardy_weinberg_p(2, 5, 6), rel=1e-13)


def test_counts_that_are_none_are_refused():
    with pytest.raises(ValueError, match="must not be negative"):
        exact_p(-1, 2, 3)
    with pytest.raises(TypeError, match="must be integers"):
        exact_p(1.5, 2, 3)
