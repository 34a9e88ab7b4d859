"""Counts of codes by variant and by sample."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from daskgen.kernels import genotype_codes as kernels
from tests.kernels.strategies import AWKWARD_SIZES, codes
from tests.oracles import genotypes as oracle


def counted(drawn: np.ndarray, axis: int) -> np.ndarray:
    return np.stack([(drawn == code).sum(axis=axis) for code in range(4)], axis=1)


@pytest.mark.parametrize("n_samples", [*AWKWARD_SIZES, 16_385])
def test_each_code_of_a_variant_is_counted_and_padding_is_not(n_samples):
    drawn = np.random.default_rng(n_samples).integers(0, 4, (3, n_samples), dtype=np.int8)
    counts = kernels.count_codes(kernels.pack(drawn), n_samples)
    assert counts.dtype == np.int32
    np.testing.assert_array_equal(counts, counted(drawn, axis=1))


@pytest.mark.parametrize("code", range(4))
def test_a_variant_with_one_code_only(code):
    drawn = np.full((2, 131), code, np.int8)
    np.testing.assert_array_equal(kernels.count_codes(kernels.pack(drawn), 131)[0], 131 * np.eye(4)[code])


@given(codes(), st.data())
def test_a_mask_restricts_the_count_to_its_samples(drawn, data):
    n_samples = drawn.shape[1]
    included = np.array(data.draw(st.lists(st.booleans(), min_size=n_samples, max_size=n_samples)))
    counts = kernels.count_codes(oracle.packed(drawn), n_samples, kernels.sample_mask(included, n_samples))
    np.testing.assert_array_equal(counts, counted(drawn[:, included], axis=1))


def test_padding_that_is_not_code_3_is_not_counted_either():
    packed = np.array([[0b00_01_10_00]], np.uint8)
    np.testing.assert_array_equal(kernels.count_codes(packed, 2), [[1, 0, 1, 0]])


# 255 variants fill the small counters; 2048 bytes, 8192 samples, are counted together.
@pytest.mark.parametrize(("n_variants", "n_samples"), [(1, 1), (254, 5), (255, 6), (256, 7), (600, 65), (3, 8195)])
def test_codes_of_each_sample_are_added_to_what_was_there(n_variants, n_samples):
    drawn = np.random.default_rng(n_samples).integers(0, 4, (n_variants, n_samples), dtype=np.int8)
    out = np.arange(4 * n_samples, dtype=np.int64).reshape(n_samples, 4)
    before = out.copy()
    assert kernels.count_codes_per_sample(kernels.pack(drawn), n_samples, out) is out
    np.testing.assert_array_equal(out - before, counted(drawn, axis=0))


def test_counts_agree_along_both_axes():
    drawn = np.random.default_rng(3).integers(0, 4, (300, 1001), dtype=np.int8)
    packed = kernels.pack(drawn)
    per_sample = kernels.count_codes_per_sample(packed, 1001, np.zeros((1001, 4), np.int64))
    np.testing.assert_array_equal(per_sample.sum(axis=0), kernels.count_codes(packed, 1001).sum(axis=0))


def test_arrays_that_do_not_fit_are_refused():
    packed = np.zeros((2, 3), np.uint8)
    with pytest.raises(ValueError, match="mask must have the shape"):
        kernels.count_codes(packed, 10, np.zeros(2, np.uint8))
    with pytest.raises(ValueError, match="out must be"):
        kernels.count_codes_per_sample(packed, 10, np.zeros((10, 4), np.int32))
