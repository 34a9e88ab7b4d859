"""Products of standardised variants and their adjusted squares against NumPy."""

from __future__ import annotations

import numpy as np
import pytest

from daskgen.kernels import genotype_codes as codes
from daskgen.kernels import ld_scores as kernels
from daskgen.kernels.genotype_decode import dosage_table, value_table

SAMPLES = [1, 2, 3, 4, 5, 97, 1_000, 8_193]


def blocks(n_samples, n_variants=7, seed=0):
    generator = np.random.default_rng(seed)
    calls = generator.integers(-1, 3, (n_variants, n_samples)).astype(np.int8)
    mean, scale = generator.uniform(0, 2, n_variants), generator.uniform(0.5, 2, n_variants)
    z = np.where(calls < 0, 0.0, (calls - mean[:, None]) * scale[:, None])
    return codes.pack(calls), value_table(mean, scale), z


@pytest.mark.parametrize("n_samples", SAMPLES)
def test_products_are_those_of_the_decoded_genotypes(n_samples):
    packed, table, z = blocks(n_samples)
    found = kernels.cross_products(packed[:3], table[:3], packed[2:], table[2:])
    np.testing.assert_allclose(found, z[:3] @ z[2:].T, rtol=1e-5, atol=1e-5 * n_samples)


@pytest.mark.parametrize("n_samples", SAMPLES)
def test_dosages_give_the_products_of_their_values(n_samples):
    generator = np.random.default_rng(1)
    dosage = generator.uniform(0, 2, (5, n_samples)).astype(np.float32)
    dosage[generator.random(dosage.shape) < 0.1] = np.nan
    stored = codes.quantise_dosage(dosage)
    mean, scale = generator.uniform(0, 2, 5), generator.uniform(0.5, 2, 5)
    z = np.nan_to_num((dosage - mean[:, None]) * scale[:, None])
    found = kernels.cross_products(stored, dosage_table(mean, scale), stored[1:], dosage_table(mean, scale)[1:])
    np.testing.assert_allclose(found, z @ z[1:].T, atol=2e-4 * n_samples)


def test_squares_count_variants_behind_in_the_window_only():
    generator = np.random.default_rng(2)
    products = generator.normal(size=(4, 6)) * 50
    r2 = (products / 100) ** 2
    adjusted = r2 - (1 - r2) / 98
    stop = np.array([13, 14, 14, 20])
    found = kernels.adjusted_squares(products, 100, 10, 11, stop)
    for i in range(4):
        for j in range(6):
            inside = 10 + i < 11 + j < stop[i]
            assert found[i, j] == pytest.approx(adjusted[i, j] if inside else 0.0, abs=1e-15)
    assert kernels.adjusted_squares(products, 100, 10, 11, stop, products) is products


def test_arguments_that_do_not_fit_are_refused():
    packed, table, _ = blocks(20)
    with pytest.raises(ValueError, match="other samples"):
        kernels.cross_products(packed, table, packed[:, :3], table)
    with pytest.raises(ValueError, match="table of second"):
        kernels.cross_products(packed, table, packed, table[:2])
    with pytest.raises(TypeError, match="first must be uint8"):
        kernels.cross_products(packed.astype(np.int16), table, packed, table)
    with pytest.raises(ValueError, match="at least 3 samples"):
        kernels.adjusted_squares(np.zeros((1, 1)), 2, 0, 1, np.array([2]))
