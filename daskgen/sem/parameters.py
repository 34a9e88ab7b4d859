"""The parameter table: from the text of a model to its free and fixed parameters, and from there to numbers.

    model = parse_model("F1 =~ NA*T1 + T2 + T3\\nF1 ~~ 1*F1\\nF1 ~ SNP")   # syntax.py: statements
    table = parameter_table(model, ["T1", "T2", "T3", "SNP"])               # with lavaan's defaults, names checked
    structure = table.structure()                                           # structure.py: cells of A and P
    constraints = table.constraints()                                       # constraints.py: beyond simple bounds

A row is one lhs op rhs. A parameter is what is estimated: free rows of one label are one parameter, named after the
first of them. For a model fitted at every SNP with the measurement part held:

    without = parameter_table(model.without(["SNP"]), traits)               # the measurement model
    held = table.held({"F1=~T1": 0.4, ...})                                 # the whole model, these rows fixed
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from daskgen.errors import InputError
from daskgen.sem.constraints import Constraints, Defined, gather_constraints, gather_definitions, simple_bounds
from daskgen.sem.defaults import Row, complete_rows, roles_of
from daskgen.sem.structure import DIRECTED, SYMMETRIC, Structure
from daskgen.sem.syntax import Constraint, Definition, Model
from daskgen.sem.tokens import model_error

__all__ = ["ParameterTable", "Row", "parameter_table"]


@dataclass(frozen=True)
class ParameterTable:
    """Rows in lavaan's order, the variables in order of appearance, and what was said about labels."""

    rows: tuple[Row, ...]
    observed: tuple[str, ...]
    latent: tuple[str, ...]
    relations: tuple[Constraint, ...] = ()
    definitions: tuple[Definition, ...] = ()
    text: str = field(default="", repr=False)

    @property
    def parameter_of_row(self) -> np.ndarray:
        """int64 (rows,): which parameter a row holds, -1 for a fixed one."""
        number: dict[str, int] = {}
        fixed = {row.label for row in self.rows if row.label and not row.free}
        out = [
            number.setdefault(row.label or f"~{row.name}", len(number)) if row.free and row.label not in fixed else -1
            for row in self.rows
        ]
        return np.array(out, np.int64)

    @property
    def parameters(self) -> tuple[str, ...]:
        """Names of the free parameters (lhs op rhs of the first row of each), in order."""
        return tuple(self.rows[i].name for i in self._first_rows())

    @property
    def row_names(self) -> tuple[str, ...]:
        """lhs op rhs of every row."""
        return tuple(row.name for row in self.rows)

    def _first_rows(self) -> list[int]:
        held = self.parameter_of_row
        return [int(np.flatnonzero(held == p)[0]) for p in range(int(held.max(initial=-1)) + 1)]

    def labels(self) -> dict[str, int | float]:
        """What a label stands for: the number of a parameter, or the value of fixed rows."""
        out: dict[str, int | float] = {}
        values = self._fixed_labels()
        for row, parameter in zip(self.rows, self.parameter_of_row.tolist(), strict=True):
            if row.label:
                out[row.label] = parameter if parameter >= 0 else values[row.label]
        return out

    def _fixed_labels(self) -> dict[str, float]:
        return {row.label: row.value for row in self.rows if row.label and not row.free}

    def values(self, theta: np.ndarray) -> np.ndarray:
        """The value of every row at the parameters: theta (parameters,) or (parameters, n) -> (rows,) or (rows, n)."""
        theta = np.asarray(theta, np.float64)
        held, labelled = self.parameter_of_row, self._fixed_labels()
        fixed = np.array([labelled.get(row.label, row.value) for row in self.rows]).reshape(-1, *[1] * (theta.ndim - 1))
        if not len(theta):
            return np.broadcast_to(fixed, (len(held), *theta.shape[1:])).copy()
        free = (held >= 0).reshape(fixed.shape)
        return np.where(free, theta[held], fixed)

    def held(self, values: Mapping[str, float]) -> ParameterTable:
        """The table with rows fixed: lhs op rhs -> value. Unknown names are a KeyError, fixed rows keep their value."""
        unknown = set(values) - set(self.row_names)
        if unknown:
            raise KeyError(", ".join(sorted(unknown)))
        rows = tuple(
            replace(row, free=False, value=float(values[row.name])) if row.free and row.name in values else row
            for row in self.rows
        )
        return replace(self, rows=rows)

    def bounded(self, names: Iterable[str], lower: float) -> ParameterTable:
        """The table with a lower bound on these rows (a larger one that is there stays)."""
        wanted = set(names)
        rows = tuple(
            replace(row, lower=max(row.lower, lower)) if row.free and row.name in wanted else row for row in self.rows
        )
        return replace(self, rows=rows)

    def with_sample(self, sample: np.ndarray, observed: Sequence[str]) -> ParameterTable:
        """The table with the moments of exogenous variables filled in from a covariance matrix."""
        place = {name: i for i, name in enumerate(observed)}
        rows = tuple(
            replace(row, value=float(sample[place[row.lhs], place[row.rhs]])) if row.exogenous else row
            for row in self.rows
        )
        return replace(self, rows=rows)

    def structure(
        self, observed: Sequence[str] | None = None, *, sample: np.ndarray | None = None, by_row: bool = False
    ) -> Structure:
        """Cells of A and P for the observed variables in the order given (default: of appearance).

        sample: covariance of those variables, for starting values and the moments of exogenous variables; None stands
        for the identity. by_row: every free row is a parameter of its own, labels or not, as GenomicSEM's Jacobian of
        the standard errors.
        """
        names = tuple(self.observed if observed is None else observed)
        if sorted(names) != sorted(self.observed):
            raise InputError(
                "the variables are not those of the model.",
                found=", ".join(names),
                expected=", ".join(self.observed),
            )
        moments = np.eye(len(names)) if sample is None else np.asarray(sample, np.float64)
        table = self.with_sample(moments, names)
        number = {name: i for i, name in enumerate(names + self.latent)}
        held = table.parameter_of_row
        if by_row:
            free = np.array([row.free for row in self.rows], bool)
            held = np.where(free, np.cumsum(free) - 1, -1)
        rows, columns, matrix = [], [], []
        for row in table.rows:
            ends = (number[row.rhs], number[row.lhs]) if row.op == "=~" else (number[row.lhs], number[row.rhs])
            rows.append(ends[0])
            columns.append(ends[1])
            matrix.append(SYMMETRIC if row.op == "~~" else DIRECTED)
        count = int(held.max(initial=-1)) + 1
        start = start_values(table, dict(zip(names, np.diag(moments).tolist(), strict=True)))
        lower, upper = np.full(count, -np.inf), np.full(count, np.inf)
        first = np.zeros(count)
        bounds = simple_bounds(self.relations, self.definitions, self.labels())
        shared = table.parameter_of_row
        for i in reversed(range(len(table.rows))):
            p = held[i]
            if p >= 0:
                first[p] = start[i]
        for i, row in enumerate(table.rows):
            p = held[i]
            if p < 0:
                continue
            if row.start is not None:
                first[p] = row.start
            low, high = bounds.get(int(shared[i]), (-np.inf, np.inf))
            lower[p], upper[p] = max(lower[p], row.lower, low), min(upper[p], row.upper, high)
        if (lower > upper).any():
            bad = [self.parameters[p] for p in np.flatnonzero(lower > upper)]
            raise InputError("no value is within the bounds of a parameter.", found=", ".join(bad))
        labelled = table._fixed_labels()
        return Structure(
            observed=names,
            latent=self.latent,
            matrix=np.array(matrix, np.int8),
            row=np.array(rows, np.int32),
            column=np.array(columns, np.int32),
            parameter=held.astype(np.int32),
            value=np.array([labelled.get(row.label, row.value) for row in table.rows]),
            start=np.clip(first, lower, upper),
            lower=lower,
            upper=upper,
        )

    def constraints(self) -> Constraints:
        """Equality and inequality constraints between parameters, without what `structure` has as simple bounds."""
        return gather_constraints(self.relations, self.definitions, self.labels(), len(self.parameters))

    def defined(self) -> Defined:
        """The := parameters: values and derivatives."""
        return gather_definitions(self.definitions, self.labels(), len(self.parameters))


