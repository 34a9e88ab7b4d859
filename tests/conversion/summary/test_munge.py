"""GWAS files to a store of z and N."""

from __future__ import annotations

import math
from statistics import NormalDist

import numpy as np
import pandas as pd
import pytest

import conversion
import daskgen as dg
from daskgen.errors import InputError, StoreError, UsageError
from tests.conversion.summary.files import REFERENCE, close, dropped, gwas, reference, values, write
from tests.oracles.munge import Spec, munged, reference_of


@pytest.fixture
def hm3(tmp_path):
    return reference(tmp_path)


def z(p):
    return -NormalDist().inv_cdf(p / 2)


def test_z_is_that_of_the_references_a1(tmp_path, hm3):
    result = conversion.munge(gwas(tmp_path), hm3, tmp_path / "m.zarr", trait_names=["T"])
    wanted = {"rs1": z(0.0455), "rs2": -z(6.3e-5), "rs3": -z(0.0455), "rs4": z(0.3173), "rs5": z(0.8415)}
    close(values(tmp_path / "m.zarr", "T", "z"), wanted)
    close(values(tmp_path / "m.zarr", "T", "n"), {"rs1": 1000, "rs2": 1000, "rs3": 900, "rs4": 1000, "rs5": 1000})
    report = result.reports[0]
    assert (report.read, report.kept, report.flipped, report.ambiguous) == (5, 5, 2, 1)


def test_the_store_has_the_alleles_places_and_traits_of_what_was_read(tmp_path, hm3):
    conversion.munge(
        gwas(tmp_path), hm3, tmp_path / "m.zarr", trait_names="T", sample_prev=0.3, population_prev=0.01, n_kind="total"
    )
    dataset = dg.open_store(tmp_path / "m.zarr")
    assert dataset.attrs["purpose"] == "ldsc"
    assert dataset.attrs["reference"]["name"] == "reference.tsv"
    assert dataset["variant_id"].values.tolist() == ["rs1", "rs2", "rs3", "rs4", "rs5"]
    assert dataset["variant_allele"].values[:, 1].tolist() == ["A", "C", "G", "T", "A"]  # the reference's A1
    assert dataset["variant_allele"].values[:, 0].tolist() == ["G", "T", "A", "C", "T"]
    assert dataset["variant_position"].values.tolist() == [1000, 2000, 3000, 1000, 2000]
    contigs = dataset["contig_id"].values[dataset["variant_contig"].values]
    assert contigs.tolist() == ["1", "1", "1", "2", "2"]
    assert dataset["n_kind"].values.tolist() == ["total"]
    assert dataset["n_source"].values.tolist() == ["N"]
    assert dataset["trait_n"].values.tolist() == [1000]
    assert dataset["sample_prev"].values.tolist() == [0.3]
    assert dataset["population_prev"].values.tolist() == [0.01]
    assert dg.verify(tmp_path / "m.zarr") == []
    call = dataset.attrs["provenance"]["calls"][0]
    assert call["sources"][0]["name"] == "gwas.tsv"
    assert call["sources"][0]["columns"]["effect_allele"] == "A1"
    assert len(call["sources"][0]["fingerprint"]) == 64


def test_every_reason_is_counted_once_a_row(tmp_path, hm3):
    rows = [
        ("rs1", "A", "G", 0.1, 0.05, 0.5, 1000, 0.95, 0.2),  # kept
        ("rs99", "A", "G", 0.1, 0.05, 0.5, 1000, 0.95, 0.2),  # not in the reference
        ("NA", "A", "G", 0.1, 0.05, 0.5, 1000, 0.95, 0.2),  # not in the reference
        ("rs2", "NA", "T", 0.1, 0.05, "NA", 1000, 0.1, 0.2),  # no alleles, and more
        ("rs3", "G", "GT", 0.1, 0.05, 0.5, 1000, 0.95, 0.2),  # indel
        ("rs4", "A", "C", 0.1, 0.05, 0.5, 1000, 0.95, 0.2),  # alleles differ
        ("rs5", "A", "T", "NA", 0.05, 0.5, 1000, 0.95, 0.2),  # no effect
    ]
    header = "SNP A1 A2 BETA SE P N INFO EAF"
    conversion.munge(gwas(tmp_path, "a.tsv", header, rows), hm3, tmp_path / "a.zarr", trait_names="T")
    assert dropped(tmp_path / "a.zarr", "T") == {
        "not_in_reference": 2,
        "no_alleles": 1,
        "indel": 1,
        "alleles_differ": 1,
        "missing_values": 1,
    }
    rows = [
        ("rs1", "A", "G", 0.1, 0.05, 0.5, 1000, 0.95, 0.2),  # kept
        ("rs2", "C", "T", 0.1, 0.05, 1.5, 1000, 0.95, 0.2),  # p above 1
        ("rs3", "G", "A", 0.1, 0.05, 0.5, 1000, 0.89, 0.2),  # low info
        ("rs4", "T", "C", 0.1, 0.05, 0.5, 1000, 0.95, 0.995),  # rare
        ("rs5", "A", "T", 0.1, 0.05, 0.5, 99, 0.95, 0.2),  # too few
        ("rs6", "C", "A", 0.1, 0.05, 0.5, 1000, 0.95, 1.2),  # no frequency
    ]
    conversion.munge(gwas(tmp_path, "b.tsv", header, rows), hm3, tmp_path / "b.zarr", trait_names="T", n_min=100)
    assert dropped(tmp_path / "b.zarr", "T") == {"out_of_range": 2, "low_info": 1, "low_frequency": 1, "low_n": 1}
    dataset = dg.open_store(tmp_path / "b.zarr")
    assert (dataset["rows_read"].values[0], dataset["rows_kept"].values[0]) == (6, 1)


