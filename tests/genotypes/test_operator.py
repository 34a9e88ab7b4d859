"""Streamed products against dense float64, on awkward shapes, subsets, scales, components and schedulers."""

from __future__ import annotations

import numpy as np
import pytest

import daskgen as dg
from daskgen.errors import InputError, PlanError, UsageError
from daskgen.genotypes.operator import GenotypeOperator
from daskgen.genotypes.reader import StoreReader, open_reader
from daskgen.genotypes.view import GenotypeView
from daskgen.passes import PassRunner, worker_cache
from daskgen.passes.executors import ThreadExecutor
from tests.genotypes.cohort import dataset, random_calls, store
from tests.oracles.relationship import relationship, standardised

TOLERANCE = 2e-6  # float32 products, relative to the sum of the absolute terms


def close(found, wanted, size=None):
    size = np.abs(wanted).max() if size is None else np.abs(size).max()
    np.testing.assert_allclose(found, wanted, atol=TOLERANCE * (size if size > 0 else 1), rtol=0)


@pytest.fixture(autouse=True)
def _empty_cache():
    worker_cache().clear()


@pytest.mark.parametrize(
    ("m", "n"), [(1, 5), (9, 1), (9, 2), (20, 4), (20, 7), (65, 63), (130, 101), (64, 1001), (300, 257)]
)
@pytest.mark.parametrize(("scale", "alpha"), [("empirical", -1.0), ("hwe", -1.0), ("empirical", 0.0), ("hwe", -0.25)])
def test_products_equal_dense_ones(tmp_path, m, n, scale, alpha):
    calls = random_calls(m, n)
    path = store(tmp_path / "g.zarr", calls, rows=16)
    z, counted = standardised(calls, scale=scale, alpha=alpha)
    k = relationship(calls, scale=scale, alpha=alpha)
    generator = np.random.default_rng(1)
    v, s = generator.standard_normal((n, 3)), generator.standard_normal((m, 3))
    operator = dg.genotypes.operator(path, scale=scale, alpha=alpha)
    assert operator.counted == counted
    # Sums may cancel; float32 is judged by the size of what is summed.
    size = np.abs(z) @ (np.abs(z).T @ np.abs(v)) / max(counted, 1)
    close(operator.kv(v), k @ v, size)
    close(operator.kv(v[:, 0]), k @ v[:, 0], size)
    close(operator.ztv(v), z.T @ v, np.abs(z).T @ np.abs(v))
    close(operator.zs(s), z @ s, np.abs(z) @ np.abs(s))
    close(operator.diagonal(), np.diag(k))
    np.testing.assert_allclose(operator.trace(), np.trace(k), rtol=TOLERANCE)


@pytest.mark.parametrize("vectors", [1, 2, 17, 300])
def test_any_number_of_vectors(tmp_path, vectors):
    calls = random_calls(100, 66)
    v = np.random.default_rng(0).standard_normal((66, vectors))
    close(dg.genotypes.operator(store(tmp_path / "g.zarr", calls)).kv(v), relationship(calls) @ v)


def test_frequencies_and_scales_are_of_the_analysed_samples(tmp_path):
    calls = random_calls(150, 90)
    path = store(tmp_path / "g.zarr", calls)
    kept = np.array([80, 3, 4, 5, 41, 40, 0])
    operator = GenotypeOperator(GenotypeView(StoreReader.open(path), samples=kept))
    v = np.random.default_rng(0).standard_normal((7, 2))
    close(operator.kv(v), relationship(calls[:, kept]) @ v)
    by_name = dg.genotypes.operator(path, keep=[f"s{i}" for i in kept])
    close(by_name.kv(v), relationship(calls[:, np.sort(kept)]) @ v)


