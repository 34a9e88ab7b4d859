"""daskgen convert munge and daskgen convert sumstats."""

from __future__ import annotations

import json

import pytest

import daskgen as dg
from daskgen.cli.app import invoke
from daskgen.cli.summary_options import names_of, per_trait
from daskgen.errors import UsageError
from tests.conversion.summary.files import gwas, reference, values


@pytest.fixture
def files(tmp_path):
    return str(gwas(tmp_path, "scz.tsv.gz")), str(gwas(tmp_path, "bmi.tsv")), str(reference(tmp_path))


def test_munge_prints_what_became_of_each_row_and_makes_the_store(files, tmp_path, capsys):
    scz, bmi, variants = files
    out = str(tmp_path / "m.zarr")
    arguments = [scz, bmi, "--reference", variants, "--n", "scz=500", "--sample-prev", "0.4,", "--out", out]
    assert invoke(["convert", "munge", *arguments, "--population-prev", "scz=0.01"]) == 0
    printed = capsys.readouterr().out
    assert "scz: 5 rows read, 5 kept (2 with alleles turned, 1 A/T or C/G)" in printed
    assert "effect allele A1, effect BETA, p from P, N given by the caller (given)" in printed
    assert "2 traits x 5 variants" in printed
    assert set(values(out, "scz", "n").values()) == {500}
    assert dg.open_store(out)["sample_prev"].values.tolist()[0] == 0.4
    summary = json.loads((tmp_path / "m.zarr.json").read_text())
    assert summary["rows"]["bmi"]["kept"] == 5


def test_munge_appends(files, tmp_path):
    scz, bmi, variants = files
    out = str(tmp_path / "m.zarr")
    assert invoke(["convert", "munge", scz, "--reference", variants, "--out", out]) == 0
    assert invoke(["convert", "munge", bmi, "--reference", variants, "--out", out]) == 3
    assert invoke(["convert", "munge", bmi, "--reference", variants, "--out", out, "--append"]) == 0
    assert dg.open_store(out)["trait"].values.tolist() == ["scz", "bmi"]


def test_an_unknown_effect_allele_is_asked_about_and_can_be_said(tmp_path, files, capsys):
    daner = gwas(tmp_path, "daner_mdd.tsv", "SNP AL1 AL2 OR SE P N", [("rs1", "A", "G", 1.1, 0.1, 0.5, 9)])
    arguments = ["convert", "munge", str(daner), "--reference", files[2], "--out", str(tmp_path / "mdd.zarr")]
    assert invoke(arguments) == 3
    printed = capsys.readouterr().err
    assert "no column with the effect allele was recognised" in printed
    assert "found     SNP AL1 AL2 OR SE P N" in printed
    assert "--column effect_allele=AL1 --column other_allele=AL2" in printed
    assert "(exit 3; nothing written)" in printed
    assert not (tmp_path / "mdd.zarr").exists()
    assert invoke([*arguments, "--column", "effect_allele=AL1", "--column", "other_allele=AL2"]) == 0
    assert values(tmp_path / "mdd.zarr", "daner_mdd", "z")["rs1"] > 0
    assert invoke([*arguments, "--force", "--column", "daner_mdd:effect_allele=AL2"]) == 0
    assert values(tmp_path / "mdd.zarr", "daner_mdd", "z")["rs1"] < 0


def test_the_table_of_names_is_printed(capsys):
    assert invoke(["convert", "munge", "--columns"]) == 0
    printed = capsys.readouterr().out
    assert "effect_allele" in printed
    assert "MARKERNAME" in printed


def test_a_study_sheet(files, tmp_path):
    scz, _, variants = files
    (tmp_path / "study.tsv").write_text(f"trait\tfile\tn\tsample_prev\nS\t{scz}\t777\t0.5\n")
    out = str(tmp_path / "m.zarr")
    assert (
        invoke(["convert", "munge", "--traits", str(tmp_path / "study.tsv"), "--reference", variants, "--out", out])
        == 0
    )
    assert set(values(out, "S", "n").values()) == {777}


def test_sumstats_makes_effects(files, tmp_path, capsys):
    scz, bmi, variants = files
    out = str(tmp_path / "s.zarr")
    arguments = [scz, bmi, "--reference", variants, "--scale", "scz=logistic,bmi=linear", "--ambig", "--out", out]
    assert invoke(["convert", "sumstats", *arguments]) == 0
    dataset = dg.open_store(out)
    assert dataset["scale"].values.tolist() == ["logistic", "linear"]
    assert "A/T or C/G (strand unknown)" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "code", "text"),
    [
        ([], 2, "no files were given"),
        (["{scz}", "--scale", "linear", "--column", "AL1"], 2, "is not understood"),
        (["{scz}", "--n", "many", "--scale", "linear"], 2, "is not a number"),
        (["{scz}", "--scale", "OLS"], 2, "R's OLS is 'linear' here"),
        (["{scz}", "--scale", "linear", "--column", "a:p=P", "--column", "z=Z"], 2, "cannot be mixed"),
        (["{scz}", "--scale", "linear", "--sample-prev", "2"], 3, "not a prevalence"),
    ],
)
def test_what_cannot_be_meant_is_refused(files, tmp_path, capsys, arguments, code, text):
    given = [argument.format(scz=files[0]) for argument in arguments]
    out = tmp_path / "s.zarr"
    assert invoke(["convert", "sumstats", *given, "--reference", files[2], "--out", str(out)]) == code
    assert text in capsys.readouterr().err
    assert not out.exists()


def test_values_per_trait():
    assert per_trait("n", "5", number=True) == 5
    assert per_trait("n", "5,,7", number=True) == [5, None, 7]
    assert per_trait("n", "a=5,b=NA", number=True) == {"a": 5, "b": None}
    assert per_trait("scale", "a=linear,b=logistic", number=False) == {"a": "linear", "b": "logistic"}
    assert per_trait("n", None, number=True) is None
    assert names_of(("a,b", "c")) == ["a", "b", "c"]
    with pytest.raises(UsageError, match="--sample-prev: 'x' is not a number"):
        per_trait("sample_prev", "x", number=True)