def test_every_copy_of_a_repeated_id_is_dropped(tmp_path, hm3):
    rows = [("rs1", "A", "G", 1, 1, 0.5, 9), ("rs2", "C", "T", 1, 1, 0.5, 9), ("rs1", "A", "C", 1, 1, "NA", 9)]
    conversion.munge(gwas(tmp_path, rows=rows), hm3, tmp_path / "m.zarr", trait_names="T")
    assert list(values(tmp_path / "m.zarr", "T", "z")) == ["rs2"]
    assert dropped(tmp_path / "m.zarr", "T") == {"duplicated": 2}


def test_p_down_to_1e300_and_0(tmp_path, hm3):
    rows = [
        ("rs1", "A", "G", 1, 0.01, "1e-300", 9),
        ("rs2", "C", "T", -5, 0.1, "0", 9),
        ("rs3", "G", "A", 4, 0.1, "4.94e-324", 9),
        ("rs4", "T", "C", 1, "NA", "1e-400", 9),
        ("rs5", "A", "T", 1, "NA", "0", 9),
    ]
    conversion.munge(gwas(tmp_path, rows=rows), hm3, tmp_path / "m.zarr", trait_names="T")
    wanted = {"rs1": 37.06578788077213, "rs2": -50, "rs3": 40, "rs4": 42.82640649117118}
    close(values(tmp_path / "m.zarr", "T", "z"), wanted, 1e-11)
    assert dropped(tmp_path / "m.zarr", "T") == {"out_of_range": 1}


def test_traits_keep_their_union_in_the_order_of_the_reference(tmp_path, hm3):
    one = gwas(tmp_path, "one.tsv", rows=[("rs4", "T", "C", 1, 1, 0.5, 9), ("rs1", "A", "G", 1, 1, 0.5, 9)])
    two = gwas(tmp_path, "two.tsv", rows=[("rs3", "G", "A", 1, 1, 0.5, 9), ("rs1", "G", "A", 1, 1, 0.5, 9)])
    conversion.munge([one, two], hm3, tmp_path / "m.zarr")
    dataset = dg.open_store(tmp_path / "m.zarr")
    assert dataset["trait"].values.tolist() == ["one", "two"]
    assert dataset["variant_id"].values.tolist() == ["rs1", "rs3", "rs4"]
    assert np.isnan(dataset["z"].values).tolist() == [[False, True, False], [False, False, True]]
    assert dataset["z"].values[0, 0] == -dataset["z"].values[1, 0]


def simulated(folder, name, n_rows, seed, header="SNP A1 A2 BETA SE P N INFO EAF"):
    """A file with every defect, and its reference: values that the oracle reads row by row."""
    rng = np.random.default_rng(seed)
    bases = np.array(list("ACGT"))
    a = rng.integers(0, 4, n_rows)
    b = (a + rng.integers(1, 4, n_rows)) % 4
    maf = rng.uniform(0.001, 0.5, n_rows).round(4)
    variants = [(f"rs{i}", bases[a[i]], bases[b[i]], maf[i], 1 + i % 22, 100 + i) for i in range(n_rows)]
    path = reference(folder, variants, f"{name}.reference.tsv")
    rows = []
    for i in rng.permutation(n_rows + 20):
        i = int(i) % (n_rows + 7)
        first, second = (a[i], b[i]) if i < n_rows else (0, 1)
        turned = rng.random() < 0.4
        alleles = [bases[second], bases[first]] if turned else [bases[first], bases[second]]
        if rng.random() < 0.05:
            alleles[0] = rng.choice(["AT", "NA", "T", "<DEL>", "."])
        if rng.random() < 0.3:
            alleles = [allele.lower() for allele in alleles]
        size = float(rng.normal())
        p = math.erfc(abs(size) / math.sqrt(2)) ** rng.choice([1, 1, 1, 40])
        f = maf[i] if i < n_rows else 0.3
        rows.append(
            [
                f"rs{i}",
                *alleles,
                f"{size * 0.1:.6g}",
                "0.1",
                rng.choice([f"{max(p, 1e-300):.5g}", "NA", "1.2"], p=[0.94, 0.03, 0.03]),
                int(rng.integers(100, 200)),
                rng.choice(["0.95", "0.85", "NA"], p=[0.8, 0.1, 0.1]),
                rng.choice([f"{1 - f if turned else f:.4f}", "NA"], p=[0.97, 0.03]),
            ]
        )
    return gwas(folder, f"{name}.tsv.gz", header, rows), path