def start_values(table: ParameterTable, variance: Mapping[str, float]) -> np.ndarray:
    """A start for every row: half of a variable's variance from its factors, half residual, loadings positive."""
    size = dict(variance)
    fixed_variance = {r.lhs: r.value for r in table.rows if r.op == "~~" and r.lhs == r.rhs and not r.free}
    for name in reversed(table.latent):
        marker = next((r for r in table.rows if r.op == "=~" and r.lhs == name and not r.free and r.value), None)
        default = 0.5 * size.get(marker.rhs, 1.0) / marker.value**2 if marker else 1.0
        size[name] = fixed_variance.get(name, default) or default
    out = np.zeros(len(table.rows))
    for i, row in enumerate(table.rows):
        if not row.free:
            out[i] = row.value
        elif row.op == "=~":
            out[i] = np.sqrt(0.5 * abs(size[row.rhs] / size[row.lhs]))
        elif row.op == "~~" and row.lhs == row.rhs:
            alone = row.lhs in table.latent or not any(r.op == "=~" and r.rhs == row.lhs for r in table.rows)
            out[i] = size[row.lhs] if alone else 0.5 * size[row.lhs]
    return out


def parameter_table(
    model: Model, available: Sequence[str], *, std_lv: bool = False, fixed_x: bool = False
) -> ParameterTable:
    """The parameter table of a model for data that have the variables `available`.

    std_lv, fixed_x: as in `complete_rows`. Raises InputError, with the place in the model, for a variable that is
    neither available nor a factor, a factor of the name of an available variable, and labels that no parameter has.
    """
    roles = roles_of(model)
    _check_names(model, roles.latent, available)
    rows = complete_rows(model, roles, std_lv=std_lv, fixed_x=fixed_x)
    table = ParameterTable(tuple(rows), roles.observed, roles.latent, model.constraints, model.definitions, model.text)
    table.constraints()
    table.defined()
    return table


