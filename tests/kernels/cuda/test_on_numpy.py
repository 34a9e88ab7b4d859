"""The CUDA twin, run on the processor, gives what the CPU kernels and dense float64 give."""

from __future__ import annotations

import numpy as np
import pytest

from daskgen.kernels import genotype_products as on_cpu
from daskgen.kernels.cuda import genotype_products as on_gpu
from daskgen.kernels.cuda import load
from daskgen.kernels.cuda.genotype_decode import decode
from tests.kernels.products_cases import KINDS, case
from tests.kernels.strategies import AWKWARD_SIZES

pytestmark = pytest.mark.usefixtures("on_numpy")


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("n_samples", [*AWKWARD_SIZES, 4097])
def test_decoding_gives_the_standardised_genotypes_in_plane_order(kind, n_samples):
    chunk = case(kind, n_samples, 9, 1)
    rows = np.array([7, 0, 3])
    tile = 1024
    order = on_cpu.plane_order(n_samples, tile)
    for first in range(0, len(order), tile):
        last = min(first + tile, len(order))
        decoded = np.full((3, last - first), np.nan, np.float32)
        decode(chunk.genotypes, chunk.table, rows, first // 4, decoded)
        expected = on_cpu.to_planes(chunk.z[:, rows], order)[first:last].T
        np.testing.assert_allclose(decoded, expected, rtol=3e-6, atol=3e-6)


@pytest.mark.parametrize("kind", KINDS)
def test_values_are_those_of_the_cpu_kernels_bit_for_bit(kind):
    chunk = case(kind, 1001, 5, 1)
    order = on_cpu.plane_order(1001, 1004)
    decoded = np.empty((5, 1004), np.float32)
    decode(chunk.genotypes, chunk.table, np.arange(5), 0, decoded)
    # Z S with S the identity, so that each sum has one term.
    out = np.zeros((1004, 5))
    on_cpu.zs(chunk.genotypes, chunk.table, np.eye(5), out, 1004)
    np.testing.assert_array_equal(decoded[:, order < 1001].T, out[order < 1001].astype(np.float32))


def test_more_rows_than_a_grid_has_are_all_decoded(monkeypatch):
    monkeypatch.setattr("daskgen.kernels.cuda.genotype_decode._MOST_BLOCKS_Y", 2)
    chunk = case("packed", 5, 7, 1)
    decoded = np.full((7, 8), np.nan, np.float32)
    decode(chunk.genotypes, chunk.table, np.arange(7), 0, decoded)
    order = on_cpu.plane_order(5, 8)
    np.testing.assert_allclose(decoded, on_cpu.to_planes(chunk.z, order).T, rtol=3e-6, atol=3e-6)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("n_samples", "n_variants"), [(1, 1), (5, 3), (65, 20), (1001, 301)])
@pytest.mark.parametrize(("tile", "block"), [(8, 3), (64, 256), (1004, 7)])
def test_products_equal_dense_ones(kind, n_samples, n_variants, tile, block):
    chunk = case(kind, n_samples, n_variants, 3)
    order = on_gpu.plane_order(n_samples, tile)
    planes = on_gpu.to_planes(chunk.v, order)
    chunk.close(on_gpu.ztv(chunk.genotypes, chunk.table, planes, tile, block), chunk.z.T, chunk.v)
    out = np.zeros((len(order), 3))
    on_gpu.zs(chunk.genotypes, chunk.table, chunk.s, out, tile, block)
    chunk.close(on_gpu.from_planes(out, order, n_samples), chunk.z, chunk.s)
    weights = np.stack([chunk.weights, chunk.weights * (np.arange(n_variants) % 2), np.zeros(n_variants)], axis=1)
    outs = np.zeros((3, len(order), 3))
    on_gpu.kv(chunk.genotypes, chunk.table, weights, planes, outs, tile, block)
    for part, w in zip(on_gpu.from_planes(outs, order, n_samples), weights.T, strict=True):
        chunk.close(part, chunk.z, np.diag(w), chunk.z.T, chunk.v)


@pytest.mark.parametrize("kind", KINDS)
def test_less_free_memory_changes_no_bit(kind, monkeypatch):
    chunk = case(kind, 1001, 100, 4)
    order = on_gpu.plane_order(1001, 256)
    planes = on_gpu.to_planes(chunk.v, order)
    results = []
    for free in (2**33, 4 * 256 * 8 * 4 * 3, 1):
        monkeypatch.setattr(load, "free_memory", lambda free=free: free)
        out = np.zeros((len(order), 4))
        results.append(on_gpu.kv(chunk.genotypes, chunk.table, chunk.weights, planes, out, 256, 8))
    assert on_gpu._blocks_together(4 * 256 * 8) == 1
    for result in results[1:]:
        np.testing.assert_array_equal(result, results[0])


def test_tables_and_orders_are_those_of_the_cpu():
    np.testing.assert_array_equal(on_gpu.plane_order(1001, 64), on_cpu.plane_order(1001, 64))
    mean, scale = np.array([0.3, 1.5]), np.array([2.0, 0.0])
    np.testing.assert_array_equal(on_gpu.value_table(mean, scale, -1), on_cpu.value_table(mean, scale, -1))
    np.testing.assert_array_equal(on_gpu.dosage_table(mean, scale), on_cpu.dosage_table(mean, scale))


@pytest.mark.parametrize("kind", KINDS)
def test_no_variants_and_no_vectors(kind):
    chunk = case(kind, 10, 0, 2)
    planes = on_gpu.to_planes(chunk.v, on_gpu.plane_order(10, 8))
    out = np.zeros((12, 2))
    assert on_gpu.ztv(chunk.genotypes, chunk.table, planes, 8).shape == (0, 2)
    on_gpu.kv(chunk.genotypes, chunk.table, chunk.weights, planes, out, 8)
    assert not out.any()


def test_arguments_that_do_not_fit_are_refused():
    chunk = case("packed", 33, 5, 2)
    planes = on_gpu.to_planes(chunk.v, on_gpu.plane_order(33, 16))
    out = np.zeros((36, 2))
    with pytest.raises(ValueError, match="multiple of 4"):
        on_gpu.ztv(chunk.genotypes, chunk.table, planes, 10)
    with pytest.raises(ValueError, match=r"v_planes must be C-contiguous with the shape \(36, 2\)"):
        on_gpu.ztv(chunk.genotypes, chunk.table, planes[:33], 16)
    with pytest.raises(TypeError, match="table must be float32"):
        on_gpu.ztv(chunk.genotypes, chunk.table.astype(float), planes, 16)
    with pytest.raises(TypeError, match="packed must be uint8"):
        on_gpu.ztv(chunk.genotypes.astype(np.int8), chunk.table, planes, 16)
    with pytest.raises(ValueError, match="s must have 5 rows"):
        on_gpu.zs(chunk.genotypes, chunk.table, chunk.s[:4], out, 16)
    with pytest.raises(ValueError, match="out must be C-contiguous"):
        on_gpu.zs(chunk.genotypes, chunk.table, chunk.s, out[:33], 16)
    with pytest.raises(ValueError, match="weights of shape"):
        on_gpu.kv(chunk.genotypes, chunk.table, chunk.weights[:4], planes, out, 16)
