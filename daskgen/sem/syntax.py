"""The model language of lavaan: text to statements. What a statement means for the model is said in `parameters`.

    F1 =~ NA*T1 + T2 + a*T3     a factor and its indicators         T1 ~~ T2        a (residual) covariance
    T4 ~ b*F1 + T1              a regression                        ind := a*b      a defined parameter
    a == 2*b    a > 0.001       constraints

Before a variable: a number fixes its parameter, NA frees it, a name labels it (equal labels are equal parameters),
start(x), lower(x) and upper(x) give a starting value and bounds. A term may be repeated to give it several of them.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Any

from daskgen.sem.expressions import Expression, parse_expression, symbols
from daskgen.sem.tokens import OPERATORS, Token, model_error, split_statements

__all__ = ["Constraint", "Definition", "Formula", "Model", "Term", "parse_model"]

_RELATIONS = ("=~", "~~", "~")
_MODIFIER_FUNCTIONS = ("start", "lower", "upper")
_GIVEN = ("fixed", "free", "label", *_MODIFIER_FUNCTIONS)


@dataclass(frozen=True)
class Term:
    """One parameter as it was written: lhs op rhs, what its modifiers say, and where it stands."""

    lhs: str
    op: str
    rhs: str
    line: int
    column: int
    fixed: float | None = None
    free: bool = False
    label: str = ""
    start: float | None = None
    lower: float | None = None
    upper: float | None = None


@dataclass(frozen=True)
class Formula:
    """A statement with =~, ~~ or ~."""

    terms: tuple[Term, ...]

    def names(self) -> list[str]:
        """Variables on either side, in order of appearance."""
        sides = [term.lhs for term in self.terms] + [term.rhs for term in self.terms]
        return list(dict.fromkeys(sides))


@dataclass(frozen=True)
class Constraint:
    """left op right, op one of == < >; `text` without blanks."""

    left: Expression
    op: str
    right: Expression
    text: str
    line: int
    column: int


@dataclass(frozen=True)
class Definition:
    """name := expression; `text` is the expression without blanks."""

    name: str
    expression: Expression
    text: str
    line: int
    column: int


@dataclass(frozen=True)
class Model:
    """A model as it was written."""

    text: str
    formulas: tuple[Formula, ...] = ()
    constraints: tuple[Constraint, ...] = ()
    definitions: tuple[Definition, ...] = field(default=())

    def names(self) -> list[str]:
        """Every variable, observed or latent, in order of appearance."""
        return list(dict.fromkeys(name for formula in self.formulas for name in formula.names()))

    def mentions(self, name: str) -> bool:
        """Whether a variable is part of the model."""
        return name in self.names()

    def without(self, names: Iterable[str], *, definitions: bool = False) -> Model:
        """The model without the statements that name one of the variables, as GenomicSEM's baseline of a GWAS model.

        Constraints stay where all their labels are still there; := only with definitions=True, on the same condition.
        """
        gone = set(names)
        formulas = tuple(f for f in self.formulas if not gone.intersection(f.names()))
        labels = {term.label for formula in formulas for term in formula.terms if term.label}
        kept: list[Definition] = []
        for definition in self.definitions if definitions else ():
            if labels.issuperset(symbols(definition.expression)):
                kept.append(definition)
                labels.add(definition.name)
        constraints = tuple(
            c for c in self.constraints if labels.issuperset(symbols(c.left)) and labels.issuperset(symbols(c.right))
        )
        return replace(self, formulas=formulas, constraints=constraints, definitions=tuple(kept))


def parse_model(text: str) -> Model:
    """The statements of a model in lavaan's language.

    Raises InputError, with line, column and the line itself, for what is not part of the language, for a variable that
    is named twice in a formula without a modifier, and for a parameter that is given by two formulas.
    """
    formulas: list[Formula] = []
    constraints: list[Constraint] = []
    definitions: list[Definition] = []
    for statement in split_statements(text):
        place = _operator(statement, text)
        operator, left, right = statement[place], statement[:place], statement[place + 1 :]
        if not left or not right:
            side = "left" if not left else "right"
            raise model_error(text, operator, f"nothing is on the {side} of {operator}.")
        if operator.text in _RELATIONS:
            formulas.append(_formula(left, operator, right, text))
        elif operator.text == ":=":
            if len(left) != 1 or left[0].kind != "name":
                raise model_error(text, left[0], "one name is expected on the left of :=.")
            name = left[0]
            expression = parse_expression(right, text)
            definitions.append(Definition(name.text, expression, _joined(right), name.line, name.column))
        else:
            sides = parse_expression(left, text), parse_expression(right, text)
            whole = f"{_joined(left)}{operator}{_joined(right)}"
            constraints.append(
                Constraint(sides[0], operator.text[:1] if operator.text != "==" else "==", sides[1], whole,
                           left[0].line, left[0].column)
            )  # fmt: skip
    _check_given_once(formulas, text)
    if not formulas:
        raise model_error(text or " ", (1, 1), "the model is empty.", expected="a formula such as F1 =~ T1 + T2 + T3")
    return Model(text, tuple(formulas), tuple(constraints), tuple(definitions))


def _operator(statement: list[Token], text: str) -> int:
    places = [i for i, token in enumerate(statement) if token.text in OPERATORS]
    if not places:
        raise model_error(
            text, statement[0], "no operator in this statement.", expected=f"one of {' '.join(OPERATORS)}"
        )
    if len(places) > 1:
        second = statement[places[1]]
        raise model_error(
            text, second, f"a second operator, {second}, in one statement.", do="write each relation on its own line"
        )
    return places[0]


def _joined(tokens: list[Token]) -> str:
    return "".join(token.text for token in tokens)


def _formula(left: list[Token], operator: Token, right: list[Token], text: str) -> Formula:
    lhs = [_variable(part, text) for part in _split(left, text)]
    terms: dict[tuple[str, str], Term] = {}
    for variable in lhs:
        for part in _split(right, text):
            term = _term(variable.text, operator.text, part, text)
            key = (variable.text, term.rhs)
            terms[key] = _merged(terms[key], term, text) if key in terms else term
    return Formula(tuple(terms.values()))


def _split(tokens: list[Token], text: str) -> list[list[Token]]:
    """Parts between +, outside brackets."""
    parts: list[list[Token]] = [[]]
    depth = 0
    for token in tokens:
        depth += {"(": 1, ")": -1}.get(token.text, 0)
        if token.text == "+" and depth == 0:
            if not parts[-1]:
                raise model_error(text, token, "a variable is missing before this +.")
            parts.append([])
        else:
            parts[-1].append(token)
    if not parts[-1]:
        raise model_error(text, tokens[-1], "a variable is missing after this +.")
    return parts


def _variable(part: list[Token], text: str) -> Token:
    """The one name of a part, or an error that says what is there instead."""
    if part[0].kind == "name" and len(part) == 1:
        return part[0]
    for before, token in zip(part, part[1:], strict=False):
        if before.kind == token.kind == "name":
            raise model_error(text, token, f"an operator is missing before {token}.", expected="+")
    for token in part:
        if token.text in "-*/^":
            raise model_error(
                text,
                token,
                f"{_joined(part)} is not a name that a model can use.",
                expected="letters, digits, _ and . in names of traits and factors",
                do=f"rename the trait if {token} is part of its name",
            )
    raise model_error(text, part[0], f"{_joined(part)} is not a name.", expected="the name of a trait or a factor")


def _term(lhs: str, op: str, part: list[Token], text: str) -> Term:
    *modifiers, last = _factors(part, text)
    if len(last) == 1 and last[0].kind == "number":
        raise model_error(
            text, last[0], f"{last[0]} is not a variable.", do="leave intercepts out: only covariances are modelled"
        )
    name = _variable(last, text)
    term = Term(lhs, op, name.text, name.line, name.column)
    for modifier in modifiers:
        term = _merged(term, _modified(replace(term), modifier, text), text)
    return term


def _factors(part: list[Token], text: str) -> list[list[Token]]:
    """Parts between *, outside brackets."""
    factors: list[list[Token]] = [[]]
    depth = 0
    for token in part:
        depth += {"(": 1, ")": -1}.get(token.text, 0)
        if token.text == "*" and depth == 0:
            factors.append([])
        else:
            factors[-1].append(token)
    if not all(factors):
        raise model_error(text, part[-1], "a modifier or a variable is missing beside *.")
    return factors


def _modified(term: Term, modifier: list[Token], text: str) -> Term:
    first = modifier[0]
    if len(modifier) == 1 and first.kind == "name":
        return replace(term, free=True) if first.text == "NA" else replace(term, label=first.text)
    number = _number(modifier)
    if number is not None:
        return replace(term, fixed=number)
    if first.text in _MODIFIER_FUNCTIONS and len(modifier) > 3 and modifier[1].text == "(" and modifier[-1].text == ")":
        number = _number(modifier[2:-1])
        if number is not None:
            given: dict[str, Any] = {first.text: number}
            return replace(term, **given)
    raise model_error(
        text,
        first,
        f"{_joined(modifier)} is not a modifier.",
        expected="a number, NA, a label, start(number), lower(number) or upper(number) before *",
    )


def _number(tokens: list[Token]) -> float | None:
    """The number that the tokens spell, with a sign or brackets around it; None if they are something else."""
    sign = 1.0
    while tokens and tokens[0].text in "+-":
        sign = -sign if tokens[0].text == "-" else sign
        tokens = tokens[1:]
    if len(tokens) > 2 and tokens[0].text == "(" and tokens[-1].text == ")":
        inner = _number(tokens[1:-1])
        return None if inner is None else sign * inner
    return sign * float(tokens[0].text) if len(tokens) == 1 and tokens[0].kind == "number" else None


def _absent(value: object) -> bool:
    """Whether a field of a term says nothing; zero says something."""
    return value is None or value is False or value == ""


def _merged(term: Term, other: Term, text: str) -> Term:
    """What two mentions of a parameter say together; an error if the second says nothing, or contradicts the first."""
    given = {name: value for name in _GIVEN if not _absent(value := getattr(other, name))}
    here = (other.line, other.column)
    if not given:
        raise model_error(
            text, here, f"{other.rhs} is named twice on one side of {term.op}.", do="name every variable once"
        )
    for name, value in given.items():
        if not _absent(getattr(term, name)) and getattr(term, name) != value:
            raise model_error(
                text, here, f"two values of one modifier for {other.rhs}: {getattr(term, name)} and {value}."
            )
    merged = replace(term, **given)
    if merged.fixed is not None and merged.free:
        raise model_error(text, here, f"{other.rhs} is both fixed to {merged.fixed:g} and free.")
    return merged


def _check_given_once(formulas: list[Formula], text: str) -> None:
    seen: dict[tuple[str, ...], Term] = {}
    for formula in formulas:
        for term in formula.terms:
            ends = sorted((term.lhs, term.rhs)) if term.op == "~~" else [term.lhs, term.rhs]
            key = (term.op, *ends)
            if key in seen:
                first = seen[key]
                raise model_error(
                    text,
                    (term.line, term.column),
                    f"{term.lhs} {term.op} {term.rhs} is given twice, first in line {first.line}.",
                    do="give all modifiers of a parameter in one formula, as in NA*T1 + a*T1",
                )
            seen[key] = term
