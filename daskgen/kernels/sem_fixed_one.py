"""The fit of `sem_fixed` where the SNP has one path coefficient, as in a common factor model: written out.

With one effect every matrix of the problem is a number, so that Newton's steps and the sandwich stay in registers: a
third of the time that the general way takes.
"""

from __future__ import annotations

import functools

import numpy as np
import numpy.typing as npt
from numba import types

from daskgen.kernels.compile import helper, input_array, kernel, output_array
from daskgen.kernels.lanes import LANES, add, divide, fill, load, multiply, multiply_add, root, select, store, subtract
from daskgen.kernels.sem_fixed_groups import (
    FAILED,
    OPEN,
    OWN_SLOTS,
    SINGULAR,
    STEPS,
    close_lanes,
    read_group,
    write_group,
)
from daskgen.kernels.sem_fixed_tape import FixedConstants

__all__ = ["fit_one_effect"]

Float64 = npt.NDArray[np.float64]

_SMALLEST_PIVOT = 1e-13

# Slots after those of the k effects, k standard errors (then weights) and k residuals.
_PHI, _P, _OUTSIDE, _ESTIMATE, _ERROR, _CHISQ, _AIC, _Q_SNP, _FIXED_SLOTS = range(9)


def fit_one_effect(
    constants: FixedConstants,
    beta: Float64,
    se: Float64,
    variance: Float64,
    out: Float64,
    status: npt.NDArray[np.int16],
) -> None:
    """Fill `out` with theta, its standard error, p, chi-square, AIC and Q_SNP of at most one factor, and `status`.

    All arrays are in groups (`grouped`).
    """
    _fit_one_effect(*_arguments(constants), beta, se, variance, out, status)


@functools.lru_cache(maxsize=64)
def _arguments(c: FixedConstants) -> tuple[Float64, ...]:
    """The constants as the loops take them; blocks are small, so this is not done for each."""
    everything = tuple(range(c.n_traits))
    # Q_SNP of a factor that all traits measure is the part of the chi-square that is there already.
    other = [root for rows, root in zip(c.indicators, c.factor_roots, strict=True) if rows != everything]
    numbers = [c.h[0], c.g[0, 0], c.m[0, 0], c.fit_0, c.fit_1[0], c.fit_2[0, 0], c.snp_se, 2.0 * c.n_parameters]
    return (
        np.array(c.gc, np.float64),
        np.ascontiguousarray(c.effects[:, 0]),
        np.tril(c.correlation, -1) * 2.0 + np.eye(c.n_traits),
        c.s_root,
        c.correlation_root,
        other[0] if other else np.zeros((0, c.n_traits)),
        np.array(numbers, np.float64),
    )


@helper
def _squares(memory, matrix, first, triangular):
    """|A x|^2 for the vector x in slots from `first` on."""
    total = fill(0.0)
    for i in range(matrix.shape[0]):
        row = fill(0.0)
        for j in range(i + 1 if triangular else matrix.shape[1]):
            row = multiply_add(fill(matrix[i, j]), load(memory, first + j), row)
        total = multiply_add(row, row, total)
    return total


_VECTOR = input_array(types.float64, 1)
_MATRIX = input_array(types.float64, 2)


