"""What a newcomer sees of summary statistics that cannot be used: an answer that says what to do, and no store."""

from __future__ import annotations

import numpy as np
import pytest

import daskgen as dg
from daskgen.cli import app
from tests.conversion.summary.files import REFERENCE, gwas, reference, values, write
from tests.ldsc.data import munged_dataset, scores_dataset, simulated_scores, simulated_traits
from tests.ldsc.data import write as write_store

WIDE = "SNP A1 A2 BETA SE P N"


def refusal(capsys, *arguments, code=3):
    """What is printed to standard error."""
    assert app.invoke([str(argument) for argument in arguments]) == code
    return capsys.readouterr().err


def rows(*columns):
    return [tuple(column[i] for column in columns) for i in range(len(columns[0]))]


NAMES = ["rs1", "rs2", "rs3"]
ONES = [1000] * 3

# what it is -> (header, rows, what the answer says)
FILES = {
    "no sign": (
        "SNP A1 A2 P N",
        rows(NAMES, "ACG", "GTA", [0.1, 0.2, 0.3], ONES),
        ["there is no sign", "BETA", "do  "],
    ),
    "no alleles": (
        "SNP BETA SE P N",
        rows(NAMES, [0.1] * 3, [0.05] * 3, [0.05] * 3, ONES),
        ["no column with the effect allele was recognised", "SNP BETA SE P N", "A1"],
    ),
    "alleles that say nothing of the effect": (
        "SNP REF ALT BETA SE P N",
        rows(NAMES, "ACG", "GTA", [0.1] * 3, [0.05] * 3, [0.05] * 3, ONES),
        ["no column with the effect allele was recognised", "--column effect_allele=", "REF", "ALT"],
    ),
    "two columns for one field": (
        "SNP A1 A2 BETA SE PVALUE P_VAL N",
        rows(NAMES, "ACG", "GTA", [0.1] * 3, [0.05] * 3, [0.05] * 3, [0.05] * 3, ONES),
        ["2 columns could be the p", "PVALUE", "P_VAL", "--column p="],
    ),
    "ids of another style": (
        WIDE,
        rows(["1:1000_G_A", "1:2000_T_C", "1:3000_A_G"], "ACG", "GTA", [0.1] * 3, [0.05] * 3, [0.05] * 3, ONES),
        ["no rs numbers, and the reference has no positions", "1:1000_G_A"],
    ),
    "no variant of the reference": (
        WIDE,
        rows(["rs71", "rs72", "rs73"], "ACG", "GTA", [0.1] * 3, [0.05] * 3, [0.05] * 3, ONES),
        ["none of its 3 rows is in the reference", "rs71, rs72, rs73", "rs1, rs2, rs3"],
    ),
    "p out of range everywhere": (
        WIDE,
        rows(NAMES, "ACG", "GTA", [0.1] * 3, [0.05] * 3, [1.5] * 3, ONES),
        ["no row is left", "3  p value, standard error, frequency or odds ratio out of range"],
    ),
}


@pytest.mark.parametrize("what", FILES)
def test_a_file_that_cannot_be_used_is_refused_with_what_to_do(what, tmp_path, capsys):
    header, table, said = FILES[what]
    file = gwas(tmp_path, "bad.tsv.gz", header, table)
    hm3 = write(tmp_path / "w_hm3.tsv", "SNP A1 A2", [row[:3] for row in REFERENCE])
    printed = refusal(capsys, "convert", "munge", file, "--reference", hm3, "--out", tmp_path / "m.zarr")
    assert "bad.tsv.gz" in printed
    assert all(part in printed for part in said), printed
    assert printed.endswith("(exit 3; nothing written)\n")
    assert not (tmp_path / "m.zarr").exists()


def test_a_download_that_was_cut_is_refused(tmp_path, capsys):
    file = gwas(tmp_path, "cut.tsv.gz")
    file.write_bytes(file.read_bytes()[:-12])
    printed = refusal(
        capsys, "convert", "munge", file, "--reference", reference(tmp_path), "--out", tmp_path / "m.zarr"
    )
    assert "cut.tsv.gz" in printed
    assert "cut off" in printed
    assert not (tmp_path / "m.zarr").exists()


