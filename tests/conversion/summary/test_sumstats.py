"""GWAS files to a store of standardised effects."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest

import conversion
import daskgen as dg
from conversion.summary.scaled import SCALES
from daskgen.errors import InputError, StoreError, UsageError
from tests.conversion.summary.files import close, dropped, gwas, reference, simulated, values, write
from tests.oracles.munge import Spec, reference_of, scaled


@pytest.fixture
def variants(tmp_path):
    return reference(tmp_path)


@pytest.mark.parametrize("scale", SCALES)
@pytest.mark.parametrize("odds_ratio", [False, True])
def test_every_scale_is_the_formula_row_by_row(tmp_path, scale, odds_ratio):
    path, variants = simulated(tmp_path, "T", 211, 11)
    if odds_ratio:
        table = pd.read_csv(path, sep="\t", dtype=str, keep_default_na=False)
        table["OR"] = [f"{math.exp(float(b)):.6g}" for b in table.pop("BETA")]
        table.to_csv(path, sep="\t", index=False)
    spec = Spec(
        "A1", "A2", "OR" if odds_ratio else "BETA", odds_ratio=odds_ratio, se="SE", n="N", info="INFO", frequency="EAF"
    )
    if odds_ratio and scale == "standardised":
        with pytest.raises(InputError, match="needs an effect"):
            conversion.sumstats(path, variants, tmp_path / "s.zarr", scale=scale)
        return
    conversion.sumstats(path, variants, tmp_path / "s.zarr", scale=scale, trait_names="T")
    wanted = scaled(path, spec, reference_of(variants), scale)
    close(values(tmp_path / "s.zarr", "T", "beta"), {name: found[0] for name, found in wanted.items()}, 1e-11)
    close(values(tmp_path / "s.zarr", "T", "se"), {name: found[1] for name, found in wanted.items()}, 1e-11)
    assert dg.open_store(tmp_path / "s.zarr")["scale"].values.tolist() == [scale]


def test_without_frequencies_in_the_file_those_of_the_reference_are_used(tmp_path):
    path, variants = simulated(tmp_path, "T", 211, 12)
    table = pd.read_csv(path, sep="\t", dtype=str, keep_default_na=False)
    table.drop(columns="EAF").to_csv(path, sep="\t", index=False)
    conversion.sumstats(path, variants, tmp_path / "s.zarr", scale="linear", trait_names="T", maf_filter=0.05)
    wanted = scaled(path, Spec("A1", "A2", "BETA", n="N", info="INFO"), reference_of(variants), "linear", maf=0.05)
    close(values(tmp_path / "s.zarr", "T", "beta"), {name: found[0] for name, found in wanted.items()}, 1e-11)


def test_the_store_has_the_frequencies_of_the_reference(tmp_path, variants):
    conversion.sumstats(gwas(tmp_path), variants, tmp_path / "s.zarr", scale="linear")
    dataset = dg.open_store(tmp_path / "s.zarr")
    assert dataset.attrs["purpose"] == "gwas"
    assert dataset["maf"].values.tolist() == [0.1, 0.2, 0.3, 0.4, 0.25]
    assert {"variant_contig", "variant_position", "contig_id"} <= set(dataset.variables)
    assert dg.verify(tmp_path / "s.zarr") == []


def test_odds_ratio_follows_r_where_alleles_are_turned_and_the_corrected_scale_does_not(tmp_path, variants):
    rows = [("rs1", "A", "G", 1.2, 0.06, 0.001), ("rs2", "T", "C", 1.2, 0.06, 0.001)]
    path = gwas(tmp_path, header="SNP A1 A2 OR SE P", rows=rows)
    for scale in ("odds_ratio", "odds_ratio_corrected"):
        conversion.sumstats(path, variants, tmp_path / f"{scale}.zarr", scale=scale, trait_names="T")
    r, corrected = (values(tmp_path / f"{scale}.zarr", "T", "se") for scale in ("odds_ratio", "odds_ratio_corrected"))
    assert r["rs1"] == corrected["rs1"]
    assert r["rs2"] / corrected["rs2"] == pytest.approx(1.2**2)


def test_filters_of_variants(tmp_path, variants):
    header = "SNP A1 A2 BETA P N DIRECTION"
    rows = [
        ("rs1", "A", "G", 0.1, 0.5, 9, "+-+?"),
        ("rs2", "C", "T", 0.1, 0.5, 9, "+??-"),
        ("rs3", "G", "A", 0, 0.5, 9, "+++"),
        ("rs4", "T", "C", 0.1, 1, 9, "+++"),
        ("rs5", "A", "T", 0.1, 0.5, 9, "+++"),
        ("rs6", "C", "A", 0.1, 0.5, 9, "+++"),
    ]
    path = gwas(tmp_path, header=header, rows=rows)
    conversion.sumstats(path, variants, tmp_path / "a.zarr", scale="linear", trait_names="T")
    assert dropped(tmp_path / "a.zarr", "T") == {"no_effect": 2, "low_frequency": 1}
    conversion.sumstats(
        path, variants, tmp_path / "b.zarr", scale="linear", trait_names="T", ambig=True, direct_filter=True
    )
    assert dropped(tmp_path / "b.zarr", "T") == {"no_effect": 2, "low_frequency": 1, "ambiguous": 1, "few_cohorts": 1}
    assert list(values(tmp_path / "b.zarr", "T", "beta")) == ["rs1"]


def test_indels_are_kept_where_asked_if_they_are_the_references(tmp_path):
    rows = [("rs1", "A", "G", 0.1, 1, 1), ("rs2", "AT", "A", 0.1, 1, 2), ("rs3", "C", "CGG", 0.1, 1, 3)]
    variants = reference(tmp_path, rows)
    given = [("rs1", "G", "A", 1, 0.5, 9), ("rs2", "a", "at", 1, 0.5, 9), ("rs3", "C", "CG", 1, 0.5, 9)]
    path = gwas(tmp_path, header="SNP A1 A2 BETA P N", rows=given)
    conversion.sumstats(path, variants, tmp_path / "a.zarr", scale="linear", trait_names="T")
    assert dropped(tmp_path / "a.zarr", "T") == {"indel": 2}
    conversion.sumstats(path, variants, tmp_path / "b.zarr", scale="linear", trait_names="T", keep_indel=True)
    assert dropped(tmp_path / "b.zarr", "T") == {"alleles_differ": 1}
    assert values(tmp_path / "b.zarr", "T", "beta")["rs2"] < 0
    dataset = dg.open_store(tmp_path / "b.zarr")
    assert dataset["variant_allele"].values[1].tolist() == ["A", "AT"]


@pytest.mark.parametrize(
    ("options", "error", "match"),
    [
        ({}, UsageError, "the scale of gwas was not given"),
        ({"scale": "OLS"}, UsageError, "R's OLS is 'linear' here"),
        ({"scale": "linprob"}, UsageError, "R's linprob is 'linear_probability' here"),
        ({"scale": "cubic"}, UsageError, "scale='cubic' is not understood"),
        ({"scale": ["linear", "linear"]}, UsageError, "2 values, there are 1"),
    ],
)
def test_scales_that_are_missing_or_unknown_are_refused(tmp_path, variants, options, error, match):
    with pytest.raises(error, match=match):
        conversion.sumstats(gwas(tmp_path), variants, tmp_path / "s.zarr", **options)


@pytest.mark.parametrize(
    ("scale", "header", "row", "match"),
    [
        ("linear", "SNP A1 A2 BETA P", ("rs1", "A", "G", 1, 0.5), "no column with the sample size"),
        ("linear_probability", "SNP A1 A2 Z P", ("rs1", "A", "G", 1, 0.5), "no column with the sample size"),
        ("logistic", "SNP A1 A2 OR P", ("rs1", "A", "G", 1, 0.5), "needs a standard error"),
        ("odds_ratio", "SNP A1 A2 OR P", ("rs1", "A", "G", 1, 0.5), "needs a standard error"),
        ("logistic", "SNP A1 A2 Z SE", ("rs1", "A", "G", 1, 0.5), "needs an effect or odds ratio"),
        ("standardised", "SNP A1 A2 Z P", ("rs1", "A", "G", 1, 0.5), "needs an effect"),
    ],
)
def test_what_a_scale_needs_is_asked_for(tmp_path, variants, scale, header, row, match):
    with pytest.raises(InputError, match=match):
        conversion.sumstats(gwas(tmp_path, header=header, rows=[row]), variants, tmp_path / "s.zarr", scale=scale)


def test_a_linear_scale_takes_z_alone(tmp_path, variants):
    path = gwas(tmp_path, header="SNP A1 A2 Z N", rows=[("rs1", "G", "A", 2, 400)])
    conversion.sumstats(path, variants, tmp_path / "s.zarr", scale="linear", trait_names="T")
    assert values(tmp_path / "s.zarr", "T", "beta")["rs1"] == pytest.approx(-2 / math.sqrt(400 * 0.18))


def test_a_reference_is_needed_and_it_needs_frequencies(tmp_path):
    with pytest.raises(UsageError, match="needs a reference"):
        conversion.sumstats(gwas(tmp_path), None, tmp_path / "s.zarr", scale="linear")
    bare = write(tmp_path / "bare.tsv", "SNP A1 A2", [("rs1", "A", "G")])
    with pytest.raises(InputError, match="no allele frequencies"):
        conversion.sumstats(gwas(tmp_path), bare, tmp_path / "s.zarr", scale="linear")


def test_traits_appended_later_give_the_store_of_one_call(tmp_path):
    one, variants = simulated(tmp_path, "one", 301, 21)
    two = simulated(tmp_path, "two", 301, 22)[0]
    conversion.sumstats([one, two], variants, tmp_path / "all.zarr", scale=["linear", "logistic"])
    conversion.sumstats(one, variants, tmp_path / "parts.zarr", scale="linear")
    conversion.sumstats(two, variants, tmp_path / "parts.zarr", scale="logistic", append=True)
    whole, parts = (dg.open_store(tmp_path / f"{name}.zarr").load() for name in ("all", "parts"))
    for name in whole.variables:
        np.testing.assert_array_equal(whole[name].values, parts[name].values)


def test_a_store_for_regression_takes_no_effects(tmp_path, variants):
    conversion.munge(gwas(tmp_path, "a.tsv"), variants, tmp_path / "m.zarr")
    with pytest.raises(StoreError, match="another purpose"):
        conversion.sumstats(gwas(tmp_path, "b.tsv"), variants, tmp_path / "m.zarr", scale="linear", append=True)


MERGED = [
    ("rs3", 1, 3000, 0.3, "G", "A", 0.01, 0.002, -0.03, 0.004),
    ("rs1", 1, 1000, 0.1, "A", "G", -0.02, 0.003, "NA", "NA"),
    ("rs9", 5, 50, 0.2, "C", "T", 0.05, 0.001, 0.01, 0.001),
]
MERGED_HEADER = "SNP CHR BP MAF A1 A2 beta.X se.X beta.Y se.Y"


def test_a_table_that_is_merged_already_is_taken_as_it_is(tmp_path):
    path = write(tmp_path / "merged.tsv.gz", MERGED_HEADER, MERGED)
    result = conversion.sumstats(path, None, tmp_path / "s.zarr")
    assert result.traits == ("X", "Y")
    dataset = dg.open_store(tmp_path / "s.zarr")
    assert dataset["variant_id"].values.tolist() == ["rs3", "rs1", "rs9"]
    assert dataset["variant_allele"].values[:, 1].tolist() == ["G", "A", "C"]
    assert dataset["maf"].values.tolist() == [0.3, 0.1, 0.2]
    assert values(tmp_path / "s.zarr", "X", "beta") == {"rs3": 0.01, "rs1": -0.02, "rs9": 0.05}
    assert values(tmp_path / "s.zarr", "Y", "se") == {"rs3": 0.004, "rs9": 0.001}
    assert dropped(tmp_path / "s.zarr", "Y") == {"missing_values": 1}


def test_a_merged_table_may_be_aligned_and_renamed(tmp_path, variants):
    path = write(
        tmp_path / "merged.tsv", MERGED_HEADER, [*MERGED[1:], ("rs2", 1, 2000, 0.2, "T", "C", 0.5, 0.1, 0.5, 0.1)]
    )
    conversion.sumstats(path, variants, tmp_path / "s.zarr", trait_names=["P", "Q"], n=[100, None])
    assert values(tmp_path / "s.zarr", "P", "beta") == {"rs1": -0.02, "rs2": -0.5}
    assert dropped(tmp_path / "s.zarr", "P") == {"not_in_reference": 1}
    np.testing.assert_array_equal(dg.open_store(tmp_path / "s.zarr")["trait_n"].values, [100, np.nan])


def test_traits_are_appended_to_a_merged_table_with_the_table_as_reference(tmp_path):
    path = write(tmp_path / "merged.tsv", MERGED_HEADER, MERGED)
    conversion.sumstats(path, None, tmp_path / "s.zarr")
    row = [("rs1", "G", "A", 0.1, 0.5, 100)]
    conversion.sumstats(
        gwas(tmp_path, "z.tsv", "SNP A1 A2 BETA P N", row), path, tmp_path / "s.zarr", scale="linear", append=True
    )
    assert dg.open_store(tmp_path / "s.zarr")["trait"].values.tolist() == ["X", "Y", "z"]
    assert values(tmp_path / "s.zarr", "z", "beta")["rs1"] < 0


def test_merged_and_raw_files_are_not_mixed(tmp_path, variants):
    path = write(tmp_path / "merged.tsv", MERGED_HEADER, MERGED)
    with pytest.raises(UsageError, match="some of the files are merged"):
        conversion.sumstats([path, gwas(tmp_path)], variants, tmp_path / "s.zarr", scale="linear")


def test_standard_errors_that_fit_another_scale_are_warned_about(tmp_path, caplog):
    rng = np.random.default_rng(0)
    rows, variants = [], []
    for i in range(200):
        beta, se = rng.normal() * 0.2, 0.1
        p = max(math.erfc(abs(beta / se) / math.sqrt(2)), 1e-200)
        variants.append((f"rs{i}", "A", "G", 0.2, 1, i + 1))
        rows.append((f"rs{i}", "A", "G", math.exp(beta), se * math.exp(beta), p))
    path = gwas(tmp_path, header="SNP A1 A2 OR SE P", rows=rows)
    with caplog.at_level("WARNING", "daskgen.conversion"):
        conversion.sumstats(path, reference(tmp_path, variants), tmp_path / "a.zarr", scale="logistic")
    assert "scale odds_ratio" in caplog.text