def _check_names(model: Model, latent: Sequence[str], available: Sequence[str]) -> None:
    terms = [term for formula in model.formulas for term in formula.terms]
    known = list(available) + list(latent)
    for term in terms:
        for name in (term.lhs, term.rhs):
            if name in latent and name in available:
                raise model_error(
                    model.text,
                    (term.line, term.column),
                    f"{name} is a factor of the model and also the name of a trait.",
                    do="give the factor another name",
                )
            if name in known:
                continue
            near = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
            spelled = [other for other in available if set(other) & set("-+*/^ ") and other.startswith(name)]
            hint = f"did you mean {near[0]}?" if near else None
            if spelled:
                hint = f"rename {spelled[0]}: a model uses names of letters, digits, _ and . only"
            place = (term.line, term.column) if name == term.rhs else _first_place(model, name, term.line)
            raise model_error(
                model.text,
                place,
                f"{name} is neither a trait nor a factor.",
                expected=f"traits: {', '.join(available)}" + (f"\nfactors: {', '.join(latent)}" if latent else ""),
                do=hint,
            )


def _first_place(model: Model, name: str, line: int) -> tuple[int, int]:
    """Where a name on the left of an operator stands: the first time in its line."""
    found = re.search(rf"(?<![\w.]){re.escape(name)}(?![\w.])", model.text.split("\n")[line - 1])
    return line, (found.start() if found else 0) + 1
