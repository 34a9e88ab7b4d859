"""Standardised genotypes in float64."""

from __future__ import annotations

import numpy as np
import pytest

from daskgen.kernels.genotype_codes import pack, quantise_dosage
from daskgen.kernels.standardised import standardised


@pytest.mark.parametrize("n", [1, 2, 3, 4, 5, 127, 128, 129])
def test_packed_codes(n):
    generator = np.random.default_rng(n)
    calls = generator.integers(-1, 3, (7, n)).astype(np.int8)
    mean, factor = generator.normal(size=7), generator.normal(size=7)
    found = standardised(pack(calls), mean, factor, n)
    expected = np.where(calls < 0, 0.0, (calls - mean[:, None]) * factor[:, None])
    np.testing.assert_array_equal(found, expected)
    out = np.full((7, n), np.nan)
    assert standardised(pack(calls), mean, factor, n, out) is out
    np.testing.assert_array_equal(out, expected)


def test_dosages():
    generator = np.random.default_rng(0)
    dosage = generator.uniform(0, 2, (5, 33)).astype(np.float32)
    dosage[2, 4] = np.nan
    codes = quantise_dosage(dosage)
    mean, factor = generator.normal(size=5), generator.normal(size=5)
    found = standardised(codes, mean, factor, 33)
    assert found[2, 4] == 0
    found[2, 4] = np.nan
    np.testing.assert_allclose(found, (dosage - mean[:, None]) * factor[:, None], atol=1e-4)


def test_what_does_not_fit():
    with pytest.raises(ValueError, match="shape"):
        standardised(pack(np.zeros((2, 9), np.int8)), [0.0, 0.0], [1.0, 1.0], 5)
    with pytest.raises(TypeError):
        standardised(np.zeros((2, 3)), [0.0, 0.0], [1.0, 1.0], 9)  # type: ignore[arg-type]
