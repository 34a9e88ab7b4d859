"""`usermodel`, `commonfactor` and what they return."""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree

import numpy as np
import pytest

import daskgen as dg
from daskgen.errors import InputError, UsageError
from daskgen.sem.standardised import fully_standardised
from tests.oracles import sem as oracle
from tests.sem.small import TRAITS, TWO_FACTORS, sampling_covariance, structure_of, true_covariance


@pytest.fixture(scope="module")
def fit():
    return dg.sem.usermodel(structure_of(), TWO_FACTORS + "\nT1 ~~ c*T4\ntwice := 2*c", q_factor=True)


def test_estimates_have_free_defined_and_fixed_rows(fit):
    table = fit.estimates
    assert list(table.columns) == ["lhs", "op", "rhs", "est", "se", "est_std", "se_std", "est_std_all", "p"]
    assert table["op"].tolist()[-3] == ":="
    assert table["est"].iloc[-3] == 2 * table["est"][(table["lhs"] == "T1") & (table["rhs"] == "T4")].item()
    fixed = table.iloc[-2:]
    assert fixed[["se", "se_std", "p"]].isna().all(axis=None)
    assert table.iloc[:-2].notna().all(axis=None)
    assert fit.npar == 14


def test_fit_indices_are_their_definitions(fit):
    s, v = true_covariance(1), sampling_covariance(6)
    residual = oracle.lower(s - fit.implied_cov.to_numpy())
    chisq = residual @ np.linalg.inv(v) @ residual
    null = oracle.lower(s - np.diag(np.diag(s)))
    q_0 = null @ np.linalg.inv(v) @ null
    index = fit.fit_indices
    assert index["chisq"] == pytest.approx(chisq)
    assert index["df"] == 7
    assert index["aic"] == pytest.approx(chisq + 2 * 14)
    assert index["cfi"] == pytest.approx(min(1, ((q_0 - 15) - (chisq - 7)) / (q_0 - 15)))
    scale = oracle.lower(np.sqrt(np.outer(np.diag(s), np.diag(s))))
    assert index["srmr"] == pytest.approx(np.sqrt(np.mean((residual / scale) ** 2)))
    cells = [n for n, (i, j) in enumerate(oracle.cells(6)) if i >= 3 > j]
    q = residual[cells] @ np.linalg.inv(v[np.ix_(cells, cells)]) @ residual[cells]
    assert fit.q_factor["chisq"].item() == pytest.approx(q)
    assert fit.q_factor["df"].item() == 8
    np.testing.assert_allclose(fit.residual_cov, s - fit.implied_cov)


def test_cfi_and_q_only_where_they_are_asked_for():
    fit = dg.sem.usermodel(structure_of(), TWO_FACTORS, cfi_calc=False)
    assert np.isnan(fit.fit_indices["cfi"])
    assert fit.q_factor is None


def test_the_fully_standardised_solution_has_variances_of_one():
    from daskgen.sem.moments import read_moments
    from daskgen.sem.parameters import parameter_table
    from daskgen.sem.single_fit import fit_table
    from daskgen.sem.syntax import parse_model

    text = "F1 =~ T1 + T2 + T3\nF2 =~ T4 + T5\nF2 ~ b*F1 + T6\nT4 ~~ T1\nd := 3*b"
    table = parameter_table(parse_model(text), TRAITS)
    fit = fit_table(table, read_moments(structure_of()))
    values, defined = fully_standardised(fit)
    names = table.row_names
    at = dict(zip(names, values, strict=True))
    a, p = fit.structure.matrices(fit.theta)
    total = np.linalg.inv(np.eye(8) - a)
    c = total @ p @ total.T
    order = [*fit.structure.observed, "F1", "F2"]
    f1, f2, t6, t1 = (order.index(name) for name in ("F1", "F2", "T6", "T1"))
    beta = np.array([at["F2~F1"], at["F2~T6"]])
    r = c[f1, t6] / np.sqrt(c[f1, f1] * c[t6, t6])
    assert beta @ np.array([[1, r], [r, 1]]) @ beta + at["F2~~F2"] == pytest.approx(1)
    assert at["F1=~T1"] == pytest.approx(np.sqrt(c[f1, f1] / c[t1, t1]))  # the marker is standardised too
    assert at["T1~~T1"] + at["F1=~T1"] ** 2 == pytest.approx(1)
    name = "T1~~T4" if "T1~~T4" in at else "T4~~T1"
    t4 = order.index("T4")
    assert at[name] == pytest.approx(p[t1, t4] / np.sqrt(p[t1, t1] * p[t4, t4]))
    assert at["F1~~F1"] == dict(zip(names, fit.values, strict=True))["F1~~F1"]  # one by construction: as GenomicSEM
    assert defined[0] == pytest.approx(3 * at["F2~F1"])
    assert c[f2, f2] > 0


