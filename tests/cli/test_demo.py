"""daskgen demo: what it prints agrees with the truth of the simulation."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

import daskgen as dg
from daskgen.cli import app, demo, demo_gwas


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("demo") / "demo"
    assert app.invoke(["demo", "--out", str(folder)]) == 0
    return folder


def test_estimates_are_near_the_truth(folder: Path) -> None:
    facts = json.loads((folder / "demo.json").read_text())
    assert facts["round_trip_identical"] is True
    error = facts["statistics"]["frequency_error"]
    assert error["estimate"] == pytest.approx(error["truth"], rel=0.05)
    inbreeding = facts["statistics"]["inbreeding"]
    assert inbreeding["estimate"] == pytest.approx(inbreeding["truth"], abs=0.005)
    *separating, last = facts["components"]["explained_by_population"]
    assert min(separating) > 0.98
    assert last < 0.05
    assert facts["sumstats"]["rows_kept"] > 970_000
    ldsc = facts["ldsc"]
    assert ldsc["largest_deviation_in_standard_errors"] < 3.5
    assert ldsc["h2"]["estimate"] == pytest.approx(ldsc["h2"]["truth"], abs=0.05)
    sem = facts["sem"]
    assert sem["loadings"]["estimate"] == pytest.approx(sem["loadings"]["truth"], abs=0.05)
    assert sem["causal_found"] >= 8
    for engine in ("reml", "bayes"):
        h2 = facts[engine]["h2"]
        assert abs(h2["estimate"] - h2["truth"]) < 3 * h2.get("se", 0.06)
        assert facts[engine]["accuracy"] > 0.6
    assert facts["bayes"]["r_hat"] < 1.1


def test_the_gwas_stores_are_left_for_models(folder: Path) -> None:
    stores = {name: dg.open_store(folder / f"{name}.zarr") for name in ("munged", "sumstats", "covstruct", "ld")}
    assert stores["sumstats"].attrs["purpose"] == "gwas"
    traits = list(demo_gwas.TRAITS)
    assert all(stores[name]["trait"].values.tolist() == traits for name in ("munged", "sumstats", "covstruct"))
    # The causal variants have the largest joint statistics, in the direction of the loadings.
    gwas = stores["sumstats"]
    score = (demo_gwas.loadings()[:, None] * gwas["beta"] / gwas["se"]).sum("traits", skipna=True).values
    found = {str(gwas["variant_id"].values[row]) for row in np.argsort(score)[-8:]}
    assert len(found & set(demo_gwas.CAUSAL)) >= 6


def test_every_step_has_its_line(folder: Path) -> None:
    log = (folder / "demo.log").read_text()
    for number, (name, _) in enumerate(demo.STEPS, start=1):
        assert f"\n{number} {name}" in log


def test_a_folder_with_files_is_not_written_into_without_force(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "mine.txt").write_text("mine")
    assert app.invoke(["demo", "--out", str(tmp_path)]) == 3
    assert "--force" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]