@pytest.mark.parametrize("option", ["--sample-prev", "--population-prev"])
@pytest.mark.parametrize("value", ["0", "1.5"])
def test_a_prevalence_outside_of_0_to_1_is_refused(option, value, tmp_path, capsys):
    call = ["convert", "munge", gwas(tmp_path), "--reference", reference(tmp_path), option, value]
    printed = refusal(capsys, *call, "--out", tmp_path / "m.zarr")
    assert f"{float(value):g}" in printed
    assert "not a prevalence" in printed


def test_p_of_0_is_taken_from_effect_and_standard_error_or_counted_as_out_of_range(tmp_path, capsys):
    table = [("rs1", "A", "G", 2.0, 0.05, 0, 1000), ("rs2", "T", "C", 0.2, 0.05, 6.3e-5, 1000)]
    file = gwas(tmp_path, "zero.tsv", WIDE, table)
    out = tmp_path / "m.zarr"
    assert app.invoke(["convert", "munge", str(file), "--reference", str(reference(tmp_path)), "--out", str(out)]) == 0
    assert values(out, "zero", "z")["rs1"] == pytest.approx(40)
    alone = gwas(tmp_path, "alone.tsv", "SNP A1 A2 BETA P N", [row[:4] + row[5:] for row in table])
    capsys.readouterr()
    out = tmp_path / "n.zarr"
    assert app.invoke(["convert", "munge", str(alone), "--reference", str(reference(tmp_path)), "--out", str(out)]) == 0
    assert "1  p value, standard error, frequency or odds ratio out of range" in capsys.readouterr().out


# LD-score regression --------------------------------------------------------------------------------------------------


@pytest.fixture
def stores(tmp_path):
    scores = simulated_scores()
    munged = munged_dataset(simulated_traits(scores, 2))
    return munged, [
        write_store(tmp_path / "m.zarr", munged, "sumstats"),
        write_store(tmp_path / "l.zarr", scores_dataset(scores), "ld_scores"),
    ]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--sample-prev", "0", "--population-prev", "0.1"], ["between 0 and 1", "sample_prev"]),
        (["--sample-prev", "0.5", "--population-prev", "1"], ["between 0 and 1", "population_prev"]),
        (["--n-blocks", "5000"], ["fewer variants than the jackknife needs", "5,000 blocks", "more than 5,000"]),
    ],
)
def test_a_regression_that_makes_no_sense_is_refused(options, said, stores, tmp_path, capsys):
    printed = refusal(capsys, "ldsc", *stores[1], *options, "--out", tmp_path / "c.zarr")
    assert all(part in printed for part in said), printed
    assert not (tmp_path / "c.zarr").exists()


def test_ids_that_do_not_match_the_ld_scores_are_shown_from_both_sides(stores, tmp_path, capsys):
    munged, (_, scores) = stores
    ids = np.array([f"1:{i}:A:G" for i in range(munged.sizes["variants"])], dtype=object)
    other = write_store(tmp_path / "o.zarr", munged.assign(variant_id=("variants", ids)), "sumstats")
    printed = refusal(capsys, "ldsc", other, scores, "--out", tmp_path / "c.zarr")
    assert "is among the 3,000 of l.zarr" in printed
    assert "1:0:A:G" in printed
    assert "rs" in printed


def test_a_negative_heritability_is_printed_and_its_correlations_are_not(stores, tmp_path, capsys):
    munged, (_, scores) = stores
    ld = dg.open_store(scores).load()
    score = dict(zip(ld["variant_id"].values.tolist(), ld["ld_score"].values[:, 0], strict=True))
    at = np.array([score[name] for name in munged["variant_id"].values.tolist()])
    z = munged["z"].values.copy()
    z[1] = np.where(np.isnan(z[1]), np.nan, np.random.default_rng(5).normal(size=len(at)) * (1.3 - at / at.max()))
    path = write_store(tmp_path / "negative.zarr", munged.assign(z=(munged["z"].dims, z)), "sumstats")
    assert app.invoke(["ldsc", path, scores, "--out", str(tmp_path / "c.zarr")]) == 0
    printed = capsys.readouterr()
    assert "trait1  -0." in printed.out
    assert "NA (h2 not positive)" in printed.out
    assert "its genetic correlations are undefined" in printed.err
    found = dg.open_store(tmp_path / "c.zarr")
    assert float(found["h2"][1]) < 0
    assert np.isnan(found["rg"].values[1]).all()
