"""`daskgen sem efa`: what it prints, writes and refuses."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest

import daskgen as dg
from daskgen.cli import app
from tests.sem.small import TRAITS, structure_of


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    path = tmp_path_factory.mktemp("efa") / "cov.zarr"
    dg.ldsc.to_store(structure_of(), path)
    return str(path)


def test_efa_prints_and_writes_loadings_and_the_model_that_they_suggest(store, tmp_path, capsys):
    out = str(tmp_path / "loadings.tsv")
    assert app.invoke(["sem", "efa", store, "--n-factors", "2", "--cutoff", "0.3", "--out", out]) == 0
    printed = capsys.readouterr().out
    result = dg.sem.efa(store, 2)
    assert dg.sem.write_model(result, cutoff=0.3, fix_resid=False).splitlines()[0] in printed
    assert "ss_loadings" in printed
    table = pd.read_csv(out, sep="\t")
    assert table["trait"].tolist() == list(TRAITS)
    np.testing.assert_allclose(table[["F1", "F2"]], result["loadings"], rtol=1e-7)
    np.testing.assert_allclose(table["uniqueness"], result["uniqueness"], rtol=1e-7)
    summary = json.loads((tmp_path / "loadings.tsv.json").read_text())
    assert summary["factor_correlation"] == result["factor_correlation"].values.tolist()
    assert app.invoke(["sem", "efa", store, "--n-factors", "2", "--out", out]) == 3
    assert app.invoke(["sem", "efa", store, "--n-factors", "2", "--rotation", "varimax", "--out", out, "--force"]) == 0


def test_too_many_factors_end_with_the_code_of_usage(store, capsys):
    assert app.invoke(["sem", "efa", store, "--n-factors", "5"]) == 2
    assert "do not carry 5 factors" in capsys.readouterr().err
