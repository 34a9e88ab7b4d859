"""Z'V, Z S and K V on packed codes and dosages, against dense float64."""

from __future__ import annotations

import threading

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from threadpoolctl import threadpool_limits

from daskgen.kernels import genotype_products as products
from daskgen.kernels.genotype_codes import pack
from tests.kernels.products_cases import KINDS, Case, case
from tests.kernels.strategies import AWKWARD_SIZES


def ztv(chunk: Case, tile: int, block: int = 256) -> np.ndarray:
    planes = products.to_planes(chunk.v, products.plane_order(chunk.n_samples, tile))
    return products.ztv(chunk.genotypes, chunk.table, planes, tile, block)


def zs(chunk: Case, tile: int, block: int = 256) -> np.ndarray:
    out = np.zeros((chunk.length(), chunk.s.shape[1]))
    products.zs(chunk.genotypes, chunk.table, chunk.s, out, tile, block)
    return products.from_planes(out, products.plane_order(chunk.n_samples, tile), chunk.n_samples)


def kv(chunk: Case, weights: np.ndarray, tile: int, block: int = 256) -> np.ndarray:
    order = products.plane_order(chunk.n_samples, tile)
    out = np.zeros((*weights.shape[1:], chunk.length(), chunk.v.shape[1]))
    products.kv(chunk.genotypes, chunk.table, weights, products.to_planes(chunk.v, order), out, tile, block)
    return products.from_planes(out, order, chunk.n_samples)


# The order of samples -----------------------------------------------------------------------------------------------


def test_samples_of_a_tile_are_ordered_plane_by_plane():
    order = products.plane_order(14, 8)
    assert order.dtype == np.int64
    assert order.tolist() == [0, 4, 1, 5, 2, 6, 3, 7, 8, 12, 9, 13, 10, 14, 11, 15]


