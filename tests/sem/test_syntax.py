"""The model language: what it reads, and where it says that something is wrong."""

from __future__ import annotations

import numpy as np
import pytest

from daskgen.errors import InputError
from daskgen.sem.expressions import linear, parse_expression, symbols
from daskgen.sem.syntax import parse_model
from daskgen.sem.tokens import split_statements

TERM_FIELDS = ("lhs", "op", "rhs", "fixed", "free", "label", "start")


def terms_of(text):
    return [tuple(getattr(t, f) for f in TERM_FIELDS) for formula in parse_model(text).formulas for t in formula.terms]


def test_operators_and_modifiers():
    assert terms_of("F1 =~ NA*T1 + a*T1 + .8*T2 + start(-.2)*T3\nT1 ~~ 0*T2; T4 + T5 ~ b*F1") == [
        ("F1", "=~", "T1", None, True, "a", None),
        ("F1", "=~", "T2", 0.8, False, "", None),
        ("F1", "=~", "T3", None, False, "", -0.2),
        ("T1", "~~", "T2", 0.0, False, "", None),
        ("T4", "~", "F1", None, False, "b", None),
        ("T5", "~", "F1", None, False, "b", None),
    ]


def test_a_chain_of_modifiers_is_read_like_a_repeated_term():
    assert terms_of("F =~ NA*l1*start(0.3)*T1") == terms_of("F =~ NA*T1 + l1*T1 + start(0.3)*T1")


def test_lines_go_on_after_and_before_an_operator_and_comments_end_them():
    text = "# factors\nF1 =~ T1 +   ! first\n  T2\n  + T3\n\nF1 ~~\n F2 ; F2 =~ T4 + T5 # last"
    assert [(a, o, b) for a, o, b, *_ in terms_of(text)] == [
        ("F1", "=~", "T1"),
        ("F1", "=~", "T2"),
        ("F1", "=~", "T3"),
        ("F1", "~~", "F2"),
        ("F2", "=~", "T4"),
        ("F2", "=~", "T5"),
    ]


def test_numbers_and_names():
    (first,) = parse_model("F.1_a =~ 1e-2*T_1.x + -.5*é + (-2)*T3 + upper(3)*T4 + lower(-1)*T4").formulas
    assert [t.rhs for t in first.terms] == ["T_1.x", "é", "T3", "T4"]
    assert [t.fixed for t in first.terms] == [0.01, -0.5, -2.0, None]
    assert (first.terms[3].lower, first.terms[3].upper) == (-1.0, 3.0)


def test_constraints_and_definitions_keep_their_text_without_blanks():
    model = parse_model("F =~ a*T1 + b*T2\na == 1.1 * b\na >= .001\n.5 <= b\nind := a*b + 2 ^ -b")
    assert [(c.op, c.text) for c in model.constraints] == [("==", "a==1.1*b"), (">", "a>=.001"), ("<", ".5<=b")]
    assert [(d.name, d.text) for d in model.definitions] == [("ind", "a*b+2^-b")]


@pytest.mark.parametrize(
    ("text", "line", "column", "says"),
    [
        ("F1 =~ T1 + T2 + T1", 1, 17, "T1 is named twice"),
        ("F1 =~ T1\nF2 =~ T-1 + T2", 2, 8, "not a name"),
        ("F1 =~ T1 +", 1, 10, "missing after"),
        ("F1 =~ + T1", 1, 7, "missing before"),
        ("F1 = T1", 1, 4, "no meaning"),
        ("F1 =~ 1T + T2", 1, 7, "neither a number nor a name"),
        ("F1 <~ T1", 1, 4, "not part of the language"),
        ("F1 T1", 1, 1, "no operator"),
        ("F1 =~ T1\n0 < a < 1", 2, 7, "second operator"),
        ("=~ T1", 1, 1, "on the left"),
        ("F1 =~", 1, 4, "on the right"),
        ("F1 =~ T1 T2", 1, 10, "operator is missing"),
        ("T1 ~ 1", 1, 6, "not a variable"),
        ("F1 =~ sin(2)*T1", 1, 7, "not a modifier"),
        ("F1 =~ *T1", 1, 8, "missing beside"),
        ("F1 =~ 1*T1 + .8*T1", 1, 17, "two values"),
        ("F1 =~ NA*T1 + 1*T1", 1, 17, "both fixed"),
        ("F1 =~ a*T1 + b*T1", 1, 16, "two values"),
        ("T1 ~~ T2\nT2 ~~ T1", 2, 7, "given twice, first in line 1"),
        ("F1 =~ T1\na*b := 2", 2, 1, "left of :="),
        ("F1 =~ T1\nx := a*", 2, 8, "not complete"),
        ("F1 =~ T1\nx := (a", 2, 8, "not complete"),
        ("F1 =~ T1\nx := a b", 2, 8, "not expected"),
        ("F1 =~ T1\nx := sin(a)", 2, 6, "no function sin"),
        ("", 1, 1, "empty"),
        ("# nothing\n\n", 1, 1, "empty"),
    ],
)
def test_errors_say_where(text, line, column, says):
    with pytest.raises(InputError) as caught:
        parse_model(text)
    message = str(caught.value)
    assert f"line {line}, column {column}:" in message
    assert says in message
    shown = [row for row in message.splitlines() if row.strip() == "^"]
    assert len(shown) == 1
    assert shown[0].index("^") == 12 + column - 1


def test_without_a_variable():
    model = parse_model("F =~ a*T1 + T2\nF ~ b*SNP\nT2 ~ T3 + SNP\na > 0\nb > 0\nab := a*b\nd := 2*a\ne := d + 1")
    less = model.without(["SNP"], definitions=True)
    assert less.names() == ["F", "T1", "T2"]
    assert [c.text for c in less.constraints] == ["a>0"]
    assert [d.name for d in less.definitions] == ["d", "e"]
    assert model.without(["SNP"]).definitions == ()
    assert model.mentions("SNP")
    assert not less.mentions("SNP")


def expression(text):
    return parse_expression(split_statements(text)[0], text)


@pytest.mark.parametrize(
    "text",
    ["a*b - 2", "-a^2 + b", "2^-a", "a/b/2", "(a + b)^2/3", "a^b", "sqrt(a)*exp(b) - log(a) + abs(b - 3)", "2^3^1.5*a"],
)
def test_expressions_have_the_value_of_python_and_the_derivative_of_differences(text):
    at = {"a": np.array([0.7, 1.3]), "b": np.array([1.9, 0.4])}
    functions = {"sqrt": np.sqrt, "exp": np.exp, "log": np.log, "abs": np.abs}

    def python(values):
        return eval(text.replace("^", "**"), functions, values)

    value, partials = expression(text).derive(at)
    np.testing.assert_allclose(value, python(at), rtol=1e-14)
    for name in symbols(expression(text)):
        step = 1e-6
        up, down = ({**at, name: at[name] + sign * step} for sign in (1, -1))
        np.testing.assert_allclose(partials[name], (python(up) - python(down)) / (2 * step), rtol=1e-7, atol=1e-9)


def test_which_expressions_are_linear():
    assert linear(expression("2*(a - b)/4 + 3 - a*0.5")) == (3.0, {"a": 0.0, "b": -0.5})
    assert linear(expression("2^2 - sqrt(4)*a^1")) == (4.0, {"a": -2.0})
    for text in ("a*b", "1/a", "a^2", "exp(a)"):
        assert linear(expression(text)) is None
