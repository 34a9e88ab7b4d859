"""Statistics per variant and per sample from their definitions, with plink2's conventions for haploid chromosomes."""

from __future__ import annotations

import numpy as np
import pytest

import daskgen as dg
from tests.genotypes.cohort import random_calls, store


def test_counts_are_the_calls_counted(tmp_path):
    calls = random_calls(130, 37, missing=0.2)
    found = dg.genotypes.variant_stats(store(tmp_path / "g.zarr", calls, rows=16)).compute()
    for code, name in enumerate(("n_hom_ref", "n_het", "n_hom_alt")):
        np.testing.assert_array_equal(found[f"variant_{name}"], (calls == code).sum(axis=1))
    np.testing.assert_array_equal(found["variant_n_missing"], (calls < 0).sum(axis=1))
    called = (calls >= 0).sum(axis=1)
    np.testing.assert_array_equal(found["variant_n_called"], called)
    np.testing.assert_array_equal(found["variant_allele_number"], 2 * called)
    total = np.where(calls < 0, 0, calls).sum(axis=1)
    wanted = np.divide(total, 2 * called, out=np.full(130, np.nan), where=called > 0)
    np.testing.assert_allclose(found["variant_allele_frequency"], wanted)
    assert np.isnan(found["variant_hwe_p"].values[7])
    assert found["variant_hwe_p"].values[3] == 1


def test_statistics_are_lazy_and_of_the_selection(tmp_path):
    calls = random_calls(60, 40)
    path = store(tmp_path / "g.zarr", calls)
    found = dg.genotypes.variant_stats(path, keep=["s3", "s8", "s20"], extract=["rs10", "rs40"])
    assert found["variant_n_het"].chunks is not None
    np.testing.assert_array_equal(found["variant_n_het"], (calls[[10, 40]][:, [3, 8, 20]] == 1).sum(axis=1))
    assert found["variant_id"].values.tolist() == ["rs10", "rs40"]


def test_haploid_chromosomes_count_as_in_plink2(tmp_path):
    calls = np.array(
        [[0, 1, 2, 2, 1, -1], [0, 1, 2, 2, 1, -1], [0, 1, 2, 2, 0, -1], [0, 1, 2, 2, 1, -1]], dtype=np.int8
    )
    sex = np.array([1, 2, 1, 2, 1, 1])  # males: samples 0, 2, 4, 5
    path = store(tmp_path / "g.zarr", calls, sex=sex, ploidy_class=np.array([0, 1, 2, 3]))
    found = dg.genotypes.variant_stats(path).compute()

    def row(v):
        names = ("n_hom_ref", "n_het", "n_hom_alt", "n_hap_ref", "n_hap_alt", "n_missing", "n_het_haploid")
        return [int(found[f"variant_{n}"][v]) for n in names]

    assert row(0) == [1, 2, 2, 0, 0, 1, 0]
    assert row(1) == [0, 1, 1, 1, 1, 2, 1]  # X: two females diploid; one het male call counts as missing
    assert row(2) == [0, 0, 0, 2, 1, 1, 0]  # Y: males only
    assert row(3) == [0, 0, 0, 1, 2, 3, 2]  # MT: everybody haploid
    np.testing.assert_allclose(found["variant_allele_frequency"], [6 / 10, 4 / 6, 1 / 3, 2 / 3])
    assert np.isnan(found["variant_hwe_p"].values[2:]).all()


def test_frequencies_of_dosages_are_those_of_the_dosages(tmp_path):
    dosage = np.rint(np.random.default_rng(0).uniform(0, 2, (20, 9)) * 16384) / 16384
    dosage[2, 3] = np.nan
    calls = np.where(np.isnan(dosage), -1, np.rint(dosage)).astype(np.int8)
    path = store(tmp_path / "g.zarr", calls, dosage=dosage)
    found = dg.genotypes.variant_stats(path)
    np.testing.assert_allclose(found["variant_allele_frequency"], np.nanmean(dosage, axis=1) / 2)
    hard = dg.genotypes.variant_stats(path, dosage=False)["variant_allele_frequency"]
    np.testing.assert_allclose(hard, np.where(calls < 0, 0, calls).sum(axis=1) / (2 * (calls >= 0).sum(axis=1)))


def test_samples_have_their_counts_and_inbreeding(tmp_path):
    calls = random_calls(200, 31, missing=0.1)
    classes = np.repeat([0, 1], [150, 50])
    found = dg.genotypes.sample_stats(store(tmp_path / "g.zarr", calls, rows=16, ploidy_class=classes))
    for code, name in enumerate(("n_hom_ref", "n_het", "n_hom_alt")):
        np.testing.assert_array_equal(found[f"sample_{name}"], (calls == code).sum(axis=0))
    np.testing.assert_array_equal(found["sample_n_missing"], (calls < 0).sum(axis=0))
    np.testing.assert_allclose(found["sample_call_rate"], (calls >= 0).mean(axis=0))
    auto = calls[:150]
    called = auto >= 0
    p = np.where(called, auto, 0).sum(axis=1) / np.maximum(2 * called.sum(axis=1), 1)
    expected = (called * (1 - 2 * p * (1 - p))[:, None]).sum(axis=0)
    observed = ((auto == 0) | (auto == 2)).sum(axis=0)
    np.testing.assert_allclose(found["sample_expected_hom"], expected, rtol=1e-6)
    wanted = (observed - expected) / (called.sum(axis=0) - expected)
    np.testing.assert_allclose(found["sample_inbreeding"], wanted, rtol=1e-5, atol=1e-7)
    np.testing.assert_allclose(found["sample_heterozygosity"], (auto == 1).sum(axis=0) / called.sum(axis=0))


@pytest.mark.parametrize("scheduler", ["threads", "local"])
def test_statistics_are_the_same_on_a_cluster(tmp_path, scheduler):
    calls = random_calls(300, 50)
    path = store(tmp_path / "g.zarr", calls, rows=16)
    with dg.cluster.connect("local:2" if scheduler == "local" else "threads:2"):
        variants = dg.genotypes.variant_stats(path).compute()
        samples = dg.genotypes.sample_stats(path)
    np.testing.assert_array_equal(variants["variant_n_het"], (calls == 1).sum(axis=1))
    np.testing.assert_array_equal(samples["sample_n_het"], (calls == 1).sum(axis=0))
