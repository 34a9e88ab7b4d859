"""Linear association against least squares one variant at a time, and what surrounds it."""

from __future__ import annotations

import pickle

import numpy as np
import pandas as pd
import pytest

from daskgen import open_store, reml
from daskgen.errors import InputError, UsageError
from daskgen.reml import scanning
from daskgen.reml.association import Status
from daskgen.reml.association_graph import Scan
from tests.genotypes.cohort import random_calls, store
from tests.oracles import association as oracle
from tests.reml.data import cohort


@pytest.fixture(scope="module")
def people(tmp_path_factory):
    return cohort(tmp_path_factory.mktemp("association"), n=203, m=330)


def covariates_of(people, seed=3):
    generator = np.random.default_rng(seed)
    n = len(people.ids)
    return pd.DataFrame({"age": generator.normal(50, 10, n), "dose": generator.normal(size=n)}, index=people.ids)


def check(result, expected, rtol=1e-9):
    for name, values in zip(("beta", "se", "t", "p"), expected, strict=True):
        np.testing.assert_allclose(result[name].values, values, rtol=rtol, atol=1e-12, err_msg=name)


@pytest.mark.parametrize("handling", ["exclude", "mean"])
def test_least_squares_of_each_variant(people, handling):
    y, covariates = people.phenotype(seed=1, missing=17), covariates_of(people)
    covariates.iloc[5, 1] = np.nan
    found = reml.gwas(people.path, y, covariates, missing_calls=handling)
    calls = np.where(people.calls < 0, np.nan, people.calls)
    check(found.compute(), oracle.linear(calls, y.to_numpy(), covariates.to_numpy(), handling=handling))
    used = np.isfinite(y.to_numpy()) & covariates.notna().all(axis=1).to_numpy()
    np.testing.assert_array_equal(found["n_called"], (people.calls[:, used] >= 0).sum(axis=1))
    assert int(found["n_samples"]) == used.sum()
    assert int(found["n_fixed"]) == 3


def test_phenotypes_with_other_samples_in_one_pass(people):
    y = pd.DataFrame({f"t{i}": people.phenotype(seed=i, missing=i * (i % 3)) for i in range(5)})
    together = reml.gwas(people.path, y, covariates_of(people)).compute()
    assert together["beta"].dims == ("trait", "variant")
    for name in y:
        alone = reml.gwas(people.path, y[name], covariates_of(people)).compute()
        for array in ("beta", "se", "p", "n_called", "allele_frequency", "status"):
            np.testing.assert_allclose(together[array].sel(trait=name), alone[array], rtol=1e-11, equal_nan=True)


def test_dosages(tmp_path):
    calls = random_calls(90, 150, missing=0.0, seed=4)
    generator = np.random.default_rng(1)
    dosage = np.clip(calls + generator.normal(0, 0.1, calls.shape), 0, 2)
    steps = np.rint(dosage * 16384).astype(np.uint16)
    steps[generator.random(steps.shape) < 0.04] = 65535
    path = store(tmp_path / "dosage.zarr", calls, dosage=np.where(steps == 65535, np.nan, steps / 16384))
    y = pd.Series(generator.normal(size=150), index=[f"s{i}" for i in range(150)], name="y")
    x = np.where(steps == 65535, np.nan, steps / 16384)
    found = reml.gwas(path, y, min_mac=0).compute()
    check(found, oracle.linear(x, y.to_numpy(), np.empty((150, 0)), min_mac=-1), rtol=1e-8)
    some = reml.gwas(path, y, min_mac=0, min_info=0.9)
    assert (some["status"] == Status.LOW_INFO).any()
    assert (some["status"] == Status.TESTED).any()


