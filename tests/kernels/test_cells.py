"""Kernels over rows of counts against dense NumPy, with ties, empty rows, huge and fractional counts."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import scipy.sparse
import scipy.stats

from daskgen.kernels.cells_columns import add_transposed, find_columns, project
from daskgen.kernels.cells_enrichment import set_overlaps, upper_tails
from daskgen.kernels.cells_gram import GramSum, full_columns, packed_length, unpacked
from daskgen.kernels.cells_rows import KEPT, summarise_rows
from daskgen.kernels.cells_variance import add_clipped, add_residuals, residuals_of_zeros
from tests.oracles import cells as oracle


def matrix(kind, n_rows=60, n_genes=90, seed=0):
    generator = np.random.default_rng(seed)
    x = generator.poisson(0.7, (n_rows, n_genes)).astype(np.float64)
    x[3] = 0
    x[5, 1:] = 0
    if kind == "huge":
        x[::4, ::7] *= 5_000  # beyond the histogram
        x[1, 2] = 2.0**40
    if kind == "fractions":
        x *= generator.choice([1.0, 1.002, 0.5], x.shape)
    return x


def csr(x):
    m = scipy.sparse.csr_matrix(x)
    return m.indptr.astype(np.int64), m.indices.astype(np.int32), m.data.astype(np.float64)


def summarised(
    x, *, tops=(), n_largest=0, max_fraction=-1.0, logs=False, roles=None, groups=None, factors=None, target=1.0
):
    n_rows, n_genes = x.shape
    roles = np.full(n_genes, KEPT, np.uint32) if roles is None else roles
    groups = np.zeros(n_rows, np.int32) if groups is None else groups
    n_masks = max(0, int(roles.max()).bit_length() - 1)
    cells = np.empty((n_rows, 4 + len(tops) + n_masks))
    genes = np.zeros((groups.max() + 1, n_genes, 7 if logs else 5))
    high = np.zeros(n_genes, np.uint8)
    flaws = summarise_rows(
        *csr(x), roles, factors, target, groups, np.array(tops, np.int64), n_largest, max_fraction, cells, genes, high
    )
    return cells, genes, high, flaws


@pytest.mark.parametrize("kind", ["small", "huge", "fractions"])
def test_sums_of_cells_and_genes(kind):
    x = matrix(kind)
    mask = np.arange(x.shape[1]) % 5 == 0
    roles = (1 + 2 * mask).astype(np.uint32)
    tops = (1, 7, 30, 80)
    cells, genes, _, flaws = summarised(x, tops=tops, roles=roles, logs=True, target=1e4)
    ranked = -np.sort(-x, axis=1)
    np.testing.assert_array_equal(cells[:, 0], (x > 0).sum(axis=1))
    np.testing.assert_allclose(cells[:, 1], x.sum(axis=1), rtol=1e-14)
    np.testing.assert_allclose(cells[:, 4:8], np.stack([ranked[:, :t].sum(axis=1) for t in tops], axis=1), rtol=1e-13)
    np.testing.assert_allclose(cells[:, 8], x[:, mask].sum(axis=1), rtol=1e-14)
    y = oracle.normalised(x, 1e4)
    expected = [(x > 0), x, x**2, y, y**2, np.log1p(y), np.log1p(y) ** 2]
    np.testing.assert_allclose(genes[0], np.stack([e.sum(axis=0) for e in expected], axis=1), rtol=1e-12, atol=1e-12)
    assert flaws.n == 0
    assert flaws.fractions == (kind == "fractions")


@pytest.mark.parametrize("kind", ["small", "huge", "fractions"])
def test_the_cut_and_what_lies_above_it(kind):
    x = matrix(kind)
    for n_largest in (1, 5, 40, 90):
        cells, *_ = summarised(x, n_largest=n_largest)
        for row, counts in zip(cells, x, strict=True):
            stored = np.sort(counts[counts > 0])[::-1]
            cut = stored[n_largest - 1] if len(stored) >= n_largest else 0
            assert row[2] == cut
            assert row[3] == (stored > cut).sum()


def test_groups_masks_and_factors():
    x = matrix("small")
    groups = np.arange(len(x), dtype=np.int32) % 3 - 1
    roles = np.where(np.arange(x.shape[1]) % 4 == 1, 0, KEPT).astype(np.uint32)
    factors = np.linspace(0.5, 2, len(x))
    cells, genes, *_ = summarised(x, groups=groups, roles=roles, factors=factors)
    counted = roles > 0
    kept = x * counted
    np.testing.assert_allclose(cells[:, 1], kept.sum(axis=1))
    for group in (0, 1):
        rows = groups == group
        np.testing.assert_allclose(genes[group, counted, 1], kept[rows].sum(axis=0)[counted])
        expected = (kept * factors[:, None])[rows].sum(axis=0)
        np.testing.assert_allclose(genes[group, counted, 3], expected[counted], rtol=1e-13)


def test_genes_above_a_share_of_a_cell_that_counts():
    x = matrix("small")
    groups = np.where(np.arange(len(x)) == 5, -1, 0).astype(np.int32)  # cell 5 has its counts in one gene
    _, _, high, _ = summarised(x, max_fraction=0.05, groups=groups)
    rows = groups == 0
    np.testing.assert_array_equal(high, (x > 0.05 * x.sum(axis=1)[:, None])[rows].any(axis=0))


def test_values_that_are_no_counts_are_reported_and_left_out():
    x = matrix("small")
    x[7, 11], x[9, 4] = np.nan, -1.0
    cells, genes, _, flaws = summarised(x)
    assert (flaws.n, flaws.row, flaws.gene) == (2, 7, 11)
    clean = np.where(x > 0, x, 0)
    np.testing.assert_allclose(cells[:, 1], clean.sum(axis=1))
    np.testing.assert_allclose(genes[0, :, 1], clean.sum(axis=0))


@pytest.mark.parametrize("n_up", [1, 4, 25])
def test_overlaps_follow_the_tie_rule(n_up):
    x = matrix("small")
    sets = [[0, 3, 5, 80], list(range(20, 45)), [89]]
    member = [[j for j, genes in enumerate(sets) if gene in genes] for gene in range(x.shape[1])]
    start = np.concatenate([[0], np.cumsum([len(m) for m in member])]).astype(np.int64)
    roles = np.full(x.shape[1], KEPT, np.uint32)
    cells, *_ = summarised(x, n_largest=n_up)
    ties = np.where(cells[:, 2] > 0, n_up - cells[:, 3], 0).astype(np.int64)
    out = np.full((len(x), len(sets)), 99, np.int32)
    set_overlaps(*csr(x), roles, cells[:, 2].copy(), ties, start, np.concatenate(member).astype(np.int32), out)
    expected, draws, p = oracle.over_representation(x, sets, n_up)
    np.testing.assert_array_equal(out, expected)
    sizes = np.array([len(genes) for genes in sets], np.int64)
    found = upper_tails(out, draws.astype(np.int64), sizes, x.shape[1])
    np.testing.assert_allclose(found, p, rtol=1e-12)


def test_tails_keep_their_digits():
    overlaps = np.array([[0, 30, 60], [1, 60, 5]], np.int32)
    draws, sizes = np.array([1750, 60], np.int64), np.array([300, 60, 60], np.int64)
    found = upper_tails(overlaps, draws, sizes, 35_000)
    expected = np.where(overlaps == 0, 1, scipy.stats.hypergeom.sf(overlaps - 1, 35_000, sizes, draws[:, None]))
    np.testing.assert_allclose(found, expected, rtol=1e-10)
    assert found[1, 1] > 0  # 1e-130 or so, no difference of ones


def test_tails_where_every_gene_is_in_the_set_or_drawn():
    found = upper_tails(np.array([[10, 3]], np.int32), np.array([10], np.int64), np.array([10, 3], np.int64), 10)
    np.testing.assert_allclose(found, 1)


def test_columns_that_are_taken_out():
    x = matrix("small")
    chosen = np.array([2, 3, 11, 30, 89])
    place = np.full(90, -1, np.int32)
    place[chosen] = np.arange(5)
    indptr, indices, values = csr(x)
    found, columns, positions = find_columns(indptr, indices, place)
    y = np.zeros((60, 5))
    y[np.repeat(np.arange(60), np.diff(found)), columns] = values[positions]
    np.testing.assert_array_equal(y, x[:, chosen])


@pytest.mark.parametrize("full", [[], [0, 7, 39], list(range(40))])  # all by pairs, both, all by BLAS
def test_gram_matrix(full):
    generator = np.random.default_rng(2)
    x = generator.normal(size=(2500, 40)) * (generator.random((2500, 40)) < np.linspace(0.02, 0.9, 40))
    x[17] = 0
    packed = np.zeros(packed_length(40))
    gram = GramSum(40, packed, np.array(full, np.int64))
    for start, stop in [(0, 1), (1, 1900), (1900, 2500)]:
        indptr, indices, values = csr(x[start:stop])
        gram.add(indptr, indices, values.astype(np.float32))
    gram.finish()
    out = unpacked(packed, 40)
    np.testing.assert_allclose(np.triu(out), np.triu(x.T @ x), rtol=2e-6, atol=1e-6 * out.max())


def test_a_gram_matrix_has_the_same_bits_however_its_rows_come():
    generator = np.random.default_rng(8)
    x = generator.normal(size=(2200, 30)) * (generator.random((2200, 30)) < np.linspace(0.02, 0.9, 30))
    found = []
    for edges in ([0, 2200], [0, 1, 700, 1023, 1025, 2200], range(0, 2201, 110)):
        packed = np.zeros(packed_length(30))
        gram = GramSum(30, packed, np.arange(12, 30))
        for start, stop in itertools.pairwise(edges):
            indptr, indices, values = csr(x[start:stop])
            gram.add(indptr, indices, values.astype(np.float32))
        gram.finish()
        found.append(packed)
    np.testing.assert_array_equal(found[0], found[1])
    np.testing.assert_array_equal(found[0], found[2])


def test_which_columns_are_full():
    even = np.full(320, 10, np.int64)
    assert len(full_columns(even, 1000)) == 0  # 3 values a row: pairs are few
    assert len(full_columns(even * 90, 1000)) == 320
    skewed = np.where(np.arange(320) % 10 == 3, 900, 5).astype(np.int64)
    np.testing.assert_array_equal(full_columns(skewed, 1000), np.flatnonzero(skewed == 900))


def test_products_with_vectors():
    x = matrix("small")
    generator = np.random.default_rng(3)
    indptr, indices, values = csr(x)
    v, u, shift = generator.normal(size=(90, 4)), generator.normal(size=(60, 4)), generator.normal(size=4)
    found = project(indptr, indices, values.astype(np.float32), v, shift)
    np.testing.assert_allclose(found, x @ v - shift, rtol=1e-12, atol=1e-12)
    out = np.ones((90, 4))
    add_transposed(indptr, indices, values.astype(np.float32), u, out)
    np.testing.assert_allclose(out, 1 + x.T @ u, rtol=1e-12, atol=1e-12)


def test_clipped_sums():
    x = matrix("small")
    groups = (np.arange(60) % 2 - (np.arange(60) == 8) * 9).clip(-1).astype(np.int32)
    limits = np.random.default_rng(4).uniform(0.5, 2.5, (2, 90))
    out = np.zeros((2, 90, 2))
    add_clipped(*csr(x), groups, limits, out)
    for group in (0, 1):
        clipped = np.minimum(x[groups == group], limits[group])
        np.testing.assert_allclose(out[group], np.stack([clipped.sum(axis=0), (clipped**2).sum(axis=0)], axis=1))


def test_pearson_residuals_from_stored_values_and_distinct_totals():
    x = matrix("small")
    clip, theta = np.sqrt(60), 100.0
    totals, shares = x.sum(axis=1), x.sum(axis=0) / x.sum()
    sums = np.zeros((1, 90, 2))
    groups = np.zeros(60, np.int32)
    add_residuals(*csr(x), groups, totals, shares[None], theta, np.array([clip]), sums)
    distinct, numbers = np.unique(totals, return_counts=True)
    sums[0] += residuals_of_zeros(distinct, numbers.astype(float), shares, theta, clip)
    variance = sums[0, :, 1] / 60 - (sums[0, :, 0] / 60) ** 2
    np.testing.assert_allclose(variance, oracle.residual_variance(x, theta, clip), rtol=1e-10, atol=1e-13)
