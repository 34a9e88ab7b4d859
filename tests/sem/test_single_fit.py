"""Estimates and standard errors of single fits against a general optimiser and dense matrices."""

from __future__ import annotations

import numpy as np
import pytest

from daskgen.errors import InputError
from daskgen.sem.moments import Moments
from daskgen.sem.parameters import parameter_table
from daskgen.sem.single_fit import fit_table
from daskgen.sem.syntax import parse_model
from tests.oracles import sem as oracle
from tests.sem.small import TRAITS, sampling_covariance, true_covariance

TWO = "F1 =~ NA*T1 + T2 + T3\nF2 =~ NA*T4 + T5 + T6\nF1 ~~ 1*F1\nF2 ~~ 1*F2\nF1 ~~ r*F2"
MODELS = {
    "one": "F1 =~ NA*T1 + T2 + T3 + T4\nF1 ~~ 1*F1",
    "two": TWO,
    "marker": "F1 =~ T1 + T2 + T3 + T4\nT5 ~ F1",
    "equal": "F1 =~ NA*T1 + a*T1 + a*T2 + T3 + T4\nF1 ~~ 1*F1",
    "paths": "T3 ~ T1 + T2\nT4 ~ T3 + T1\nT1 ~~ T2",
}
CONSTRAINED = {
    "bound": TWO + "\nr < .2",
    "bounds": TWO + "\nr < .2\nT1 ~~ e*T1\ne > .3",
    "linear": "F1 =~ NA*T1 + a*T1 + b*T2 + c*T3 + d*T4\nF1 ~~ 1*F1\na == 1.3*b\nc + d == .5",
    "linear and bound": "F1 =~ NA*T1 + a*T1 + b*T2 + T3 + T4\nF1 ~~ 1*F1\na == 1.3*b\na < .4",
    "not linear": "F1 =~ NA*T1 + a*T1 + b*T2 + c*T3 + T4\nF1 ~~ 1*F1\na*b == c^2",
    "inequality": "F1 =~ NA*T1 + a*T1 + b*T2 + c*T3 + T4\nF1 ~~ 1*F1\na^2 + b^2 < .3",
    "inactive": "F1 =~ NA*T1 + a*T1 + b*T2 + c*T3 + T4\nF1 ~~ 1*F1\na^2 + b^2 < 3\na > -2",
}


def moments_of(table, seed=1):
    whole = Moments(TRAITS, true_covariance(seed), sampling_covariance(6))
    return whole.select([trait for trait in TRAITS if trait in table.observed])


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("estimation", ["DWLS", "ML"])
def test_against_a_general_optimiser(name, estimation):
    table = parameter_table(parse_model(MODELS[name]), TRAITS)
    moments = moments_of(table)
    fit = fit_table(table, moments, estimation=estimation)
    matrices = fit.structure.matrices
    theta, value = oracle.best(matrices, fit.structure.start, moments.s, moments.v, estimation, starts=2)
    assert fit.converged
    assert fit.solution.value <= value * (1 + 1e-9) + 1e-12
    omega = oracle.sandwich(matrices, fit.theta, moments.s, moments.v, estimation)
    assert (np.abs(fit.theta - theta) < 2e-3 * np.sqrt(np.diag(omega))).all()
    if not fit.is_tied:
        np.testing.assert_allclose(fit.omega, omega, rtol=1e-6, atol=1e-6 * omega.max())
    np.testing.assert_allclose(fit.constrained_omega(), omega, rtol=1e-6, atol=1e-6 * omega.max())


@pytest.mark.parametrize("name", CONSTRAINED)
def test_constraints_hold_and_nothing_is_lower(name):
    table = parameter_table(parse_model(CONSTRAINED[name]), TRAITS)
    moments, constraints = moments_of(table), table.constraints()
    fit = fit_table(table, moments)
    structure = fit.structure
    assert fit.converged
    assert fit.solution.violation < 1e-9
    bounds = list(zip(structure.lower, structure.upper, strict=True))
    functions = [
        {"type": kind, "fun": one.value}
        for kind, one in (("eq", constraints.equality), ("ineq", constraints.inequality))
    ]
    functions = [function for function in functions if len(np.atleast_1d(function["fun"](structure.start)))]
    _, value = oracle.best(
        structure.matrices,
        structure.start,
        moments.s,
        moments.v,
        "DWLS",
        bounds=bounds,
        constraints=functions,
        starts=3,
    )
    assert fit.solution.value <= value * (1 + 1e-6)  # theirs may be a little outside, which makes it lower


