"""From statements to parameters: lavaan's defaults of sem(), names, labels, constraints, orientation."""

from __future__ import annotations

import json

import numpy as np
import pytest

from daskgen.errors import InputError
from daskgen.sem.orientation import factor_flips, oriented
from daskgen.sem.parameters import parameter_table
from daskgen.sem.syntax import parse_model
from tests.shared_data import shared

TRAITS = [f"T{i}" for i in range(1, 7)]


def table_of(text, traits=TRAITS, **options):
    return parameter_table(parse_model(text), traits, **options)


def free_and_fixed(table):
    return [r.name for r in table.rows if r.free], {r.name: r.value for r in table.rows if not r.free}


def test_marker_is_the_default_and_std_lv_the_other():
    free, fixed = free_and_fixed(table_of("F1 =~ T1 + T2 + T3"))
    assert free == ["F1=~T2", "F1=~T3", "T1~~T1", "T2~~T2", "T3~~T3", "F1~~F1"]
    assert fixed == {"F1=~T1": 1.0}
    free, fixed = free_and_fixed(table_of("F1 =~ T1 + T2 + T3", std_lv=True))
    assert free == ["F1=~T1", "F1=~T2", "F1=~T3", "T1~~T1", "T2~~T2", "T3~~T3"]
    assert fixed == {"F1~~F1": 1.0}
    free, fixed = free_and_fixed(table_of("F1 =~ T1 + T2\nF1 ~~ F1\nT3 ~ F1", std_lv=True))
    assert fixed == {"F1~~F1": 1.0}


def test_exogenous_factors_covary_and_second_order_ones_explain_the_first():
    free, _ = free_and_fixed(table_of("F1 =~ T1 + T2 + T3\nF2 =~ T4 + T5 + T6"))
    assert "F1~~F2" in free
    free, fixed = free_and_fixed(table_of("F1 =~ T1 + T2\nF2 =~ T3 + T4\nF3 =~ T5 + T6\nG =~ F1 + F2 + F3"))
    assert not [name for name in free if "~~" in name and name.split("~~")[0] != name.split("~~")[1]]
    assert {"F1~~F1", "F2~~F2", "F3~~F3", "G~~G", "G=~F2", "G=~F3"} <= set(free)
    assert fixed["G=~F1"] == 1.0


def test_pure_outcomes_covary_mediators_do_not():
    free, _ = free_and_fixed(table_of("F1 =~ T1 + T2 + T3\nT4 ~ F1\nT5 ~ F1"))
    assert "T4~~T5" in free
    free, _ = free_and_fixed(table_of("F1 =~ T1 + T2 + T3\nT4 ~ F1\nT5 ~ T4 + F1"))
    assert "T4~~T5" not in free
    free, _ = free_and_fixed(table_of("F1 =~ T1 + T2 + T3\nF1 + T2 ~ T4"))
    assert "T2~~F1" not in free
    assert "F1~~T2" not in free


def test_exogenous_observed_variables_are_free_or_the_sample():
    free, _ = free_and_fixed(table_of("T3 ~ T1 + T2"))
    assert free == ["T3~T1", "T3~T2", "T3~~T3", "T1~~T1", "T1~~T2", "T2~~T2"]
    table = table_of("T3 ~ T1 + T2", fixed_x=True)
    assert free_and_fixed(table)[0] == ["T3~T1", "T3~T2", "T3~~T3"]
    sample = np.array([[3.0, 0.5, 0.6], [0.5, 1.0, 0.2], [0.6, 0.2, 2.0]])
    structure = table.structure(["T3", "T1", "T2"], sample=sample)
    np.testing.assert_array_equal(structure.implied(np.array([0.0, 0.0, 1.0]))[1:, 1:], sample[1:, 1:])


def test_the_residual_of_a_single_indicator_is_zero_unless_it_has_another_factor():
    assert free_and_fixed(table_of("F1 =~ T1\nF2 =~ T2 + T3"))[1]["T1~~T1"] == 0.0
    assert "T1~~T1" in free_and_fixed(table_of("F1 =~ T1\nF2 =~ T1 + T3"))[0]
    assert "T1~~T1" in free_and_fixed(table_of("F1 =~ T1\nT1 ~~ T1"))[0]


