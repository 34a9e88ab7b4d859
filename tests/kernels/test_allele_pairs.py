"""Pairs of alleles, packed by counted allele."""

from __future__ import annotations

import numpy as np
import pytest

from daskgen.kernels.allele_pairs import pack_alleles
from tests.oracles.plink import packed_codes


def expected(alleles: np.ndarray, variant: int, k: int) -> list[int]:
    """Codes of allele k, a sample at a time."""
    codes = []
    for a, b in alleles[variant].tolist():
        both = [a] if b == -2 else [a, b]
        missing = any(allele < 0 for allele in both)
        codes.append(-1 if missing else sum(allele == k for allele in both) * (3 - len(both)))
    return codes


@pytest.mark.parametrize("dtype", [np.int8, np.int16])
@pytest.mark.parametrize("n_samples", [1, 3, 4, 5, 17])
def test_rows_are_counted_as_slowly(dtype: type, n_samples: int) -> None:
    rng = np.random.default_rng(n_samples)
    alleles = rng.integers(-1, 4, (20, n_samples, 2)).astype(dtype)
    alleles[rng.random((20, n_samples)) < 0.2, 1] = -2
    variant = np.sort(rng.integers(0, 20, 31))
    allele = rng.integers(1, 4, 31)
    packed, half = pack_alleles(alleles, variant, allele)
    rows = zip(variant.tolist(), allele.tolist(), strict=True)
    np.testing.assert_array_equal(packed_codes(packed, n_samples), [expected(alleles, v, k) for v, k in rows])
    one_missing = ((alleles[..., 0] < 0) != (alleles[..., 1] == -1)) & (alleles[..., 1] != -2)
    assert half == one_missing[variant].sum()


def test_arguments_that_do_not_fit() -> None:
    alleles = np.zeros((2, 3, 2), np.int8)
    with pytest.raises(ValueError, match="variant must lie in"):
        pack_alleles(alleles, np.array([2]), np.array([1]))
    with pytest.raises(TypeError, match="int8"):
        pack_alleles(alleles.astype(np.int64), np.array([0]), np.array([1]))
