"""Conjugate gradients with columns of their own."""

from __future__ import annotations

import numpy as np
import pytest

from daskgen.linalg.conjugate_gradient import conjugate_gradient


def system(n=60, r=4, seed=0):
    generator = np.random.default_rng(seed)
    a = generator.normal(size=(n, 2 * n))
    return a @ a.T / (2 * n) + 0.1 * np.eye(n), generator.normal(size=(n, r))


def test_solutions_and_residuals():
    a, b = system()
    found = conjugate_gradient(lambda v, _: a @ v, b, tol=1e-10)
    assert found.converged(1e-10)
    np.testing.assert_allclose(found.solution, np.linalg.solve(a, b), rtol=1e-7, atol=1e-9)


def test_every_column_may_have_a_matrix_of_its_own():
    a, b = system()
    shifts = np.array([0.0, 1.0, 10.0, 0.3])
    found = conjugate_gradient(lambda v, columns: a @ v + v * shifts[columns], b, tol=1e-10)
    for i, shift in enumerate(shifts):
        np.testing.assert_allclose(found.solution[:, i], np.linalg.solve(a + shift * np.eye(60), b[:, i]), rtol=1e-6)


def test_converged_columns_are_left_out():
    a, b = system()
    seen = []

    def product(v, columns):
        seen.append(columns.tolist())
        return a @ v

    conjugate_gradient(product, b, tol=np.array([0.5, 1e-8, 1e-8, 1e-8]))
    assert seen[0] == [0, 1, 2, 3]
    assert seen[-1] != seen[0]
    assert 0 not in seen[-1]


def test_a_start_saves_products():
    a, b = system()
    exact = np.linalg.solve(a, b)
    cold = conjugate_gradient(lambda v, _: a @ v, b, tol=1e-8)
    warm = conjugate_gradient(lambda v, _: a @ v, b, tol=1e-8, start=exact + 1e-6)
    known = conjugate_gradient(lambda v, _: a @ v, b, tol=1e-8, start=exact, product_of_start=a @ exact)
    assert warm.products < cold.products
    assert known.products == 0


def test_preconditioner_and_zero_columns():
    a, b = system()
    a = a + np.diag(np.r_[np.full(30, 100.0), np.zeros(30)])
    b[:, 1] = 0
    plain = conjugate_gradient(lambda v, _: a @ v, b, tol=1e-9)
    better = conjugate_gradient(lambda v, _: a @ v, b, tol=1e-9, precondition=lambda v, _: v / np.diag(a)[:, None])
    assert better.products < plain.products
    np.testing.assert_array_equal(better.solution[:, 1], 0)
    np.testing.assert_allclose(better.solution, np.linalg.solve(a, b), rtol=1e-6, atol=1e-9)


def test_iterations_end():
    a, b = system()
    found = conjugate_gradient(lambda v, _: a @ v, b, tol=1e-14, max_iterations=3)
    assert found.products == 3
    assert not found.converged(1e-14)
    assert found.residual.max() == pytest.approx(
        (np.linalg.norm(b - a @ found.solution, axis=0) / np.linalg.norm(b, axis=0)).max(), rel=1e-9
    )