def test_a_constraint_that_does_not_bind_changes_nothing():
    with_it = parameter_table(parse_model(CONSTRAINED["inactive"]), TRAITS)
    without = parameter_table(parse_model(MODELS["one"]), TRAITS)
    one, other = (fit_table(table, moments_of(table)) for table in (with_it, without))
    np.testing.assert_allclose(one.values, other.values, rtol=1e-9)
    assert not one.solution.active


def test_standard_errors_under_equality_constraints_are_those_of_the_reparametrised_model():
    tied = parameter_table(parse_model("F1 =~ NA*T1 + a*T1 + b*T2 + T3 + T4\nF1 ~~ 1*F1\na == b"), TRAITS)
    same = parameter_table(parse_model("F1 =~ NA*T1 + a*T1 + a*T2 + T3 + T4\nF1 ~~ 1*F1"), TRAITS)
    one, other = (fit_table(table, moments_of(table)) for table in (tied, same))
    np.testing.assert_allclose(one.values, other.values, rtol=1e-9)
    np.testing.assert_allclose(one.constrained_se(), other.constrained_se(), rtol=1e-8)
    np.testing.assert_allclose(one.se, other.se, rtol=1e-8)
    assert one.df == other.df == 3
    assert one.n_parameters == 7


def test_errors_of_estimates_are_those_of_simulation():
    """The spread of estimates over draws of S from N(Sigma, V) is the sandwich's; equal labels counted."""
    table = parameter_table(parse_model("F1 =~ NA*T1 + a*T1 + a*T2 + T3 + T4 + T5\nF1 ~~ 1*F1"), TRAITS)
    names = [trait for trait in TRAITS if trait in table.observed]
    k = len(names)
    v = sampling_covariance(k, size=0.002)
    structure = table.structure()
    truth = structure.implied(structure.start)
    column, row = np.triu_indices(k)
    rng = np.random.default_rng(4)
    estimates = []
    for error in rng.multivariate_normal(np.zeros(len(v)), v, 120):
        s = truth.copy()
        s[row, column] += error
        s[column, row] = s[row, column]
        estimates.append(fit_table(table, Moments(tuple(names), s, v)).theta)
    fit = fit_table(table, Moments(tuple(names), truth, v))
    ratio = np.std(estimates, axis=0) / np.sqrt(np.diag(fit.constrained_omega()))
    assert (np.abs(ratio - 1) < 0.25).all()  # a spread of 120 draws has an error of 6 %


def test_with_ml_the_moments_of_predictors_are_the_samples():
    table = parameter_table(parse_model("T4 ~ T1 + T2\nT5 ~ T1"), TRAITS, fixed_x=True)
    moments = moments_of(table)
    fit = fit_table(table, moments, estimation="ML")
    x = [moments.traits.index(name) for name in ("T1", "T2")]
    np.testing.assert_allclose(fit.sigma[np.ix_(x, x)], moments.s[np.ix_(x, x)], rtol=1e-12)
    assert fit.df == 1  # the effect of T2 on T5
    assert fit.n_parameters == 6
    weight = oracle.weight(fit.sigma, moments.v, "ML")
    known = [n for n, (i, j) in enumerate(oracle.cells(4)) if i in x and j in x]
    weight[known] = 0
    weight[:, known] = 0
    d = oracle.jacobian(fit.structure.matrices, fit.theta, 4)
    bread = np.linalg.inv(d.T @ weight @ d)
    omega = bread @ d.T @ weight @ moments.v @ weight @ d @ bread
    np.testing.assert_allclose(fit.omega, omega, rtol=1e-6, atol=1e-6 * omega.max())


def test_the_scale_of_the_traits_does_not_matter():
    table = parameter_table(parse_model(TWO), TRAITS)
    moments = moments_of(table)
    scale = np.array([1e-3, 1.0, 30.0, 1e-2, 1.0, 5.0])
    along = np.outer(scale, scale)[tuple(np.array(oracle.cells(6)).T)]
    scaled = Moments(TRAITS, moments.s * np.outer(scale, scale), moments.v * np.outer(along, along))
    for estimation in ("DWLS", "ML"):
        one, other = (fit_table(table, m, estimation=estimation) for m in (moments, scaled))
        assert other.converged
        loading = [table.row_names.index(f"F1=~T{i}") for i in (1, 2, 3)]
        np.testing.assert_allclose(other.values[loading], one.values[loading] * scale[:3], rtol=1e-7)
        np.testing.assert_allclose(other.se[loading], one.se[loading] * scale[:3], rtol=1e-6)