def test_the_order_of_traits_does_not_matter(fit):
    turned = list(reversed(TRAITS))
    dataset = structure_of().sel(trait=turned, trait_2=turned)
    other = dg.sem.usermodel(dataset, TWO_FACTORS + "\nT1 ~~ c*T4\ntwice := 2*c", q_factor=True)
    for column in fit.estimates.columns[3:]:
        np.testing.assert_allclose(other.estimates[column], fit.estimates[column], rtol=1e-8, atol=1e-300)
    np.testing.assert_allclose(other.fit_indices, fit.fit_indices, rtol=1e-8)
    np.testing.assert_allclose(other.residual_cov.loc["T2", "T5"], fit.residual_cov.loc["T2", "T5"], rtol=1e-6)


def test_traits_that_the_model_does_not_name_are_left_out():
    less = structure_of().sel(trait=list(TRAITS[:4]), trait_2=list(TRAITS[:4]))
    model = "F1 =~ NA*T1 + T2 + T3 + T4\nF1 ~~ 1*F1"
    one, other = (dg.sem.usermodel(data, model) for data in (structure_of(), less))
    assert one.traits == TRAITS[:4]
    np.testing.assert_array_equal(one.estimates["est"], other.estimates["est"])


def test_commonfactor_is_the_usermodel_of_one_factor():
    one = dg.sem.commonfactor(structure_of())
    model = "F1 =~ NA*T1 + T2 + T3 + T4 + T5 + T6\nF1 ~~ 1*F1"
    other = dg.sem.usermodel(structure_of(), model)
    np.testing.assert_array_equal(one.estimates["est"], other.estimates["est"][:-1])
    np.testing.assert_array_equal(one.fit_indices, other.fit_indices)


def test_a_saturated_model_has_no_indices_but_commonfactor_keeps_cfi_and_srmr():
    three = structure_of().sel(trait=list(TRAITS[:3]), trait_2=list(TRAITS[:3]))
    index = dg.sem.usermodel(three, "F1 =~ T1 + T2 + T3").fit_indices
    assert index["df"] == 0
    assert index.drop("df").isna().all()
    index = dg.sem.commonfactor(three).fit_indices
    assert index["cfi"] == 1
    assert index["srmr"] < 1e-10


def test_a_factor_takes_another_name_where_a_trait_has_it():
    names = ["F1", *TRAITS[1:]]
    data = dg.ldsc.covstruct(true_covariance(1), sampling_covariance(6), traits=names)
    assert set(dg.sem.commonfactor(data).estimates["lhs"][:6]) == {"F1_"}


def test_factors_that_correlate_beyond_one_have_a_table_only():
    s = true_covariance(1)
    s[:3, 3:] *= 3
    s[3:, :3] *= 3
    fit = dg.sem.usermodel(dg.ldsc.covstruct(s, sampling_covariance(6), traits=TRAITS), TWO_FACTORS)
    assert fit.estimates["est"].notna().all()
    assert fit.estimates["est_std"].isna().all()
    assert np.isnan(fit.fit_indices["chisq"])
    assert any("beyond -1 and 1" in text for text in fit.warnings)


def test_where_it_does_not_converge_residual_variances_are_bounded():
    # no loadings have these products: without a bound, T1's goes to infinity and its residual to minus infinity
    s = np.array([[1, 0.5, 0.4], [0.5, 1, -0.1], [0.4, -0.1, 1]]) * 0.3
    data = dg.ldsc.covstruct(s, sampling_covariance(3), traits=TRAITS[:3])
    model = "F1 =~ NA*T1 + T2 + T3\nF1 ~~ 1*F1"
    fit = dg.sem.usermodel(data, model)
    assert fit.converged
    assert any("bounded by 0.0001" in text for text in fit.warnings)
    residual = fit.estimates[fit.estimates["op"] == "~~"]["est"]
    assert residual.iloc[0] == pytest.approx(1e-4, rel=1e-6)
    assert (residual > 0).all()
    assert not dg.sem.usermodel(data, model, fix_resid=False).converged
    assert dg.sem.commonfactor(data).converged


