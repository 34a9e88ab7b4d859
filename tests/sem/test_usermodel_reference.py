"""Every case of usermodel and commonfactor that R GenomicSEM was run on: estimates, errors, fit, by the digits."""

from __future__ import annotations

import json
from functools import cache

import numpy as np
import pytest

from daskgen.ldsc import covstruct
from daskgen.sem import commonfactor, usermodel
from tests.shared_data import shared, shared_root

CASES = (
    *("one_factor", "marker", "two_factor", "two_factor_stdlv", "two_factor_ml", "bifactor", "equality", "equality_eq"),
    *("defined", "inequality", "starts", "fixed_loads", "path", "saturated", "chol_subtraction"),
)
DIFFICULT = ("heywood", "heywood_ml", "heywood_nofix", "nonpd", "commonfactor_heywood", "commonfactor_nonpd")


@cache
def results(name):
    return json.loads(shared("reference/sem/expected", f"{name}.json").read_text())


@cache
def structure(file):
    values = json.loads(shared("reference/sem", file).read_text())
    return covstruct(
        np.array(values["S"]["rows"], float), np.array(values["V"]["rows"], float), traits=values["S"]["columns"]
    )


def numbers(column):
    """R's column: "" and NA are missing, "< 5e-300" is zero."""
    return np.array([np.nan if v in ("", None) else 0.0 if str(v).startswith("<") else float(v) for v in column])


def check(fit, expected, *, se=1e-5, chisq=1e-5):
    table, reference = fit.to_genomicsem(), expected["results"]
    columns = list(reference)
    rows = ["".join(row) for row in zip(*(reference[name] for name in columns[:3]), strict=True)]
    assert (table["lhs"] + table["op"] + table["rhs"]).tolist() == rows
    assert list(table.columns) == columns
    values = {name: numbers(reference[name]) for name in columns[3:]}
    error = None
    for name, there in values.items():
        here = table[name].to_numpy(float)
        np.testing.assert_array_equal(np.isnan(here), np.isnan(there), err_msg=name)
        if name.endswith("SE"):
            np.testing.assert_allclose(here, there, rtol=se, err_msg=name)
        elif name != "p_value":
            following = [other for other in columns[columns.index(name) :] if other.endswith("SE")]
            error = values[following[0]] if following else error
            scale = np.where(np.isfinite(error), error, 1.0)
            assert np.abs(here - there).max() < 1e9
            assert (np.abs(here - there) <= 1e-4 * scale).all(), name
    index = expected["modelfit"]
    for name, here in zip(("chisq", "df", "p_chisq", "AIC", "CFI", "SRMR"), fit.fit_indices, strict=True):
        there = np.nan if index[name][0] is None else float(index[name][0])
        tolerance = chisq * max(1.0, float(index["chisq"][0] or 0)) if name == "p_chisq" else chisq
        np.testing.assert_allclose(here, there, rtol=tolerance, atol=1e-8, err_msg=name)
    assert fit.converged


@pytest.mark.parametrize("name", CASES)
def test_usermodel(name):
    case = results("usermodel")[name]
    fit = usermodel(
        structure("expected/ldsc.json"),
        case["model"],
        estimation=case["estimation"],
        std_lv=case["std_lv"],
        q_factor=name == "two_factor",
    )
    # R leaves its bound on T2~~T2 by 1e-7, which moves its chi-square by 2e-5
    check(fit, case["result"], chisq=3e-5 if name == "inequality" else 1e-5)
    if name == "two_factor":
        expected = case["result"]
        for matrix, title in zip((fit.implied_cov, fit.residual_cov), expected["resid_cov"].values(), strict=True):
            assert list(matrix.columns) == title["columns"]
            np.testing.assert_allclose(matrix, np.array(title["rows"]), atol=2e-8)
        q = expected["Q_Factor"]
        assert (fit.q_factor["factor_1"].tolist(), fit.q_factor["factor_2"].tolist()) == (q["Factor1"], q["Factor2"])
        np.testing.assert_allclose(fit.q_factor["chisq"], q["QFactor_chisq"], rtol=1e-5)
        assert fit.q_factor["df"].tolist() == q["QFactor_df"]
        np.testing.assert_allclose(fit.q_factor["p"], q["QFactor_p"], rtol=1e-5)


@pytest.mark.parametrize("name", DIFFICULT)
def test_negative_variances_and_matrices_that_are_not_positive_definite(name):
    cases = results("usermodel_difficult")
    data = structure(f"inputs/covstruc_{'nonpd' if name.endswith('nonpd') else 'heywood'}.json")
    if name.startswith("commonfactor"):
        fit = commonfactor(data)
    else:
        fit = usermodel(
            data,
            cases["model"],
            estimation="ML" if name.endswith("ml") else "DWLS",
            fix_resid=not name.endswith("nofix"),
        )
    check(fit, cases[name])
    assert any("T1~~T1" in text for text in fit.warnings)
    assert any("S was not positive definite" in text for text in fit.warnings) == name.endswith("nonpd")


@pytest.mark.parametrize("estimation", ["DWLS", "ML"])
def test_commonfactor(estimation):
    fit = commonfactor(structure("expected/ldsc.json"), estimation=estimation)
    check(fit, results(f"commonfactor_{estimation}"))


def test_all_cases_are_here():
    if not (shared_root() / "reference/sem").exists():
        pytest.skip("shared test data are not here: reference/sem")
    assert set(results("usermodel")) == set(CASES)
    assert set(results("usermodel_difficult")) - {"model"} == set(DIFFICULT)