def test_statuses_are_counted_and_not_fatal(tmp_path):
    calls = random_calls(40, 60, missing=0.05, seed=2)
    calls[10], calls[10, :3] = 0, 1
    carrier = (calls[12] > 0).astype(float)
    calls[12] = np.where(carrier > 0, 2, 0)
    path = store(tmp_path / "status.zarr", calls)
    ids = [f"s{i}" for i in range(60)]
    y = pd.Series(np.random.default_rng(1).normal(size=60), index=ids, name="y")
    covariates = pd.DataFrame({"carrier": carrier, "other": np.arange(60.0) ** 2}, index=ids)
    found = reml.gwas(path, y, covariates, min_mac=4, covar_numeric=["carrier", "other"]).compute()
    status = found["status"].values
    assert status[3] == Status.MONOMORPHIC or status[3] == Status.LOW_COUNT
    assert status[7] == Status.NO_CALLS
    assert status[10] == Status.LOW_COUNT
    assert status[12] == Status.COLLINEAR
    assert np.isnan(found["beta"].values[status != 0]).all()
    assert np.isfinite(found["p"].values[status == 0]).all()
    assert found["status"].attrs["table"]["5"] == "determined by the covariates"


def test_all_heterozygous_is_monomorphic(people):
    found = reml.gwas(people.path, people.phenotype(), min_mac=0)
    assert found["status"].values[[3, 5, 7]].tolist() == [
        int(Status.MONOMORPHIC),
        int(Status.MONOMORPHIC),
        int(Status.NO_CALLS),
    ]


def test_two_values_are_refused(people):
    y = pd.Series((np.arange(len(people.ids)) % 4 == 0).astype(float), index=people.ids, name="case")
    with pytest.raises(InputError, match="case has two values") as error:
        reml.gwas(people.path, y)
    assert "51 of 203 samples (25.1%)" in str(error.value.found)
    assert reml.gwas(people.path, y, binary="linear")["p"].notnull().any()


@pytest.mark.parametrize(
    "options", [{"model": "logistic"}, {"missing_calls": "zero"}, {"min_mac": -1}, {"min_info": 2}, {"min_info": 0.3}]
)
def test_bad_options(people, options):
    with pytest.raises(UsageError):
        reml.gwas(people.path, people.phenotype(), **options)


def test_scaling_of_phenotype_and_turning_of_alleles(people, tmp_path):
    y, covariates = people.phenotype(seed=3), covariates_of(people)
    plain = reml.gwas(people.path, y, covariates).compute()
    scaled = reml.gwas(people.path, 1000 * y + 7, covariates).compute()
    np.testing.assert_allclose(scaled["beta"], 1000 * plain["beta"], rtol=1e-9)
    np.testing.assert_allclose(scaled["p"], plain["p"], rtol=1e-9)
    turned = store(tmp_path / "turned.zarr", np.where(people.calls < 0, -1, 2 - people.calls).astype(np.int8))
    other = reml.gwas(turned, y, covariates).compute()
    np.testing.assert_allclose(other["beta"], -plain["beta"], rtol=1e-9, atol=1e-13)
    np.testing.assert_allclose(other["allele_frequency"], 1 - plain["allele_frequency"], rtol=1e-12)


def test_store_resume_and_what_is_read_from_it(people, tmp_path, monkeypatch):
    y = pd.DataFrame({"a": people.phenotype(seed=1), "b": people.phenotype(seed=2, missing=9)})
    result = reml.gwas(people.path, y, covariates_of(people))
    path = result.dg.to_store(tmp_path / "scan.zarr")
    again = open_store(path)
    for name in ("beta", "se", "t", "p", "status", "n_called"):
        np.testing.assert_array_equal(again[name], result[name])
    table = again.dg.table("b")
    np.testing.assert_allclose(table["p"], again["p"].sel(trait="b"), rtol=1e-10)
    assert table["effect_allele"].iloc[0] == "G"
    assert table["t"].notna().any()
    assert set(again.dg.table()["trait"]) == {"a", "b"}
    assert 0.5 < again.dg.lambda_gc("a") < 2
    strongest = again.dg.top("a", p=0.05)
    assert (strongest["p"] <= 0.05).all()
    assert len(strongest) == int((again["p"].sel(trait="a") <= 0.05).sum())
    assert result.dg.to_store(path, resume=True) == path
    again.dg.manhattan("b", save=tmp_path / "b.png")
    again.dg.qq("b", save=tmp_path / "q.png")
    assert (tmp_path / "b.png").stat().st_size > 0


