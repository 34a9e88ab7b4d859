"""An opened store is a lazy Dataset with sgkit's names."""

from __future__ import annotations

import numpy as np
import pytest

import daskgen as dg
from tests.genotypes.cohort import random_calls, store


@pytest.fixture
def calls():
    return random_calls(90, 21)


def test_calls_are_decoded_lazily(tmp_path, calls):
    opened = dg.open_store(store(tmp_path / "g.zarr", calls, rows=16))
    call = opened["call_genotype"]
    assert call.dims == ("variants", "samples", "ploidy")
    assert call.dtype == np.int8
    assert call.chunks is not None
    values = call.values
    np.testing.assert_array_equal((values < 0).all(axis=2), calls < 0)
    np.testing.assert_array_equal(np.where(calls < 0, -1, values.sum(axis=2)), np.where(calls < 0, -1, calls))
    np.testing.assert_array_equal(opened["call_genotype_mask"].values, values < 0)
    dosage = opened["call_dosage"]
    assert dosage.dtype == np.float32
    np.testing.assert_array_equal(dosage.values, np.where(calls < 0, np.nan, calls))
    assert opened["variant_id"].values[3] == "rs3"
    assert all(v.chunks is not None for v in opened.data_vars.values())


def test_slices_decode_only_what_is_asked_for(tmp_path, calls):
    opened = dg.open_store(store(tmp_path / "g.zarr", calls, rows=16))
    part = opened.isel(variants=slice(5, 80, 3), samples=[20, 0, 7])
    np.testing.assert_array_equal(part["call_dosage"].values, np.where(calls < 0, np.nan, calls)[5:80:3][:, [20, 0, 7]])
    np.testing.assert_array_equal(part["call_genotype"].values[..., 1] > 0, calls[5:80:3][:, [20, 0, 7]] > 0)


def test_samples_may_be_asked_for_in_any_order_or_one_at_a_time(tmp_path, calls):
    opened = dg.open_store(store(tmp_path / "g.zarr", calls, rows=16))
    dosage = np.where(calls < 0, np.nan, calls)
    np.testing.assert_array_equal(opened["call_dosage"][:, ::-1].values, dosage[:, ::-1])
    np.testing.assert_array_equal(opened["call_dosage"][7, 3].values, dosage[7, 3])
    np.testing.assert_array_equal(opened["call_genotype"][::-2, 4, 1].values >= 0, calls[::-2, 4] >= 0)


def test_dosages_of_the_source_come_back(tmp_path, calls):
    dosage = np.where(calls < 0, np.nan, np.clip(calls + 0.25, 0, 2))
    opened = dg.open_store(store(tmp_path / "g.zarr", calls, dosage=dosage))
    np.testing.assert_array_equal(opened["call_dosage"].values, dosage.astype(np.float32))
    assert "derived_from_calls" not in opened["call_dosage"].attrs


def test_blocks_stay_below_the_decoded_size(tmp_path):
    calls = np.zeros((5000, 3001), np.int8)
    opened = dg.open_store(store(tmp_path / "g.zarr", calls, rows=5000))
    for name in ("call_genotype", "call_dosage"):
        array = opened[name].data
        assert max(np.prod(c) for c in [[d[0] for d in array.chunks]]) * array.dtype.itemsize <= 32e6
