"""Quadratic functions on the non-negative orthant."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from daskgen.linalg.non_negative import non_negative_minimum


def oracle(a, r):
    """The best of the minima on all faces."""
    best, value = np.zeros(len(r)), 0.0
    for k in range(1, len(r) + 1):
        for face in itertools.combinations(range(len(r)), k):
            i = np.array(face)
            x = np.zeros(len(r))
            x[i] = np.linalg.solve(a[np.ix_(i, i)], r[i])
            if (x >= 0).all() and 0.5 * x @ a @ x - r @ x < value:
                best, value = x, 0.5 * x @ a @ x - r @ x
    return best


@pytest.mark.parametrize("seed", range(10))
def test_the_minimum_is_that_of_the_best_face(seed):
    generator = np.random.default_rng(seed)
    b = generator.normal(size=(6, 4)) * 10.0 ** generator.integers(-4, 4, 4)
    a, r = b.T @ b, generator.normal(size=4) * np.linalg.norm(b, axis=0)
    np.testing.assert_allclose(non_negative_minimum(a, r), oracle(a, r), rtol=1e-6, atol=1e-12)


def test_a_singular_matrix():
    a = np.array([[2.0, 2, 0], [2, 2, 0], [0, 0, 0]])
    found = non_negative_minimum(a, np.array([4.0, 4, 0]))
    assert (found >= 0).all()
    assert found[0] + found[1] == pytest.approx(2, rel=1e-6)
    np.testing.assert_array_equal(non_negative_minimum(np.eye(2), np.array([-1.0, -2])), 0)
