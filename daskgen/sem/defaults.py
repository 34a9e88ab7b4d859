"""What a model leaves unsaid: lavaan's defaults of sem(), as rows that are added to those that were written.

A factor's first loading is 1, or with std_lv its variance; residual variances of observed and latent variables are
free; exogenous factors covary, so do outcomes that explain nothing, and so do observed variables that only explain.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass, replace
from typing import Any

from daskgen.sem.syntax import Model, Term
from daskgen.sem.tokens import model_error

__all__ = ["Roles", "Row", "complete_rows", "roles_of"]


@dataclass(frozen=True)
class Row:
    """One parameter: lhs op rhs, free or fixed at `value`.

    label: equal ones are one parameter; "" for none. start: the user's, or None. written: False for a row that a
    default added. exogenous: fixed at the sample moment of observed variables (`value` is NaN until it is known).
    """

    lhs: str
    op: str
    rhs: str
    free: bool = True
    value: float = float("nan")
    label: str = ""
    start: float | None = None
    lower: float = -float("inf")
    upper: float = float("inf")
    written: bool = True
    exogenous: bool = False

    @property
    def name(self) -> str:
        """R's lhs op rhs without blanks, as F1=~T1."""
        return f"{self.lhs}{self.op}{self.rhs}"


@dataclass(frozen=True)
class Roles:
    """What the variables of a model are, each list in order of appearance.

    observed, latent: all of them; observed come as indicators, outcomes, predictors, others. exogenous: observed
    variables that only explain and have no (co)variance in the model text.
    """

    observed: tuple[str, ...]
    latent: tuple[str, ...]
    indicators: frozenset[str]
    exogenous: tuple[str, ...]
    exogenous_latent: tuple[str, ...]
    outcomes: tuple[str, ...]


def roles_of(model: Model) -> Roles:
    """Which variables are latent, indicators, outcomes that explain nothing, or exogenous."""
    by_op: dict[str, list[Term]] = {"=~": [], "~": [], "~~": []}
    for formula in model.formulas:
        for term in formula.terms:
            by_op[term.op].append(term)
    latent = _unique(term.lhs for term in by_op["=~"])
    indicators = _unique(term.rhs for term in by_op["=~"])
    explained, explaining = _unique(t.lhs for t in by_op["~"]), _unique(t.rhs for t in by_op["~"])
    in_covariances = _unique([t.lhs for t in by_op["~~"]] + [t.rhs for t in by_op["~~"]])
    observed = [name for name in _unique(indicators + explained + explaining + in_covariances) if name not in latent]
    only_explaining = [n for n in explaining if n in observed and n not in indicators and n not in explained]
    outcomes = [n for n in explained if n not in explaining and n not in indicators]
    return Roles(
        observed=tuple(observed),
        latent=tuple(latent),
        indicators=frozenset(indicators),
        exogenous=tuple(n for n in only_explaining if n not in in_covariances),
        exogenous_latent=tuple(n for n in latent if n not in indicators and n not in explained),
        outcomes=tuple(sorted(outcomes, key=lambda n: (n not in latent, (latent + observed).index(n)))),
    )


def _unique(names: object) -> list[str]:
    return list(dict.fromkeys(names))  # type: ignore[call-overload]


def complete_rows(model: Model, roles: Roles, *, std_lv: bool, fixed_x: bool) -> list[Row]:
    """The rows of a model: those written, then variances, covariances of factors, of outcomes, of predictors.

    std_lv: factors have variance 1 and free first loadings. fixed_x: moments of exogenous observed variables are not
    parameters but the sample's (lavaan's default with ML; with DWLS they are free).
    """
    order = {name: i for i, name in enumerate(roles.latent + roles.observed)}
    rows: list[Row] = []
    first_of: set[str] = set()
    for formula in model.formulas:
        for term in formula.terms:
            first = term.op == "=~" and term.lhs not in first_of
            if term.op == "=~":
                first_of.add(term.lhs)
            rows.append(_written(term, model, order, marker=first and not std_lv, std_lv=std_lv, roles=roles))
    have = {(row.op, *sorted((row.lhs, row.rhs))) for row in rows}

    def add(lhs: str, rhs: str, **more: Any) -> None:
        if ("~~", *sorted((lhs, rhs))) not in have:
            have.add(("~~", *sorted((lhs, rhs))))
            rows.append(replace(Row(lhs, "~~", rhs, written=False), **more))

    loadings = [term for formula in model.formulas for term in formula.terms if term.op == "=~"]
    exact = _exact_indicators(loadings)
    for name in roles.observed:
        if name not in roles.exogenous:
            add(name, name, **({"free": False, "value": 0.0} if name in exact else {}))
    for name in roles.latent:
        add(name, name, **({"free": False, "value": 1.0} if std_lv else {}))
    for one, other in itertools.combinations(roles.exogenous_latent, 2):
        add(one, other)
    for one, other in itertools.combinations(roles.outcomes, 2):
        add(one, other)
    for i, one in enumerate(roles.exogenous):
        for other in roles.exogenous[i:]:
            add(one, other, **({"free": False, "exogenous": True} if fixed_x else {}))
    return rows


def _exact_indicators(loadings: list[Term]) -> set[str]:
    """Indicators without residual: the only one of their factor, and of no other factor."""
    exact = set()
    for term in loadings:
        alone = sum(t.lhs == term.lhs for t in loadings) == 1
        elsewhere = sum(t.rhs == term.rhs for t in loadings) > 1
        if alone and not elsewhere:
            exact.add(term.rhs)
    return exact


def _written(term: Term, model: Model, order: dict[str, int], *, marker: bool, std_lv: bool, roles: Roles) -> Row:
    """The row of a term: what its modifiers say, else the default of its kind."""
    lhs, rhs = term.lhs, term.rhs
    if lhs == rhs and term.op != "~~":
        raise model_error(model.text, (term.line, term.column), f"{lhs} cannot explain itself.")
    if term.op == "~~" and order[lhs] > order[rhs]:
        lhs, rhs = rhs, lhs
    fixed = term.fixed
    if fixed is None and not term.free:
        if marker or (std_lv and term.op == "~~" and lhs == rhs and lhs in roles.latent):
            fixed = 1.0
    if marker and fixed is not None and term.fixed is None and (term.start is not None):
        raise model_error(
            model.text,
            (term.line, term.column),
            f"{term.lhs}=~{term.rhs} has a starting value, but as the first loading of its factor it is fixed to 1.",
            do=f"free it, NA*{term.rhs} + start({term.start:g})*{term.rhs}, and fix the variance: {lhs} ~~ 1*{lhs}",
        )
    row = Row(lhs, term.op, rhs, label=term.label)
    if fixed is not None:
        return replace(row, free=False, value=fixed)
    bounds = {name: value for name in ("lower", "upper") if (value := getattr(term, name)) is not None}
    return replace(row, start=term.start, **bounds)