@pytest.mark.parametrize(("n_rows", "seed"), [(1, 0), (2, 1), (97, 2), (1009, 3)])
def test_what_is_kept_is_what_the_oracle_keeps_row_by_row(tmp_path, n_rows, seed):
    path, variants = simulated(tmp_path, "T", n_rows, seed)
    wanted = munged(path, Spec("A1", "A2", "BETA", n="N", info="INFO", frequency="EAF"), reference_of(variants))
    if not wanted:
        with pytest.raises(InputError, match="no row is left"):
            conversion.munge(path, variants, tmp_path / "m.zarr")
        return
    conversion.munge(path, variants, tmp_path / "m.zarr", trait_names="T")
    close(values(tmp_path / "m.zarr", "T", "z"), {name: found[0] for name, found in wanted.items()}, 1e-12)
    close(values(tmp_path / "m.zarr", "T", "n"), {name: found[1] for name, found in wanted.items()})
    dataset = dg.open_store(tmp_path / "m.zarr")
    assert (
        dataset["dropped"].values.sum() + dataset["rows_kept"].values[0]
        == dataset["rows_read"].values[0]
        == n_rows + 20
    )


@pytest.mark.parametrize("size", [100, 1000, 30_000])
def test_the_store_does_not_depend_on_the_size_of_blocks(tmp_path, monkeypatch, size):
    from conversion.summary import streams

    path, variants = simulated(tmp_path, "T", 499, 5)
    conversion.munge(path, variants, tmp_path / "whole.zarr", trait_names="T")
    monkeypatch.setattr(streams, "BLOCK_BYTES", size)
    conversion.munge(path, variants, tmp_path / "parts.zarr", trait_names="T")
    whole, parts = (dg.open_store(tmp_path / f"{name}.zarr").load() for name in ("whole", "parts"))
    for name in whole.variables:
        np.testing.assert_array_equal(whole[name].values, parts[name].values)


# Joining by position ---------------------------------------------------------------------------------------------


PLACED = [
    ("1:1000_G_A", "A", "G", 0.1, 0.05, 0.5, 9),
    ("1:2000_T_C", "T", "C", 0.1, 0.05, 0.5, 9),
    ("chr2:1000:C:T", "T", "C", -0.1, 0.05, 0.5, 9),
    ("1:3000_A_C", "C", "A", 0.1, 0.05, 0.5, 9),  # the reference has A/G there
    ("9:1_A_C", "C", "A", 0.1, 0.05, 0.5, 9),
]


def test_ids_of_positions_are_joined_by_position_and_alleles(tmp_path, hm3):
    conversion.munge(gwas(tmp_path, rows=PLACED), hm3, tmp_path / "m.zarr", trait_names="T")
    close(values(tmp_path / "m.zarr", "T", "z"), {"rs1": z(0.5), "rs2": -z(0.5), "rs4": -z(0.5)})
    assert dropped(tmp_path / "m.zarr", "T") == {"not_in_reference": 1, "alleles_differ": 1}


def test_missing_ids_are_made_up_for_by_columns_of_positions(tmp_path, hm3):
    rows = [("NA", "chr1", 1000, "A", "G", 0.1, 0.5, 9), ("NA", "23", 500, "A", "C", 0.1, 0.5, 9)]
    path = gwas(tmp_path, header="SNP CHR BP A1 A2 BETA P N", rows=rows)
    conversion.munge(path, hm3, tmp_path / "m.zarr", trait_names="T")
    close(values(tmp_path / "m.zarr", "T", "z"), {"rs1": z(0.5), "rs6": -z(0.5)})
    path = gwas(tmp_path, header="CHR BP A1 A2 BETA P N", rows=[row[1:] for row in rows])
    conversion.munge(path, hm3, tmp_path / "m2.zarr", trait_names="T")
    close(values(tmp_path / "m2.zarr", "T", "z"), {"rs1": z(0.5), "rs6": -z(0.5)})


