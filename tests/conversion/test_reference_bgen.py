"""BGEN and GEN files as they are met: the dosages of the PyPI reader, the counts and frequencies of plink2."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import conversion
from daskgen.errors import InputError
from daskgen.stores import open_group, verify
from tests.oracles.plink import packed_codes
from tests.shared_data import shared

FILES = {
    "example.8bits.bgen": (199, 500),
    "example.16bits.zstd.bgen": (199, 500),
    "example.1bits.bgen": (199, 500),
    "random.bgen": (30, 10),
    "alt_dosage_check.bgen": (20, 10),
    "example-no-samples.bgen": (199, 5),
}
PLINK2 = {
    "example_8bits": "formats/bgen/example.8bits.bgen",
    "example_16bits": "formats/bgen/example.16bits.zstd.bgen",
    "regenie_bgen": "formats/regenie_example/example.bgen",
}


@pytest.mark.parametrize("name", FILES)
def test_dosages_are_those_of_the_reader_of_pypi(name: str) -> None:
    truth = json.loads(shared("reference/conversion/bgen_dosage_truth.json").read_text())[name]
    dataset = conversion.open(shared("data/formats/bgen", name))
    assert (dataset.sizes["variants"], dataset.sizes["samples"]) == FILES[name]
    assert dataset.sample_id.values[:2].tolist() == truth["first_samples"]
    dosage = dataset.call_dosage.values.astype(np.float64)
    assert np.isnan(dosage).sum() == truth["total_missing"]
    for row, position, alleles, expected in zip(
        dosage,
        dataset.variant_position.values.tolist(),
        dataset.variant_allele.values.tolist(),
        truth["variants"],  # the first ones
        strict=False,
    ):
        assert (position, alleles) == (expected["pos"], expected["alleles"])
        assert np.isnan(row).sum() == expected["n_missing"]
        if "sum_allele2_dosage" in expected:
            assert abs(np.nansum(row) - expected["sum_allele2_dosage"]) < 1e-4 * len(row)
    if total := truth["sum_allele2_dosage_all"]:
        assert abs(np.nansum(dosage) - total) < 1e-4 * dosage.size


@pytest.mark.parametrize("name", list(FILES))
def test_every_dosage_is_that_of_the_reader_of_pypi(name: str) -> None:
    bgen = pytest.importorskip("bgen")
    path = shared("data/formats/bgen", name)
    dataset = conversion.open(path)
    dosage, info = dataset.call_dosage.values, dataset.variant_info_score.values
    for row, score, variant in zip(dosage, info, bgen.BgenReader(str(path)), strict=True):
        p = variant.probabilities.astype(np.float64)
        if set(variant.ploidy.tolist()) != {2} or variant.is_phased:
            continue
        np.testing.assert_allclose(row, p[:, 1] + 2 * p[:, 2], atol=1e-4)
        called = ~np.isnan(p[:, 0])
        mean = p[called, 1] + 2 * p[called, 2]
        theta = mean.mean() / 2
        if 0 < theta < 1:
            spread = (p[called, 1] + 4 * p[called, 2] - mean**2).sum() / (2 * called.sum() * theta * (1 - theta))
            assert abs(score - (1 - spread)) < 1e-4


@pytest.mark.parametrize("name", PLINK2)
def test_counts_and_frequencies_are_those_of_plink2(tmp_path: Path, name: str) -> None:
    truth = pd.read_csv(
        shared("reference/conversion", f"{name}.variants.tsv.gz"), sep="\t", dtype={"REF": str, "ALT": str, "ID": str}
    )
    conversion.genotypes(shared("data", PLINK2[name]), tmp_path / "c.zarr")
    assert verify(tmp_path / "c.zarr") == []
    group = open_group(tmp_path / "c.zarr")
    assert group["variant_id"][...].tolist() == truth.ID.tolist()
    assert group["variant_allele"][...].tolist() == truth[["REF", "ALT"]].values.tolist()
    # plink2 prints six significant digits of sums of steps of 1/16384.
    frequency = truth.ALT_FREQS.to_numpy()
    np.testing.assert_allclose(group["variant_allele_frequency"][...], frequency, rtol=5e-6, atol=2e-5)
    calls = packed_codes(group["call_genotype_packed"][...], group.attrs["n_samples"])
    np.testing.assert_array_equal((calls < 0).sum(axis=1), truth.MISSING_CT)
    np.testing.assert_array_equal((calls == 0).sum(axis=1), truth.HOM_REF_CT)
    np.testing.assert_array_equal((calls == 1).sum(axis=1), truth.HET_REF_ALT_CTS)
    np.testing.assert_array_equal((calls == 2).sum(axis=1), truth.TWO_ALT_GENO_CTS)
    dosage = group["call_dosage"][...]
    np.testing.assert_array_equal(2 * (dosage != 65535).sum(axis=1), truth.OBS_CT)


def test_one_cohort_in_three_formats_has_the_same_counts() -> None:
    pytest.importorskip("pgenlib")
    folder = shared("data/formats/regenie_example")
    bed, pgen = conversion.open(folder / "example.bed"), conversion.open(folder / "example.pgen")
    # This BGEN has the alleles in the other order.
    bgen = conversion.open(folder / "example.bgen", ref="last")
    other = conversion.open(folder / "example.bgen")
    assert abs(float(other.variant_allele_frequency.mean()) - 0.850288) < 1e-6
    for dataset in (bed, pgen, bgen):
        assert abs(float(dataset.variant_allele_frequency.mean()) - 0.149712) < 1e-6
        np.testing.assert_array_equal(dataset.call_genotype.values, bed.call_genotype.values)
        np.testing.assert_array_equal(dataset.variant_n_het.values, bed.variant_n_het.values)
        np.testing.assert_array_equal(dataset.variant_allele.values, bed.variant_allele.values)
        np.testing.assert_allclose(dataset.variant_allele_frequency.values, bed.variant_allele_frequency.values)


def test_bgen_and_gen_of_the_same_data_agree(tmp_path: Path) -> None:
    folder = shared("data/formats/bgen")
    gen = conversion.genotypes(folder / "random.gen", tmp_path / "c.zarr").open()
    bgen = conversion.open(folder / "random.bgen")
    # The text has four decimals, and the .bgen eight bits, of numbers that were rounded for it.
    np.testing.assert_allclose(gen.call_dosage.values, bgen.call_dosage.values, atol=3e-4)
    for name in ("variant_id", "variant_position", "variant_allele", "sample_id", "contig_id"):
        np.testing.assert_array_equal(gen[name].values, bgen[name].values)


def test_an_oxford_file_has_the_calls_of_its_vcf(tmp_path: Path) -> None:
    folder = shared("data/formats/gen")
    gen = conversion.genotypes(folder / "convert.gs.gt.gen", tmp_path / "c.zarr", default_contig="X").open()
    rows = [line.split("\t") for line in (folder / "convert.vcf").read_text().splitlines() if line[0] != "#"]
    calls = {(row[1], row[3], row[4]): [text.split(":")[0] for text in row[9:]] for row in rows}
    assert gen.sample_id.values.tolist() == [f"NA{i:05}" for i in range(1, 11)]
    dosage = gen.call_dosage.values
    seen = 0
    for row, position, (ref, alt) in zip(
        dosage, gen.variant_position.values.tolist(), gen.variant_allele.values.tolist(), strict=True
    ):
        own = calls.get((str(position), ref, alt))
        if own is None:
            continue
        copies = [np.nan if "." in text else 2 * text.count("1") / len(text[::2]) for text in own]
        np.testing.assert_array_equal(row, copies)
        seen += 1
    assert seen >= 20


def test_mixed_ploidy_with_the_dosages_of_the_vcf() -> None:
    path = shared("data/formats/bgen/complex.bgen")
    dataset = conversion.open(path, exclude=["M5", "M10"])
    dosage = {
        (name, alt): row
        for name, alt, row in zip(
            dataset.variant_id.values.tolist(),
            dataset.variant_allele.values[:, 1].tolist(),
            dataset.call_dosage.values.tolist(),
            strict=True,
        )
    }
    # complex.vcf beside it: GT 0, 0/0, 0/0, 0/1 and so on; one copy of a haploid counts as two.
    assert dosage["V1", "G"] == [0, 0, 0, 1]
    assert dosage["V2", "G"] == [0, 0, 0, 2]
    assert dosage["V3", "G"] == [0, 2, 0, 1]
    assert dosage["M4", "G"] == [0, 0, 1, 0]
    assert dosage["M4", "T"] == [0, 0, 0, 1]
    with pytest.raises(InputError, match=r"(?s)variant (5|10): .*more than two chromosomes"):
        conversion.open(path).call_dosage.compute()


def test_files_that_are_refused(tmp_path: Path) -> None:
    formats = shared("data/formats")
    with pytest.raises(InputError, match="more than two chromosomes"):
        conversion.genotypes(formats / "bgen/complex.bgen", tmp_path / "c.zarr")
    separate = formats / "bgen/example-separate-samples.bgen"
    with pytest.raises(InputError, match=r"name different samples"):
        conversion.genotypes(separate, tmp_path / "c.zarr")
    named = conversion.open(separate, sample_file=separate.with_suffix(".sample"))
    assert named.sample_id.values.tolist() == ["s1", "s2", "s3", "s4", "s5"]
    for path in sorted((formats / "23andme").iterdir()):
        if path.suffix == ".vcf":
            continue
        message = "not a genotype file" if path.suffix == ".fa" else "one person's genotypes"
        with pytest.raises(InputError, match=message):
            conversion.genotypes(path, tmp_path / "c.zarr")
    assert not (tmp_path / "c.zarr").exists()
