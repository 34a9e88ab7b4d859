"""The implied covariance of a structural model and its derivatives, written on a tape: equations as in `structure`.

    E = (I - A)^-1                                   total effects
    Cov(v) = E P E'
    d Cov(r, s) / d A_ij = E_ri Cov(j, s) + E_si Cov(j, r)
    d Cov(r, s) / d P_ij = E_ri E_sj + E_si E_rj      (once where i = j)

What is zero by the structure of the model is never written down. Models with loops are solved by elimination; without
them there is nothing to divide by and E has the sums over paths.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence

from daskgen.kernels.tape import TapeBuilder, Value
from daskgen.sem.structure import DIRECTED, Structure

__all__ = ["ModelAlgebra"]


class ModelAlgebra:
    """Values on a tape for a structure whose cells hold `cells`: a slot, a constant, or 0.0 to leave a cell out."""

    def __init__(self, tape: TapeBuilder, structure: Structure, cells: Sequence[Value]):
        self._tape = tape
        self._structure = structure
        direct: dict[tuple[int, int], Value] = {}
        self._residual: dict[int, dict[int, Value]] = defaultdict(dict)
        for matrix, i, j, value in zip(structure.matrix, structure.row, structure.column, cells, strict=True):
            row, column = int(i), int(j)
            if matrix == DIRECTED:
                direct[row, column] = value
            else:
                self._residual[row][column] = self._residual[column][row] = value
        self._effects = total_effects(tape, direct, structure.n_variables)
        self._halves: dict[int, dict[int, Value]] = {}

    def total_effect(self, of: int, on: int) -> Value:
        """E_(on, of): the effect of a variable on another over all paths."""
        return self._effects[on].get(of, 0.0)

    def covariance(self, v: int, w: int) -> Value:
        """Cov(v, w) of two variables, the residual parts left out where their cells are 0.0."""
        v, w = max(v, w), min(v, w)
        half = self._half(w)
        return self._tape.products((effect, half[m]) for m, effect in self._effects[v].items() if m in half)

    def slope(self, cells: Iterable[int], r: int, s: int) -> Value:
        """d Cov(r, s) / d theta of a parameter that stands in `cells`."""
        structure = self._structure
        terms: list[tuple[Value, Value]] = []
        for cell in cells:
            i, j = int(structure.row[cell]), int(structure.column[cell])
            second = self.covariance if structure.matrix[cell] == DIRECTED else self.total_effect
            for one, other in ((r, s), (s, r)):
                effect = self.total_effect(i, one)
                if effect != 0.0:
                    terms.append((effect, second(j, other)))
                if structure.matrix[cell] != DIRECTED and i == j:
                    break
        return self._tape.products(terms)

    def _half(self, w: int) -> dict[int, Value]:
        """Row w of E P."""
        if w not in self._halves:
            terms: dict[int, list[tuple[Value, Value]]] = defaultdict(list)
            for variable, effect in self._effects[w].items():
                for m, value in self._residual[variable].items():
                    terms[m].append((effect, value))
            self._halves[w] = {m: value for m, t in terms.items() if (value := self._tape.products(t)) != 0.0}
        return self._halves[w]


def total_effects(tape: TapeBuilder, direct: dict[tuple[int, int], Value], n: int) -> list[dict[int, Value]]:
    """The rows of (I - A)^-1 without their zeros, from the cells of A that are not zero.

    Row v says v = sum of a_vc c + e_v. Variables are taken in an order in which causes come first; each row has the
    earlier variables substituted, is divided by 1 - a_vv if a loop has come back to it, and at the end, from the last
    row to the first, the later variables are substituted. Without loops, the last two steps have nothing to do.
    """
    causes: list[dict[int, Value]] = [{} for _ in range(n)]
    for (v, c), value in direct.items():
        if value != 0.0:
            causes[v][c] = value
    order = _causes_first(causes)
    later: list[dict[int, Value]] = [{} for _ in range(n)]
    effects: list[dict[int, Value]] = [{} for _ in range(n)]
    for place, v in enumerate(order):
        direct_terms: dict[int, list[tuple[Value, Value]]] = defaultdict(list)
        error_terms: dict[int, list[tuple[Value, Value]]] = defaultdict(list)
        for c, value in causes[v].items():
            direct_terms[c].append((value, 1.0))
        error_terms[v].append((1.0, 1.0))
        for u in order[:place]:
            if u in direct_terms:
                factor = tape.products(direct_terms.pop(u))
                for c, value in later[u].items():
                    direct_terms[c].append((factor, value))
                for c, value in effects[u].items():
                    error_terms[c].append((factor, value))
        loop = tape.products(direct_terms.pop(v, []))
        scale = 1.0 if loop == 0.0 else tape.reciprocal(tape.combination([(1.0, 1.0), (-1.0, loop)]))
        later[v] = {c: tape.product(scale, tape.products(t)) for c, t in direct_terms.items()}
        effects[v] = {c: tape.product(scale, tape.products(t)) for c, t in error_terms.items()}
    for v in reversed(order):
        if later[v]:
            error_terms = defaultdict(list, {c: [(value, 1.0)] for c, value in effects[v].items()})
            for u, factor in later[v].items():
                for c, value in effects[u].items():
                    error_terms[c].append((factor, value))
            effects[v] = {c: tape.products(t) for c, t in error_terms.items()}
    return effects


def _causes_first(causes: list[dict[int, Value]]) -> list[int]:
    """The variables, each after its causes where that is possible; those of loops follow by number."""
    order: list[int] = []
    waiting = list(range(len(causes)))
    while waiting:
        free = [v for v in waiting if not set(causes[v]) & (set(waiting) - {v})]
        chosen = free or waiting[:1]
        order += chosen
        waiting = [v for v in waiting if v not in chosen]
    return order
