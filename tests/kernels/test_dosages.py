"""Dosages in steps of 1/16384."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from daskgen.errors import InputError
from daskgen.kernels import genotype_codes as kernels

STEPS = arrays(np.uint16, st.tuples(st.integers(1, 5), st.integers(1, 40)), elements=st.integers(0, 2 * 16384))


@given(STEPS)
def test_whole_steps_are_kept_exactly(steps):
    np.testing.assert_array_equal(kernels.quantise_dosage((steps / 16384).astype(np.float32)), steps)


@given(arrays(np.float32, st.integers(1, 50), elements=st.floats(0, 2, width=32)))
def test_other_dosages_move_by_at_most_half_a_step(dosage):
    back = kernels.dequantise_dosage(kernels.quantise_dosage(dosage))
    assert back.dtype == np.float32
    assert np.abs(back - dosage).max() <= 0.5 / 16384


@pytest.mark.parametrize("missing", [np.nan, -9, -0.5, -np.inf])
def test_nan_and_negative_numbers_are_missing(missing):
    codes = kernels.quantise_dosage(np.array([[0.25, missing], [2.0, 1.0]], np.float32))
    np.testing.assert_array_equal(codes, [[4096, 65535], [32768, 16384]])
    np.testing.assert_array_equal(kernels.dequantise_dosage(codes), np.float32([[0.25, np.nan], [2, 1]]))


@pytest.mark.parametrize("too_large", [2.01, 4.0, 1e9, np.inf])
def test_more_than_two_alleles_are_refused_and_shown(too_large):
    dosage = np.zeros((3, 5), np.float32)
    dosage[1, 3] = too_large
    with pytest.raises(InputError, match=r"at position \(1, 3\)"):
        kernels.quantise_dosage(dosage)


def test_rounding_noise_above_two_is_two():
    assert kernels.quantise_dosage(np.float32([2.00001])) == 32768


@given(STEPS, st.data())
def test_moments_are_those_of_the_samples_that_have_a_dosage(steps, data):
    absent = data.draw(arrays(np.bool_, steps.shape))
    codes = np.where(absent, kernels.DOSAGE_MISSING, steps).astype(np.uint16)
    samples = np.array(data.draw(st.lists(st.integers(0, steps.shape[1] - 1), max_size=50)), np.int64)
    for positions in (None, samples):
        chosen = kernels.dequantise_dosage(codes if positions is None else codes[:, positions]).astype(np.float64)
        n_called, total, total_of_squares = kernels.dosage_moments(codes, positions)
        np.testing.assert_array_equal(n_called, (~np.isnan(chosen)).sum(axis=1))
        np.testing.assert_array_equal(total, np.nansum(chosen, axis=1))
        np.testing.assert_array_equal(total_of_squares, np.nansum(chosen**2, axis=1))


def test_moments_of_many_samples_stay_exact():
    codes = np.full((2, 500_000), 2 * kernels.DOSAGE_SCALE, np.uint16)
    codes[1] = kernels.DOSAGE_MISSING
    n_called, total, total_of_squares = kernels.dosage_moments(codes)
    assert (n_called.tolist(), total.tolist(), total_of_squares.tolist()) == ([500_000, 0], [1e6, 0], [2e6, 0])


def test_other_types_are_refused():
    with pytest.raises(TypeError, match="dosage must be float32"):
        kernels.quantise_dosage(np.zeros(3))
    with pytest.raises(TypeError, match="codes must be uint16"):
        kernels.dequantise_dosage(np.zeros(3, np.int32))
    with pytest.raises(TypeError, match="dosage must be uint16"):
        kernels.dosage_moments(np.zeros((2, 3), np.uint8))
    with pytest.raises(ValueError, match="0 to 2, they go from -1"):
        kernels.dosage_moments(np.zeros((2, 3), np.uint16), [-1])
    with pytest.raises(ValueError, match="dosage must have the shape"):
        kernels.dosage_moments(np.zeros(3, np.uint16))


@given(STEPS, st.sampled_from([0, 0.001, 0.05, 0.1, 0.25, 0.4999]), st.data())
def test_calls_are_whole_numbers_that_are_near_enough(steps, threshold, data):
    absent = data.draw(arrays(np.bool_, steps.shape))
    dosage = np.where(absent, kernels.DOSAGE_MISSING, steps).astype(np.uint16)
    calls = kernels.unpack(kernels.call_dosages(dosage, threshold), steps.shape[1])
    for call, row in zip(calls.ravel().tolist(), dosage.ravel().tolist(), strict=True):
        near = round(row / 16384)
        is_call = row != 65535 and abs(row - 16384 * near) <= threshold * 16384
        assert call == (near if is_call else -1)


def test_calls_at_the_edge_of_the_threshold():
    dosage = np.array([[1638, 1639, 14746, 14745, 16384 + 1638, 32768 - 1638, 32768, 32769, 65534]], np.uint16)
    packed = kernels.call_dosages(dosage)
    assert kernels.unpack(packed, 9).tolist() == [[0, -1, 1, -1, 1, 2, 2, -1, -1]]
    assert packed[0, -1] >> 2 == 0b111111, "padding is missing"
    for threshold in (-0.1, 0.5):
        with pytest.raises(ValueError, match="threshold must be"):
            kernels.call_dosages(dosage, threshold)


@given(STEPS)
def test_rounding_to_eight_bits(steps):
    dosage = steps.copy()
    dosage[0, 0] = kernels.DOSAGE_MISSING
    rounded = kernels.round_dosage(dosage.copy(), 8)
    assert rounded[0, 0] == kernels.DOSAGE_MISSING
    kept = dosage != kernels.DOSAGE_MISSING
    assert (rounded[kept] % 64 == 0).all()
    assert (np.abs(rounded[kept].astype(int) - dosage[kept]) <= 32).all()
    np.testing.assert_array_equal(kernels.round_dosage(rounded.copy(), 8), rounded)
    np.testing.assert_array_equal(kernels.round_dosage(dosage.copy(), 16), dosage)
