"""Constraints between parameters and parameters defined by others, as numbers: values and Jacobians.

Everything takes theta of one fit (parameters,) or of n SNPs at once (parameters, n).
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from daskgen.errors import InputError
from daskgen.sem.expressions import Expression, Number, Operation, linear, substituted, symbols
from daskgen.sem.syntax import Constraint, Definition

__all__ = ["Constraints", "Defined", "gather_constraints", "gather_definitions", "simple_bounds"]

Labels = Mapping[str, "int | float"]


@dataclass(frozen=True)
class Defined:
    """Functions of the parameters. names: of the defined parameters; texts: their expressions."""

    names: tuple[str, ...]
    texts: tuple[str, ...]
    expressions: tuple[Expression, ...]
    labels: Mapping[str, int]
    n_parameters: int

    def __len__(self) -> int:
        return len(self.expressions)

    def value(self, theta: np.ndarray) -> np.ndarray:
        """(functions,) or (functions, n)."""
        return self._both(theta)[0]

    def jacobian(self, theta: np.ndarray) -> np.ndarray:
        """(functions, parameters) or (functions, parameters, n)."""
        return self._both(theta)[1]

    def _both(self, theta: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        theta = np.asarray(theta, np.float64)
        at = {label: theta[p] for label, p in self.labels.items()}
        value = np.empty((len(self), *theta.shape[1:]))
        jacobian = np.zeros((len(self), self.n_parameters, *theta.shape[1:]))
        for i, expression in enumerate(self.expressions):
            value[i], partials = expression.derive(at)
            for label, partial in partials.items():
                jacobian[i, self.labels[label]] += partial
        return value, jacobian


@dataclass(frozen=True)
class Constraints:
    """equality(theta) == 0 and inequality(theta) >= 0.

    matrix, right: the equalities that are linear, matrix @ theta == right, (linear equalities, parameters) and
    (linear equalities,); `equality` has them first, then the others.
    """

    equality: Defined
    inequality: Defined
    matrix: np.ndarray
    right: np.ndarray

    @property
    def all_linear(self) -> bool:
        """Whether every constraint is a linear equality."""
        return not len(self.inequality) and len(self.matrix) == len(self.equality)

    def __bool__(self) -> bool:
        return bool(len(self.equality) or len(self.inequality))


def gather_definitions(definitions: Sequence[Definition], labels: Labels, n_parameters: int) -> Defined:
    """The := parameters. Raises InputError for labels that nothing has."""
    expressions = _expanded(definitions, labels)
    return Defined(
        tuple(d.name for d in definitions),
        tuple(d.text for d in definitions),
        tuple(expressions[d.name] for d in definitions),
        {name: p for name, p in labels.items() if isinstance(p, int)},
        n_parameters,
    )


def gather_constraints(
    relations: Sequence[Constraint], definitions: Sequence[Definition], labels: Labels, n_parameters: int
) -> Constraints:
    """The constraints, without those that are bounds of one parameter; InputError for labels that nothing has."""
    equal: list[tuple[str, Expression]] = []
    straight: list[tuple[str, Expression]] = []
    positive: list[tuple[str, Expression]] = []
    for relation, difference in _differences(relations, definitions, labels):
        if relation.op == "==":
            (straight if linear(difference) else equal).append((relation.text, difference))
        elif _as_bound(relation, difference) is None:
            positive.append((relation.text, difference))
    matrix, right = np.zeros((len(straight), n_parameters)), np.zeros(len(straight))
    numbers = {name: p for name, p in labels.items() if isinstance(p, int)}
    for i, (_, difference) in enumerate(straight):
        constant, coefficients = linear(difference) or (0.0, {})
        right[i] = -constant
        for name, coefficient in coefficients.items():
            matrix[i, numbers[name]] += coefficient

    def functions(pairs: list[tuple[str, Expression]]) -> Defined:
        texts = tuple(text for text, _ in pairs)
        return Defined(texts, texts, tuple(expression for _, expression in pairs), numbers, n_parameters)

    return Constraints(functions(straight + equal), functions(positive), matrix, right)


def simple_bounds(
    relations: Sequence[Constraint], definitions: Sequence[Definition], labels: Labels
) -> dict[int, tuple[float, float]]:
    """(lower, upper) by number of parameter, from inequalities that are linear in one label."""
    bounds: dict[int, tuple[float, float]] = {}
    for relation, difference in _differences(relations, definitions, labels):
        bound = None if relation.op == "==" else _as_bound(relation, difference)
        if bound is None:
            continue
        name, low, high = bound
        parameter = labels[name]
        assert isinstance(parameter, int)
        lower, upper = bounds.get(parameter, (-np.inf, np.inf))
        bounds[parameter] = (max(lower, low), min(upper, high))
    return bounds


def _as_bound(relation: Constraint, difference: Expression) -> tuple[str, float, float] | None:
    """(label, lower, upper) of an inequality difference >= 0 in one label; None for any other."""
    straight = linear(difference)
    if straight is None or len(straight[1]) != 1:
        return None
    ((name, coefficient),) = straight[1].items()
    if coefficient == 0.0:
        return None
    limit = -straight[0] / coefficient
    return (name, limit, np.inf) if coefficient > 0 else (name, -np.inf, limit)


def _differences(
    relations: Sequence[Constraint], definitions: Sequence[Definition], labels: Labels
) -> list[tuple[Constraint, Expression]]:
    """Each relation with the expression that is zero (==) or not negative (< and >)."""
    known = {**_constants(labels), **_expanded(definitions, labels)}
    out: list[tuple[Constraint, Expression]] = []
    for relation in relations:
        for side in (relation.left, relation.right):
            _check_known(symbols(side), labels, known, relation.text, relation.line)
        left, right = substituted(relation.left, known), substituted(relation.right, known)
        if not symbols(left) and not symbols(right):
            continue  # between fixed parameters: nothing is left to constrain
        larger, smaller = (right, left) if relation.op == "<" else (left, right)
        out.append((relation, Operation("-", larger, smaller)))
    return out


def _expanded(definitions: Sequence[Definition], labels: Labels) -> dict[str, Expression]:
    """The definitions with earlier ones put in, and fixed parameters as numbers."""
    constants = _constants(labels)
    known: dict[str, Expression] = {}
    for definition in definitions:
        if definition.name in labels or definition.name in known:
            what = "a label of the model" if definition.name in labels else "defined before"
            raise InputError(
                f"model, line {definition.line}: {definition.name} is {what}.",
                found=f"{definition.name} := {definition.text}",
                do="choose another name",
            )
        _check_known(symbols(definition.expression), labels, known, f"{definition.name} := {definition.text}",
                     definition.line)  # fmt: skip
        known[definition.name] = substituted(definition.expression, {**constants, **known})
    return known


def _constants(labels: Labels) -> dict[str, Expression]:
    return {name: Number(value) for name, value in labels.items() if isinstance(value, float)}


def _check_known(names: list[str], labels: Labels, known: Mapping[str, object], text: str, line: int) -> None:
    there = list(dict.fromkeys([*labels, *known]))
    for name in names:
        if name not in there:
            near = difflib.get_close_matches(name, there, n=1)
            raise InputError(
                f"model, line {line}: no parameter has the label {name}.",
                found=text,
                expected=f"one of the labels {', '.join(there)}" if there else "labels, as in F1 =~ a*T1",
                do=f"did you mean {near[0]}?" if near else None,
            )
