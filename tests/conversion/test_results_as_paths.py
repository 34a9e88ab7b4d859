"""What conversions return is taken where a store's path is."""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import daskgen as dg

TRAITS = ["A", "B", "C"]
MODEL = "F =~ NA*A + B + C\nF ~~ 1*F"


@pytest.fixture
def merged(tmp_path: Path) -> Path:
    """A table as R's sumstats() writes it."""
    rng = np.random.default_rng(1)
    table = pd.DataFrame({"SNP": [f"rs{i}" for i in range(20)], "CHR": 1, "BP": np.arange(20) + 1, "MAF": 0.3})
    table["A1"], table["A2"] = "A", "G"
    for trait in TRAITS:
        table[f"beta.{trait}"], table[f"se.{trait}"] = rng.normal(0, 0.01, 20), 0.01
    path = tmp_path / "merged.tsv"
    table.to_csv(path, sep="\t", index=False)
    return path


def test_models_take_what_conversions_return(tmp_path: Path, merged: Path) -> None:
    loadings = np.array([0.5, 0.4, 0.3])
    s = np.outer(loadings, loadings) + 0.1 * np.eye(3)
    matrices = {"traits": TRAITS, "S": s.tolist(), "V": (1e-4 * np.eye(6)).tolist(), "I": np.eye(3).tolist()}
    (tmp_path / "ldsc.json").write_text(json.dumps(matrices))
    covstruct = dg.convert.covstruct(tmp_path / "ldsc.json", tmp_path / "covstruct.zarr")
    sumstats = dg.convert.sumstats(merged, None, tmp_path / "sumstats.zarr")
    assert os.fspath(covstruct) == covstruct.path
    assert os.fspath(sumstats) == sumstats.path

    assert dg.sem.usermodel(covstruct, MODEL).traits == dg.sem.usermodel(covstruct.path, MODEL).traits
    found = dg.sem.user_gwas(covstruct, sumstats, f"{MODEL}\nF ~ SNP")
    again = dg.sem.user_gwas(covstruct.path, sumstats.path, f"{MODEL}\nF ~ SNP")
    np.testing.assert_array_equal(found["estimate"].values, again["estimate"].values)


def test_regression_takes_what_conversions_return(tmp_path: Path) -> None:
    scores = dg.simulate.ld_scores(tmp_path / "ld.zarr", n_variants=2_000, contigs=2, seed=1)
    drawn = dg.simulate.sumstats(tmp_path / "drawn.zarr", scores, S=[[0.3]], N=20_000, traits=["A"], seed=1)
    raw = dg.simulate.gwas_files(tmp_path / "gwas", drawn, seed=1)
    munged = dg.convert.munge(raw.files["A"], raw.reference, tmp_path / "munged.zarr")
    found = dg.ldsc.ldsc(munged, scores)
    np.testing.assert_array_equal(found["S"].values, dg.ldsc.ldsc(munged.path, scores)["S"].values)


def test_operators_take_what_conversions_return(tmp_path: Path) -> None:
    source = dg.simulate.genotypes(tmp_path / "cohort.zarr", n_samples=20, n_variants=30, contigs=1, seed=1)
    dg.convert.export_bed(source, tmp_path / "cohort.bed")
    converted = dg.convert.genotypes(tmp_path / "cohort.bed", tmp_path / "again.zarr")
    assert dg.genotypes.variant_stats(converted)["variant_n_called"].size == 30
