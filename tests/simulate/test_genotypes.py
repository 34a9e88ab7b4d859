"""Simulated genotypes: the same whatever the chunks and workers, and distributed as stated."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import dask.config
import numpy as np
import pytest

import daskgen as dg
import daskgen.simulate
from daskgen.errors import PlanError, StoreError, UsageError
from tests.simulate.stores import calls, contents, standardised

module = sys.modules["daskgen.simulate.genotypes"]  # the package's name for it is the function's

Simulate = Callable[..., str]


@pytest.fixture
def simulate(tmp_path: Path) -> Simulate:
    """Simulate into a new store."""
    made: list[str] = []

    def make(**arguments: Any) -> str:
        made.append(dg.simulate.genotypes(tmp_path / f"{len(made)}.zarr", **arguments))
        return made[-1]

    return make


def same(a: str, b: str) -> bool:
    one, other = contents(a), contents(b)
    assert one.keys() == other.keys()
    return all(np.array_equal(one[name], other[name], equal_nan=one[name].dtype.kind == "f") for name in one)


MIXED = {"n_samples": 333, "n_variants": 211, "missing_rate": 0.03, "populations": 3, "families": 3, "contigs": 4}


# The same content ---------------------------------------------------------------------------------------------------


def test_content_does_not_depend_on_chunks(simulate: Simulate, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = simulate(**MIXED)
    monkeypatch.setattr("daskgen.stores.genotype_layout._GROUP_BYTES", 1)
    for chunk_mb in (0.0001, 0.001, 0.007):
        assert same(whole, simulate(**MIXED, chunk_mb=chunk_mb))
    with dask.config.set({"daskgen.wide-samples": 64, "daskgen.column-rows": 50}):
        sharded = simulate(**MIXED, chunk_mb=0.001)
    assert same(whole, sharded)


def test_content_does_not_depend_on_threads_or_processes(simulate: Simulate) -> None:
    arguments = MIXED | {"chunk_mb": 0.001}
    with dg.cluster.connect("threads:1"):
        one = simulate(**arguments)
    with dg.cluster.connect("threads:4"):
        four = simulate(**arguments)
    with dg.cluster.connect("local:2"):
        processes = simulate(**arguments)
    assert same(one, four)
    assert same(one, processes)


def test_another_seed_gives_other_genotypes(simulate: Simulate) -> None:
    assert same(simulate(**MIXED, seed=1), simulate(**MIXED, seed=1))
    a, b = (calls(simulate(n_samples=500, n_variants=100, seed=seed)) for seed in (1, 2))
    assert abs(np.corrcoef(a.ravel(), b.ravel())[0, 1]) < 0.15  # frequencies differ from variant to variant
    assert not np.array_equal(a, b)


def test_an_interrupted_run_is_resumed_to_the_same_store(
    simulate: Simulate, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("daskgen.stores.genotype_layout._GROUP_BYTES", 1)
    arguments = MIXED | {"chunk_mb": 0.001}
    write, path = module._write_group, tmp_path / "resumed.zarr"

    def interrupted(index: int, *rest: Any) -> np.ndarray:
        if index == 5:
            raise KeyboardInterrupt
        return write(index, *rest)

    monkeypatch.setattr(module, "_write_group", interrupted)
    with pytest.raises(KeyboardInterrupt), dg.cluster.connect("threads:1"):
        dg.simulate.genotypes(path, **arguments)
    with pytest.raises(StoreError, match="not complete"):
        dg.open_store(path)
    monkeypatch.setattr(module, "_write_group", write)
    assert same(dg.simulate.genotypes(path, **arguments, resume=True), simulate(**arguments))


# The store ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("n", [1, 2, 5, 66])
@pytest.mark.parametrize(("m", "families"), [(1, None), (23, None), (2, 2), (23, 7)])
def test_awkward_sizes_give_sound_stores(simulate: Simulate, n: int, m: int, families: int | None) -> None:
    path = simulate(n_samples=n, n_variants=m, families=families, missing_rate=0.2)
    assert dg.verify(path) == []
    assert calls(path).shape == (m, n)
    dataset = dg.open_store(path)
    assert dict(dataset.sizes) | {"samples": n, "variants": m} == dict(dataset.sizes)


def test_statistics_are_those_of_the_calls(simulate: Simulate) -> None:
    path = simulate(n_samples=7, n_variants=200, missing_rate=0.7, maf=(0.01, 0.02))
    codes, found = calls(path), contents(path)
    called = (codes >= 0).sum(axis=1)
    np.testing.assert_array_equal(found["variant_n_called"], called)
    np.testing.assert_array_equal(found["variant_n_het"], (codes == 1).sum(axis=1))
    with np.errstate(invalid="ignore"):
        frequency = np.where(codes > 0, codes, 0).sum(axis=1) / (2 * called)
    np.testing.assert_allclose(found["variant_allele_frequency"], frequency.astype(np.float32))
    assert (called == 0).any()
    assert (frequency == 0).any()


def test_columns_of_samples_and_variants(simulate: Simulate) -> None:
    path = simulate(n_samples=7, n_variants=50, families=3, contigs={"chrA": 1000, "chrB": 3000})
    found = contents(path)
    assert found["sample_id"].tolist() == ["f1_1", "f1_2", "f1_3", "f2_1", "f2_2", "f2_3", "f3_1"]
    assert found["sample_family_id"].tolist() == ["f1"] * 3 + ["f2"] * 3 + ["f3"]
    assert found["sample_paternal_id"].tolist()[2:4] == ["f1_father", "f2_father"]
    assert set(found["sample_sex"].tolist()) <= {1, 2}
    assert found["contig_id"].tolist() == ["chrA", "chrB"]
    assert np.bincount(found["variant_contig"]).tolist() == [12, 38]
    assert len(set(found["variant_id"].tolist())) == 50
    alleles = found["variant_allele"]
    assert set(alleles.ravel().tolist()) == set("ACGT")
    assert (alleles[:, 0] != alleles[:, 1]).all()
    simulation = dg.open_store(path).attrs["simulation"]
    assert simulation["families"] == 3
    assert simulation["contigs"] == {"chrA": 1000, "chrB": 3000}


def test_an_existing_store_is_replaced_only_by_force(simulate: Simulate, tmp_path: Path) -> None:
    path = simulate(n_samples=3, n_variants=4)
    with pytest.raises(StoreError, match="exists"):
        dg.simulate.genotypes(path, n_samples=3, n_variants=5)
    assert calls(dg.simulate.genotypes(path, n_samples=3, n_variants=5, force=True)).shape == (5, 3)


# Distributions ------------------------------------------------------------------------------------------------------


def test_frequencies_are_the_true_ones_within_sampling_error(simulate: Simulate) -> None:
    n, m = 4000, 3000
    path = simulate(n_samples=n, n_variants=m, maf=(0.05, 0.4))
    found = contents(path)
    p = found["variant_true_frequency"]
    assert p.min() >= 0.05
    assert p.max() <= 0.4
    assert abs(p.mean() - 0.225) < 5 * 0.35 / np.sqrt(12 * m)
    z = (found["variant_allele_frequency"] - p) / np.sqrt(p * (1 - p) / (2 * n))
    # Neighbours share segments, so z^2 of about m / 10 independent stretches are averaged.
    assert abs((z**2).mean() - 1) < 5 * np.sqrt(2 * 10 / m)
    assert np.abs(z).max() < 6
    heterozygous = found["variant_n_het"] / n
    z = (heterozygous - 2 * p * (1 - p)) / np.sqrt(2 * p * (1 - p) * (1 - 2 * p * (1 - p)) / n)
    assert np.abs(z).max() < 6


def test_calls_are_missing_at_the_stated_rate_and_independently(simulate: Simulate) -> None:
    missing = calls(simulate(n_samples=2001, n_variants=1000, missing_rate=0.05)) < 0
    n, m = missing.shape[::-1]
    assert abs(missing.mean() - 0.05) < 5 * np.sqrt(0.05 * 0.95 / (n * m))
    for axis, length, number in ((0, m, n), (1, n, m)):
        z = (missing.mean(axis=axis) - 0.05) / np.sqrt(0.05 * 0.95 / length)
        assert abs((z**2).mean() - 1) < 5 * np.sqrt(2 / number)


def expected_r2(p: np.ndarray, q: np.ndarray, repelled: np.ndarray, distance: int, ld: float) -> np.ndarray:
    """r^2 of variants with frequencies p and q, `distance` apart, as `simulate.genotypes` states it."""
    low, high = np.minimum(p, q), np.maximum(p, q)
    attracted = low * (1 - high) / (high * (1 - low))
    return ld ** (2 * distance) * np.where(repelled, p * q / ((1 - p) * (1 - q)), attracted)


@pytest.mark.parametrize("ld", [0.0, 0.8, 0.95])
def test_linkage_disequilibrium_decays_as_stated(simulate: Simulate, ld: float) -> None:
    n, m = 4000, 2000
    path = simulate(n_samples=n, n_variants=m, ld=ld, maf=(0.05, 0.5), contigs=2)
    z, found = standardised(calls(path)), contents(path)
    p, mirrored, contig = (found[f"variant_{name}"] for name in ("true_frequency", "mirrored", "contig"))
    for distance in (1, 2, 5, 10, 40):
        r = (z[:-distance] * z[distance:]).mean(axis=1)
        repelled = mirrored[:-distance] != mirrored[distance:]
        together = contig[:-distance] == contig[distance:]
        expected = expected_r2(p[:-distance], p[distance:], repelled, distance, ld)
        for which in (repelled, ~repelled):
            here = which & together
            observed = (r[here] ** 2).mean() - 1 / n
            assert observed == pytest.approx(expected[here].mean(), rel=0.1, abs=5 / (n * np.sqrt(here.sum() / 20)))
        if ld**distance > 0.5:
            strong = together & (expected > 0.1)
            assert ((r[strong] < 0) == repelled[strong]).all()
        apart = r[~together]
        assert (apart**2).mean() < 1 / n * (1 + 5 * np.sqrt(2 * 10 / max(1, len(apart))))


@pytest.mark.parametrize("size", [2, 5])
def test_sibs_share_half_and_families_nothing(simulate: Simulate, size: int) -> None:
    families = 800
    path = simulate(n_samples=families * size, n_variants=1500, families=size, missing_rate=0.0, maf=(0.1, 0.5))
    z = standardised(calls(path)).reshape(1500, families, size)
    relationship = np.einsum("jfa,jfb->fab", z, z) / 1500
    sibs = relationship[:, *np.triu_indices(size, 1)].mean()
    assert sibs == pytest.approx(0.5, abs=0.01)
    assert np.einsum("jff->jf", relationship).mean() == pytest.approx(1.0, abs=0.02)
    strangers = np.einsum("jfa,jfa->fa", z[:, :-1], z[:, 1:]) / 1500
    assert abs(strangers.mean()) < 0.005


def test_sibs_share_long_stretches(simulate: Simulate) -> None:
    """Whether sibs have the same genotype goes on from variant to variant, which independent draws would not do."""
    path = simulate(n_samples=400, n_variants=1000, families=2, ld=0.0, contigs=1, maf=(0.4, 0.5))
    z = standardised(calls(path)).reshape(1000, 200, 2)
    product = z[:, :, 0] * z[:, :, 1] - 0.5
    # Along 100 cM one variant is every 0.1 cM: at 10 variants (1 cM) nearly all of the sharing is left.
    autocovariance = (product[:-10] * product[10:]).mean()
    at_a_distance = (product[:-500] * product[500:]).mean()
    assert autocovariance > 0.1
    assert autocovariance > 2 * at_a_distance


@pytest.mark.parametrize("fst", [0.01, 0.1])
def test_populations_differ_by_the_stated_fst(simulate: Simulate, fst: float) -> None:
    path = simulate(n_samples=1500, n_variants=4000, populations=3, fst=fst, maf=(0.1, 0.5), ld=0.5)
    codes, found = calls(path), contents(path)
    population = found["sample_population"]
    assert np.bincount(population).tolist() == [500, 500, 500]
    own = found["variant_population_frequency"]
    estimate = np.stack([codes[:, population == k].mean(axis=1) / 2 for k in range(3)], axis=1)
    z = (estimate - own) / np.sqrt(np.maximum(own * (1 - own), 1e-6) / 1000)
    assert (z[(own > 0.02) & (own < 0.98)] ** 2).mean() == pytest.approx(1, abs=0.1)
    # Hudson's estimator as a ratio of averages: (p1 - p2)^2 less its sampling variance, over p1 (1 - p2) + p2 (1 - p1).
    p, q = estimate[:, 0], estimate[:, 1]
    within = p * (1 - p) / 999 + q * (1 - q) / 999
    hudson = ((p - q) ** 2 - within).mean() / (p * (1 - q) + q * (1 - p)).mean()
    assert hudson == pytest.approx(fst, rel=0.15)


# Limits -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"n_samples": 0}, "n_samples"),
        ({"n_variants": 0}, "n_variants"),
        ({"n_variants": 2**32}, "n_variants"),
        ({"n_samples": 2.5}, "n_samples"),
        ({"missing_rate": 1.0}, "missing_rate"),
        ({"missing_rate": -0.1}, "missing_rate"),
        ({"maf": (0.0, 0.5)}, "maf"),
        ({"maf": (0.3, 0.2)}, "maf"),
        ({"maf": (0.1, 0.6)}, "maf"),
        ({"ld": 1.0}, "ld"),
        ({"ld": float("nan")}, "ld"),
        ({"families": 1}, "families"),
        ({"populations": 0}, "populations"),
        ({"populations": 6}, "more populations than founders"),
        ({"populations": 2, "fst": 0.0}, "fst"),
        ({"contigs": 0}, "contigs"),
        ({"seed": -1}, "seed"),
    ],
)
def test_arguments_out_of_range_are_refused(tmp_path: Path, arguments: dict[str, Any], message: str) -> None:
    path = tmp_path / "never.zarr"
    with pytest.raises(UsageError, match=message):
        dg.simulate.genotypes(path, **{"n_samples": 10, "n_variants": 10, **arguments})
    assert not path.exists()


def test_a_plan_over_the_memory_limit_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "never.zarr"
    with pytest.raises(PlanError, match="the limit is") as caught:
        dg.simulate.genotypes(path, n_samples=500_000, n_variants=10**6, memory_limit="200MB")
    assert "fewer samples" in str(caught.value)
    assert not path.exists()


@pytest.mark.skipif(sys.platform != "linux", reason="the unit of ru_maxrss differs")
def test_memory_does_not_grow_with_the_number_of_variants(tmp_path: Path) -> None:
    code = (
        "import resource, sys, daskgen as dg\n"
        "with dg.cluster.connect('threads:2'):\n"
        "    dg.simulate.genotypes(sys.argv[1], n_samples=20_000, n_variants=int(sys.argv[2]), chunk_mb=1)\n"
        "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024)\n"
    )

    def peak(n_variants: int) -> int:
        command = [sys.executable, "-c", code, str(tmp_path / f"{n_variants}.zarr"), str(n_variants)]
        return int(subprocess.run(command, check=True, capture_output=True, text=True, timeout=120).stdout)

    small, large = peak(6_000), peak(26_000)
    assert large - small < 40e6  # of 100 MB more on disk
