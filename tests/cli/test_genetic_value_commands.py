"""daskgen rg, daskgen predict and daskgen plot components."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from daskgen import bayes, open_store, reml
from daskgen.cli import app
from tests.genotypes.cohort import store
from tests.reml.data import Cohort, cohort


@pytest.fixture(scope="module")
def people(tmp_path_factory: pytest.TempPathFactory) -> Cohort:
    """A cohort with a table of three phenotypes beside its store."""
    folder = tmp_path_factory.mktemp("values")
    made = cohort(folder, n=100, m=200)
    table = pd.DataFrame({"FID": "f", "IID": made.ids, "bmi": made.phenotype(h2=0.7, seed=1).to_numpy()})
    table["weight"] = 0.8 * table["bmi"] + made.phenotype(h2=0.6, seed=2).to_numpy()
    table["height"] = made.phenotype(h2=0.8, seed=3, missing=10).to_numpy()
    table.to_csv(folder / "y.txt", sep=" ", index=False, na_rep="NA")
    return made


@pytest.fixture(scope="module")
def fitted(people: Cohort) -> str:
    fit = reml.fit(people.path, people.phenotype(h2=0.7, seed=1, missing=20), method="exact")
    return fit.to_store(Path(people.path).parent / "bmi.reml.zarr")


def pheno(people: Cohort) -> list[str]:
    return ["--genotypes", people.path, "--pheno", str(Path(people.path).parent / "y.txt")]


def test_rg_writes_a_table_and_a_structure(people: Cohort, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out, structure = str(tmp_path / "rg.tsv"), str(tmp_path / "rg.zarr")
    assert app.invoke(["rg", *pheno(people), "--out", out, "--covstruct", structure]) == 0
    printed = capsys.readouterr().out
    assert "jackknife over 25 blocks of samples" in printed
    assert "trait_1  trait_2  rg" in printed
    table = pd.read_csv(out, sep="\t")
    expected = reml.rg(people.path, pd.read_csv(Path(people.path).parent / "y.txt", sep=" "))
    np.testing.assert_allclose(table["rg"], expected["rg"], rtol=1e-7)
    assert json.loads(Path(f"{out}.json").read_text())["correlations"][0]["trait_2"] == "weight"
    assert open_store(structure)["trait"].values.tolist() == ["bmi", "weight", "height"]
    assert app.invoke(["plot", "heatmap", structure, "--out", str(tmp_path / "rg.png")]) == 0
    assert app.invoke(["rg", *pheno(people), "--out", out]) == 3
    assert "exists" in capsys.readouterr().err


def test_rg_of_one_phenotype_is_refused(people: Cohort, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = str(tmp_path / "rg.tsv")
    assert app.invoke(["rg", *pheno(people), "--pheno-name", "bmi", "--out", out]) == 2
    assert "needs two phenotypes" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_every_sample_of_the_store_is_a_candidate(people: Cohort, fitted: str, tmp_path: Path) -> None:
    out = tmp_path / "own.tsv"
    assert app.invoke(["predict", fitted, "--out", str(out)]) == 0
    table = pd.read_csv(out, sep="\t")
    assert table.columns.tolist() == ["sample_id", "value", "pev", "reliability", "phenotyped"]
    assert table["sample_id"].tolist() == people.ids.tolist()
    assert table["phenotyped"].sum() == 80
    effects = reml.RemlFit.open(fitted).random_effects()
    np.testing.assert_allclose(table["value"], effects["effect"].values[0], rtol=1e-7, atol=1e-12)
    np.testing.assert_allclose(table["reliability"], effects["reliability"].values[0], rtol=1e-7)


def test_other_genotypes(people: Cohort, fitted: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    turned = np.where(people.calls < 0, -1, 2 - people.calls).astype(np.int8)
    calls = np.where((np.arange(200) % 3 == 0)[:, None], turned, people.calls)
    allele = np.array([["G", "A"] if i % 3 == 0 else ["A", "G"] for i in range(200)], dtype=object)
    other = store(tmp_path / "turned.zarr", calls, allele=allele)
    out = tmp_path / "new.tsv"
    assert app.invoke(["predict", fitted, "--genotypes", other, "--out", str(out)]) == 0
    assert "100.0 % of 197 variants matched, 66 of them turned" in capsys.readouterr().out
    table = pd.read_csv(out, sep="\t")
    expected = reml.RemlFit.open(fitted).random_effects()["effect"].values[0]
    np.testing.assert_allclose(table["value"], expected, atol=1e-7)
    few = store(tmp_path / "few.zarr", people.calls[:60])
    again = ["predict", fitted, "--genotypes", few, "--out", str(tmp_path / "few.tsv")]
    assert app.invoke(again) == 3
    assert "at least 50%" in capsys.readouterr().err
    assert app.invoke([*again, "--least-share", "0.2"]) == 0
    assert "% of 197 variants matched" in capsys.readouterr().out


def test_components_and_phenotypes_have_columns(people: Cohort, tmp_path: Path) -> None:
    y = pd.DataFrame({"a": people.phenotype(seed=1), "b": people.phenotype(seed=2)})
    sets = {"first": range(90), "last": range(90, 200)}
    path = reml.fit(people.path, y, components=sets, method="exact").to_store(tmp_path / "two.zarr")
    assert app.invoke(["predict", path, "--out", str(tmp_path / "two.tsv")]) == 0
    table = pd.read_csv(tmp_path / "two.tsv", sep="\t")
    assert table.columns.tolist()[:3] == ["sample_id", "phenotype", "component"]
    assert len(table) == 100 * 2 * 3
    wide = table[table["phenotype"] == "a"].pivot(index="sample_id", columns="component", values="value")
    np.testing.assert_allclose(wide["total"], wide["first"] + wide["last"], rtol=1e-6, atol=1e-9)


def test_posterior_means(people: Cohort, tmp_path: Path) -> None:
    y = people.phenotype(seed=1, missing=20)
    posterior = bayes.fit(people.path, y, chain_length=40, burn_in=10, chains=1)
    path = posterior.to_store(tmp_path / "posterior.zarr")
    assert app.invoke(["predict", path, "--out", str(tmp_path / "own.tsv")]) == 0
    table = pd.read_csv(tmp_path / "own.tsv", sep="\t")
    np.testing.assert_allclose(table["value"], posterior.breeding_values["mean"].values.ravel(), rtol=1e-6, atol=1e-9)
    assert app.invoke(["predict", path, "--genotypes", people.path, "--out", str(tmp_path / "new.tsv")]) == 0
    assert len(pd.read_csv(tmp_path / "new.tsv", sep="\t")) == 100


def test_what_predicts_nothing(people: Cohort, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = str(tmp_path / "x.tsv")
    assert app.invoke(["predict", people.path, "--out", out]) == 3
    assert "predicts nothing" in capsys.readouterr().err
    bare = reml.fit(people.path, people.phenotype(seed=1)).to_store(tmp_path / "bare.zarr", effects=False)
    assert app.invoke(["predict", bare, "--out", out]) == 3
    assert "no random_effects" in capsys.readouterr().err


def test_figure_of_components(people: Cohort, fitted: str, tmp_path: Path) -> None:
    out = tmp_path / "h2.svg"
    assert app.invoke(["plot", "components", fitted, "--out", str(out)]) == 0
    assert "share of the phenotypic variance" in out.read_text()
    y = pd.DataFrame({"a": people.phenotype(seed=1), "b": people.phenotype(seed=2)})
    fit = reml.fit(people.path, y, components={"x": range(90), "none": [], "z": range(90, 200)}, method="exact")
    from daskgen.plotting import components

    (axes,) = components(fit).axes
    assert [label.get_text() for label in axes.get_yticklabels()] == ["x", "none", "z", "total"]
    widths = [bar.get_width() for bar in axes.patches]
    assert widths == pytest.approx(fit.heritability["h2"].tolist())
