"""What follows from the parameters of a model at many SNPs: sandwich covariances, chi-squares, anything on a tape.

With a normal matrix N = J'WJ and a filling M = J'W V W J, the covariance of the parameters is N^-1 M N^-1. A tape has
three stages: (0) implied covariances, of which the kernel inverts Sigma for ML; (1) N and M from data and parameters;
(2) results, which may use the covariance. A tape of order 0 has stage 0 only, and computes its results there.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from numba import types

from daskgen.kernels.compile import input_array, kernel, output_array
from daskgen.kernels.lane_algebra import factorise, invert, sandwich
from daskgen.kernels.lanes import LANES, fill, store
from daskgen.kernels.sem_fit import CONVERGED, NOT_CONVERGED, SINGULAR, triangle
from daskgen.kernels.tape import TAPE_TYPES, Tape, TapeBuilder, run_tape

__all__ = ["ResultSlots", "compute_results"]

Float64 = npt.NDArray[np.float64]

_INPUT, _THETA, _NORMAL, _FACTOR, _BREAD, _FILLING, _WORK, _COVARIANCE, _ORDER = range(9)
_SIGMA, _SIGMA_FACTOR, _INVERSE, _SIGMA_ORDER = range(9, 13)


@dataclass(frozen=True, eq=False)
class ResultSlots:
    """Where on a tape things are.

    inputs, theta: data and parameters of a SNP. normal: N, packed. bread, filling: N^-1 and M, full. covariance: of the
    parameters, packed. sigma, inverse: Sigma, packed, and Sigma^-1, full, where they are wanted.
    """

    inputs: list[int]
    theta: list[int]
    normal: list[int]
    bread: list[int]
    filling: list[int]
    covariance: list[int]
    sigma: list[int]
    inverse: list[int]
    layout: npt.NDArray[np.int64]

    @classmethod
    def on(cls, tape: TapeBuilder, n_inputs: int, n_theta: int, order: int = 0, sigma_order: int = 0) -> ResultSlots:
        """New slots; `order` is that of N, `sigma_order` that of Sigma, 0 if there is none."""
        inputs, theta = tape.slots(n_inputs), tape.slots(n_theta)
        normal, factor, covariance = (tape.slots(triangle(order)) for _ in range(3))
        bread, filling, work = (tape.slots(order * order) for _ in range(3))
        sigma, sigma_factor = (tape.slots(triangle(sigma_order)) for _ in range(2))
        inverse = tape.slots(sigma_order**2)
        firsts = [(part or [0])[0] for part in (inputs, theta, normal, factor, bread, filling, work, covariance)]
        of_sigma = [(part or [0])[0] for part in (sigma, sigma_factor, inverse)]
        layout = np.array([*firsts, order, *of_sigma, sigma_order], np.int64)
        return cls(inputs, theta, normal, bread, filling, covariance, sigma, inverse, layout)


def compute_results(
    tape: Tape, slots: ResultSlots, results: list[int], inputs: Float64, theta: Float64, outcome: npt.NDArray[np.int16]
) -> Float64:
    """The slots `results` at every SNP: float64 (results, n), NaN where there is nothing to compute.

    inputs (inputs, n), theta (parameters, n). outcome: int16 (n,) of the fit; SINGULAR is written where N is singular.
    """
    if max(results, default=0) >= tape.n_slots:
        raise ValueError("a result has no slot on this tape")
    if tape.n_stages < (3 if len(slots.normal) else 1):
        raise ValueError(f"a tape of {tape.n_stages} stages has no covariance")
    out = np.empty((len(results), inputs.shape[1]))
    _compute_results(
        *tape.arrays(),
        tape.n_slots,
        tape.constant_slot,
        tape.constant,
        slots.layout,
        np.array(results, np.int64),
        np.ascontiguousarray(inputs),
        np.ascontiguousarray(theta),
        outcome,
        out,
    )
    return out


_MATRIX = input_array(types.float64, 2)


@kernel(
    types.void(
        *TAPE_TYPES,
        types.int64,
        input_array(types.int32, 1),
        input_array(types.float64, 1),
        *[input_array(types.int64, 1)] * 2,
        *[_MATRIX] * 2,
        output_array(types.int16, 1),
        output_array(types.float64, 2),
    )
)
def _compute_results(
    kind, target, first, left, right, factor, stage,
    n_slots, constant_slot, constant, layout, results, inputs, theta, outcome, out,
):  # fmt: skip
    n, order = inputs.shape[1], layout[_ORDER]
    memory = np.zeros((n_slots, LANES))
    for c in range(constant.size):
        memory[constant_slot[c], :] = constant[c]
    for start in range(0, n, LANES):
        for lane in range(LANES):
            snp = min(start + lane, n - 1)
            for i in range(inputs.shape[0]):
                memory[layout[_INPUT] + i, lane] = inputs[i, snp]
            for a in range(theta.shape[0]):
                memory[layout[_THETA] + a, lane] = theta[a, snp]
        run_tape(0, kind, target, first, left, right, factor, stage, memory)
        if layout[_SIGMA_ORDER] > 0:
            factorise(memory, layout[_SIGMA], layout[_SIGMA_ORDER], layout[_SIGMA_FACTOR], fill(0.0))
            invert(memory, layout[_SIGMA_FACTOR], layout[_SIGMA_ORDER], layout[_INVERSE])
        if order > 0:
            run_tape(1, kind, target, first, left, right, factor, stage, memory)
            singular = factorise(memory, layout[_NORMAL], order, layout[_FACTOR], fill(0.0))
            store(memory, layout[_WORK], singular)
            for lane in range(min(LANES, n - start)):
                if memory[layout[_WORK], lane] > 0.0 and (
                    outcome[start + lane] == CONVERGED or outcome[start + lane] == NOT_CONVERGED
                ):
                    outcome[start + lane] = SINGULAR
            invert(memory, layout[_FACTOR], order, layout[_BREAD])
            sandwich(memory, layout[_BREAD], layout[_FILLING], order, layout[_WORK], layout[_COVARIANCE])
            run_tape(2, kind, target, first, left, right, factor, stage, memory)
        for lane in range(min(LANES, n - start)):
            snp = start + lane
            known = outcome[snp] == CONVERGED or outcome[snp] == NOT_CONVERGED
            for o in range(results.size):
                out[o, snp] = memory[results[o], lane] if known else np.nan
