"""GWAS files to a store of z and N."""

from __future__ import annotations

from statistics import NormalDist

import numpy as np
import pytest

import conversion
import daskgen as dg
from daskgen.errors import InputError, StoreError, UsageError
from tests.conversion.summary.files import REFERENCE, close, dropped, gwas, reference, simulated, values, write
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
