"""The fit of a model at a SNP, written on a tape: data, implied covariances, gradient and normal matrix."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from daskgen.kernels.sem_fit import FitSlots
from daskgen.kernels.tape import Tape, TapeBuilder, Value
from daskgen.sem.normal_theory import NormalTheory
from daskgen.sem.per_snp_structure import PerSnpStructure, SnpData
from daskgen.sem.snp_covariance import SnpCovariance

__all__ = ["FitProgram", "least_squares_program", "likelihood_program"]


@dataclass(frozen=True, eq=False)
class FitProgram:
    """A tape for `fit_parameters`. moments: what its inputs are, see `SnpData`; given parameters follow them."""

    model: PerSnpStructure
    tape: Tape
    slots: FitSlots
    moments: bool


def least_squares_program(model: PerSnpStructure, covariance: SnpCovariance, *, moments: bool) -> FitProgram:
    """DWLS."""
    tape, p = TapeBuilder(), model.n_coordinates
    n_data = SnpData.n_inputs(covariance, moments=moments)
    slots = FitSlots.on(tape, n_data + len(model.given), p)
    data = SnpData.on(tape, slots.inputs[:n_data], covariance, moments=moments)
    tape.end_stage()
    _, algebra = model.at(tape, data.s[0], slots.trial, slots.inputs[n_data:])
    rows, residuals = model.fitted_rows(), model.residuals(tape, algebra, data.s)
    residual = [residuals[i] for i in rows]
    weighted = [tape.product(data.w[i], e) for i, e in zip(rows, residual, strict=True)]
    tape.put(slots.fit, zip(weighted, residual, strict=True))
    tape.end_stage()
    slopes = [model.coordinate_slopes(tape, algebra, i) for i in rows]
    half = [[tape.product(data.w[i], slope) for slope in row] for i, row in zip(rows, slopes, strict=True)]
    for a in range(p):
        tape.put(slots.gradient[a], _nonzero((row[a], e) for row, e in zip(slopes, weighted, strict=True)))
        for b in range(a + 1):
            products = ((x[a], y[b]) for x, y in zip(slopes, half, strict=True))
            tape.put(slots.normal[a * (a + 1) // 2 + b], _nonzero(products))
    return FitProgram(model, tape.tape(), slots, moments)


def likelihood_program(model: PerSnpStructure, covariance: SnpCovariance, *, moments: bool) -> FitProgram:
    """ML, see `normal_theory`."""
    tape, p, order = TapeBuilder(), len(model.iterated), covariance.n_traits + 1
    n_data = SnpData.n_inputs(covariance, moments=moments)
    slots = FitSlots.on(tape, n_data + len(model.given), model.n_coordinates, order)
    data = SnpData.on(tape, slots.inputs[:n_data], covariance, moments=moments)
    twice = [s if r == c else tape.product(s, 2.0) for (r, c), s in zip(model.rows, data.s, strict=True)]
    tape.end_stage()
    _, algebra = model.at(tape, data.s[0], slots.trial, slots.inputs[n_data:])
    sigma: dict[tuple[int, int], Value] = {}
    for i, (r, c) in enumerate(model.rows):
        sigma[r, c] = sigma[c, r] = slots.sigma[r * (r + 1) // 2 + c]
        tape.put(slots.sigma[r * (r + 1) // 2 + c], [(model.implied(algebra, i), 1.0)])
    tape.end_stage()
    theory = NormalTheory(tape, slots.inverse, order)
    trace = ((s, theory.inverse(r, c)) for (r, c), s in zip(model.rows, twice, strict=True))
    tape.put(slots.fit, [(slots.fit, 1.0), *trace])
    off: dict[tuple[int, int], Value] = {}
    for (r, c), s in zip(model.rows, data.s, strict=True):
        off[r, c] = off[c, r] = tape.combination([(1.0, s), (-1.0, sigma[r, c])])
    slopes = [theory.slopes(model, algebra, parameter) for parameter in model.iterated]
    gradient = [theory.misfit(own, off) for own in slopes]
    normal = [[theory.inner(slopes[max(a, b)], slopes[min(a, b)]) for b in range(p)] for a in range(p)]
    if model.combine is not None:
        columns = [[float(f) for f in column] for column in model.combine.T]
        gradient = [tape.combination(zip(column, gradient, strict=True)) for column in columns]
        half = [[tape.combination(zip(column, row, strict=True)) for column in columns] for row in normal]
        normal = [
            [tape.combination(zip(column, (row[b] for row in half), strict=True)) for b in range(len(columns))]
            for column in columns
        ]
    for a in range(model.n_coordinates):
        tape.put(slots.gradient[a], [(gradient[a], 1.0)])
        for b in range(a + 1):
            tape.put(slots.normal[a * (a + 1) // 2 + b], [(normal[a][b], 1.0)])
    return FitProgram(model, tape.tape(), slots, moments)


def _nonzero(terms: Iterable[tuple[Value, Value]]) -> list[tuple[Value, Value]]:
    return [(x, y) for x, y in terms if x != 0.0 and y != 0.0]
