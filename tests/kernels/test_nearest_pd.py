"""The nearest positive definite matrix against R's algorithm written out, and what must hold of it."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from daskgen.kernels.nearest_pd import nearest_pd, positive_definite
from tests.oracles import nearest_pd as oracle


def symmetric(k: int, seed: int, indefinite: float = 0.3) -> np.ndarray:
    """A covariance-like matrix with some negative eigenvalues."""
    generator = np.random.default_rng(seed)
    q = np.linalg.qr(generator.normal(size=(k, k)))[0]
    values = generator.gamma(1, 1, k)
    values[generator.random(k) < indefinite] *= -0.1
    values[0] = 2.0
    scale = np.exp(generator.normal(size=k))
    return (q * values) @ q.T * np.outer(scale, scale)


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 12), st.integers(0, 2**32))
def test_small_matrices_follow_the_definition(k, seed):
    matrix = symmetric(k, seed)
    expected = oracle.nearest_pd(matrix)
    np.testing.assert_allclose(nearest_pd(matrix), expected, rtol=0, atol=1e-12 * abs(expected).max())


@pytest.mark.parametrize("k", [16, 28, 45, 78])
def test_larger_matrices_follow_the_definition(k):
    matrix = symmetric(k, k)
    expected = oracle.nearest_pd(matrix)
    np.testing.assert_allclose(nearest_pd(matrix), expected, rtol=0, atol=1e-12 * abs(expected).max())


def test_blocks_of_very_different_size_follow_the_definition():
    # The sampling covariance of a SNP beside that of S: eigenvalues from 1e-8 to 1e-3.
    blocks = [np.array([[2.5e-7]]), 1e-7 * symmetric(4, 3, 0.5), 1e-4 * symmetric(6, 8, 0.3)]
    matrix = np.zeros((11, 11))
    at = 0
    for block in blocks:
        matrix[at : at + len(block), at : at + len(block)] = block
        at += len(block)
    np.testing.assert_allclose(nearest_pd(matrix), oracle.nearest_pd(matrix), rtol=0, atol=1e-16)


def test_many_matrices_are_smoothed_each_for_itself():
    matrices = np.array([[symmetric(3, 10 * i + j) for j in range(4)] for i in range(5)])
    smoothed = nearest_pd(matrices)
    assert smoothed.shape == matrices.shape
    for i in range(5):
        for j in range(4):
            assert np.array_equal(smoothed[i, j], nearest_pd(matrices[i, j]))
    assert np.linalg.eigvalsh(smoothed).min() > 0
    assert np.array_equal(smoothed, np.swapaxes(smoothed, -1, -2))


def test_a_positive_definite_matrix_stays():
    matrix = symmetric(5, 1, indefinite=0.0)
    np.testing.assert_allclose(nearest_pd(matrix), matrix, rtol=1e-13)
    kept, replaced = positive_definite(matrix)
    assert not replaced
    assert np.array_equal(kept, matrix)


def test_only_matrices_that_are_not_positive_definite_are_replaced():
    matrices = np.array([np.eye(2), [[1.0, 2.0], [2.0, 1.0]], [[1.0, 0.5], [0.5, 1.0]]])
    made, replaced = positive_definite(matrices)
    assert replaced.tolist() == [False, True, False]
    assert np.array_equal(made[[0, 2]], matrices[[0, 2]])
    assert np.array_equal(made[1], nearest_pd(matrices[1]))
    assert np.linalg.eigvalsh(made).min() > 0


def test_the_argument_is_not_changed():
    matrix = np.array([[1.0, 2.0], [2.0, 1.0]])
    nearest_pd(matrix)
    positive_definite(matrix)
    assert matrix.tolist() == [[1.0, 2.0], [2.0, 1.0]]


@pytest.mark.parametrize("matrix", [[[-1.0]], [[0.0, 0.0], [0.0, 0.0]], [[np.nan, 0.0], [0.0, 1.0]], [[np.inf]]])
def test_there_is_none_without_a_positive_eigenvalue_or_with_values_that_are_not_finite(matrix):
    assert np.isnan(nearest_pd(matrix)).all()


def test_a_matrix_must_be_square():
    with pytest.raises(ValueError, match=r"\(\.\.\., k, k\)"):
        nearest_pd(np.ones((2, 3)))
    assert nearest_pd(np.ones((0, 3, 3))).shape == (0, 3, 3)
