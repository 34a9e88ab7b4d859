"""Gauss quadrature from Lanczos recurrences."""

from __future__ import annotations

import numpy as np
import pytest

from daskgen.linalg.quadrature import Recurrences


def matrix(n=40, seed=0):
    generator = np.random.default_rng(seed)
    a = generator.normal(size=(n, 2 * n))
    return a @ a.T / (2 * n)


def test_quadratic_forms_of_every_function():
    a, b = matrix(), np.random.default_rng(1).normal(size=(40, 3))
    run = Recurrences.start(b)
    for _ in range(25):
        run.step(lambda v: a @ v)
    nodes, weights = run.rule()
    values, vectors = np.linalg.eigh(a)
    for f in (np.log, lambda x: 1 / (x + 0.5), lambda x: x**2 / (x + 0.1) ** 3):
        exact = ((vectors.T @ b) ** 2 * f(values)[:, None]).sum(axis=0)
        np.testing.assert_allclose((f(nodes) * weights).sum(axis=1), exact, rtol=1e-6)


@pytest.mark.parametrize("steps", [1, 2, 5])
def test_polynomials_are_exact(steps):
    a, b = matrix(), np.random.default_rng(2).normal(size=(40, 2))
    run = Recurrences.start(b)
    for _ in range(steps):
        run.step(lambda v: a @ v)
    nodes, weights = run.rule()
    for power in range(2 * steps):
        exact = np.einsum("nr,nr->r", b, np.linalg.matrix_power(a, power) @ b)
        np.testing.assert_allclose((nodes**power * weights).sum(axis=1), exact, rtol=1e-9)


def test_a_space_that_ends_early():
    a = np.diag([1.0, 1, 1, 2, 2, 3])
    b = np.column_stack([np.ones(6), [1.0, 1, 0, 0, 0, 0], np.arange(6.0)])
    run = Recurrences.start(b)
    for _ in range(6):
        run.step(lambda v: a @ v)
    assert run.exhausted
    nodes, weights = run.rule()
    np.testing.assert_allclose((weights / nodes).sum(axis=1), (b**2 / np.diag(a)[:, None]).sum(axis=0), rtol=1e-10)


def test_the_state_goes_on_where_it_was():
    a, b = matrix(), np.random.default_rng(1).normal(size=(40, 3))
    whole, first = Recurrences.start(b), Recurrences.start(b)
    for _ in range(3):
        whole.step(lambda v: a @ v)
        first.step(lambda v: a @ v)
    second = Recurrences.from_arrays(first.as_arrays())
    whole.step(lambda v: a @ v)
    second.step(lambda v: a @ v)
    np.testing.assert_array_equal(second.rule()[0], whole.rule()[0])
