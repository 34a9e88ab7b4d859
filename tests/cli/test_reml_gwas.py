"""daskgen reml-gwas: test, look, export; and what goes wrong."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import daskgen as dg
from daskgen.cli import app
from tests.genotypes.cohort import random_calls, store


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Genotypes of 120 people, a table of phenotypes and one of covariates."""
    folder = tmp_path_factory.mktemp("reml-gwas")
    n = 120
    generator = np.random.default_rng(1)
    store(folder / "people.zarr", random_calls(300, n))
    ids = [f"s{i}" for i in range(n)]
    a = generator.normal(size=n)
    table = pd.DataFrame({"FID": ids, "IID": ids, "height": a, "weight": a + generator.normal(size=n)})
    table.loc[4, "weight"] = np.nan
    table["case"] = np.arange(n) % 3 == 0
    table.astype({"case": int}).to_csv(folder / "pheno.txt", sep="\t", index=False, na_rep="NA")
    pd.DataFrame({"FID": ids, "IID": ids, "age": generator.normal(size=n)}).to_csv(
        folder / "covar.txt", sep="\t", index=False
    )
    return folder


def scan(folder: Path, out: Path, *options: str) -> int:
    tables = ["--pheno", str(folder / "pheno.txt"), "--covar", str(folder / "covar.txt")]
    return app.invoke(["reml-gwas", "--genotypes", str(folder / "people.zarr"), *tables, "--out", str(out), *options])


def test_it_says_what_it_does_and_what_came_out(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "scan.zarr"
    assert scan(folder, out, "--pheno-name", "height,weight", "--min-mac", "10") == 0
    printed = capsys.readouterr().out
    assert "Samples    120 in the genotypes, 120 with phenotype, 120 with all covariates: 119 to 120" in printed
    assert "Plan       300 variants, 120 samples, 2 phenotypes in 2 groups of samples" in printed
    counted = [line.split(" tested")[0] for line in printed.splitlines() if line.startswith("Tests")]
    assert counted
    assert "monomorphic" in printed
    assert "without calls" in printed
    assert "Effects    height: lambda GC" in printed
    assert "weight: lambda GC" in printed
    assert "export tsv" in printed
    assert "--for plink2" in printed
    assert dg.verify(out) == []
    assert counted == [f"Tests      {int((dg.open_store(out)['status'] == 0).sum())}"]
    summary = json.loads((tmp_path / "scan.zarr.json").read_text())
    assert summary["n_variants"] == 300
    assert set(summary["effects"]) == {"height", "weight"}
    assert app.invoke(["info", str(out)]) == 0
    assert "height, weight" in capsys.readouterr().out
    table = tmp_path / "weight.tsv"
    assert app.invoke(["export", "tsv", str(out), "--parameter", "weight", "--out", str(table)]) == 0
    expected = dg.open_store(out)["p"].sel(trait="weight")
    np.testing.assert_allclose(pd.read_csv(table, sep="\t")["P"], expected, rtol=1e-12)
    assert app.invoke(["export", "tsv", str(out), "--out", str(tmp_path / "x.tsv")]) == 2
    assert "which parameter?" in capsys.readouterr().err


def test_the_same_run_again(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "scan.zarr"
    options = ("--pheno-name", "height", "--missing-calls", "mean")
    assert scan(folder, out, *options) == 0
    assert scan(folder, out, *options) == 3
    assert scan(folder, out, *options, "--resume") == 0
    assert scan(folder, out, "--pheno-name", "height", "--resume") == 3
    assert "missing_calls" in capsys.readouterr().err


def test_two_values(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert scan(folder, tmp_path / "case.zarr", "--pheno-name", "case") == 3
    failed = capsys.readouterr().err
    assert "case has two values" in failed
    assert "33.3%" in failed
    assert "--binary linear" in failed
    assert scan(folder, tmp_path / "case.zarr", "--pheno-name", "case", "--binary", "linear") == 0


def test_help_ends_with_an_example(capsys: pytest.CaptureFixture[str]) -> None:
    assert app.invoke(["reml-gwas", "--help"]) == 0
    assert "Example:" in capsys.readouterr().out


def test_mixed_model(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    fit, out = tmp_path / "fit.reml.zarr", tmp_path / "mixed.zarr"
    tables = ["--pheno", str(folder / "pheno.txt"), "--pheno-name", "height", "--covar", str(folder / "covar.txt")]
    genotypes = ["--genotypes", str(folder / "people.zarr")]
    assert app.invoke(["reml", *genotypes, *tables, "--out", str(tmp_path / "fit")]) == 0
    options = ["--model", "mixed-loco", "--fit", str(fit), "--method", "streamed"]
    assert app.invoke(["reml-gwas", *genotypes, *tables, *options, "--out", str(out)]) == 0
    assert "Left out" in capsys.readouterr().out
    found = dg.open_store(out)
    assert found.attrs["model"] == "mixed-loco"
    assert found.attrs["left_out"][0]["gamma"] > 0
    assert scan(folder, tmp_path / "x.zarr", "--pheno-name", "height", "--fit", str(fit)) == 2
    assert "mixed-loco" in capsys.readouterr().err