@kernel(
    types.void(
        *[_VECTOR] * 2,
        *[_MATRIX] * 4,
        _VECTOR,
        *[_MATRIX] * 3,
        output_array(types.float64, 2),
        output_array(types.int16, 2),
    )
)
def _fit_one_effect(
    gc, loading, correlation, s_root, r_root, factor_root, numbers, beta, se, variance, out, status
):  # fmt: skip
    k = gc.size
    effects, weights, left, phi_slot = 0, k, 2 * k, 3 * k + _PHI
    at = 3 * k
    own = at + _FIXED_SLOTS
    memory = np.zeros((own + OWN_SLOTS, LANES))
    results = np.array([at + _ESTIMATE, at + _ERROR, at + _P, at + _CHISQ, at + _AIC, at + _Q_SNP])
    results = results[: out.shape[0] // variance.shape[0]]
    h, g, m = fill(numbers[0]), fill(numbers[1]), fill(numbers[2])
    fit_0, fit_1, fit_2 = fill(numbers[3]), fill(-2.0 * numbers[4]), fill(numbers[5])
    snp_se, penalty = fill(numbers[6]), fill(numbers[7])
    zero, one, two = fill(0.0), fill(1.0), fill(2.0)
    for group in range(variance.shape[0]):
        read_group(memory, effects, weights, phi_slot, own, beta, se, variance, group)
        phi = load(memory, phi_slot)
        store(memory, at + _OUTSIDE, multiply(phi, _squares(memory, s_root, effects, True)))
        gram, linear, meat = zero, zero, zero
        for i in range(k):
            weight = divide(one, multiply(load(memory, weights + i), fill(gc[i])))
            store(memory, weights + i, weight)
            x = multiply(weight, fill(loading[i]))
            store(memory, left + i, x)
            gram = multiply_add(x, x, gram)
            linear = multiply_add(x, multiply(weight, load(memory, effects + i)), linear)
            with_others = zero
            for j in range(i + 1):
                with_others = multiply_add(fill(correlation[i, j]), load(memory, left + j), with_others)
            meat = multiply_add(x, with_others, meat)

        eta, inverse, scale = divide(linear, gram), divide(one, phi), phi
        store(memory, at + _P, phi)
        store(memory, own + OPEN, one)
        store(memory, own + FAILED, zero)
        for _ in range(STEPS):
            q = multiply(eta, eta)
            excess = subtract(multiply(multiply(scale, g), q), h)  # Gv - h
            twice = multiply(two, scale)
            slope = multiply(twice, eta)  # dv / d eta
            gradient = multiply_add(slope, excess, subtract(multiply(gram, eta), linear))
            hessian = multiply_add(multiply(slope, slope), g, multiply_add(twice, excess, gram))
            singular = select(hessian, zero, select(zero, hessian, one, zero), one)
            move = divide(gradient, hessian)
            wanted = multiply_add(
                multiply(multiply(snp_se, snp_se), multiply(scale, inverse)), multiply(q, excess), phi
            )
            eta = subtract(eta, multiply(move, load(memory, own + OPEN)))
            still = close_lanes(memory, own, phi_slot, at + _P, wanted, multiply(gradient, move), singular)
            inverse = divide(one, load(memory, at + _P))
            scale = multiply(multiply(phi, phi), inverse)
            if not still:
                break

        # The sandwich of (eta, p / s), and its row for theta = eta phi / p.
        q = multiply(eta, eta)
        slope, last = (
            multiply(multiply(two, scale), eta),
            multiply(multiply(subtract(zero, snp_se), inverse), multiply(scale, q)),
        )
        mixed, squared, last_squared = multiply(slope, last), multiply(slope, slope), multiply(last, last)
        bread_1, bread_2 = multiply_add(squared, g, gram), multiply_add(last_squared, g, one)
        between = multiply(mixed, g)
        determinant = subtract(multiply(bread_1, bread_2), multiply(between, between))
        limit = multiply(fill(_SMALLEST_PIVOT), multiply(bread_1, bread_2))
        store(memory, own + SINGULAR, select(determinant, limit, select(limit, determinant, one, zero), one))
        ratio = multiply(phi, inverse)
        theta = multiply(eta, ratio)
        by_p = subtract(zero, multiply(multiply(theta, snp_se), inverse))
        over = divide(one, determinant)
        first = multiply(subtract(multiply(bread_2, ratio), multiply(between, by_p)), over)
        second = multiply(subtract(multiply(bread_1, by_p), multiply(between, ratio)), over)
        sampling = multiply(multiply(first, first), multiply_add(squared, m, meat))
        sampling = multiply_add(multiply(two, multiply(first, second)), multiply(mixed, m), sampling)
        sampling = multiply_add(multiply(second, second), multiply_add(last_squared, m, one), sampling)
        store(memory, at + _ESTIMATE, theta)
        store(memory, at + _ERROR, root(sampling))

        for i in range(k):
            difference = subtract(load(memory, effects + i), multiply(fill(loading[i]), eta))
            store(memory, left + i, multiply(load(memory, weights + i), difference))
        of_effects = _squares(memory, r_root, left, True)
        v = multiply(scale, q)
        shift = divide(subtract(phi, load(memory, at + _P)), snp_se)
        chisq = add(multiply_add(v, multiply_add(v, fit_2, fit_1), of_effects), multiply_add(shift, shift, fit_0))
        store(memory, at + _CHISQ, chisq)
        store(memory, at + _AIC, add(chisq, penalty))
        store(memory, at + _Q_SNP, of_effects)
        if factor_root.shape[0] > 0:
            store(memory, at + _Q_SNP, _squares(memory, factor_root, left, False))
        write_group(memory, own, at + _OUTSIDE, at + _CHISQ, results, group, out, status)
