"""Dosages as genotypes: products straight from them, and fits against dense numbers."""

from __future__ import annotations

import numpy as np
import pytest

from daskgen import bayes
from daskgen.errors import InputError
from daskgen.kernels.dosage_dots import find_dosage_gaps, in_planes
from daskgen.kernels.dosages import DOSAGE_MISSING, DOSAGE_SCALE
from daskgen.kernels.genotype_dots import n_tiles
from daskgen.kernels.genotype_layout import packed_width
from tests.bayes.problems import centred, small_cohort
from tests.genotypes.cohort import store
from tests.oracles.mixed_model import mixed_model_posterior

SHORT = {"chain_length": 40, "burn_in": 10, "chains": 2, "seed": 5, "maf_min": 0.0}


def dosages(n=57, p=13, missing=0.05, seed=0):
    """Dosages (n, p) on the grid of 1/16384, NaN where missing, and a phenotype."""
    rng = np.random.default_rng(seed)
    calls = rng.binomial(2, rng.uniform(0.2, 0.5, p), (n, p))
    values = np.clip(np.rint((calls + rng.normal(0, 0.15, (n, p))) * DOSAGE_SCALE) / DOSAGE_SCALE, 0, 2)
    y = values @ np.where(rng.random(p) < 0.4, rng.standard_normal(p), 0) + rng.standard_normal(n) + 3
    values[rng.random((n, p)) < missing] = np.nan
    return values, y


def dense(values):
    """Centred by the mean of the called, missing at 0."""
    return np.where(np.isnan(values), 0.0, values - np.nanmean(values, axis=0))


@pytest.mark.parametrize("n", [1, 3, 4, 1_021, 1_025, 2_060])
def test_planes_and_gaps(n):
    rng = np.random.default_rng(n)
    given = rng.integers(0, 2 * DOSAGE_SCALE, (3, n)).astype(np.uint16)
    given[rng.random((3, n)) < 0.1] = DOSAGE_MISSING
    given[1, :] = 7
    width = packed_width(n)
    padded = np.zeros((3, 4 * width), np.uint16)
    padded[:, :n] = given
    expected = padded.reshape(3, width, 4).swapaxes(1, 2)
    planes = in_planes(given)
    np.testing.assert_array_equal(planes.reshape(3, 4, width), expected)
    for first, last in ((0, width), (width // 2, width), (width // 3, width // 2 + 1)):
        part = in_planes(given, first, last)
        np.testing.assert_array_equal(part.reshape(3, 4, -1), expected[:, :, first:last])
    start, place = find_dosage_gaps(planes)
    tiles = n_tiles(width)
    for row in range(3):
        found = [
            1_024 * tile + place[start[row * tiles + tile] : start[row * tiles + tile + 1]].astype(int)
            for tile in range(tiles)
        ]
        assert sorted(np.concatenate(found)) == np.flatnonzero(given[row] == DOSAGE_MISSING).tolist()


@pytest.mark.parametrize("method", ["BayesA", "BayesB", "BayesC", "BayesR", "BayesL", "RR-BLUP"])
def test_breeding_values_are_the_effects_times_the_dosages(method):
    values, y = dosages(n=2_060)
    posterior = bayes.fit(values, y, method=method, **SHORT)
    expected = dense(values) @ posterior.marker_effects["mean"].values
    np.testing.assert_allclose(posterior.breeding_values["mean"], expected, atol=1e-9)


def test_several_traits():
    values, y = dosages()
    posterior = bayes.fit(values, np.column_stack([y, -y + np.sin(np.arange(57))]), **SHORT)
    expected = dense(values) @ posterior.marker_effects["mean"].values
    np.testing.assert_allclose(posterior.breeding_values["mean"], expected, atol=1e-9)


def test_posterior_against_the_dense_solution():
    values, y = dosages(n=60, p=8)
    posterior = bayes.fit(
        values, y, method="RR-BLUP", marker_variance=0.3, residual_variance=1.0, estimate_marker_variance=False,
        estimate_residual_variance=False, chain_length=6_000, burn_in=100, chains=2, maf_min=0.0,
    )  # fmt: skip
    expected, covariance = mixed_model_posterior(
        y, np.ones(60), 1.0, np.ones((60, 1)), [(dense(values), np.eye(8) / 0.3)]
    )
    spread = np.sqrt(np.diagonal(covariance))[1:]
    assert np.abs((posterior.marker_effects["mean"] - expected[1:]) / spread).max() < 0.1
    np.testing.assert_allclose(posterior.marker_effects["sd"], spread, rtol=0.1)


def test_whole_dosages_are_calls():
    codes, y = small_cohort(missing=0.05)
    given = np.where(codes == 3, np.nan, codes)
    hard, soft = (bayes.fit(given, y, dosage=dosage, **SHORT) for dosage in (False, True))
    np.testing.assert_allclose(soft.marker_effects["mean"], hard.marker_effects["mean"], atol=1e-8)
    np.testing.assert_allclose(soft.breeding_values["pev"], hard.breeding_values["pev"], atol=1e-8)
    mixed = bayes.fit({"one": given[:, :10], "two": given[:, 10:] * 0.5 + 0.25}, y, **SHORT)
    expected = centred(codes)[0] @ (mixed.marker_effects["mean"].values * np.where(np.arange(23) < 10, 1, 0.5))
    np.testing.assert_allclose(mixed.breeding_values["mean"], expected, atol=1e-8)


def test_dosages_of_a_store(tmp_path):
    values, y = dosages(missing=0.04)
    calls = np.where(np.isnan(values), -1, np.rint(values)).astype(np.int8)
    path = store(tmp_path / "dosage.zarr", calls.T, dosage=values.T)
    posterior = bayes.fit(path, y, **SHORT)
    same = bayes.fit(values, y, **SHORT)
    np.testing.assert_array_equal(posterior.marker_effects["mean"], same.marker_effects["mean"])
    np.testing.assert_allclose(posterior.predict(path), posterior.breeding_values["mean"], atol=1e-5)
    assert posterior.windows("5snp")["share"].sum() > 0
    hard = bayes.fit(path, y, dosage=False, **SHORT)
    assert np.abs(hard.marker_effects["mean"].values - posterior.marker_effects["mean"].values).max() > 1e-3


def test_what_is_refused(tmp_path):
    values, y = dosages()
    with pytest.raises(InputError, match="has fractions"):
        bayes.fit(values, y, dosage=False, **SHORT)
    with pytest.raises(InputError, match="no dosages"):
        bayes.fit(
            store(tmp_path / "hard.zarr", np.rint(np.nan_to_num(values, nan=1)).astype(np.int8).T), y, dosage=True
        )
