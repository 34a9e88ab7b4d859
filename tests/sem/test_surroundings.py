"""rgmodel, write_model, index_s, sub_sv, local_srmd and effective_n, against R GenomicSEM and their definitions."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest
import xarray as xr

import daskgen as dg
from daskgen.errors import InputError, UsageError
from daskgen.sem.moments import read_moments
from daskgen.sem.parameters import parameter_table
from daskgen.sem.single_fit import fit_table
from daskgen.sem.syntax import parse_model
from tests.sem import reference
from tests.sem.small import TRAITS, sampling_covariance, structure_of
from tests.shared_data import shared

LOADINGS = np.array([[0.8, 0.1], [0.1, 0.35], [0.05, 0.6], [0.7, -0.1], [0.25, 0.5], [0.02, -0.45]])


def golden(name):
    return json.loads(shared("reference/sem", f"expected/{name}.json").read_text())


def matrix(part):
    return np.array(part["rows"], float)


def structure_of_reference(name):
    moments = reference.moments(name)
    return dg.ldsc.covstruct(moments.s, moments.v, traits=moments.traits, I=moments.intercepts)


@pytest.mark.parametrize(("name", "case"), [("ldsc", "rgmodel"), ("first3", "rgmodel_first3")])
def test_correlations_and_their_covariance_are_those_of_r(name, case):
    wanted = golden(case)
    result = dg.sem.rgmodel(structure_of_reference(name))
    # R's own fit ends that far from S standardised, which is the exact solution.
    np.testing.assert_allclose(result["R"], matrix(wanted["R"]), atol=1e-8)
    np.testing.assert_allclose(result["V_R"], matrix(wanted["V_R"]), rtol=1e-7)


def test_rgmodel_is_the_saturated_model_of_standardised_factors():
    structure = structure_of()
    k = len(TRAITS)
    lines = [f"L{i} =~ NA*{t}\nL{i} ~~ 1*L{i}\n{t} ~~ 0*{t}" for i, t in enumerate(TRAITS)]
    lines += [f"L{i} ~~ L{j}" for j in range(k) for i in range(j + 1, k)]
    fit = fit_table(parameter_table(parse_model("\n".join(lines)), list(TRAITS)), read_moments(structure))
    ends = [{row.lhs, row.rhs} if row.op == "~~" else set() for row in fit.table.rows if row.free]
    at = [ends.index({f"L{i}", f"L{j}"}) for j in range(k) for i in range(j + 1, k)]
    result = dg.sem.rgmodel(structure)
    below = np.array([(i, j) for j in range(k) for i in range(j + 1, k)]).T
    np.testing.assert_allclose(result["R"].values[tuple(below)], fit.theta[at], rtol=1e-9)
    np.testing.assert_allclose(result["V_R"], fit.omega[np.ix_(at, at)], rtol=1e-8, atol=1e-12)
    np.testing.assert_allclose(result["R_se"].values[tuple(below)], np.sqrt(np.diag(result["V_R"])))
    assert result["pair"].values.tolist()[:2] == ["T2~~T1", "T3~~T1"]
    assert (np.diag(result["R"]) == 1).all()


def test_rgmodel_smooths_what_is_not_positive_definite_and_needs_two_traits():
    s = np.array([[0.3, 0.35], [0.35, 0.3]])
    result = dg.sem.rgmodel(dg.ldsc.covstruct(s, sampling_covariance(2), traits=["A", "B"]))
    assert 0.99 < float(result["R"][0, 1]) <= 1
    with pytest.raises(InputError, match="two traits"):
        dg.sem.rgmodel(dg.ldsc.covstruct([[0.3]], [[0.01]], traits=["A"]))


def statements(text):
    return "".join(text.split())


def test_written_models_are_those_of_r():
    wanted = golden("write_model")
    loadings, names = matrix(wanted["loadings"]), wanted["names"]

    def ours(**options):
        return statements(dg.sem.write_model(loadings, names, **({"cutoff": 0.3, "fix_resid": False} | options)))

    assert ours() == statements(wanted["plain"])
    assert ours(bifactor=True) == statements(wanted["bifactor"])
    assert ours(cutoff=0.55, mustload=True) == statements(wanted["mustload"])
    assert ours(common=True) == statements(wanted["common"])
    bounds = statements(wanted["fix_resid_random_labels"])
    for number, label in enumerate(["afis", "ehiq", "cfgq", "gisv", "klwz", "flty"], start=1):
        bounds = bounds.replace(label, f"r{number}")
    assert ours(fix_resid=True) == bounds


def test_written_models_are_read_and_fitted():
    structure = structure_of()
    text = dg.sem.write_model(LOADINGS, structure, cutoff=0.3)
    assert text.splitlines()[:4] == ["F1 =~ T1 + T4", "F2 =~ T2 + T3 + T5 + T6", "T1 ~~ r1*T1", "r1 > .0001"]
    table = parameter_table(parse_model(text), list(TRAITS))
    assert (table.structure().lower > 0).sum() == 6
    frame = pd.DataFrame(LOADINGS, index=list(TRAITS))
    assert dg.sem.write_model(frame, cutoff=0.3) == text
    assert dg.sem.write_model(LOADINGS, pd.DataFrame(np.eye(6), columns=list(TRAITS)), cutoff=0.3) == text
    alone = dg.sem.write_model(LOADINGS, list(TRAITS), cutoff=0.55, fix_resid=True)
    assert "T2" not in alone  # it loads on no factor, and its residual variance is no part of the model


def test_loadings_that_make_no_model_are_refused():
    with pytest.raises(InputError, match="no trait loads on factor 2"):
        dg.sem.write_model(LOADINGS, list(TRAITS), cutoff=0.65)
    with pytest.raises(InputError, match="no names"):
        dg.sem.write_model(LOADINGS, cutoff=0.3)
    with pytest.raises(InputError, match="finite"):
        dg.sem.write_model(LOADINGS, list(TRAITS[:5]), cutoff=0.3)
    with pytest.raises(UsageError, match="exclude"):
        dg.sem.write_model(LOADINGS, list(TRAITS), cutoff=0.3, common=True, bifactor=True)
    with pytest.raises(UsageError, match="s_ld"):
        dg.sem.write_model(LOADINGS, S_LD=list(TRAITS), cutoff=0.3)


def test_numbers_of_elements_and_their_subsets_are_those_of_r():
    wanted = golden("gls_and_small")
    structure = structure_of_reference("ldsc")
    np.testing.assert_array_equal(dg.sem.index_s(structure), matrix(wanted["index_all"]))
    np.testing.assert_array_equal(dg.sem.index_s(structure, R=True), matrix(wanted["index_R"]))
    for kind, part in (("S", "subSV"), ("S_Stand", "sub_stand")):
        subset = dg.sem.sub_sv(structure, wanted["sub_index"], type=kind)
        np.testing.assert_allclose(subset["sub_S"], wanted[part]["subS"], rtol=1e-10)
        np.testing.assert_allclose(subset["sub_V"], matrix(wanted[part]["subV"]), rtol=1e-10)


def test_subsets_of_correlations_come_from_rgmodel_in_the_order_asked_for():
    structure = structure_of()
    whole = dg.sem.rgmodel(structure)
    numbers = dg.sem.index_s(structure, R=True)
    wanted = [numbers.loc["T5", "T2"], numbers.loc["T1", "T2"]]
    subset = dg.sem.sub_sv(structure, wanted, type="R")
    assert subset["element"].values.tolist() == ["T5~~T2", "T2~~T1"]
    np.testing.assert_array_equal(subset["sub_S"], [whole["R"].loc["T2", "T5"], whole["R"].loc["T1", "T2"]])
    np.testing.assert_array_equal(subset["sub_V"], whole["V_R"].loc[subset["element"].values, subset["element"].values])
    for bad in ([0], [22], [], [1.5]):
        with pytest.raises(UsageError, match="index_vals"):
            dg.sem.sub_sv(structure, bad)
    with pytest.raises(UsageError, match="type"):
        dg.sem.sub_sv(structure, [1], type="V")


def test_root_mean_difference_is_that_of_r():
    estimates = ([0.5, 0.4, 0.3, 0.2], [0.45, 0.45, 0.25, 0.25])
    variances = ([[1, 1.2, 0.9, 1.1], [0.8, 1.1, 1, 0.9]], [[1.1, 0.9, 1, 1], [1, 1, 0.7, 1.2]])
    assert dg.sem.local_srmd(*estimates, *variances) == pytest.approx(golden("gls_and_small")["localSRMD"], rel=1e-12)


def test_root_mean_difference_is_its_definition_and_checks_lengths():
    # Two variables in two groups: estimates of both in the first group, then in the second.
    free, held = [0.5, 0.2, 0.6, 0.1], [0.55, 0.15, 0.55, 0.15]
    left, right = [[1.0, 2.0], [0.5, 0.7]], [[1.0, 1.0], [0.9, 1.3]]
    scale = [np.sqrt(1.5) * 1.0, np.sqrt(0.6) * np.sqrt(1.1)] * 2
    wanted = np.sqrt(np.mean([((u - c) / s) ** 2 for u, c, s in zip(free, held, scale, strict=True)]))
    assert dg.sem.local_srmd(free, held, left, right) == pytest.approx(wanted, rel=1e-14)
    assert dg.sem.local_srmd([*free[:3], np.nan], held, left, right) > 0
    for arguments in ((free[:3], held, left, right), (free, held, left[:1], right), (free[:3], held[:3], left, right)):
        with pytest.raises(InputError, match=r"fit each other|as many"):
            dg.sem.local_srmd(*arguments)
    with pytest.raises(InputError, match="positive"):
        dg.sem.local_srmd(free, held, [[1.0, -2.0], [0.5, 0.7]], right)


def gwas(n=200, seed=0):
    rng = np.random.default_rng(seed)
    maf, se = rng.uniform(0.01, 0.5, n), rng.uniform(0.01, 0.02, (2, n))
    status = np.zeros(n, np.int16)
    status[::17] = 4
    return xr.Dataset(
        {
            "estimate": (("parameter", "variant"), rng.normal(size=(2, n))),
            "se": (("parameter", "variant"), se),
            "maf": ("variant", maf),
            "status": ("variant", status, {"valid": [0, 1]}),
        },
        coords={"parameter": ["F1~SNP", "F2~SNP"], "variant_id": ("variant", [f"rs{i}" for i in range(n)])},
        attrs={"kind": "gwas"},
    )


def test_effective_sample_size_is_a_mean_over_common_snps_that_were_fitted():
    data = gwas()
    maf = data["maf"].values
    kept = (maf >= 0.1) & (maf <= 0.4) & (data["status"].values <= 1)
    wanted = np.mean(1 / (2 * maf * (1 - maf) * data["se"].values[1] ** 2)[kept])
    assert dg.sem.effective_n(data, "F2~SNP") == pytest.approx(wanted, rel=1e-13)
    assert dg.sem.effective_n(data.chunk(variant=33), "F2~SNP") == pytest.approx(wanted, rel=1e-13)
    turned = data.assign(maf=1 - data["maf"])  # frequencies of the other allele
    assert dg.sem.effective_n(turned, "F2~SNP") == pytest.approx(wanted, rel=1e-13)
    with pytest.raises(UsageError):
        dg.sem.effective_n(data, "F3~SNP")
    with pytest.raises(InputError, match="no allele frequencies"):
        dg.sem.effective_n(data.drop_vars("maf"), "F2~SNP")
    with pytest.raises(InputError, match="no SNP"):
        dg.sem.effective_n(data, "F2~SNP", maf=(0.399999, 0.4))
