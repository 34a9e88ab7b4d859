"""Every CUDA function against its CPU twin, on a GPU and fresh random genotypes."""

from __future__ import annotations

import numpy as np
import pytest

from daskgen.kernels import dispatch
from daskgen.kernels import genotype_products as on_cpu
from daskgen.kernels.cuda import genotype_products as on_gpu
from daskgen.kernels.cuda import load
from daskgen.kernels.cuda.genotype_decode import decode
from tests.kernels.products_cases import KINDS, Case, case

pytestmark = pytest.mark.gpu

SHAPES = [(1, 1, 1), (5, 3, 2), (63, 20, 64), (1001, 301, 7), (16_385, 600, 64)]


@pytest.fixture
def fresh() -> int:
    """A seed that no earlier run has had; a failure shows it."""
    return int(np.random.default_rng().integers(2**31))


def on_device(chunk: Case) -> tuple:
    cp = load.cupy()
    return cp.asarray(chunk.genotypes), cp.asarray(chunk.table)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("n_samples", "n_variants", "r"), SHAPES)
@pytest.mark.parametrize(("tile", "block"), [(64, 256), (16_384, 256), (16_384, 2048)])
def test_products_equal_those_of_the_cpu(kind, n_samples, n_variants, r, tile, block, fresh):
    cp = load.cupy()
    chunk = case(kind, n_samples, n_variants, r, seed=fresh)
    genotypes, table = on_device(chunk)
    assert dispatch.genotype_products(genotypes) is on_gpu
    order = on_gpu.plane_order(n_samples, tile)
    planes = on_gpu.to_planes(cp.asarray(chunk.v), order)
    weights = np.stack([chunk.weights, chunk.weights * (np.arange(n_variants) % 2)], axis=1)

    chunk.close(on_gpu.ztv(genotypes, table, planes, tile, block).get(), chunk.z.T, chunk.v)
    out = cp.zeros((len(order), r))
    on_gpu.zs(genotypes, table, cp.asarray(chunk.s), out, tile, block)
    chunk.close(on_gpu.from_planes(out, order, n_samples).get(), chunk.z, chunk.s)
    outs = cp.zeros((2, len(order), r))
    on_gpu.kv(genotypes, table, cp.asarray(weights), planes, outs, tile, block)
    for part, w in zip(on_gpu.from_planes(outs, order, n_samples).get(), weights.T, strict=True):
        chunk.close(part, chunk.z, np.diag(w), chunk.z.T, chunk.v)

    cpu_order = on_cpu.plane_order(n_samples, tile)
    cpu = np.zeros((len(cpu_order), r))
    on_cpu.kv(chunk.genotypes, chunk.table, chunk.weights, on_cpu.to_planes(chunk.v, cpu_order), cpu, tile, block)
    np.testing.assert_allclose(outs[0].get(), cpu, rtol=0, atol=1e-5 * np.abs(cpu).max())


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("n_samples", [1, 5, 1001, 16_385])
def test_decoding_equals_that_of_the_cpu_bit_for_bit(kind, n_samples, fresh):
    cp = load.cupy()
    chunk = case(kind, n_samples, 5, 1, seed=fresh)
    genotypes, table = on_device(chunk)
    order = on_cpu.plane_order(n_samples, 65_536)
    decoded = cp.empty((5, len(order)), np.float32)
    decode(genotypes, table, cp.arange(5), 0, decoded)
    out = np.zeros((len(order), 5))
    on_cpu.zs(chunk.genotypes, chunk.table, np.eye(5), out, 65_536)
    real = order < n_samples
    np.testing.assert_array_equal(decoded.get()[:, real].T, out[real].astype(np.float32))


def test_tables_orders_and_planes_are_those_of_the_cpu(fresh):
    cp = load.cupy()
    rng = np.random.default_rng(fresh)
    mean, scale, v = rng.random(9), rng.random(9), rng.standard_normal((1001, 3))
    order = on_gpu.plane_order(1001, 64)
    np.testing.assert_array_equal(order.get(), on_cpu.plane_order(1001, 64))
    for array in (np.asarray, cp.asarray):
        np.testing.assert_array_equal(
            on_gpu.value_table(array(mean), array(scale), -1).get(), on_cpu.value_table(mean, scale, -1)
        )
        np.testing.assert_array_equal(
            on_gpu.dosage_table(array(mean), array(scale)).get(), on_cpu.dosage_table(mean, scale)
        )
        planes = on_gpu.to_planes(array(v), order)
        np.testing.assert_array_equal(planes.get(), on_cpu.to_planes(v, order.get()))
    back = on_gpu.from_planes(planes, order, 1001)
    np.testing.assert_array_equal(back.get(), v.astype(np.float32))


def test_one_block_and_little_memory_give_the_same_bits(fresh, monkeypatch):
    cp = load.cupy()
    chunk = case("packed", 2001, 300, 16, seed=fresh)
    genotypes, table = on_device(chunk)
    order = on_gpu.plane_order(2001, 1024)
    planes = on_gpu.to_planes(cp.asarray(chunk.v), order)
    results = []
    for free in (2**33, 1):
        monkeypatch.setattr(load, "free_memory", lambda free=free: free)
        out = cp.zeros((len(order), 16))
        results.append(on_gpu.kv(genotypes, table, chunk.weights, planes, out, 1024).get())
    np.testing.assert_array_equal(*results)
