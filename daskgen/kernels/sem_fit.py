"""The parameters of a structural model at many SNPs: damped scoring steps, a group of SNPs side by side.

What the model is stands on a tape (see `tape`) of three stages: (0) data of a SNP from what is read, (1) implied
covariances at trial parameters and the discrepancy F, (2) gradient g and normal matrix N. Of the discrepancies

    DWLS   F = sum w_i (s_i - sigma_i)^2           g = J' w (s - sigma),         N = J' diag(w) J
    ML     F = log |Sigma| + tr(S Sigma^-1)        g = J' W vech(S - Sigma),     N = J' W J,   W of normal theory

each is minimised by steps d with (N + mu diag N) d = g; d'g is the decrease that a step promises. mu is 0 but after
steps that kept less than a quarter of it (Levenberg, Marquardt). Parameters at a bound towards which g points are held.

A lane whose SNP is finished takes the next one at once, so lanes don't wait for the slowest. Every SNP starts from the
same values (or its own) and sees only its own numbers: bits don't depend on the block.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from numba import types

from daskgen.kernels.compile import helper, input_array, kernel, output_array
from daskgen.kernels.lane_algebra import factorise, invert, solve
from daskgen.kernels.lanes import LANES, add, fill, load, multiply, multiply_add, select, store, subtract
from daskgen.kernels.tape import TAPE_TYPES, Tape, TapeBuilder, run_tape

__all__ = ["CONVERGED", "NOT_CONVERGED", "SINGULAR", "SKIPPED", "FitSlots", "fit_parameters", "triangle"]

CONVERGED, NOT_CONVERGED, SINGULAR, SKIPPED = range(4)
"""How the fit of a SNP ended; SKIPPED is given by the caller, for a SNP without data."""

Float64 = npt.NDArray[np.float64]

_SLACK = 1e-13
"""A step may raise F by this part of 1 + |F|: what rounding may do when there is nothing left to gain."""

_LARGEST_DAMPING = 1e10

_NEAR, _FLOOR = 1e8, 1e-6
"""Promises, in units of the tolerance, below which steps shrink regularly, and at which only rounding is left."""

# Places in the array of slots that the kernel is given.
_INPUT, _TRIAL, _BEST, _NORMAL, _BEST_NORMAL, _FACTOR, _GRADIENT, _BEST_GRADIENT, _STEP = range(9)
_FIT, _BEST_FIT, _PROMISED, _PROMISED_BEFORE, _DAMPING, _STUCK, _ACCEPTED, _SIGMA, _INVERSE, _ORDER = range(9, 19)


def triangle(order: int) -> int:
    """Elements of a packed symmetric matrix."""
    return order * (order + 1) // 2


@dataclass(frozen=True, eq=False)
class FitSlots:
    """Where on a tape the fit finds and puts things; made before the tape is written.

    inputs: of what is read per SNP. trial: the parameters. normal: N, packed. gradient: g. fit: F (of ML: without
    log |Sigma|). sigma, inverse: for ML, packed Sigma and the full Sigma^-1 of that order; empty for DWLS.
    """

    inputs: list[int]
    trial: list[int]
    normal: list[int]
    gradient: list[int]
    fit: int
    sigma: list[int]
    inverse: list[int]
    layout: npt.NDArray[np.int64]

    @classmethod
    def on(cls, tape: TapeBuilder, n_inputs: int, n_parameters: int, order: int = 0) -> FitSlots:
        """New slots. `order` is that of Sigma for ML, 0 for DWLS."""
        p, packed = n_parameters, triangle(n_parameters)
        inputs, trial, best = tape.slots(n_inputs), tape.slots(p), tape.slots(p)
        normal, best_normal, factor = tape.slots(packed), tape.slots(packed), tape.slots(max(packed, triangle(order)))
        gradient, best_gradient, step = tape.slots(p), tape.slots(p), tape.slots(p)
        fit, best_fit, promised, before, damping, stuck, accepted = tape.slots(7)
        sigma, inverse = tape.slots(triangle(order)), tape.slots(order * order)
        first = [
            *((part or [0])[0] for part in (inputs, trial, best, normal, best_normal, factor, gradient, best_gradient)),
            *(step[0], fit, best_fit, promised, before, damping, stuck, accepted),
            *((part or [0])[0] for part in (sigma, inverse)),
        ]
        layout = np.array([*first, order], np.int64)
        return cls(inputs, trial, normal, gradient, fit, sigma, inverse, layout)


def fit_parameters(
    tape: Tape,
    slots: FitSlots,
    inputs: Float64,
    start: Float64,
    lower: Float64,
    upper: Float64,
    outcome: npt.NDArray[np.int16],
    *,
    tolerance: float,
    max_steps: int = 500,
) -> Float64:
    """Minimise F at every SNP: float64 (parameters, n), NaN where skipped.

    inputs: float64 (inputs, n). start: (parameters, n), or (parameters, 1) for all SNPs, within the bounds lower and
    upper (parameters,). After `max_steps` the best values stay.
    tolerance: decrease of F that may be left when a fit ends. Near the minimum each step is rho times the one before,
    and promises rho^2 as much; what is left after the last one is then rho^2 / (1 - rho)^2 of what it promised.
    outcome: int16 (n,), SKIPPED where a SNP is to be left out; the others are written.
    """
    if tape.n_stages != 3:
        raise ValueError(f"a fit takes a tape of 3 stages, not {tape.n_stages}")
    theta = np.full((len(slots.trial), inputs.shape[1]), np.nan)
    _fit_parameters(
        *tape.arrays(),
        tape.n_slots,
        tape.constant_slot,
        tape.constant,
        slots.layout,
        np.ascontiguousarray(inputs),
        np.ascontiguousarray(start),
        lower,
        upper,
        tolerance,
        max_steps,
        theta,
        outcome,
    )
    return theta


_MATRIX = input_array(types.float64, 2)
_VECTOR = input_array(types.float64, 1)


@kernel(
    types.void(
        *TAPE_TYPES,
        types.int64,
        input_array(types.int32, 1),
        _VECTOR,
        input_array(types.int64, 1),
        *[_MATRIX] * 2,
        *[_VECTOR] * 2,
        types.float64,
        types.int64,
        output_array(types.float64, 2),
        output_array(types.int16, 1),
    )
)
def _fit_parameters(
    kind, target, first, left, right, factor, stage,
    n_slots, constant_slot, constant, layout, inputs, start, lower, upper, tolerance, max_steps, theta, outcome,
):  # fmt: skip
    p, n = theta.shape
    memory = np.zeros((n_slots, LANES))
    for c in range(constant.size):
        memory[constant_slot[c], :] = constant[c]
    bounded = False
    for a in range(p):
        bounded |= (lower[a] > -np.inf) | (upper[a] < np.inf)
    snp, steps = np.full(LANES, -1), np.zeros(LANES, np.int64)
    coming = 0
    while True:
        working, taken = False, False
        for lane in range(LANES):
            if snp[lane] < 0:
                while coming < n and outcome[coming] == SKIPPED:
                    coming += 1
                if coming < n:
                    snp[lane], steps[lane] = coming, 0
                    _begin(memory, layout, lane, inputs, start, coming)
                    coming += 1
                    taken = True
            working |= snp[lane] >= 0
        if not working:
            break
        if taken:
            run_tape(0, kind, target, first, left, right, factor, stage, memory)
        run_tape(1, kind, target, first, left, right, factor, stage, memory)
        if layout[_ORDER] > 0:
            _log_determinant(memory, layout)
        run_tape(2, kind, target, first, left, right, factor, stage, memory)
        _accept(memory, layout, p)
        if bounded:
            _hold(memory, layout, lower, upper)
        singular = factorise(memory, layout[_BEST_NORMAL], p, layout[_FACTOR], load(memory, layout[_DAMPING]))
        solve(memory, layout[_FACTOR], p, layout[_BEST_GRADIENT], layout[_STEP])
        _try_step(memory, layout, p, singular)
        if bounded:
            _clip(memory, layout, lower, upper)
        for lane in range(LANES):
            if snp[lane] >= 0:
                steps[lane] += 1
                ended = _ended(memory, layout, lane, tolerance, steps[lane] >= max_steps)
                if ended >= 0:
                    values = layout[_TRIAL] if ended == CONVERGED else layout[_BEST]
                    for a in range(p):
                        theta[a, snp[lane]] = memory[values + a, lane]
                    outcome[snp[lane]] = ended
                    snp[lane] = -1


@helper
def _begin(memory, layout, lane, inputs, start, snp):
    for i in range(inputs.shape[0]):
        memory[layout[_INPUT] + i, lane] = inputs[i, snp]
    own = snp if start.shape[1] > 1 else 0
    for a in range(start.shape[0]):
        memory[layout[_TRIAL] + a, lane] = memory[layout[_BEST] + a, lane] = start[a, own]
    memory[layout[_BEST_FIT], lane] = np.inf
    memory[layout[_PROMISED], lane] = 0.0
    memory[layout[_DAMPING], lane] = 0.0
    memory[layout[_STUCK], lane] = 0.0


@helper
def _log_determinant(memory, layout):
    """Sigma^-1, and log |Sigma| where stage 2 adds it to F; NaN where Sigma is not positive definite."""
    order, factor = layout[_ORDER], layout[_FACTOR]
    singular = factorise(memory, layout[_SIGMA], order, factor, fill(0.0))
    store(memory, layout[_FIT], select(fill(1.0), singular, fill(0.0), fill(np.nan)))
    for i in range(order):
        for lane in range(LANES):
            memory[layout[_FIT], lane] -= 2.0 * np.log(memory[factor + i * (i + 1) // 2 + i, lane])
    invert(memory, factor, order, layout[_INVERSE])


@helper
def _accept(memory, layout, p):
    """Take the trial over where F did not rise, else stay. Damp more unless the step kept a quarter of its promise."""
    one, zero = fill(1.0), fill(0.0)
    fit, best = load(memory, layout[_FIT]), load(memory, layout[_BEST_FIT])
    slack = multiply(fill(_SLACK), add(one, select(zero, best, subtract(zero, best), best)))
    accepted = select(fit, add(best, slack), zero, one)
    store(memory, layout[_ACCEPTED], accepted)
    promised, damping = load(memory, layout[_PROMISED]), load(memory, layout[_DAMPING])
    kept = select(multiply(fill(0.25), promised), subtract(best, fit), zero, one)
    changed = select(one, kept, _more(damping), _less(damping))
    # A promise that rounding of F would hide proves nothing, nor does the return to a point after a singular N.
    changed = select(promised, multiply(fill(100.0), slack), changed, damping)
    changed = select(one, accepted, _more(damping), changed)
    store(memory, layout[_DAMPING], select(one, load(memory, layout[_STUCK]), changed, damping))
    store(memory, layout[_BEST_FIT], select(one, accepted, best, fit))
    _take(memory, accepted, layout[_TRIAL], layout[_BEST], p)
    _take(memory, accepted, layout[_GRADIENT], layout[_BEST_GRADIENT], p)
    _take(memory, accepted, layout[_NORMAL], layout[_BEST_NORMAL], p * (p + 1) // 2)


@helper
def _less(damping):
    return select(damping, fill(1e-3), multiply(damping, fill(0.1)), fill(0.0))


@helper
def _more(damping):
    return select(damping, fill(1e-4), multiply(damping, fill(10.0)), fill(1e-3))


@helper
def _take(memory, accepted, source, target, count):
    one = fill(1.0)
    for i in range(count):
        store(memory, target + i, select(one, accepted, load(memory, target + i), load(memory, source + i)))


@helper
def _hold(memory, layout, lower, upper):
    """Take parameters out of the system that are at a bound and would leave it."""
    p = lower.size
    for a in range(p):
        for lane in range(LANES):
            value = memory[layout[_BEST] + a, lane]
            slope = memory[layout[_BEST_GRADIENT] + a, lane]
            if (value <= lower[a] and slope <= 0.0) or (value >= upper[a] and slope >= 0.0):
                memory[layout[_BEST_GRADIENT] + a, lane] = 0.0
                for b in range(p):
                    if b != a:
                        i, j = max(a, b), min(a, b)
                        memory[layout[_BEST_NORMAL] + i * (i + 1) // 2 + j, lane] = 0.0


@helper
def _try_step(memory, layout, p, singular):
    """The next trial. Where N is singular it is the point itself, with more damping."""
    one, zero = fill(1.0), fill(0.0)
    promised = zero
    for a in range(p):
        step = select(one, singular, load(memory, layout[_STEP] + a), zero)
        promised = multiply_add(step, load(memory, layout[_BEST_GRADIENT] + a), promised)
        store(memory, layout[_TRIAL] + a, add(load(memory, layout[_BEST] + a), step))
    store(memory, layout[_PROMISED_BEFORE], load(memory, layout[_PROMISED]))
    store(memory, layout[_PROMISED], promised)
    store(memory, layout[_STUCK], singular)
    damping = load(memory, layout[_DAMPING])
    store(memory, layout[_DAMPING], select(one, singular, damping, _more(damping)))


@helper
def _clip(memory, layout, lower, upper):
    for a in range(lower.size):
        trial = load(memory, layout[_TRIAL] + a)
        trial = select(trial, fill(lower[a]), trial, fill(lower[a]))
        store(memory, layout[_TRIAL] + a, select(fill(upper[a]), trial, trial, fill(upper[a])))


@helper
def _ended(memory, layout, lane, tolerance, last):
    """How the fit of a lane ended, -1 if it goes on."""
    if memory[layout[_BEST_FIT], lane] == np.inf and memory[layout[_ACCEPTED], lane] == 0.0:
        return NOT_CONVERGED  # nothing is defined at the start
    damping = memory[layout[_DAMPING], lane]
    if damping > _LARGEST_DAMPING:
        return SINGULAR if memory[layout[_STUCK], lane] > 0.0 else NOT_CONVERGED
    if memory[layout[_STUCK], lane] == 0.0:
        promised, before = memory[layout[_PROMISED], lane], memory[layout[_PROMISED_BEFORE], lane]
        left = promised * (1.0 + damping)
        if left < _FLOOR * tolerance:
            return CONVERGED
        if left < _NEAR * tolerance and promised < before:
            ratio = promised / before
            if left * ratio < tolerance * (1.0 - np.sqrt(ratio)) ** 2:
                return CONVERGED
    return NOT_CONVERGED if last else -1