def test_resume_after_a_failure_and_the_same_bits_anywhere(people, tmp_path, monkeypatch):
    monkeypatch.setattr(scanning, "group_rows", lambda view: 64)
    y = people.phenotype(seed=6, missing=5)
    whole = open_store(reml.gwas(people.path, y).dg.to_store(tmp_path / "whole.zarr"))
    result = reml.gwas(people.path, y)
    scan = result.encoding["daskgen_run"].run.scan
    assert scan.n_groups == 6
    elsewhere = pickle.loads(pickle.dumps(scan))
    part = slice(64, 128)
    np.testing.assert_array_equal(elsewhere.test(part)["beta"], whole["beta"].values[part])
    test = Scan.test

    def fails(self, part):
        if part.start >= 192:
            raise OSError("the network is gone")
        return test(self, part)

    monkeypatch.setattr(Scan, "test", fails)
    with pytest.raises(OSError, match="network"):
        result.dg.to_store(tmp_path / "part.zarr")
    monkeypatch.setattr(Scan, "test", test)
    path = reml.gwas(people.path, y).dg.to_store(tmp_path / "part.zarr", resume=True)
    for name in ("beta", "se", "t", "p", "status"):
        np.testing.assert_array_equal(open_store(path)[name], whole[name])


def test_selected_variants_and_samples(people):
    y, chosen = people.phenotype(seed=5), [f"rs{i}" for i in range(20, 300, 3)]
    keep = people.ids[::2].tolist()
    part = reml.gwas(people.path, y, extract=chosen, keep=keep, min_mac=5).compute()
    assert part["variant_id"].values.tolist() == chosen
    calls = np.where(people.calls < 0, np.nan, people.calls)[20:300:3, ::2]
    check(part, oracle.linear(calls, y.to_numpy()[::2], np.empty((len(keep), 0)), min_mac=5))


def test_tables_of_other_tools(people, tmp_path):
    y = people.phenotype(seed=1)
    result = reml.gwas(people.path, y)
    table = pd.read_csv(result.dg.to_tsv(tmp_path / "a.glm.linear"), sep="\t")
    names = "#CHROM POS ID REF ALT A1 A1_FREQ TEST OBS_CT BETA SE T_STAT P ERRCODE"
    assert list(table.columns) == names.split()
    np.testing.assert_allclose(table["P"], result["p"], rtol=1e-12)
    assert table["ERRCODE"][7] == "CONST_ALLELE"
    assert table["ERRCODE"][0] == "."
    gcta = pd.read_csv(result.dg.to_tsv(tmp_path / "a.mlma.gz", layout="gcta"), sep="\t")
    assert list(gcta.columns) == ["Chr", "SNP", "bp", "A1", "A2", "Freq", "b", "se", "p"]
    assert gcta["A1"][0] == "G"
    with pytest.raises(UsageError):
        result.dg.to_tsv(tmp_path / "b.tsv", layout="genomicsem")


def test_tiny_p_values_are_written(tmp_path):
    n = 3000
    calls = random_calls(6, n, missing=0.0, seed=1)
    path = store(tmp_path / "strong.zarr", calls)
    y = pd.Series(calls[0] + np.random.default_rng(0).normal(0, 0.3, n), index=[f"s{i}" for i in range(n)], name="y")
    result = reml.gwas(path, y)
    assert result["p"].values[0] == 0
    table = pd.read_csv(result.dg.to_tsv(tmp_path / "strong.tsv"), sep="\t", dtype=str)
    assert int(table["P"][0].split("e-")[1]) > 400
    assert result.dg.table()["minus_log10_p"].iloc[0] > 400
