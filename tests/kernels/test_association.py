"""Products of allele numbers with float64 columns, and sums over missing calls."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from daskgen.kernels.association import allele_products, missing_products, planes_of
from daskgen.kernels.genotype_codes import pack
from daskgen.kernels.t_distribution import log_two_sided_p


def genotypes(kind, m, n):
    generator = np.random.default_rng(m + n)
    codes = generator.integers(0, 4, (m, n)).astype(np.int8)
    if kind == "calls":
        return pack(np.where(codes == 3, -1, codes)), np.where(codes == 3, np.nan, codes)
    steps = generator.integers(0, 32769, (m, n)).astype(np.uint16)
    steps[codes == 3] = 65535
    return steps, np.where(codes == 3, np.nan, steps / 16384)


@pytest.mark.parametrize("kind", ["calls", "dosages"])
@pytest.mark.parametrize(("m", "n", "c", "t"), [(1, 1, 0, 1), (3, 6, 1, 1), (70, 13, 2, 3), (5, 2101, 3, 2)])
def test_products_and_sums_over_missing(kind, m, n, c, t):
    given, x = genotypes(kind, m, n)
    columns = np.random.default_rng(1).normal(size=(n, c + t))
    np.testing.assert_allclose(allele_products(given, planes_of(columns)), np.nan_to_num(x) @ columns, atol=1e-10)
    rows = np.arange(0, m, 2)
    sums, cross, squares = missing_products(given, rows, columns, c)
    gone = np.isnan(x)[rows].astype(float)
    np.testing.assert_allclose(sums, gone @ columns, atol=1e-11)
    np.testing.assert_allclose(cross, np.einsum("vn,na,nb->vab", gone, columns[:, :c], columns), atol=1e-10)
    np.testing.assert_allclose(squares, gone @ columns[:, c:] ** 2, atol=1e-10)


def test_shapes_are_checked():
    given, _ = genotypes("calls", 3, 9)
    with pytest.raises(ValueError, match="planes"):
        allele_products(given, np.zeros((8, 1)))
    with pytest.raises(TypeError):
        allele_products(given.astype(np.int16), planes_of(np.zeros((9, 1))))


@pytest.mark.parametrize("df", [2, 3, 7, 41, 100, 1808, 50_000])
def test_tail_of_t(df):
    t = np.array([0, 1e-9, 0.3, 1.2, 1.7, 1.75, 2.5, -3, 8, 20, 36])
    expected = 2 * stats.t.sf(np.abs(t), df)
    keep = expected > 1e-300
    np.testing.assert_allclose(np.exp(log_two_sided_p(t, df))[keep], expected[keep], rtol=1e-10)


def test_tail_of_t_where_it_is_known_in_closed_form():
    t = np.array([1e-3, 1.0, 1e3, 1e8])
    np.testing.assert_allclose(log_two_sided_p(t, 1), np.log(2 / np.pi * np.arctan2(1, t)), rtol=1e-13, atol=1e-15)
    # df = 4: P(|T| > t) = 1 - s (3 - s^2) / 2, s = t / sqrt(4 + t^2), so far out it is 6 / t^4.
    np.testing.assert_allclose(log_two_sided_p(1e30, 4), np.log(6) - 120 * np.log(10), rtol=1e-13)


def test_tail_of_t_beyond_the_smallest_number():
    # From t = 60 to t = 61 with many degrees of freedom the tail falls nearly as the normal's.
    far = log_two_sided_p(np.array([60.0, 61.0]), 1e9)
    assert far[0] < -1800
    assert abs((far[1] - far[0]) + 60.5 + np.log(61 / 60)) < 1e-2
    assert np.isnan(log_two_sided_p(np.array([np.nan, 1.0]), [3.0, 0.0])).all()