@given(st.integers(1, 200), st.integers(1, 20), st.integers(1, 3))
def test_plane_order_is_a_permutation_that_can_be_undone(n_samples, tile_bytes, r):
    order = products.plane_order(n_samples, 4 * tile_bytes)
    np.testing.assert_array_equal(np.sort(order), np.arange(-(-n_samples // 4) * 4))
    v = np.arange(1.0, n_samples * r + 1).reshape(n_samples, r)
    planes = products.to_planes(v, order)
    assert planes.dtype == np.float32
    assert planes.flags.c_contiguous
    np.testing.assert_array_equal(planes[order >= n_samples], 0)
    np.testing.assert_array_equal(products.from_planes(planes, order, n_samples), v)


def test_the_result_of_several_components_comes_back_in_one_call():
    order = products.plane_order(5, 4)
    planes = np.random.default_rng(0).standard_normal((3, 8, 2))
    together = products.from_planes(planes, order, 5)
    np.testing.assert_array_equal(together, [products.from_planes(part, order, 5) for part in planes])


# The products -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("n_samples", [*AWKWARD_SIZES, 16_385])
def test_products_equal_dense_ones_for_any_number_of_samples(kind, n_samples):
    chunk = case(kind, n_samples, 7, 3)
    chunk.close(ztv(chunk, 16_384), chunk.z.T, chunk.v)
    chunk.close(zs(chunk, 16_384), chunk.z, chunk.s)
    chunk.close(kv(chunk, chunk.weights, 16_384), chunk.z, np.diag(chunk.weights), chunk.z.T, chunk.v)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("tile", "block"), [(4, 1), (8, 3), (64, 256), (1000, 5), (1004, 300), (100_000, 1000)])
def test_products_equal_dense_ones_for_any_tile_and_block(kind, tile, block):
    chunk = case(kind, 1001, 301, 5)
    chunk.close(ztv(chunk, tile, block), chunk.z.T, chunk.v)
    chunk.close(zs(chunk, tile, block), chunk.z, chunk.s)
    chunk.close(kv(chunk, chunk.weights, tile, block), chunk.z, np.diag(chunk.weights), chunk.z.T, chunk.v)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("r", [1, 2, 31, 64, 300])
def test_products_equal_dense_ones_for_any_number_of_vectors(kind, r):
    chunk = case(kind, 2_101, 40, r)
    chunk.close(ztv(chunk, 1024), chunk.z.T, chunk.v)
    chunk.close(zs(chunk, 1024), chunk.z, chunk.s)
    chunk.close(kv(chunk, chunk.weights, 1024), chunk.z, np.diag(chunk.weights), chunk.z.T, chunk.v)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("n_variants", [0, 1])
def test_one_variant_and_none(kind, n_variants):
    chunk = case(kind, 101, n_variants, 4)
    chunk.close(ztv(chunk, 64), chunk.z.T, chunk.v)
    chunk.close(zs(chunk, 64), chunk.z, chunk.s)
    assert kv(chunk, chunk.weights, 64).shape == (101, 4)


@pytest.mark.parametrize("kind", KINDS)
def test_no_vectors(kind):
    chunk = case(kind, 101, 3, 0)
    assert ztv(chunk, 64).shape == (3, 0)
    assert zs(chunk, 64).shape == (101, 0)
    assert kv(chunk, chunk.weights, 64).shape == (101, 0)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("code", [0, 1, 2, 3])
def test_monomorphic_and_all_missing_variants(kind, code):
    chunk = case(kind, 67, 3, 2, codes=np.full((3, 67), code))
    chunk.close(ztv(chunk, 64), chunk.z.T, chunk.v)
    chunk.close(zs(chunk, 64), chunk.z, chunk.s)
    if code == 3:
        assert not zs(chunk, 64).any()


def test_a_scale_of_zero_removes_a_variant():
    table = products.value_table([0.0, 1.0], [0.0, 0.0])
    np.testing.assert_array_equal(table, 0)


def test_the_table_holds_standardised_codes_and_what_stands_for_missing():
    table = products.value_table([0.5, 1.25], [2.0, 4.0], missing=-7)
    np.testing.assert_array_equal(table, np.float32([[-1, 1, 3, -7], [-5, -1, 3, -7]]))
    assert table.dtype == np.float32


def test_results_are_added_to_what_is_there():
    chunk = case("packed", 33, 5, 2)
    order = products.plane_order(33, 16)
    planes = products.to_planes(chunk.v, order)
    once, twice = np.zeros((36, 2)), np.zeros((36, 2))
    products.kv(chunk.genotypes, chunk.table, chunk.weights, planes, once, 16)
    for _ in range(2):
        assert products.kv(chunk.genotypes, chunk.table, chunk.weights, planes, twice, 16) is twice
    np.testing.assert_array_equal(twice, 2 * once)


@pytest.mark.parametrize("kind", KINDS)
def test_components_overlap_share_nothing_or_are_empty(kind):
    chunk = case(kind, 130, 20, 3)
    weights = np.zeros((20, 4))
    weights[:8, 0] = 1
    weights[5:20, 1] = chunk.weights[5:20]
    weights[8:, 2] = 0.25
    found = kv(chunk, weights, 64, block=6)
    assert found.shape == (4, 130, 3)
    for part, w in zip(found, weights.T, strict=True):
        chunk.close(part, chunk.z, np.diag(w), chunk.z.T, chunk.v)
    np.testing.assert_array_equal(found[3], 0)


def test_a_component_does_not_see_variants_of_weight_zero():
    chunk = case("packed", 130, 20, 3)
    chunk.table[4] = np.inf
    weights = np.where(np.arange(20) == 4, 0.0, chunk.weights)
    z, w = np.delete(chunk.z, 4, axis=1), np.diag(np.delete(weights, 4))
    chunk.close(kv(chunk, weights, 64), z, w, z.T, chunk.v)


@pytest.mark.parametrize("kind", KINDS)
def test_any_thread_computes_the_same_bits(kind):
    chunk = case(kind, 3001, 300, 64)
    with threadpool_limits(1):
        expected = kv(chunk, chunk.weights, 1024)
        found: list[np.ndarray] = []
        threads = [
            threading.Thread(target=lambda: found.extend(kv(chunk, chunk.weights, 1024) for _ in range(3)))
            for _ in range(4)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert len(found) == 12
    for result in found:
        np.testing.assert_array_equal(result, expected)


def test_the_sum_over_tiles_is_kept_in_float64():
    # One tile sums to 2**24, where float32 cannot count single ones any more; the others add one each.
    n_tiles = 100
    packed = pack(np.ones((1, 64 * n_tiles), np.int8))
    v = np.zeros((64 * n_tiles, 1))
    v[0] = 2**24
    v[64::64] = 1
    planes = products.to_planes(v, products.plane_order(64 * n_tiles, 64))
    table = products.value_table([0.0], [1.0])
    assert products.ztv(packed, table, planes, 64)[0, 0] == 2**24 + n_tiles - 1


def test_the_sum_over_blocks_is_kept_in_float64():
    packed = pack(np.ones((101, 4), np.int8))
    s = np.ones((101, 1))
    s[0] = 2**24
    out = np.zeros((4, 1))
    products.zs(packed, products.value_table(np.zeros(101), np.ones(101)), s, out, tile=4, block=1)
    np.testing.assert_array_equal(out, 2**24 + 100)


def test_arguments_that_do_not_fit_are_refused():
    chunk = case("packed", 33, 5, 2)
    planes = products.to_planes(chunk.v, products.plane_order(33, 16))
    out = np.zeros((36, 2))
    with pytest.raises(ValueError, match="multiple of 4"):
        products.plane_order(33, 10)
    with pytest.raises(ValueError, match="at least one variant"):
        products.ztv(chunk.genotypes, chunk.table, planes, 16, block=0)
    with pytest.raises(ValueError, match=r"v_planes must have the shape \(36, any\)"):
        products.ztv(chunk.genotypes, chunk.table, planes[:33], 16)
    with pytest.raises(TypeError, match="v_planes must be float32"):
        products.ztv(chunk.genotypes, chunk.table, planes.astype(np.float64), 16)
    with pytest.raises(ValueError, match=r"table must have the shape \(5, 4\)"):
        products.ztv(chunk.genotypes, chunk.table[:, :2], planes, 16)
    with pytest.raises(TypeError, match="packed must be uint8"):
        products.ztv(chunk.genotypes.astype(np.int8), chunk.table, planes, 16)
    with pytest.raises(ValueError, match="s must have the shape"):
        products.zs(chunk.genotypes, chunk.table, chunk.s[:4], out, 16)
    with pytest.raises(ValueError, match="out must be"):
        products.zs(chunk.genotypes, chunk.table, chunk.s, out[:33], 16)
    for weights, wrong in ((chunk.weights[:4], out), (np.ones((5, 3)), out[None]), (np.ones((5, 2)), out)):
        with pytest.raises(ValueError, match="weights of shape"):
            products.kv(chunk.genotypes, chunk.table, weights, planes, wrong, 16)