def test_rs_numbers_are_joined_by_number_even_where_positions_are_of_another_build(tmp_path, hm3):
    rows = [("rs1", 1, 77, "A", "G", 0.1, 0.5, 9), ("rs2", 1, 1000, "C", "T", 0.1, 0.5, 9)]
    conversion.munge(
        gwas(tmp_path, header="SNP CHR BP A1 A2 BETA P N", rows=rows), hm3, tmp_path / "m.zarr", trait_names="T"
    )
    assert list(values(tmp_path / "m.zarr", "T", "z")) == ["rs1", "rs2"]


def test_a_copy_of_a_place_and_alleles_is_dropped_like_one_of_an_id(tmp_path, hm3):
    rows = [*PLACED[:2], ("1:1000_A_G", "G", "A", 0.1, 0.05, 0.5, 9)]
    conversion.munge(gwas(tmp_path, rows=rows), hm3, tmp_path / "m.zarr", trait_names="T")
    assert list(values(tmp_path / "m.zarr", "T", "z")) == ["rs2"]
    assert dropped(tmp_path / "m.zarr", "T") == {"duplicated": 2}


def test_positions_of_another_genome_build_are_refused(tmp_path):
    rng = np.random.default_rng(1)
    variants = [(f"rs{i}", "A", "G" if i % 2 else "C", 0.2, 1, 10 * i) for i in range(1, 101)]
    rows = [(f"1:{10 * int(i)}_T_G", "T", "G", 0.1, 0.05, 0.5, 9) for i in rng.permutation(100)]
    rows += [("1:10_A_G", "G", "A", 0.1, 0.05, 0.5, 9)]
    with pytest.raises(InputError, match="another genome build"):
        conversion.munge(gwas(tmp_path, rows=rows), reference(tmp_path, variants), tmp_path / "m.zarr")


def test_positions_without_positions_in_the_reference_are_refused(tmp_path):
    variants = write(tmp_path / "w_hm3.tsv", "SNP A1 A2", [row[:3] for row in REFERENCE])
    with pytest.raises(InputError, match="no rs numbers, and the reference has no positions") as error:
        conversion.munge(gwas(tmp_path, rows=PLACED), variants, tmp_path / "m.zarr")
    assert "1:1000_G_A" in str(error.value)


# Errors ----------------------------------------------------------------------------------------------------------


def refused(tmp_path, hm3, match, *, header="SNP A1 A2 BETA SE P N", rows=None, **options):
    destination = tmp_path / "refused.zarr"
    with pytest.raises(InputError, match=match) as error:
        conversion.munge(gwas(tmp_path, "refused.tsv", header, rows), hm3, destination, **options)
    assert not destination.exists()
    return str(error.value)


def test_a_reference_without_overlap_is_refused_with_examples_of_both(tmp_path, hm3):
    text = refused(tmp_path, hm3, "none of its 1 rows is in the reference", rows=[("rs77", "A", "G", 1, 1, 0.5, 9)])
    assert "rs77" in text
    assert "rs1, rs2, rs3" in text


def test_no_row_that_is_left_is_an_error_with_the_counts(tmp_path, hm3):
    text = refused(tmp_path, hm3, "no row is left", rows=[("rs1", "A", "T", 1, 1, 0.5, 9)])
    assert "1  alleles differ" in text


def test_a_file_without_sample_size_is_refused_with_what_to_do(tmp_path, hm3):
    rows = [("rs1", "A", "G", 1, 0.5)]
    text = refused(tmp_path, hm3, "no column with the sample size", header="SNP A1 A2 BETA P", rows=rows)
    assert "--n 100000" in text


def test_alleles_that_are_no_bases_are_refused(tmp_path, hm3):
    text = refused(tmp_path, hm3, "not letters of bases", rows=[("rs1", "1", "2", 1, 1, 0.5, 9)])
    assert "A, C, G, T" in text


