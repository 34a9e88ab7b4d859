"""The search for parameters, on discrepancies that are known in closed form or that SciPy minimises."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import least_squares, lsq_linear

from daskgen.kernels.lanes import LANES
from daskgen.kernels.sem_fit import CONVERGED, NOT_CONVERGED, SINGULAR, SKIPPED, FitSlots, fit_parameters
from daskgen.kernels.tape import TapeBuilder

EVERYWHERE = np.inf


def least_squares_tape(functions, slopes, n_rows, p):
    """A tape for sum (y_i - f_i(x))^2; functions(b, x) and slopes(b, x) write f and df/dx (rows of p values)."""
    tape = TapeBuilder()
    slots = FitSlots.on(tape, n_rows, p)
    tape.end_stage()
    values = functions(tape, slots.trial)
    residual = [tape.combination([(1.0, y), (-1.0, f)]) for y, f in zip(slots.inputs, values, strict=True)]
    tape.put(slots.fit, [(e, e) for e in residual])
    tape.end_stage()
    jacobian = slopes(tape, slots.trial)
    for a in range(p):
        tape.put(slots.gradient[a], [(row[a], e) for row, e in zip(jacobian, residual, strict=True)])
        for b in range(a + 1):
            tape.put(slots.normal[a * (a + 1) // 2 + b], [(row[a], row[b]) for row in jacobian])
    return tape.tape(), slots


def solve(tape, slots, y, start, lower=None, upper=None, outcome=None, **more):
    p = len(slots.trial)
    outcome = np.zeros(y.shape[1], np.int16) if outcome is None else outcome
    lower = np.full(p, -EVERYWHERE) if lower is None else lower
    upper = np.full(p, EVERYWHERE) if upper is None else upper
    theta = fit_parameters(tape, slots, y, start, lower, upper, outcome, **({"tolerance": 1e-18} | more))
    return theta, outcome


def linear(design):
    return (
        lambda b, x: [b.combination([(float(c), v) for c, v in zip(row, x, strict=True)]) for row in design],
        lambda b, x: [[float(c) for c in row] for row in design],
    )


@pytest.mark.parametrize("n", [1, 5, LANES, LANES + 1, 101])
def test_linear_least_squares_takes_the_normal_equations(n):
    rng = np.random.default_rng(n)
    design, y = rng.normal(size=(6, 3)), rng.normal(size=(6, n))
    theta, outcome = solve(*least_squares_tape(*linear(design), 6, 3), y, np.zeros((3, 1)))
    assert (outcome == CONVERGED).all()
    np.testing.assert_allclose(theta, np.linalg.lstsq(design, y, rcond=None)[0], rtol=1e-9, atol=1e-11)


def test_bounds_are_honoured_as_by_bounded_least_squares():
    rng = np.random.default_rng(1)
    design, y = rng.normal(size=(8, 4)), 3 * rng.normal(size=(8, 60))
    lower, upper = np.array([-0.5, -np.inf, 0.0, -1.0]), np.array([0.5, 0.3, np.inf, 1.0])
    start = np.array([0.0, 0.0, 0.5, 0.0])[:, None]
    theta, outcome = solve(*least_squares_tape(*linear(design), 8, 4), y, start, lower, upper)
    assert (outcome == CONVERGED).all()
    wanted = np.array([lsq_linear(design, column, (lower, upper), tol=1e-14).x for column in y.T]).T
    np.testing.assert_allclose(theta, wanted, atol=1e-6)
    assert (theta == lower[:, None]).any()
    assert (theta == upper[:, None]).any()


def curve():
    """f = x_0 t^2 x_1 + x_0 x_0 (t - 1), at t = 0.2 ... 2: far starts need damping."""
    points = np.linspace(0.2, 2, 8)

    def functions(b, x):
        product, square = b.product(x[0], x[1]), b.product(x[0], x[0])
        return [b.combination([(t * t, product), (t - 1, square)]) for t in points]

    def slopes(b, x):
        return [[b.combination([(t * t, x[1]), (2 * (t - 1), x[0])]), b.product(t * t, x[0])] for t in points]

    def numbers(x):
        return x[0] * x[1] * points**2 + x[0] ** 2 * (points - 1)

    return functions, slopes, numbers


def test_nonlinear_least_squares_ends_in_the_minimum_from_near_and_far():
    functions, slopes, numbers = curve()
    rng = np.random.default_rng(2)
    truth = rng.uniform(0.5, 2, (40, 2))
    y = np.array([numbers(x) + 0.05 * rng.normal(size=8) for x in truth]).T
    for start in (np.array([[1.0], [1.0]]), np.array([[8.0], [0.1]])):
        theta, outcome = solve(*least_squares_tape(functions, slopes, 8, 2), y, start)
        assert (outcome == CONVERGED).all()
        for snp in range(40):
            found = least_squares(lambda x, s=snp: y[:, s] - numbers(x), truth[snp], xtol=1e-15, ftol=1e-15, gtol=1e-15)
            np.testing.assert_allclose(theta[:, snp], found.x, rtol=1e-6)


def test_each_snp_may_have_its_own_start():
    functions, slopes, numbers = curve()
    truth = np.array([[1.0, 1.5], [-1.0, -1.5]])  # the curve is the same with both signs turned
    y = np.array([numbers(x) for x in truth]).T
    theta, _ = solve(*least_squares_tape(functions, slopes, 8, 2), y, np.ascontiguousarray(1.1 * truth.T))
    np.testing.assert_allclose(theta, truth.T, rtol=1e-7)


def test_what_is_skipped_not_determined_or_out_of_time_is_said_so():
    functions, slopes, numbers = curve()
    y = np.repeat(numbers(np.array([1.0, 1.5]))[:, None], 20, axis=1)
    outcome = np.zeros(20, np.int16)
    outcome[[0, 3, 19]] = SKIPPED
    tape = least_squares_tape(functions, slopes, 8, 2)
    theta, outcome = solve(*tape, y, np.array([[1.0], [1.0]]), outcome=outcome)
    assert np.flatnonzero(outcome == SKIPPED).tolist() == [0, 3, 19]
    assert np.isnan(theta[:, [0, 3, 19]]).all()
    assert (outcome[[1, 2, 4]] == CONVERGED).all()
    theta, outcome = solve(*tape, y, np.array([[8.0], [0.1]]), max_steps=2)
    assert (outcome == NOT_CONVERGED).all()
    assert np.isfinite(theta).all()
    flat = least_squares_tape(lambda b, x: [1.0, 2.0], lambda b, x: [[0.0], [0.0]], 2, 1)
    _, outcome = solve(*flat, np.ones((2, 3)), np.zeros((1, 1)))
    assert (outcome == SINGULAR).all()


def test_bits_of_a_snp_depend_neither_on_its_neighbours_nor_on_its_place():
    functions, slopes, numbers = curve()
    rng = np.random.default_rng(5)
    y = np.array([numbers(rng.uniform(0.3, 3, 2)) + 0.2 * rng.normal(size=8) for _ in range(50)]).T
    tape = least_squares_tape(functions, slopes, 8, 2)
    start = np.array([[4.0], [0.3]])
    whole, _ = solve(*tape, y, start)
    order = rng.permutation(50)
    turned, _ = solve(*tape, np.ascontiguousarray(y[:, order]), start)
    np.testing.assert_array_equal(turned, whole[:, order])
    for snp in range(0, 50, 7):
        alone, _ = solve(*tape, np.ascontiguousarray(y[:, snp : snp + 1]), start)
        np.testing.assert_array_equal(alone[:, 0], whole[:, snp])