def test_order_of_variables_and_of_the_ends_of_a_covariance():
    table = table_of("T3 ~ T1 + T2\nT4 ~ T3 + T1\nT1 ~~ T2")
    assert table.observed == ("T3", "T4", "T1", "T2")
    table = table_of("C =~ NA*T2 + T1\nNC =~ NA*T1\nC ~~ 1*C\nNC ~~ 1*NC\nNC ~~ 0*C\nT1 ~~ 0*T2")
    assert [r.name for r in table.rows if r.value == 0.0][:2] == ["C~~NC", "T2~~T1"]
    assert table_of("F1 =~ T1 + T2 + T3\nT4 ~~ F1").row_names[3] == "F1~~T4"


def test_equal_labels_are_one_parameter_and_fixed_ones_fix_the_others():
    table = table_of("F1 =~ NA*T1 + a*T1 + a*T2 + T3\nF1 ~~ 1*F1")
    assert table.parameters == ("F1=~T1", "F1=~T3", "T1~~T1", "T2~~T2", "T3~~T3")
    assert table.parameter_of_row.tolist() == [0, 0, 1, -1, 2, 3, 4]
    assert table.structure(by_row=True).n_parameters == 6
    values = table.values(np.arange(1.0, 11.0).reshape(5, 2))
    np.testing.assert_array_equal(values[:, 0], [1, 1, 3, 1, 5, 7, 9])
    table = table_of("F1 =~ a*T1 + a*T2 + T3")
    assert table.parameters[0] == "F1=~T3"
    assert table.values(np.zeros(len(table.parameters)))[:2].tolist() == [1.0, 1.0]


def test_bounds_and_constraints():
    text = "F1 =~ NA*T1 + a*T1 + b*T2 + c*T3\nF1 ~~ 1*F1\nT1 ~~ r*T1\nd := a + b\n"
    table = table_of(text + "r > .001\n2*r < 4\na == 1.1*b\na*b > c - 1\nc^2 == d")
    structure, constraints = table.structure(), table.constraints()
    names = table.parameters
    r = names.index("T1~~T1")
    assert (structure.lower[r], structure.upper[r]) == (0.001, 2.0)
    assert np.isinf(np.delete(structure.lower, r)).all()
    theta = np.random.default_rng(1).normal(size=(len(names), 3))
    a, b, c = (theta[names.index(f"F1=~T{i}")] for i in (1, 2, 3))
    np.testing.assert_allclose(constraints.equality.value(theta), [a - 1.1 * b, c**2 - (a + b)], rtol=1e-14)
    np.testing.assert_allclose(constraints.inequality.value(theta), [a * b - (c - 1)], rtol=1e-14)
    np.testing.assert_allclose(constraints.matrix @ theta - constraints.right[:, None], [a - 1.1 * b], atol=1e-15)
    jacobian = constraints.equality.jacobian(theta)
    assert jacobian.shape == (2, len(names), 3)
    np.testing.assert_allclose(jacobian[1, names.index("F1=~T3")], 2 * c)
    assert not constraints.all_linear
    np.testing.assert_allclose(table.defined().value(theta), [a + b])


def test_modifiers_give_bounds_too_and_bounds_that_cross_are_an_error():
    structure = table_of("F1 =~ T1 + lower(0)*T2 + upper(2)*T3").structure()
    assert (structure.lower[0], structure.upper[1]) == (0.0, 2.0)
    with pytest.raises(InputError, match=r"bounds(.|\n)*F1=~T2"):
        table_of("F1 =~ T1 + a*T2 + T3\na > 2\na < 1").structure()


def test_held_rows_leave_the_rest_and_its_constraints():
    table = table_of("F1 =~ NA*T1 + a*T1 + T2 + T3\nF1 ~~ 1*F1\nF1 ~ s*T4\na > 0\ns < 2*a\nx := a*s")
    held = table.held({"F1=~T1": 0.5, "F1=~T2": 0.25, "F1=~T3": 0.1})
    assert held.parameters == ("F1~T4", "T1~~T1", "T2~~T2", "T3~~T3", "T4~~T4")
    structure = held.structure()
    assert structure.upper[0] == 1.0
    np.testing.assert_allclose(held.defined().value(np.full(5, 3.0)), [1.5])
    assert structure.matrices(structure.start)[0][0, structure.n_variables - 1] == 0.5
    with pytest.raises(KeyError):
        table.held({"F9=~T1": 0.0})


def test_structure_in_any_order_of_the_observed():
    table = table_of("F1 =~ NA*T1 + T2 + T3\nF1 ~~ 1*F1")
    theta = np.array([0.5, 0.4, 0.3, 0.7, 0.8, 0.9])
    order = ["T3", "T1", "T2"]
    first, second = table.structure().implied(theta), table.structure(order).implied(theta)
    np.testing.assert_allclose(second, first[np.ix_([2, 0, 1], [2, 0, 1])])
    with pytest.raises(InputError, match="not those of the model"):
        table.structure(["T1", "T2"])


