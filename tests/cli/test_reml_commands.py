"""daskgen reml and daskgen he."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from daskgen import reml
from daskgen.cli import app
from daskgen.cli.reml_options import genotype_sources
from daskgen.errors import UsageError
from tests.reml.data import Cohort, cohort


@pytest.fixture(scope="module")
def people(tmp_path_factory: pytest.TempPathFactory) -> Cohort:
    """A cohort with a table of phenotypes and one of covariates beside its store."""
    folder = tmp_path_factory.mktemp("reml")
    made = cohort(folder, n=100, m=200)
    phenotypes = pd.DataFrame({"FID": "f", "IID": made.ids, "bmi": made.phenotype(seed=1).to_numpy()})
    phenotypes["height"] = made.phenotype(seed=2, missing=10).to_numpy()
    phenotypes.to_csv(folder / "y.txt", sep=" ", index=False, na_rep="NA")
    covariates = pd.DataFrame({"FID": "f", "IID": made.ids, "age": np.linspace(20, 60.5, 100)})
    covariates["batch"] = np.arange(100) % 4
    covariates.to_csv(folder / "x.txt", sep=" ", index=False)
    return made


def tables(people: Cohort) -> list[str]:
    folder = Path(people.path).parent
    return ["--genotypes", people.path, "--pheno", str(folder / "y.txt"), "--covar", str(folder / "x.txt")]


def test_reml_writes_a_store_and_hsq_files(people: Cohort, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = str(tmp_path / "fit")
    assert app.invoke(["reml", *tables(people), "--covar-categorical", "batch", "--out", out]) == 0
    printed = capsys.readouterr().out
    for text in (
        "Samples    100 in the genotypes",
        "90 to 100 a phenotype used",
        "Covariates 4 columns + intercept",
        "covariate batch: categorical, 4 levels",
        "height: logL",
        "fit.reml.zarr",
    ):
        assert text in printed
    fit = reml.RemlFit.open(f"{out}.reml.zarr")
    assert fit.phenotypes == ["bmi", "height"]
    lines = Path(f"{out}.height.hsq").read_text().splitlines()
    assert lines[0] == "Source\tVariance\tSE"
    assert lines[-1] == "n\t90"
    summary = json.loads(Path(f"{out}.json").read_text())
    assert summary["converged"] is True
    assert summary["heritability"][0]["h2"] == pytest.approx(fit.heritability["h2"][0])
    assert not Path(f"{out}.checkpoint").exists()
    assert app.invoke(["reml", *tables(people), "--covar-categorical", "batch", "--out", out]) == 3
    assert "exists" in capsys.readouterr().err


def test_reml_with_one_phenotype_and_components(
    people: Cohort, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = str(tmp_path / "fit")
    command = ["reml", *tables(people), "--covar-name", "age", "--pheno-name", "bmi", "--components", "contig"]
    assert app.invoke([*command, "--method", "stochastic", "--n-probes", "6", "--no-effects", "--out", out]) == 0
    assert "pass 1" in capsys.readouterr().out
    assert Path(f"{out}.hsq").exists()
    assert reml.RemlFit.open(f"{out}.reml.zarr").components == ["1"]


def test_a_run_stopped_while_it_writes_its_result_fits_no_more(
    people: Cohort, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    command = ["reml", *tables(people), "--covar-name", "age", "--pheno-name", "bmi", "--components", "contig"]
    command += ["--method", "stochastic", "--n-probes", "8"]
    assert app.invoke([*command, "--out", str(tmp_path / "whole")]) == 0
    passes = capsys.readouterr().out.count("pass ")
    out = str(tmp_path / "fit")

    def stopped(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(reml.RemlFit, "to_store", stopped)
        assert app.invoke([*command, "--out", out]) != 0
    assert Path(f"{out}.checkpoint").exists()
    capsys.readouterr()
    assert app.invoke([*command, "--out", out, "--resume"]) == 0
    assert capsys.readouterr().out.count("pass ") < passes
    assert not Path(f"{out}.checkpoint").exists()
    one, two = (reml.RemlFit.open(tmp_path / f"{name}.reml.zarr").dataset for name in ("whole", "fit"))
    np.testing.assert_array_equal(one["variance_component"], two["variance_component"])


def test_mistakes_end_with_their_exit_codes(people: Cohort, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = str(tmp_path / "fit")
    assert app.invoke(["reml", *tables(people), "--out", out]) == 2
    assert "4 different whole numbers" in capsys.readouterr().err
    other = tmp_path / "y.txt"
    other.write_text("FID IID y\nf z1 1\nf z2 2\n")
    assert app.invoke(["reml", "--genotypes", people.path, "--pheno", str(other), "--out", out]) == 3
    assert "none of the 2 sample ids" in capsys.readouterr().err
    assert not list(tmp_path.glob("fit*"))


def test_he_writes_a_table(people: Cohort, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "he.tsv"
    assert app.invoke(["he", *tables(people), "--covar-name", "age", "--out", str(out)]) == 0
    table = pd.read_csv(out, sep="\t")
    assert table.columns.tolist() == ["phenotype", "component", "estimate", "se", "monte_carlo_se", "at_bound"]
    assert len(table) == 4
    assert "h2" in capsys.readouterr().out


def test_genotypes_with_and_without_names() -> None:
    assert genotype_sources(("a.zarr",)) == "a.zarr"
    assert genotype_sources(("a.zarr", "b.zarr")) == ["a.zarr", "b.zarr"]
    assert genotype_sources(("x=a.zarr", "y=b.zarr")) == {"x": "a.zarr", "y": "b.zarr"}
    with pytest.raises(UsageError, match="a name or none"):
        genotype_sources(("x=a.zarr", "b.zarr"))
