"""Products of codes with numbers in fixed point: exact inside a tile, and as near the truth as sums of float64."""

from __future__ import annotations

import math

import numba
import numpy as np
import pytest

from daskgen.kernels.limbs import LIMBS, ROWS, TILE, code_sums, cut_tile, joined


@numba.njit
def products(codes, values, first, last):
    """Codes times values of four markers over some bytes, and the sum of the values."""
    limbs = np.zeros((LIMBS, 4, TILE), np.int16)
    sums = np.zeros(ROWS * LIMBS, np.int32)
    unit, total = cut_tile(values, first, last, limbs)
    code_sums(codes, (0, 1, 2, 3), first, last - first, limbs, sums)
    out = np.empty(ROWS)
    for m in range(ROWS):
        out[m] = joined(sums, m * LIMBS) * unit
    return out, total


@pytest.mark.parametrize(("first", "last"), [(0, TILE), (5, 6), (0, 16), (16, 47), (100, TILE)])
@pytest.mark.parametrize("spread", [0.0, 3.0])
def test_against_exact_sums(first, last, spread):
    rng = np.random.default_rng(last)
    codes = rng.integers(0, 256, (ROWS, TILE)).astype(np.uint8)
    values = rng.standard_normal((4, TILE)) * np.exp(spread * rng.standard_normal((4, TILE)))
    found, total = products(codes, values, first, last)
    here = values[:, first:last]
    calls = np.stack([(codes[:, first:last] >> (2 * k)) & 3 for k in range(4)], axis=1)
    largest, n = np.abs(here).max(), here.size
    assert total == pytest.approx(math.fsum(here.ravel()), abs=1.8e-15 * largest * n)
    for m in range(ROWS):
        terms = (calls[m] * here).ravel()
        exact = math.fsum(terms)
        assert abs(found[m] - exact) <= 3 * 1.9e-15 * largest * n  # at the worst
        assert abs(found[m] - exact) <= 12e-15 * largest * math.sqrt(n)  # errors of either sign


def test_zeros_and_tiny_numbers():
    codes = np.full((ROWS, TILE), 255, np.uint8)
    for value in (0.0, 1e-300):
        found, total = products(codes, np.full((4, TILE), value), 0, TILE)
        assert np.abs(found).max() < 1e-290
        assert abs(total) < 1e-290
