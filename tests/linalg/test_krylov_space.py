"""A Krylov space that is kept whole, and a column beside it."""

from __future__ import annotations

import numpy as np
import pytest

from daskgen.linalg.krylov_space import Companion, KrylovSpace

SHIFT = 0.3


def problem(n=300, large=12, seed=0):
    """A matrix with some large eigenvalues, probes, and a vector."""
    generator = np.random.default_rng(seed)
    vectors = np.linalg.qr(generator.normal(size=(n, n)))[0]
    values = np.concatenate([np.geomspace(200, 6, large), generator.uniform(0, 2, n - large)])
    probes = np.sign(generator.normal(size=(n, 8)))
    return (vectors * values) @ vectors.T, np.sort(values)[::-1], probes, generator.normal(size=n)


def advanced(matrix, probes, y, passes, between=None):
    space = KrylovSpace(probes)
    companion = Companion(space, y)
    for _ in range(passes):
        if between is not None:
            space, companion = between(space), between(companion)
        own, block = companion.pending, space.pending
        space.advance(matrix @ block)
        companion.advance(space, None if own is None else matrix @ own)
    return space, companion


def test_functions_of_the_matrix_at_the_starting_columns():
    matrix, _, probes, y = problem()
    space, _ = advanced(matrix, probes, y, 13)
    found = space.galerkin()
    for f in (lambda t: 1 / (t + SHIFT), np.exp, lambda t: t):
        values, vectors = np.linalg.eigh(matrix)
        expected = (f(values / 100) * (vectors.T @ probes).T ** 2).sum(axis=1)
        np.testing.assert_allclose((f(found.values / 100) @ found.coordinates**2), expected, rtol=2e-5)
    assert np.abs(space.basis.T @ space.basis - np.eye(space.basis.shape[1])).max() < 3e-6


def test_large_eigenvalues_are_found_once_and_known():
    matrix, values, probes, y = problem()
    space, _ = advanced(matrix, probes, y, 9)
    found = space.galerkin()
    known = found.accurate(1e-3)
    np.testing.assert_allclose(found.values[known][::-1][:12], values[:12], rtol=1e-5)
    # Residuals are what they say.
    vectors = space.basis[:, : space.size] @ found.vectors
    residuals = np.linalg.norm(matrix @ vectors - vectors * found.values, axis=0)
    np.testing.assert_allclose(found.residuals, residuals, atol=2e-4)


@pytest.mark.parametrize("passes", [1, 5, 12])
def test_a_companion_is_in_the_space_of_both(passes):
    """Joined with the space it gives what one space from the probes and the column together gives."""
    matrix, _, probes, y = problem()
    space, companion = advanced(matrix, probes, y, passes)
    together = KrylovSpace(np.column_stack([probes, y]))
    for _ in range(passes):
        together.advance(matrix @ together.pending)
    expected = together.galerkin()
    at = expected.coordinates[:, -1] ** 2 @ (1 / (expected.values + SHIFT))
    joined, start, to_basis = companion.joined(space)
    solution = np.linalg.solve(joined + SHIFT * np.eye(len(joined)), start)
    assert start @ solution == pytest.approx(at, rel=2e-3 if passes == 5 else 1e-5)
    assert start @ start == pytest.approx(y @ y, rel=1e-6)
    if passes == 12:
        exact = np.linalg.solve(matrix + SHIFT * np.eye(len(y)), y)
        expanded = companion.expand(space, solution, to_basis)
        assert np.linalg.norm(expanded - exact) < 5e-3 * np.linalg.norm(exact)


def test_a_companion_does_not_change_the_space():
    matrix, _, probes, y = problem()
    space, _ = advanced(matrix, probes, y, 4)
    other, _ = advanced(matrix, probes, -y[::-1], 4)
    np.testing.assert_array_equal(space.basis, other.basis)


def test_the_state_goes_through_arrays():
    matrix, _, probes, y = problem()

    def saved(what):
        return type(what).from_arrays({name: np.array(value) for name, value in what.as_arrays().items()})

    one, other = advanced(matrix, probes, y, 5), advanced(matrix, probes, y, 5, between=saved)
    np.testing.assert_array_equal(one[0].projected, other[0].projected)
    for a, b in zip(one[1].joined(one[0]), other[1].joined(other[0]), strict=True):
        np.testing.assert_array_equal(a, b)


def test_an_invariant_space_ends():
    generator = np.random.default_rng(1)
    half = generator.normal(size=(40, 3))
    matrix = half @ half.T
    y = half @ np.ones(3)
    space, companion = KrylovSpace(generator.normal(size=(40, 2))), None
    companion = Companion(space, y)
    for _ in range(6):
        own = companion.pending
        if space.pending.shape[1]:
            space.advance(matrix @ space.pending)
        companion.advance(space, None if own is None else matrix @ own)
    assert space.pending.shape[1] == 0
    joined, start, _ = companion.joined(space)
    found = start @ np.linalg.solve(joined + np.eye(len(joined)), start)
    assert found == pytest.approx(y @ np.linalg.solve(matrix + np.eye(40), y), rel=1e-4)
