"""A structural model at a SNP: its variables among (SNP, traits), its data, and which parameters have to be searched.

Rows are the elements of the lower triangle over (SNP, traits). Under DWLS a (residual) variance or covariance of traits
that explain nothing else meets its own row alone. Whatever the other parameters are, it makes the residual of that row
zero; so these parameters and their rows are left out of the fit and follow from it ("saturated").
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from daskgen.kernels.tape import TapeBuilder, Value
from daskgen.sem.algebra import ModelAlgebra
from daskgen.sem.snp_covariance import SnpCovariance
from daskgen.sem.structure import DIRECTED, Structure

__all__ = ["PerSnpStructure", "SnpData"]


@dataclass(frozen=True, eq=False)
class PerSnpStructure:
    """A structure, its variables by place among (SNP, traits), and which of its parameters are iterated.

    numbers: of the variables (SNP, traits) in the structure. rows: (row, column) of the lower triangle, by place.
    given: parameters whose values are data of each SNP. saturated: parameter -> the row that it meets alone.
    iterated: the other parameters. independent: places among these of the ones that are searched, the coordinates: all,
    unless equality constraints tie some to others; then iterated = combine @ coordinates + shift.
    sampled: the variance of the SNP is fixed at that of the data, as lavaan does under ML (fixed.x).
    """

    structure: Structure
    numbers: tuple[int, ...]
    rows: tuple[tuple[int, int], ...]
    given: tuple[int, ...]
    saturated: dict[int, int]
    iterated: tuple[int, ...]
    independent: tuple[int, ...]
    combine: np.ndarray | None
    shift: np.ndarray | None
    sampled: bool

    @classmethod
    def of(
        cls,
        structure: Structure,
        covariance: SnpCovariance,
        snp: str,
        *,
        given: Sequence[int] = (),
        tied: Sequence[int] = (),
        saturate: bool = True,
        sampled: bool = False,
    ) -> PerSnpStructure:
        """`saturate`: look for saturated parameters, but not among `tied`; not for ML, whose rows act on each other."""
        numbers = tuple(structure.observed.index(name) for name in (snp, *covariance.traits))
        rows = tuple(covariance.rows())
        place = {number: i for i, number in enumerate(numbers)}
        saturated = {}
        for parameter in set(range(structure.n_parameters)) - {*given, *tied} if saturate else ():
            row = _own_row(structure, parameter, place)
            if row is not None and min(row) > 0:
                saturated[parameter] = rows.index(row)
        iterated = tuple(p for p in range(structure.n_parameters) if p not in saturated and p not in given)
        every = tuple(range(len(iterated)))
        return cls(structure, numbers, rows, tuple(given), saturated, iterated, every, None, None, sampled)

    def under(self, matrix: np.ndarray, right: np.ndarray) -> PerSnpStructure:
        """With matrix @ theta == right, (equations, parameters): as many coordinates less as there are equations.

        Coordinates are parameters that the others follow from, found by elimination. No saturated parameter may be
        tied.
        """
        system = np.concatenate([matrix[:, list(self.iterated)], right[:, None]], axis=1)
        dependent: list[int] = []
        for i in range(len(system)):
            rest = np.abs(system[i:, :-1])
            row, column = divmod(int(rest.argmax()), rest.shape[1])
            if rest[row, column] <= 1e-12 * max(1.0, np.abs(matrix).max()):
                break
            system[[i, i + row]] = system[[i + row, i]]
            system[i] /= system[i, column]
            others = np.arange(len(system)) != i
            system[others] -= np.outer(system[others, column], system[i])
            dependent.append(column)
        free = [p for p in range(len(self.iterated)) if p not in dependent]
        combine, shift = np.zeros((len(self.iterated), len(free))), np.zeros(len(self.iterated))
        combine[free, range(len(free))] = 1.0
        for i, p in enumerate(dependent):
            combine[p], shift[p] = -system[i, free], system[i, -1]
        return replace(self, independent=tuple(free), combine=combine, shift=shift)

    def coordinates(self, values: np.ndarray) -> np.ndarray:
        """The coordinates (coordinates, ...) of values by parameter."""
        return np.asarray(values[[self.iterated[place] for place in self.independent]])

    @property
    def n_coordinates(self) -> int:
        return len(self.independent)

    def fitted_rows(self) -> list[int]:
        """Rows that are not saturated."""
        own = set(self.saturated.values())
        return [i for i in range(len(self.rows)) if i not in own]

    def like(self, other: PerSnpStructure, parameter: int) -> int:
        """The parameter of `other`, a structure of the same cells, that stands where `parameter` stands here."""
        return int(other.structure.parameter[np.flatnonzero(self.structure.parameter == parameter)[0]])

    def at(
        self, tape: TapeBuilder, snp_variance: Value, coordinates: Sequence[Value], given: Sequence[Value]
    ) -> tuple[list[Value], ModelAlgebra]:
        """Values of all parameters, 0.0 for the saturated ones, and the algebra of the structure there."""
        values: list[Value] = [0.0] * self.structure.n_parameters
        for place, parameter in enumerate(self.iterated):
            if self.combine is None or self.shift is None:
                values[parameter] = coordinates[place]
            else:
                terms = [(float(f), c) for f, c in zip(self.combine[place], coordinates, strict=True)]
                values[parameter] = tape.combination([*terms, (float(self.shift[place]), 1.0)])
        for parameter, value in zip(self.given, given, strict=True):
            values[parameter] = value
        return values, self.algebra(tape, values, snp_variance)

    def solution(
        self, tape: TapeBuilder, s: Sequence[Value], coordinates: Sequence[Value], given: Sequence[Value]
    ) -> tuple[list[Value], ModelAlgebra]:
        """As `at`, with the values of the saturated parameters, which follow from the others."""
        values, algebra = self.at(tape, s[0], coordinates, given)
        for parameter, row in self.saturated.items():
            values[parameter] = tape.combination([(1.0, s[row]), (-1.0, self.implied(algebra, row))])
        return values, algebra

    def residuals(self, tape: TapeBuilder, algebra: ModelAlgebra, s: Sequence[Value]) -> list[Value]:
        """s - sigma of every row, 0.0 for the saturated ones."""
        residuals: list[Value] = [0.0] * len(self.rows)
        for i in self.fitted_rows():
            residuals[i] = tape.combination([(1.0, s[i]), (-1.0, self.implied(algebra, i))])
        return residuals

    def algebra(self, tape: TapeBuilder, values: Sequence[Value], snp_variance: Value) -> ModelAlgebra:
        """The algebra of the structure at values of its parameters."""
        structure = self.structure
        cells = [
            values[p] if p >= 0 else float(v)
            for p, v in zip(structure.parameter.tolist(), structure.value.tolist(), strict=True)
        ]
        if self.sampled:
            for cell in range(len(cells)):
                ends = {int(structure.row[cell]), int(structure.column[cell])}
                if structure.parameter[cell] < 0 and structure.matrix[cell] != DIRECTED and ends == {self.numbers[0]}:
                    cells[cell] = snp_variance
        return ModelAlgebra(tape, structure, cells)

    def implied(self, algebra: ModelAlgebra, row: int) -> Value:
        """Sigma at a row."""
        r, s = self.rows[row]
        return algebra.covariance(self.numbers[r], self.numbers[s])

    def slope(self, algebra: ModelAlgebra, parameter: int, row: int) -> Value:
        """d Sigma at a row / d parameter."""
        r, s = self.rows[row]
        cells = (self.structure.parameter == parameter).nonzero()[0].tolist()
        return algebra.slope(cells, self.numbers[r], self.numbers[s])

    def coordinate_slopes(self, tape: TapeBuilder, algebra: ModelAlgebra, row: int) -> list[Value]:
        """d Sigma at a row / d coordinates."""
        slopes = [self.slope(algebra, parameter, row) for parameter in self.iterated]
        if self.combine is None:
            return slopes
        return [
            tape.combination([(float(f), slope) for f, slope in zip(column, slopes, strict=True)])
            for column in self.combine.T
        ]


def _own_row(structure: Structure, parameter: int, place: dict[int, int]) -> tuple[int, int] | None:
    """The row that a parameter meets alone, None if it meets others, is bounded or has several cells."""
    cells = (structure.parameter == parameter).nonzero()[0]
    bounded = np.isfinite(structure.lower[parameter]) or np.isfinite(structure.upper[parameter])
    if len(cells) != 1 or bounded or structure.matrix[cells[0]] == DIRECTED:
        return None
    ends = int(structure.row[cells[0]]), int(structure.column[cells[0]])
    causes = structure.column[structure.matrix == DIRECTED].tolist()
    if any(end not in place or end in causes for end in ends):
        return None
    return max(place[e] for e in ends), min(place[e] for e in ends)


@dataclass(frozen=True)
class SnpData:
    """Values on a tape: s and w (rows) and, where V has its usual form, v se g of each trait and its inverse.

    Inputs are beta, se (traits) and v ("effects"), or s and w of every row ("moments").
    """

    s: list[Value]
    w: list[Value]
    scale: list[Value]
    precision: list[Value]

    @staticmethod
    def n_inputs(covariance: SnpCovariance, *, moments: bool) -> int:
        return 2 * len(covariance.rows()) if moments else 2 * covariance.n_traits + 1

    @classmethod
    def on(cls, tape: TapeBuilder, inputs: Sequence[int], covariance: SnpCovariance, *, moments: bool) -> SnpData:
        rows, k = covariance.rows(), covariance.n_traits
        if moments:
            return cls(list(inputs[: len(rows)]), list(inputs[len(rows) : 2 * len(rows)]), [], [])
        beta, se, v = inputs[:k], inputs[k : 2 * k], inputs[2 * k]
        scale = [tape.product(tape.product(v, se[i]), float(covariance.g[i])) for i in range(k)]
        precision = [tape.reciprocal(x) for x in scale]
        s: list[Value] = []
        w: list[Value] = []
        weight = (1.0 / np.diag(covariance.V)).tolist()
        for r, c in rows:
            if c > 0:
                s.append(float(covariance.S[r - 1, c - 1]))
                w.append(weight[len(s) - k - 2])
            else:
                s.append(tape.product(v, beta[r - 1]) if r > 0 else v)
                w.append(tape.product(precision[r - 1], precision[r - 1]) if r > 0 else covariance.snp_se**-2)
        return cls(s, w, scale, precision)
