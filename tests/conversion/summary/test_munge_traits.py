"""Several traits in one store: values per trait, study sheets, appending, files that are munged already."""

from __future__ import annotations

from statistics import NormalDist

import numpy as np
import pandas as pd
import pytest

import conversion
import daskgen as dg
from daskgen.errors import InputError, StoreError, UsageError
from tests.conversion.summary.files import REFERENCE, close, dropped, gwas, reference, simulated, values, write


@pytest.fixture
def hm3(tmp_path):
    return reference(tmp_path)


def z(p):
    return -NormalDist().inv_cdf(p / 2)


@pytest.mark.parametrize("n", [[None, 500], {"b": 500}, {"a": None, "b": "500"}])
def test_values_per_trait_are_lists_or_mappings(tmp_path, hm3, n):
    files = [gwas(tmp_path, "a.tsv"), gwas(tmp_path, "b.tsv")]
    conversion.munge(files, hm3, tmp_path / "m.zarr", n=n)
    assert set(values(tmp_path / "m.zarr", "b", "n").values()) == {500}
    assert values(tmp_path / "m.zarr", "a", "n")["rs3"] == 900
    assert dg.open_store(tmp_path / "m.zarr")["n_kind"].values.tolist() == ["total", "given"]


def test_a_column_named_for_all_files_is_taken_where_a_file_has_it(tmp_path, hm3):
    one = gwas(tmp_path, "one.tsv", "SNP AL1 AL2 BETA P N", [("rs1", "A", "G", 1, 0.5, 9)])
    result = conversion.munge([gwas(tmp_path), one], hm3, tmp_path / "m.zarr", columns={"effect_allele": "AL1"})
    assert [report.kept for report in result.reports] == [5, 1]


def test_columns_may_be_said_by_trait(tmp_path, hm3):
    header, row = "SNP A1 A2 B1 B2 P N", [("rs1", "A", "G", 1, -1, 0.5, 9)]
    files = [gwas(tmp_path, name, header, row) for name in ("a.tsv", "b.tsv")]
    conversion.munge(files, hm3, tmp_path / "m.zarr", columns={"a": {"beta": "B1"}, "b": {"beta": "B2"}})
    assert values(tmp_path / "m.zarr", "a", "z")["rs1"] == -values(tmp_path / "m.zarr", "b", "z")["rs1"] > 0


def sheet(tmp_path, as_file):
    gwas(tmp_path, "a.tsv")
    gwas(tmp_path, "b.tsv", "SNP AL1 AL2 BETA P", [("rs1", "A", "G", 1, 0.5)])
    table = pd.DataFrame(
        {
            "trait": ["A", "B"],
            "file": ["a.tsv", "b.tsv"] if as_file else [str(tmp_path / "a.tsv"), str(tmp_path / "b.tsv")],
            "n": ["", "750"] if as_file else [None, 750],
            "n_kind": ["", "effective"],
            "sample_prev": ["", "0.5"] if as_file else [np.nan, 0.5],
            "population_prev": ["NA", "0.02"] if as_file else [np.nan, 0.02],
            "column.effect_allele": ["", "AL1"],
        }
    )
    if as_file:
        table.to_csv(tmp_path / "study.tsv", sep="\t", index=False)
        return tmp_path / "study.tsv"
    return table


@pytest.mark.parametrize("as_file", [True, False])
def test_a_study_sheet_stands_for_all_values_per_trait(tmp_path, hm3, as_file):
    conversion.munge(None, hm3, tmp_path / "m.zarr", traits=sheet(tmp_path, as_file))
    dataset = dg.open_store(tmp_path / "m.zarr")
    assert dataset["trait"].values.tolist() == ["A", "B"]
    assert dataset["n_kind"].values.tolist() == ["total", "effective"]
    np.testing.assert_array_equal(dataset["sample_prev"].values, [np.nan, 0.5])
    np.testing.assert_array_equal(dataset["population_prev"].values, [np.nan, 0.02])
    assert values(tmp_path / "m.zarr", "B", "n") == {"rs1": 750}
    study = dataset.attrs["provenance"]["calls"][0]["study"]
    assert [trait["name"] for trait in study] == ["A", "B"]
    assert study[1]["columns"] == {"effect_allele": "AL1"}


def test_a_study_sheet_and_values_per_trait_exclude_each_other(tmp_path, hm3):
    with pytest.raises(UsageError, match="study sheet.*instead of n"):
        conversion.munge(None, hm3, tmp_path / "m.zarr", traits=sheet(tmp_path, False), n=5)


