"""Arithmetic between parameters: values and first derivatives, of one model or of many SNPs at once.

A label stands for a number or for an array (n,) of one number per SNP; an expression then has that shape too.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from daskgen.sem.tokens import Token, model_error

__all__ = ["Expression", "Function", "Number", "Operation", "Symbol", "parse_expression"]

Values = Mapping[str, Any]
Partials = dict[str, Any]


@dataclass(frozen=True)
class Number:
    """A constant."""

    value: float

    def derive(self, values: Values) -> tuple[Any, Partials]:
        """The value and no derivative."""
        return self.value, {}


@dataclass(frozen=True)
class Symbol:
    """A label."""

    name: str

    def derive(self, values: Values) -> tuple[Any, Partials]:
        """The value that belongs to the label, derivative one."""
        value = values[self.name]
        return value, {self.name: np.ones_like(np.asarray(value, np.float64))}


@dataclass(frozen=True)
class Operation:
    """left operator right, the operator one of + - * / ^."""

    operator: str
    left: Expression
    right: Expression

    def derive(self, values: Values) -> tuple[Any, Partials]:
        """Value and partial derivatives by label."""
        (a, da), (b, db) = self.left.derive(values), self.right.derive(values)
        if self.operator == "+":
            return a + b, _combined(da, 1.0, db, 1.0)
        if self.operator == "-":
            return a - b, _combined(da, 1.0, db, -1.0)
        if self.operator == "*":
            return a * b, _combined(da, b, db, a)
        if self.operator == "/":
            return a / b, _combined(da, 1.0 / b, db, -a / (b * b))
        value = np.power(np.asarray(a, np.float64), b)
        by_base = b * np.power(np.asarray(a, np.float64), np.subtract(b, 1.0)) if da else 0.0
        return value, _combined(da, by_base, db, value * np.log(a) if db else 0.0)


@dataclass(frozen=True)
class Function:
    """sqrt, exp, log or abs of an expression."""

    name: str
    argument: Expression

    def derive(self, values: Values) -> tuple[Any, Partials]:
        """Value and partial derivatives by label."""
        x, dx = self.argument.derive(values)
        value = _FUNCTIONS[self.name][0](x)
        return value, _combined(dx, _FUNCTIONS[self.name][1](x), {}, 0.0)


Expression = Number | Symbol | Operation | Function

_FUNCTIONS: dict[str, tuple[Any, Any]] = {
    "sqrt": (np.sqrt, lambda x: 0.5 / np.sqrt(x)),
    "exp": (np.exp, np.exp),
    "log": (np.log, lambda x: 1.0 / x),
    "abs": (np.abs, np.sign),
}


def _combined(da: Partials, by_a: Any, db: Partials, by_b: Any) -> Partials:
    out = {name: by_a * value for name, value in da.items()}
    for name, value in db.items():
        out[name] = out[name] + by_b * value if name in out else by_b * value
    return out


def symbols(expression: Expression) -> list[str]:
    """The labels in it, in order of appearance."""
    if isinstance(expression, Symbol):
        return [expression.name]
    if isinstance(expression, Operation):
        return list(dict.fromkeys(symbols(expression.left) + symbols(expression.right)))
    return symbols(expression.argument) if isinstance(expression, Function) else []


def substituted(expression: Expression, by: Mapping[str, Expression]) -> Expression:
    """The expression with labels replaced."""
    if isinstance(expression, Symbol):
        return by.get(expression.name, expression)
    if isinstance(expression, Operation):
        return Operation(expression.operator, substituted(expression.left, by), substituted(expression.right, by))
    if isinstance(expression, Function):
        return Function(expression.name, substituted(expression.argument, by))
    return expression


def linear(expression: Expression) -> tuple[float, dict[str, float]] | None:
    """(constant, coefficient by label) if the expression is linear in its labels, else None."""
    if isinstance(expression, Number):
        return expression.value, {}
    if isinstance(expression, Symbol):
        return 0.0, {expression.name: 1.0}
    if isinstance(expression, Function):
        inner = linear(expression.argument)
        return None if inner is None or inner[1] else (float(_FUNCTIONS[expression.name][0](inner[0])), {})
    left, right = linear(expression.left), linear(expression.right)
    if left is None or right is None:
        return None
    (a, da), (b, db) = left, right
    if expression.operator in "+-":
        sign = 1.0 if expression.operator == "+" else -1.0
        return a + sign * b, _combined(da, 1.0, db, sign)
    if expression.operator == "*" and not (da and db):
        return a * b, _combined(da, b, db, a)
    if expression.operator == "/" and not db:
        return a / b, _combined(da, 1.0 / b, {}, 0.0)
    if expression.operator == "^" and not da and not db:
        return a**b, {}
    return (a, da) if expression.operator == "^" and not db and b == 1.0 else None


def parse_expression(tokens: list[Token], text: str) -> Expression:
    """The expression that the words `tokens` of the model `text` spell, with the usual precedence (^ to the right).

    Raises InputError with the place for anything else.
    """
    parser = _Parser(tokens, text)
    expression = parser.sum()
    if parser.at < len(tokens):
        raise parser.error("an operator")
    return expression


class _Parser:
    def __init__(self, tokens: list[Token], text: str):
        self.tokens, self.text, self.at = tokens, text, 0

    def next(self) -> str:
        return self.tokens[self.at].text if self.at < len(self.tokens) else ""

    def error(self, expected: str) -> Exception:
        if self.at < len(self.tokens):
            token = self.tokens[self.at]
            return model_error(self.text, token, f"{token.text} is not expected here.", expected=expected)
        last = self.tokens[-1]
        place = (last.line, last.column + len(last.text))
        return model_error(self.text, place, "the expression is not complete.", expected=expected)

    def sum(self) -> Expression:
        value = self.product()
        while self.next() in ("+", "-"):
            operator = self.next()
            self.at += 1
            value = Operation(operator, value, self.product())
        return value

    def product(self) -> Expression:
        value = self.signed()
        while self.next() in ("*", "/"):
            operator = self.next()
            self.at += 1
            value = Operation(operator, value, self.signed())
        return value

    def signed(self) -> Expression:
        if self.next() in ("+", "-"):
            negative = self.next() == "-"
            self.at += 1
            value = self.signed()
            return Operation("-", Number(0.0), value) if negative else value
        return self.power()

    def power(self) -> Expression:
        base = self.atom()
        if self.next() != "^":
            return base
        self.at += 1
        return Operation("^", base, self.signed())

    def atom(self) -> Expression:
        if self.at >= len(self.tokens):
            raise self.error("a number, a label or (")
        token = self.tokens[self.at]
        if token.text == "(":
            return self.bracket()
        if token.kind not in ("name", "number"):
            raise self.error("a number, a label or (")
        self.at += 1
        if token.kind == "number":
            return Number(float(token.text))
        if self.next() != "(":
            return Symbol(token.text)
        if token.text not in _FUNCTIONS:
            raise model_error(
                self.text, token, f"there is no function {token.text}().", expected=f"{', '.join(_FUNCTIONS)}"
            )
        return Function(token.text, self.bracket())

    def bracket(self) -> Expression:
        self.at += 1
        value = self.sum()
        if self.next() != ")":
            raise self.error(")")
        self.at += 1
        return value
