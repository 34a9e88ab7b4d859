"""`daskgen sem usermodel` and `commonfactor`: what they print, write and refuse."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest

import daskgen as dg
from daskgen.cli import app
from tests.exact_numbers import EXACT
from tests.sem.small import TWO_FACTORS, structure_of


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    path = tmp_path_factory.mktemp("sem") / "cov.zarr"
    dg.ldsc.to_store(structure_of(), path)
    return str(path)


def test_usermodel_prints_and_writes_what_r_does(store, tmp_path, capsys):
    out, picture = str(tmp_path / "fit.tsv"), str(tmp_path / "fit.svg")
    model = TWO_FACTORS.replace("\n", "; ")
    options = ["--q-factor", "--imp-cov", "--diagram", picture, "--out", out]
    assert app.invoke(["sem", "usermodel", store, model, *options]) == 0
    printed = capsys.readouterr().out
    assert "usermodel: 6 traits, 13 parameters, DWLS, converged" in printed
    assert "Q of pairs of factors" in printed
    assert "Residual covariance" in printed
    fit = dg.sem.usermodel(store, TWO_FACTORS)
    table = pd.read_csv(out, sep="\t", **EXACT)
    assert list(table.columns) == list(fit.to_genomicsem().columns)
    np.testing.assert_allclose(table["Unstand_SE"], fit.estimates["se"], rtol=1e-8)
    summary = json.loads((tmp_path / "fit.tsv.json").read_text())
    assert summary["fit_indices"]["chisq"] == fit.fit_indices["chisq"]
    assert summary["estimates"][-1]["se"] is None
    assert len(summary["q_factor"]) == 1
    assert (tmp_path / "fit.svg").read_text().startswith("<svg")
    assert app.invoke(["sem", "usermodel", store, model, "--out", out]) == 3
    assert app.invoke(["sem", "usermodel", store, model, "--out", out, "--force"]) == 0


def test_a_model_in_a_file_and_a_store_as_result(store, tmp_path):
    (tmp_path / "model.txt").write_text(TWO_FACTORS)
    out = str(tmp_path / "fit.zarr")
    model = str(tmp_path / "model.txt")
    assert app.invoke(["sem", "usermodel", store, model, "--estimation", "ml", "--no-cfi", "--out", out]) == 0
    dataset = dg.open_store(out)
    assert dataset.attrs["estimation"] == "ML"
    assert np.isnan(dataset["cfi"].item())


def test_without_out_nothing_is_written(store, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert app.invoke(["sem", "commonfactor", store]) == 0
    assert "Standardized_Est" in capsys.readouterr().out
    assert not list(tmp_path.iterdir())


def test_errors_show_the_line(store, capsys):
    assert app.invoke(["sem", "usermodel", store, "F1 =~ T1 + T2 + T8"]) == 3
    error = capsys.readouterr().err
    assert "line 1, column 17" in error
    assert "traits: T1, T2" in error
    assert app.invoke(["sem", "usermodel", store, "F1 =~ T1 + T2", "--estimation", "wls"]) == 2


def test_a_fit_that_did_not_converge_is_kept_and_has_its_exit_code(store, tmp_path, monkeypatch):
    from daskgen.sem import estimation

    monkeypatch.setattr(estimation, "_STEP", 0.0)
    out = tmp_path / "fit.tsv"
    assert app.invoke(["sem", "commonfactor", store, "--out", str(out)]) == 4
    assert out.exists()
    assert json.loads((tmp_path / "fit.tsv.json").read_text())["converged"] is False