@pytest.mark.parametrize(
    ("text", "match"),
    [
        ("trait\tfile\tcolour\nA\ta.tsv\tred\n", "columns that a study sheet has not"),
        ("trait\tn\nA\t5\n", "not a study sheet"),
        ("trait\tfile\n", "no rows"),
    ],
)
def test_a_sheet_that_is_none_is_refused(tmp_path, hm3, text, match):
    (tmp_path / "study.tsv").write_text(text)
    with pytest.raises(InputError, match=match):
        conversion.munge(None, hm3, tmp_path / "m.zarr", traits=tmp_path / "study.tsv")


def test_names_of_traits_are_those_of_files_without_endings_and_have_to_differ(tmp_path, hm3):
    result = conversion.munge(gwas(tmp_path, "scz.2022.txt.gz"), hm3, tmp_path / "m.zarr")
    assert result.traits == ("scz.2022",)
    with pytest.raises(UsageError, match="name of its own"):
        conversion.munge([gwas(tmp_path, "a.tsv"), gwas(tmp_path, "a.txt")], hm3, tmp_path / "n.zarr")


# Appending -------------------------------------------------------------------------------------------------------


def test_traits_appended_later_give_the_store_of_one_call(tmp_path):
    one, variants = simulated(tmp_path, "one", 401, 7)
    two, three = (gwas(tmp_path, f"{name}.tsv") for name in ("two", "three"))
    three = simulated(tmp_path, "three", 401, 8)[0]
    variants = simulated(tmp_path, "one", 401, 7)[1]
    conversion.munge([one, two, three], variants, tmp_path / "all.zarr", columns={"p": "P"})
    conversion.munge(three, variants, tmp_path / "parts.zarr", append=True)
    conversion.munge([one, two], variants, tmp_path / "parts.zarr", append=True)
    whole, parts = (dg.open_store(tmp_path / f"{name}.zarr").load() for name in ("all", "parts"))
    assert parts["trait"].values.tolist() == ["three", "one", "two"]
    assert whole["variant_id"].values.tolist() == parts["variant_id"].values.tolist()
    order = [1, 2, 0]
    for name in ("z", "n", "dropped", "rows_kept", "n_kind", "trait_n"):
        np.testing.assert_array_equal(whole[name].values, parts[name].values[order])
    assert len(parts.attrs["provenance"]["calls"]) == 2


def test_only_the_same_reference_may_be_appended_with(tmp_path, hm3):
    conversion.munge(gwas(tmp_path, "a.tsv"), hm3, tmp_path / "m.zarr")
    other = reference(tmp_path, REFERENCE[:5], "other.tsv")
    with pytest.raises(StoreError, match="only with the reference"):
        conversion.munge(gwas(tmp_path, "b.tsv"), other, tmp_path / "m.zarr", append=True)
    assert dg.open_store(tmp_path / "m.zarr")["trait"].values.tolist() == ["a"]


def test_a_trait_that_is_there_is_not_appended_again(tmp_path, hm3):
    conversion.munge(gwas(tmp_path, "a.tsv"), hm3, tmp_path / "m.zarr")
    with pytest.raises(StoreError, match="these traits already"):
        conversion.munge(gwas(tmp_path, "a.tsv"), hm3, tmp_path / "m.zarr", append=True)
    with pytest.raises(UsageError, match="exclude each other"):
        conversion.munge(gwas(tmp_path, "a.tsv"), hm3, tmp_path / "m.zarr", append=True, force=True)


# Munged already --------------------------------------------------------------------------------------------------


def munged_file(folder, name, rows):
    return write(folder / name, "SNP A1 A2 Z N", rows)


def test_munged_files_need_no_reference(tmp_path):
    one = munged_file(
        tmp_path, "one.sumstats.gz", [("rs5", "A", "G", 1.5, 100), ("rs1", "C", "T", -2, 90), ("rs8", "", "", "", "")]
    )
    two = munged_file(
        tmp_path, "two.sumstats.gz", [("rs7", "A", "C", 1, 50), ("rs5", "G", "A", 0.5, 50), ("rs1", "C", "A", 1, 5)]
    )
    result = conversion.munge([one, two], None, tmp_path / "m.zarr")
    assert result.traits == ("one", "two")
    dataset = dg.open_store(tmp_path / "m.zarr")
    assert dataset["variant_id"].values.tolist() == ["rs5", "rs1", "rs7"]  # first appearance
    assert values(tmp_path / "m.zarr", "one", "z") == {"rs5": 1.5, "rs1": -2}
    assert values(tmp_path / "m.zarr", "two", "z") == {"rs5": -0.5, "rs7": 1}
    assert dropped(tmp_path / "m.zarr", "two") == {"alleles_differ": 1}
    three = munged_file(tmp_path, "three.sumstats.gz", [("rs9", "A", "C", 1, 50), ("rs1", "T", "C", 0.5, 50)])
    conversion.munge(three, None, tmp_path / "m.zarr", append=True)
    assert values(tmp_path / "m.zarr", "three", "z") == {"rs1": -0.5, "rs9": 1}
    assert values(tmp_path / "m.zarr", "two", "z") == {"rs5": -0.5, "rs7": 1}