def test_variants_are_chosen_by_id_contig_region_and_quality(tmp_path):
    calls = random_calls(200, 50, missing=0.1)
    path = store(tmp_path / "g.zarr", calls, contig=np.repeat([0, 1], 100), position=np.tile(np.arange(1, 101), 2))
    v = np.random.default_rng(0).standard_normal((50, 2))

    def product(rows):
        return relationship(calls[rows]) @ v

    close(dg.genotypes.operator(path, extract=["rs9", "rs150", "rs20"]).kv(v), product([9, 20, 150]))
    close(dg.genotypes.operator(path, contig="2").kv(v), product(np.arange(100, 200)))
    close(dg.genotypes.operator(path, region="chr1:11-20").kv(v), product(np.arange(10, 20)))
    n_called = (calls >= 0).sum(axis=1)
    p = np.where(calls < 0, 0, calls).sum(axis=1) / np.maximum(2 * n_called, 1)
    good = (np.minimum(p, 1 - p) >= 0.1) & ((calls < 0).mean(axis=1) <= 0.12)
    close(dg.genotypes.operator(path, maf_min=0.1, missing_max=0.12).kv(v), product(good))


def test_dosages_are_used_where_there_are_some(tmp_path):
    generator = np.random.default_rng(0)
    dosage = np.rint(generator.uniform(0, 2, (70, 33)) * 16384) / 16384
    dosage[generator.random(dosage.shape) < 0.05] = np.nan
    dosage[3] = 0.25
    calls = np.where(np.isnan(dosage), -1, np.rint(dosage)).astype(np.int8)
    path = store(tmp_path / "g.zarr", calls, dosage=dosage, rows=16)
    v = generator.standard_normal((33, 3))
    wanted = np.where(np.isnan(dosage), -1, dosage)
    k = relationship(wanted)
    operator = dg.genotypes.operator(path)
    close(operator.kv(v), k @ v)
    close(operator.diagonal(), np.diag(k))
    close(operator.ztv(v), standardised(wanted)[0].T @ v)
    close(dg.genotypes.operator(path, dosage=False).kv(v), relationship(calls) @ v)
    kept = ["s1", "s9", "s30", "s31"]
    close(dg.genotypes.operator(path, keep=kept).kv(v[:4]), relationship(wanted[:, [1, 9, 30, 31]]) @ v[:4])


def test_weights_and_overlapping_components(tmp_path):
    calls = random_calls(120, 40)
    path = store(tmp_path / "g.zarr", calls, rows=32)
    generator = np.random.default_rng(0)
    v, w = generator.standard_normal((40, 3)), generator.uniform(0, 2, 120)
    close(dg.genotypes.operator(path, weights=w).kv(v), relationship(calls, w) @ v)
    mask = generator.random(120) < 0.3
    components = {"first": np.arange(70), "some": mask, "none": np.array([], dtype=int)}
    operator = dg.genotypes.operator(path, weights=w, components=components)
    found = operator.kv(v)
    for g, rows in enumerate((np.arange(70), np.flatnonzero(mask), np.array([], int))):
        k = relationship(calls[rows], w[rows]) if len(rows) else np.zeros((40, 40))
        close(found[g], k @ v)
        close(operator.diagonal()[g], np.diag(k))
    assert operator.counted[2] == 0
    assert operator.trace().shape == (3,)


@pytest.mark.parametrize("threads", [1, 2, 3])
@pytest.mark.parametrize("cache", [True, False])
def test_bits_do_not_depend_on_threads_or_cache(tmp_path, threads, cache):
    calls = random_calls(400, 120)
    reader = StoreReader.open(store(tmp_path / "g.zarr", calls, rows=8))
    v = np.random.default_rng(0).standard_normal((120, 5))

    def product(threads, cache):
        operator = GenotypeOperator(GenotypeView(reader), runner=PassRunner(ThreadExecutor(threads)), cache=cache)
        # Small data would make one leaf; several are wanted here.
        operator.bounds = [(i, i + 5) for i in range(0, 50, 5)]
        return operator.kv(v)

    assert product(threads, cache).tobytes() == product(2, True).tobytes()


def test_processes_give_the_bits_of_threads(tmp_path):
    calls = random_calls(300, 64)
    path = store(tmp_path / "g.zarr", calls, rows=16)
    v = np.random.default_rng(0).standard_normal((64, 4))
    threads = dg.genotypes.operator(path).kv(v)
    with dg.cluster.connect("local:2"):
        operator = dg.genotypes.operator(path)
        assert operator.kv(v).tobytes() == threads.tobytes()
        assert operator.kv(v).tobytes() == threads.tobytes()