def test_turned_effect_alleles_are_told_by_the_frequencies(tmp_path):
    rng = np.random.default_rng(0)
    variants = [(f"rs{i}", "A", "G", round(float(f), 4), 1, i) for i, f in enumerate(rng.uniform(0.05, 0.5, 200), 1)]
    hm3 = reference(tmp_path, variants)
    rows = [(name, "A", "G", 0.1, 0.5, 9, 1 - maf) for name, _, _, maf, _, _ in variants]
    header = "SNP A1 A2 BETA P N EAF"
    text = refused(tmp_path, hm3, "effect allele seems to be the other one", header=header, rows=rows)
    assert "--column effect_allele=A2 --column other_allele=A1" in text
    path = gwas(tmp_path, header=header, rows=rows)
    turned = conversion.munge(
        path,
        hm3,
        tmp_path / "turned.zarr",
        columns={"effect_allele": "A2", "other_allele": "A1", "minor_frequency": "EAF"},
    )
    assert turned.reports[0].flipped == 200


@pytest.mark.parametrize(
    ("options", "error", "match"),
    [
        ({"trait_names": ["a", "b"]}, UsageError, "different lengths"),
        ({"columns": {"colour": "x"}}, UsageError, "not a field"),
        ({"columns": {"p": "PP"}}, InputError, "no file has a column 'PP'"),
        ({"n": {"other": 5}}, UsageError, "traits that there are not"),
        ({"n": [1, 2]}, UsageError, "2 values, there are 1"),
        ({"n": "many"}, UsageError, "not a number"),
        ({"n": -5}, InputError, "not a sample size"),
        ({"sample_prev": 1.5}, InputError, "not a prevalence"),
        ({"population_prev": 0}, InputError, "not a prevalence"),
        ({"n_kind": "half"}, UsageError, "n_kind='half'"),
    ],
)
def test_what_cannot_be_meant_is_refused_before_anything_is_read(tmp_path, hm3, options, error, match):
    with pytest.raises(error, match=match):
        conversion.munge(gwas(tmp_path), hm3, tmp_path / "m.zarr", **options)
    assert not (tmp_path / "m.zarr").exists()


def test_one_bad_header_among_several_files_is_found_before_any_is_read(tmp_path, hm3, caplog):
    bad = gwas(tmp_path, "bad.tsv", "SNP REF ALT BETA P N", [("rs1", "A", "G", 1, 0.5, 9)])
    with caplog.at_level("INFO", "daskgen.conversion"), pytest.raises(InputError, match="bad.tsv"):
        conversion.munge([gwas(tmp_path), bad], hm3, tmp_path / "m.zarr")
    assert "rows read" not in caplog.text


def test_a_store_that_is_there_is_not_replaced_without_force(tmp_path, hm3):
    path = gwas(tmp_path)
    conversion.munge(path, hm3, tmp_path / "m.zarr")
    with pytest.raises(StoreError, match="exists"):
        conversion.munge(path, hm3, tmp_path / "m.zarr")
    conversion.munge(path, hm3, tmp_path / "m.zarr", trait_names="new", force=True)
    assert dg.open_store(tmp_path / "m.zarr")["trait"].values.tolist() == ["new"]


def test_a_run_that_fails_leaves_the_old_store_as_it_was(tmp_path, hm3):
    conversion.munge(gwas(tmp_path), hm3, tmp_path / "m.zarr", trait_names="old")
    bad = gwas(tmp_path, "bad.tsv", rows=[("rs1", "A", "T", 1, 1, 0.5, 9)])
    with pytest.raises(InputError):
        conversion.munge(bad, hm3, tmp_path / "m.zarr", force=True)
    assert dg.open_store(tmp_path / "m.zarr")["trait"].values.tolist() == ["old"]


# Several traits --------------------------------------------------------------------------------------------------


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


def test_a_plan_over_the_memory_limit_is_refused_before_a_file_is_read(tmp_path, hm3, monkeypatch, caplog):
    from daskgen import limits
    from daskgen.errors import PlanError

    monkeypatch.setattr(limits, "memory_limit", lambda given=None: 10**8)
    with caplog.at_level("INFO", "daskgen.conversion"), pytest.raises(PlanError, match="the limit is 100"):
        conversion.munge(gwas(tmp_path), hm3, tmp_path / "m.zarr")
    assert "rows read" not in caplog.text
    assert not (tmp_path / "m.zarr").exists()


def test_force_does_not_replace_what_daskgen_did_not_make(tmp_path, hm3):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine/notes.txt").write_text("keep")
    with pytest.raises(StoreError):
        conversion.munge(gwas(tmp_path), hm3, tmp_path / "mine", force=True)
    assert (tmp_path / "mine/notes.txt").read_text() == "keep"


def test_two_columns_for_one_field_are_refused_by_name(tmp_path, hm3):
    header = "SNP A1 A2 BETA PVAL P_VALUE N"
    text = refused(tmp_path, hm3, "2 columns could be the p", header=header, rows=[("rs1", "A", "G", 1, 0.5, 0.5, 9)])
    assert "PVAL, P_VALUE" in text