def test_munged_files_may_be_aligned_to_a_reference_too(tmp_path, hm3):
    one = munged_file(tmp_path, "one.sumstats.gz", [("rs2", "T", "C", 1.5, 100), ("rs1", "A", "G", -2, 90)])
    conversion.munge(one, hm3, tmp_path / "m.zarr")
    assert values(tmp_path / "m.zarr", "one", "z") == {"rs1": -2, "rs2": -1.5}


def test_raw_files_need_a_reference(tmp_path):
    with pytest.raises(InputError, match="not munged yet"):
        conversion.munge(gwas(tmp_path), None, tmp_path / "m.zarr")


def test_stores_are_sources_too(tmp_path, hm3):
    conversion.sumstats([gwas(tmp_path, "a.tsv"), gwas(tmp_path, "b.tsv")], hm3, tmp_path / "gwas.zarr", scale="linear")
    result = conversion.munge(tmp_path / "gwas.zarr", None, tmp_path / "m.zarr")
    assert result.traits == ("a", "b")
    conversion.munge(gwas(tmp_path, "a.tsv"), hm3, tmp_path / "direct.zarr")
    close(values(tmp_path / "m.zarr", "a", "z"), values(tmp_path / "direct.zarr", "a", "z"), 1e-12)
    conversion.munge(f"{tmp_path}/gwas.zarr::b", hm3, tmp_path / "b.zarr", n=77)
    assert set(values(tmp_path / "b.zarr", "b", "n").values()) == {77}


def test_parquet_and_gwas_vcf_are_read(tmp_path, hm3):
    import polars as pl

    pl.DataFrame(
        {"SNP": ["rs1", "rs2"], "A1": ["A", "T"], "A2": ["G", "C"], "Z": [1.5, 2.0], "N": [9, 9]}
    ).write_parquet(tmp_path / "a.parquet")
    conversion.munge(tmp_path / "a.parquet", hm3, tmp_path / "a.zarr")
    assert values(tmp_path / "a.zarr", "a", "z") == {"rs1": 1.5, "rs2": -2.0}
    lines = [
        "##fileformat=VCFv4.2",
        "##SAMPLE=<ID=X,TotalControls=60,TotalCases=40,StudyType=CaseControl>",
        "\t".join(["#CHROM", "POS", "ID", "REF", "ALT", "QUAL", "FILTER", "INFO", "FORMAT", "X"]),
        "\t".join(["1", "1000", "rs1", "G", "A", ".", "PASS", ".", "ES:SE:LP:AF:ID", "0.1:0.05:1:0.1:rs1"]),
        "\t".join(["1", "2000", "rs2", "C", "T", ".", "PASS", ".", "ES:SE:LP:ID", "-0.1:0.05:2:rs2"]),
    ]
    (tmp_path / "x.vcf").write_text("\n".join(lines) + "\n")
    conversion.munge(tmp_path / "x.vcf", hm3, tmp_path / "x.zarr", maf_filter=0)
    close(values(tmp_path / "x.zarr", "x", "z"), {"rs1": z(0.1)}, 1e-9)
    assert values(tmp_path / "x.zarr", "x", "n") == {"rs1": 100}
    assert dropped(tmp_path / "x.zarr", "x") == {"low_frequency": 1}


def test_rows_of_other_tests_than_the_additive_one_are_left_out(tmp_path, hm3):
    rows = [("rs1", "G", "A", "A", test, 9, 0.1, 0.5) for test in ("ADD", "DOMDEV", "COVAR1")]
    rows += [("rs2", "C", "T", "C", "ADD", 9, 0.1, 0.5)]
    path = gwas(tmp_path, header="ID REF ALT A1 TEST OBS_CT BETA P", rows=rows)
    conversion.munge(path, hm3, tmp_path / "m.zarr", trait_names="T")
    close(values(tmp_path / "m.zarr", "T", "z"), {"rs1": z(0.5), "rs2": z(0.5)})
    assert dropped(tmp_path / "m.zarr", "T") == {"other_test": 2}
