"""Packed codes: from and to .bed, pack, unpack, swap alleles, choose samples."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from daskgen.errors import InputError
from daskgen.kernels import genotype_codes as kernels
from tests.kernels.strategies import AWKWARD_SIZES, codes, codes_and_samples
from tests.oracles import genotypes as oracle


@pytest.mark.parametrize("n_samples", AWKWARD_SIZES)
def test_packing_puts_four_samples_in_a_byte_low_bits_first(n_samples):
    drawn = np.random.default_rng(n_samples).integers(0, 4, (5, n_samples), dtype=np.int8)
    packed = kernels.pack(drawn)
    assert packed.dtype == np.uint8
    assert packed.shape == (5, kernels.packed_width(n_samples))
    np.testing.assert_array_equal(packed, oracle.packed(drawn))


@given(codes())
def test_unpacking_undoes_packing(drawn):
    unpacked = kernels.unpack(kernels.pack(drawn), drawn.shape[1], missing=3)
    assert unpacked.dtype == np.int8
    np.testing.assert_array_equal(unpacked, drawn)


@given(codes(), st.integers(-128, 127))
def test_unpacking_writes_the_missing_number_that_was_asked_for(drawn, missing):
    unpacked = kernels.unpack(oracle.packed(drawn), drawn.shape[1], missing=missing)
    np.testing.assert_array_equal(unpacked, np.where(drawn == 3, missing, drawn))


@pytest.mark.parametrize("missing", [3, -1, -9, -128])
@pytest.mark.parametrize("n_samples", [4, 7])
def test_packing_takes_three_and_every_negative_number_for_missing(missing, n_samples):
    drawn = np.tile(np.array([0, missing, 2, 1], np.int8), 2)[None, :n_samples]
    np.testing.assert_array_equal(kernels.unpack(kernels.pack(drawn), n_samples)[0, :4], [0, -1, 2, 1])


@pytest.mark.parametrize(("variant", "sample"), [(0, 0), (1, 5), (1, 8)])
@pytest.mark.parametrize("value", [4, 9, 127])
def test_packing_refuses_a_code_that_is_no_number_of_alleles(variant, sample, value):
    drawn = np.zeros((2, 9), np.int8)
    drawn[variant, sample] = value
    with pytest.raises(InputError, match=f"{value} for variant {variant}, sample {sample}"):
        kernels.pack(drawn)


@given(codes())
def test_bed_rows_become_copies_of_a1(drawn):
    np.testing.assert_array_equal(kernels.bed_to_packed(oracle.bed(drawn), drawn.shape[1]), oracle.packed(drawn))


@given(codes())
def test_bed_rows_come_back_byte_for_byte(drawn):
    bed = oracle.bed(drawn)
    packed = kernels.bed_to_packed(bed, drawn.shape[1])
    np.testing.assert_array_equal(kernels.packed_to_bed(packed, drawn.shape[1]), bed)


def test_padding_of_a_bed_row_is_ignored_and_becomes_missing():
    bed = oracle.bed(np.array([[0, 1, 2, 3, 1]]))
    bed[0, -1] |= 0b11_10_11_00
    assert kernels.bed_to_packed(bed, 5)[0, -1] == 0b11_11_11_01


@given(codes())
def test_flipping_counts_the_other_allele(drawn):
    flipped = kernels.flip(oracle.packed(drawn), drawn.shape[1])
    np.testing.assert_array_equal(flipped, oracle.packed(np.where(drawn == 3, 3, 2 - drawn)))


@given(codes())
def test_flipping_twice_changes_nothing(drawn):
    packed = oracle.packed(drawn)
    np.testing.assert_array_equal(kernels.flip(kernels.flip(packed, drawn.shape[1]), drawn.shape[1]), packed)


@pytest.mark.parametrize("recode", [kernels.bed_to_packed, kernels.packed_to_bed, kernels.flip])
def test_recoding_can_be_done_in_place(recode):
    rows = np.random.default_rng(1).integers(0, 256, (7, 301), dtype=np.uint8)
    expected = recode(rows, 1203)
    assert recode(rows, 1203, out=rows) is rows
    np.testing.assert_array_equal(rows, expected)


@given(codes_and_samples())
def test_samples_are_chosen_in_the_order_asked_for(case):
    drawn, samples = case
    packed = oracle.packed(drawn)
    chosen = drawn[:, samples]
    np.testing.assert_array_equal(kernels.subset_samples(packed, samples), oracle.packed(chosen))
    unpacked = kernels.unpack(packed, drawn.shape[1], samples=samples)
    np.testing.assert_array_equal(unpacked, np.where(chosen == 3, -1, chosen))


@given(codes(max_variants=1), st.data())
def test_a_mask_has_both_bits_of_the_included_samples(drawn, data):
    n_samples = drawn.shape[1]
    included = np.array(data.draw(st.lists(st.booleans(), min_size=n_samples, max_size=n_samples)))
    mask = kernels.sample_mask(included, n_samples)
    expected = oracle.packed(np.where(included, 3, 0)[None])[0]
    if n_samples % 4:
        expected[-1] &= (1 << 2 * (n_samples % 4)) - 1
    np.testing.assert_array_equal(mask, expected)
    np.testing.assert_array_equal(kernels.sample_mask(np.flatnonzero(included), n_samples), expected)


def test_kernels_read_any_memory_layout_and_read_only_arrays():
    packed = np.random.default_rng(0).integers(0, 256, (6, 40), dtype=np.uint8)
    expected = kernels.unpack(packed[::2, ::2].copy(), 80)
    np.testing.assert_array_equal(kernels.unpack(packed[::2, ::2], 80), expected)
    fixed = np.frombuffer(packed[::2, ::2].tobytes(), np.uint8).reshape(3, 20)
    assert not fixed.flags.writeable
    np.testing.assert_array_equal(kernels.unpack(fixed, 80), expected)
    np.testing.assert_array_equal(kernels.unpack(np.asfortranarray(packed[::2, ::2]), 80), expected)


def test_no_variants_and_no_samples_are_allowed():
    assert kernels.unpack(np.empty((0, 2), np.uint8), 7).shape == (0, 7)
    assert kernels.pack(np.empty((3, 0), np.int8)).shape == (3, 0)
    assert kernels.bed_to_packed(np.empty((3, 0), np.uint8), 0).shape == (3, 0)
    assert kernels.subset_samples(np.zeros((3, 2), np.uint8), np.array([], np.int64)).shape == (3, 0)


def test_results_go_into_the_array_that_is_given():
    packed = np.zeros((2, 3), np.uint8)
    out = np.empty((2, 10), np.int8)
    assert kernels.unpack(packed, 10, out=out) is out
    for wrong in (np.empty((2, 11), np.int8), np.empty((2, 10), np.uint8), np.empty((10, 2), np.int8).T):
        with pytest.raises(ValueError, match="out must be"):
            kernels.unpack(packed, 10, out=wrong)


def test_arrays_that_do_not_fit_are_refused():
    with pytest.raises(TypeError, match="packed must be uint8, it is int64"):
        kernels.unpack(np.zeros((2, 3), np.int64), 10)
    with pytest.raises(ValueError, match=r"bed must have the shape \(any, 3\), it has \(2, 2\)"):
        kernels.bed_to_packed(np.zeros((2, 2), np.uint8), 10)
    with pytest.raises(ValueError, match="0 to 9, they go from 0 to 10"):
        kernels.unpack(np.zeros((2, 3), np.uint8), 10, samples=[0, 10])
    with pytest.raises(ValueError, match="0 to 11, they go from -1 to 2"):
        kernels.subset_samples(np.zeros((2, 3), np.uint8), [2, -1])
    with pytest.raises(TypeError, match="must be integers"):
        kernels.subset_samples(np.zeros((2, 3), np.uint8), [0.5])
    with pytest.raises(ValueError, match=r"shape \(10,\)"):
        kernels.sample_mask(np.ones(9, bool), 10)
    with pytest.raises(ValueError, match="missing must fit int8"):
        kernels.unpack(np.zeros((2, 3), np.uint8), 10, missing=200)