def test_defined_parameters_by_the_delta_method():
    text = "F1 =~ NA*T1 + T2 + T3\nF1 ~~ 1*F1\nT4 ~ b*F1\nT5 ~ c*T4 + d*F1\nind := b*c\ntotal := ind + d"
    table = parameter_table(parse_model(text), TRAITS)
    fit = fit_table(table, moments_of(table))
    at = {name: i for i, name in enumerate(table.parameters)}
    b, c, d = (fit.theta[at[name]] for name in ("T4~F1", "T5~T4", "T5~F1"))
    value, error = fit.defined()
    np.testing.assert_allclose(value, [b * c, b * c + d], rtol=1e-14)
    slope = np.zeros(len(at))
    slope[[at["T4~F1"], at["T5~T4"], at["T5~F1"]]] = c, b, 1
    assert error[1] == pytest.approx(np.sqrt(slope @ fit.omega @ slope), rel=1e-12)


def test_signs_follow_the_first_loading_or_the_users_start():
    moments = Moments(TRAITS, true_covariance(1), sampling_covariance(6))
    for start, sign in (("", 1), ("start(-.3)*T1 + ", -1)):
        text = TWO.replace("NA*T1 + ", f"NA*T1 + {start}")
        table = parameter_table(parse_model(text), TRAITS)
        fit = fit_table(table, moments)
        values = dict(zip(table.row_names, fit.values, strict=True))
        assert np.sign(values["F1=~T1"]) == sign
        assert np.sign(values["F1~~F2"]) == sign
        assert values["F2=~T4"] > 0


def test_a_negative_first_loading_turns_with_its_factor():
    s = true_covariance(1)
    s[0, 1:] *= -1
    s[1:, 0] *= -1
    table = parameter_table(parse_model(MODELS["one"]), TRAITS)
    fit = fit_table(table, Moments(TRAITS, s, sampling_covariance(6)).select(TRAITS[:4]))
    assert fit.theta[0] > 0
    assert (fit.theta[1:4] < 0).all()


@pytest.mark.parametrize(
    ("text", "rank", "names"),
    [
        ("F1 =~ T1 + T2", "3 variances and covariances of 2 traits; rank 3", ["F1=~T2", "F1~~F1"]),
        ("F1 =~ NA*T1 + T2 + T3", "rank 6", ["F1=~T1", "F1=~T2", "F1=~T3", "F1~~F1"]),
        ("F1 =~ T1 + T2 + T3\nT1 ~~ T2", "rank 6", ["T1~~T2"]),
        ("T1 ~ T2\nT2 ~ T1", "rank 3", ["T1~T2", "T2~T1"]),
    ],
)
def test_models_that_are_not_identified(text, rank, names):
    table = parameter_table(parse_model(text), TRAITS)
    with pytest.raises(InputError, match="not identified") as caught:
        fit_table(table, moments_of(table))
    assert rank in str(caught.value)
    for name in names:
        assert name in str(caught.value)


def test_a_model_that_only_a_constraint_identifies():
    text = "F1 =~ NA*T1 + T2 + T3\nF2 =~ NA*T4 + T5 + T6\nG =~ NA*F1 + l*F1 + l*F2\nG ~~ 1*G\nF1 ~~ 1*F1\nF2 ~~ 1*F2"
    table = parameter_table(parse_model(text), TRAITS)
    fit = fit_table(table, moments_of(table))
    assert fit.converged
    assert fit.ties_identify
    rows = [table.row_names.index(name) for name in ("G=~F1", "G=~F2")]
    assert fit.se[rows[0]] == fit.se[rows[1]] > 0
    np.testing.assert_allclose(fit.se, fit.constrained_se())


def test_a_model_without_free_parameters_is_a_prediction():
    text = "F1 =~ 1*T1 + 1*T2\nF1 ~~ .3*F1\nT1 ~~ .5*T1\nT2 ~~ .5*T2"
    table = parameter_table(parse_model(text), TRAITS)
    fit = fit_table(table, moments_of(table))
    np.testing.assert_allclose(fit.sigma, [[0.8, 0.3], [0.3, 0.8]])
    assert (fit.df, fit.converged) == (3, True)
    assert np.isnan(fit.se).all()
    assert np.isnan(fit.constrained_se()).all()


def test_a_search_that_runs_to_infinity_has_not_converged():
    text = "F1 =~ NA*T1 + T4\nF2 =~ NA*T2 + T5\nF3 =~ NA*T3 + T6\nG =~ NA*F1 + F2 + F3\nG ~~ 1*G\n"
    table = parameter_table(parse_model(text + "F1 ~~ 1*F1\nF2 ~~ 1*F2\nF3 ~~ 1*F3"), TRAITS)
    fit = fit_table(table, moments_of(table))
    assert not fit.converged or np.abs(fit.theta).max() < 1e3