def test_user_starts_are_kept_within_bounds():
    structure = table_of("F1 =~ NA*T1 + start(-.2)*T1 + start(9)*T2 + upper(2)*T2\nF1 ~~ 1*F1").structure()
    assert structure.start[:2].tolist() == [-0.2, 2.0]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("F1 =~ T1 + Tx + T3", ["line 1, column 12", "neither a trait nor a factor", "T1, T2, T3, T4, T5, T6"]),
        ("F1 =~ T1 + T2\nT7 ~ F1", ["line 2, column 1", "did you mean"]),
        ("F1 =~ T1 + T2\nF1 ~~ F11", ["line 2, column 7", "factors: F1", "did you mean F1"]),
        ("T1 =~ T2 + T3", ["also the name of a trait"]),
        ("T1 ~ T1", ["cannot explain itself"]),
        ("F1 =~ a*T1 + T2\nb > 0", ["line 2", "no parameter has the label b"]),
        ("F1 =~ T1 + alpha*T2\nx := alpa*2", ["did you mean alpha?"]),
        ("F1 =~ T1 + T2 + a*T3\nx := a\nx := 3", ["line 3", "x is defined before"]),
        ("F1 =~ T1 + a*T2 + T3\na := 2", ["line 2", "a is a label"]),
        ("F1 =~ start(.2)*T1 + T2 + T3", ["fixed to 1", "NA*T1 + start(0.2)*T1"]),
    ],
)
def test_errors_of_names_and_labels(text, says):
    with pytest.raises(InputError) as caught:
        table_of(text).structure()
    for part in says:
        assert part in str(caught.value)


def test_a_trait_whose_name_has_an_operator_is_named():
    with pytest.raises(InputError, match="rename BMI-adj"):
        table_of("F1 =~ BMI + T2 + T3", ["BMI-adj", "T2", "T3"])


def test_orientation():
    table = table_of("F1 =~ NA*T1 + T2 + T3\nF2 =~ NA*T4 + start(-.3)*T4 + T5 + T6\nF1 ~~ 1*F1\nF2 ~~ 1*F2\nT1 ~ F2")
    flips = {flip.factor: flip for flip in factor_flips(table)}
    names = np.array(table.parameters)
    assert set(names[flips["F1"].parameters]) == {"F1=~T1", "F1=~T2", "F1=~T3", "F1~~F2"}
    assert set(names[flips["F2"].parameters]) == {"F2=~T4", "F2=~T5", "F2=~T6", "F1~~F2", "T1~F2"}
    assert flips["F2"].sign == -1.0
    theta = table.structure().start * np.where(names == "F1=~T1", -1, 1)
    turned = oriented(theta, factor_flips(table))
    assert turned[0] > 0
    structure = table.structure()
    np.testing.assert_allclose(structure.implied(turned), structure.implied(theta), rtol=1e-14)
    np.testing.assert_array_equal(oriented(theta, factor_flips(table), lambda _: False), theta)


def test_factors_that_cannot_be_turned():
    assert not factor_flips(table_of("F1 =~ T1 + T2 + T3"))
    assert not factor_flips(table_of("F1 =~ NA*T1 + a*T1 + T2\nF1 ~~ 1*F1\nT3 ~ a*T4"))
    assert not factor_flips(table_of("F1 =~ NA*T1 + T2\nF1 ~~ 1*F1\nF1 ~~ .5*T3"))
    second = table_of("F1 =~ NA*T1 + T2\nF1 ~~ 1*F1\nG =~ NA*F1 + T3 + T4\nG ~~ 1*G")
    assert [flip.factor for flip in factor_flips(second)] == ["F1", "G"]


def test_rows_and_degrees_of_freedom_of_the_reference():
    cases = json.loads(shared("reference/sem/expected/usermodel.json").read_text())
    for name, case in cases.items():
        table = table_of(case["model"], std_lv=case["std_lv"], fixed_x=case["estimation"] == "ML")
        result = case["result"]["results"]
        expected = ["".join(row) for row in zip(result["lhs"], result["op"], result["rhs"], strict=True)]
        free, fixed = free_and_fixed(table)
        defined = table.defined()
        rows = [f"{d}:={text}" for d, text in zip(defined.names, defined.texts, strict=True)]
        assert [*free, *rows, *fixed] == expected, name
        k = len(table.observed)
        df = k * (k + 1) // 2 - len(table.parameters) + len(table.constraints().equality)
        assert df == case["result"]["modelfit"]["df"][0], name
