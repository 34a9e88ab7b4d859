"""Sums of LD-score regression against the same sums written out with NumPy."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from daskgen.kernels import ldsc as kernels
from daskgen.ldsc.blocks import block_ranks

SIZES = [1, 2, 31, 32, 33, 64, 997, 1024, 1025, 2081]


def traits(n_traits: int, n_variants: int, *, missing: float = 0.2, seed: int = 0, dtype: type = np.float64):
    generator = np.random.default_rng(seed)
    z = generator.normal(size=(n_traits, n_variants)) * 1.3
    n = generator.integers(5_000, 90_000, (n_traits, n_variants)).astype(float)
    absent = generator.random(z.shape) < missing
    z[absent] = n[absent] = 0
    ld = generator.gamma(1.5, 15, n_variants) - 1  # negative scores and scores below 1 included
    weight_ld = generator.gamma(1.5, 10, n_variants) - 1
    return z.astype(dtype), n.astype(dtype), ld, weight_ld


def all_pairs(z, n):
    first, second = np.triu_indices(len(z))
    return kernels.Pairs(z, n, z, n, first, second)


def shared(pairs, p):
    """(mask, z_1, n_1, z_2, n_2) of the variants of pair p, as float64."""
    j, k = pairs.first[p], pairs.second[p]
    rows = (pairs.n_1[j] > 0) & (pairs.n_2[k] > 0)
    columns = (pairs.z_1[j], pairs.n_1[j], pairs.z_2[k], pairs.n_2[k])
    return rows, *(column[rows].astype(np.float64) for column in columns)


def moments_by_numpy(pairs, ld):
    out = []
    for p in range(len(pairs)):
        rows, z_1, n_1, z_2, n_2 = shared(pairs, p)
        sums = (z_1**2, z_2**2, z_1 * z_2, n_1, n_2, ld[rows] * n_1, ld[rows] * n_2)
        out.append([rows.sum(), *(values.sum() for values in sums)])
    return np.array(out)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("n_variants", SIZES)
def test_moments_are_sums_over_the_variants_that_both_traits_have(n_variants, dtype):
    z, n, ld, _ = traits(4, n_variants, dtype=dtype)
    pairs = all_pairs(z, n)
    np.testing.assert_allclose(kernels.pair_moments(pairs, ld), moments_by_numpy(pairs, ld), rtol=1e-12, atol=1e-9)


@given(
    n_variants=st.integers(6, 300), n_blocks=st.integers(2, 5), missing=st.floats(0, 0.6), seed=st.integers(0, 2**32)
)
def test_blocks_hold_the_pairs_own_variants_by_rank(n_variants, n_blocks, missing, seed):
    z, n, _, _ = traits(2, n_variants, missing=missing, seed=seed)
    pairs = kernels.Pairs(z, n, z, n, [0], [1])
    rows = shared(pairs, 0)[0]
    count = int(rows.sum())
    if count <= n_blocks:
        return
    ranks = block_ranks([count], n_blocks)
    edges = kernels.edge_rows(pairs, ranks)
    assert (edges[:, 0] == 0).all()
    assert (edges[:, -1] == n_variants).all()
    for block in range(n_blocks):
        assert rows[edges[0, block] : edges[0, block + 1]].sum() == ranks[0, block + 1] - ranks[0, block]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("n_variants", SIZES[4:])
def test_block_sums_are_the_normal_equations_of_each_block(n_variants, dtype):
    z, n, ld, weight_ld = traits(3, n_variants, dtype=dtype, seed=n_variants)
    pairs = all_pairs(z, n)
    slopes = np.random.default_rng(1).uniform(0, 1e-6, (len(pairs), 2))
    count = np.array([shared(pairs, p)[0].sum() for p in range(len(pairs))])
    ranks = block_ranks(count, 7)
    edges = kernels.edge_rows(pairs, ranks)
    found = kernels.block_sums(pairs, ld, weight_ld, slopes, edges)
    for p in range(len(pairs)):
        rows, z_1, n_1, z_2, n_2 = shared(pairs, p)
        score, clipped = ld[rows], np.maximum(ld[rows], 1)
        w = (1 / (1 + slopes[p, 0] * n_1 * clipped) + 1 / (1 + slopes[p, 1] * n_2 * clipped)) ** 2
        w /= np.maximum(weight_ld[rows], 1)
        terms = np.column_stack([w * score**2, w * score, w, w * score * z_1 * z_2, w * z_1 * z_2])
        for block in range(7):
            expected = terms[ranks[p, block] : ranks[p, block + 1]].sum(axis=0)
            np.testing.assert_allclose(found[p, block], expected, rtol=1e-12, atol=1e-9)


def test_a_pair_has_the_same_bits_whatever_else_is_in_the_call():
    z, n, ld, weight_ld = traits(5, 4_099)
    together, alone = all_pairs(z, n), kernels.Pairs(z[3:4], n[3:4], z[1:2], n[1:2], [0], [0])
    at = next(p for p in range(len(together)) if (together.first[p], together.second[p]) == (1, 3))
    moments = kernels.pair_moments(together, ld)[at]
    swapped = kernels.pair_moments(alone, ld)[0]
    assert moments[[0, 2, 1, 3, 5, 4, 7, 6]].tobytes() == swapped.tobytes()
    ranks = block_ranks(kernels.pair_moments(together, ld)[:, 0].astype(int), 20)
    slopes = np.full((len(together), 2), 1e-6)
    sums = kernels.block_sums(together, ld, weight_ld, slopes, kernels.edge_rows(together, ranks))
    one = kernels.block_sums(alone, ld, weight_ld, slopes[:1], kernels.edge_rows(alone, ranks[at : at + 1]))
    assert sums[at].tobytes() == one[0].tobytes()


def test_read_only_arrays_and_slices_are_accepted():
    z, n, ld, _ = traits(6, 100)
    expected = kernels.pair_moments(all_pairs(z[::2].copy(), n[::2].copy()), ld)
    for array in (z, n, ld):
        array.setflags(write=False)
    np.testing.assert_array_equal(kernels.pair_moments(all_pairs(z[::2], n[::2]), ld), expected)


def test_traits_without_variants_have_sums_of_zero():
    z = np.zeros((2, 50))
    assert (kernels.pair_moments(all_pairs(z, z), np.ones(50)) == 0).all()
    empty = np.zeros((2, 0))
    assert (kernels.pair_moments(all_pairs(empty, empty), np.ones(0)) == 0).all()


@pytest.mark.parametrize(
    ("change", "error"),
    [
        ({"z_1": np.zeros((2, 8), np.float32)}, TypeError),
        ({"z_1": np.zeros((2, 8), np.int64)}, TypeError),
        ({"z_1": np.zeros((2, 9))}, ValueError),
        ({"n_2": np.zeros((3, 8))}, ValueError),
        ({"first": [2]}, ValueError),
        ({"second": [-1]}, ValueError),
        ({"first": [0, 1]}, ValueError),
    ],
)
def test_arguments_that_do_not_fit_are_refused(change, error):
    arrays = {name: np.zeros((2, 8)) for name in ("z_1", "n_1", "z_2", "n_2")}
    with pytest.raises(error):
        kernels.Pairs(**(arrays | {"first": [0], "second": [1]} | change))


def test_columns_of_another_length_are_refused():
    pairs = kernels.Pairs(*[np.zeros((1, 8))] * 4, [0], [0])
    with pytest.raises(ValueError, match="ld_score must be float64"):
        kernels.pair_moments(pairs, np.zeros(7))
    with pytest.raises(ValueError, match="ranks of shape"):
        kernels.edge_rows(pairs, [[0, 1], [0, 1]])
    with pytest.raises(ValueError, match="don't fit 1 pairs"):
        kernels.block_sums(pairs, np.zeros(8), np.zeros(8), np.zeros((1, 3)), np.zeros((1, 3), np.int64))