def test_chunks_are_read_once_where_they_fit_and_each_pass_where_not(tmp_path, monkeypatch):
    calls = random_calls(200, 50)
    reader = StoreReader.open(store(tmp_path / "g.zarr", calls, rows=20))
    reads = []
    original = StoreReader.read
    monkeypatch.setattr(StoreReader, "read", lambda self, a, b: (reads.append(a), original(self, a, b))[1])
    v = np.ones((50, 1))
    kept = GenotypeOperator(GenotypeView(reader))
    kept.kv(v), kept.kv(v), kept.diagonal()
    assert len(reads) == 10
    reads.clear()
    streamed = GenotypeOperator(GenotypeView(reader), cache=False)
    assert streamed.counted > 0
    before = len(reads)
    streamed.kv(v), streamed.kv(v)
    assert len(reads) - before == 20


def test_any_dataset_with_sgkits_names_will_do(tmp_path):
    calls = random_calls(120, 40)
    v = np.random.default_rng(0).standard_normal((40, 2))
    close(dg.genotypes.operator(dataset(calls)).kv(v), relationship(calls) @ v)
    opened = dg.open_store(store(tmp_path / "g.zarr", calls))
    assert isinstance(open_reader(opened), StoreReader)
    close(dg.genotypes.operator(opened).kv(v), relationship(calls) @ v)
    cut = opened.isel(samples=[3, 1, 2], variants=slice(10, 90))
    assert not isinstance(open_reader(cut), StoreReader)
    close(dg.genotypes.operator(cut).kv(v[:3]), relationship(calls[10:90][:, [3, 1, 2]]) @ v[:3])


def test_a_plan_over_the_limit_is_refused_before_work(tmp_path):
    path = store(tmp_path / "g.zarr", random_calls(50, 400))
    operator = dg.genotypes.operator(path, memory_limit="100MB")
    with pytest.raises(PlanError, match="fewer vectors at once"):
        operator.kv(np.ones((400, 3000)))
    plan = dg.genotypes.operator(path).plan(8)
    assert plan.bytes_per_pass == 50 * 100
    assert plan.peak < plan.memory_limit


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"scale": "gcta"}, "scale must be"),
        ({"alpha": float("nan")}, "alpha must be"),
        ({"dosage": "yes"}, "not understood"),
        ({"maf_min": 0.7}, "out of range"),
        ({"extracts": []}, "has no argument 'extracts'"),
    ],
)
def test_wrong_arguments_are_refused(tmp_path, arguments, message):
    path = store(tmp_path / "g.zarr", random_calls(10, 8))
    with pytest.raises(UsageError, match=message):
        dg.genotypes.operator(path, **arguments)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"keep": ["nobody"]}, "no sample of g.zarr is left"),
        ({"extract": ["rs1000"]}, "no variant of g.zarr is left"),
        ({"contig": "22"}, "no variant of g.zarr is left"),
        ({"missing_max": 0.5, "extract": ["rs7"]}, "no variant of g.zarr is left"),
        ({"dosage": True}, "no dosages"),
        ({"weights": np.ones(3)}, "wrong length"),
        ({"weights": -np.ones(10)}, "not negative"),
        ({"components": {"a": [10]}}, "out of range"),
        ({"components": {"a": [1, 1]}}, "twice"),
        ({"components": {}}, "at least one"),
    ],
)
def test_input_that_leaves_nothing_or_does_not_fit_is_refused(tmp_path, arguments, message):
    path = store(tmp_path / "g.zarr", random_calls(10, 8, seed=3))
    with pytest.raises(InputError, match=message):
        dg.genotypes.operator(path, **arguments)


def test_vectors_that_do_not_fit_are_refused(tmp_path):
    operator = dg.genotypes.operator(store(tmp_path / "g.zarr", random_calls(10, 8)))
    with pytest.raises(InputError, match="wrong shape"):
        operator.kv(np.ones((7, 2)))
    with pytest.raises(InputError, match="not finite"):
        operator.kv(np.full((8, 2), np.nan))