def test_ties_are_pointed_out_and_their_errors_are_there():
    fit = dg.sem.usermodel(structure_of(), "F1 =~ NA*T1 + a*T1 + a*T2 + T3 + T4\nF1 ~~ 1*F1")
    assert any("constrained_se" in text for text in fit.warnings)
    assert fit.constrained_se["F1=~T1"] == fit.constrained_se["F1=~T2"]
    assert fit.estimates["se"][0] != fit.estimates["se"][1]
    assert np.isnan(fit.constrained_se["F1~~F1"])


def test_ml_has_no_errors_of_defined_parameters():
    text = "F1 =~ NA*T1 + T2 + T3\nF1 ~~ 1*F1\nT4 ~ b*F1\nx := 2*b"
    table = dg.sem.usermodel(structure_of(), text, estimation="ML").estimates
    row = table[table["op"] == ":="]
    assert row[["se", "se_std", "p"]].isna().all(axis=None)
    assert row[["est", "est_std"]].notna().all(axis=None)


def test_dataset_and_store(fit, tmp_path):
    dataset = fit.to_dataset()
    assert dataset["est"].sel(parameter="F1=~T2").item() == fit.estimates["est"][1]
    assert dataset["chisq"].item() == fit.fit_indices["chisq"]
    assert dataset["q_df"].values.tolist() == [8]
    fit.to_store(tmp_path / "fit.zarr")
    stored = dg.open_store(tmp_path / "fit.zarr")
    np.testing.assert_array_equal(stored["se"].values, dataset["se"].values)
    assert stored.attrs["model"] == fit.model
    assert not dg.verify(tmp_path / "fit.zarr")


def test_pictures_and_text(fit, tmp_path):
    for text in (TWO_FACTORS, "T3 ~ T1 + T2\nT4 ~ T3 + T1\nT1 ~~ T2", "F1 =~ T1 + T2 + T3\nG =~ T4 + T5 + F1"):
        diagram = dg.sem.usermodel(structure_of(), text).path_diagram()
        tree = ElementTree.fromstring(diagram.svg)
        shown = {node.text for node in tree.iter("{http://www.w3.org/2000/svg}text")}
        assert {name for name in TRAITS if name in text} <= shown
    diagram.save(tmp_path / "model.svg")
    assert (tmp_path / "model.svg").read_text() == diagram.svg == diagram._repr_svg_()
    assert "0.4" in fit.path_diagram(standardised=False).svg
    assert repr(fit).startswith("usermodel: 6 traits, 14 parameters, DWLS, converged\nchisq ")
    assert "<svg" in fit._repr_html_()
    assert "<table" in fit._repr_html_()


@pytest.mark.parametrize(
    ("call", "error", "says"),
    [
        (lambda c: dg.sem.usermodel(c, TWO_FACTORS, estimation="WLS"), UsageError, "DWLS or ML"),
        (lambda c: dg.sem.usermodel(c, ["F1 =~ T1"]), UsageError, "the model is text"),
        (lambda c: dg.sem.usermodel(c, TWO_FACTORS, CFIcalc=True), UsageError, "cfi_calc"),
        (lambda c: dg.sem.usermodel(c, TWO_FACTORS + "\nF1 ~ SNP"), InputError, "user_gwas"),
        (lambda c: dg.sem.usermodel(c, "F1 =~ T1 + T2 + T7"), InputError, "T1, T2, T3, T4, T5, T6"),
        (lambda c: dg.sem.usermodel(c, "F1 =~ T1 + T2 + T1"), InputError, "named twice"),
        (lambda c: dg.sem.usermodel(c, "F1 =~ T1 + T2"), InputError, "not identified"),
        (lambda c: dg.sem.commonfactor(c.isel(trait=[0, 1], trait_2=[0, 1])), InputError, "three traits"),
    ],
)
def test_errors(call, error, says):
    with pytest.raises(error, match=says):
        call(structure_of())
