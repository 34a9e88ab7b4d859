"""One structural equation model per SNP with its measurement part fixed: a few hundred operations a SNP, in float64.

With b the effects of a SNP of variance phi on the traits, and m = L eta its effects on them through the model, what
depends on the SNP in GenomicSEM's DWLS objective is

    F(eta, p) = sum_i w_i^2 (b_i - m_i)^2 + (phi - p)^2 / s^2 - 2 v'h + v'G v,      w_i = 1 / (se_i g_i),

where p is the model's variance of the SNP, theta = eta phi / p its path coefficients, q the products eta_a eta_b with
a <= b, and v = (phi^2 / p) q what the SNP adds to the covariances of the traits. All that is the same at every SNP is
in `FixedConstants`; free variances and covariances, in which the model is linear, have been projected out of it. From
the weighted least squares solution (v = 0), Newton steps in eta, and p = phi + s^2 (phi / p)^2 q'(Gv - h) with each, go
on until the Newton decrement is below 1e-16, that is 1e-8 standard errors before the last step; two or three steps.

The sandwich of (eta, p / s), with E the derivative of v and X = diag(w) L:

    bread^-1 = diag(X'X, 1) + E'G E,     meat = diag(X'R X, 1) + E'M E,

brought to (theta, p) by the delta method; R is the correlation of the sampling errors of the SNP's effects. Residuals
z = w (b - m) give the chi-square z'R^-1 z + (phi - p)^2 / s^2 + (that of the traits' covariances), and over the
indicators of a factor, with their part of R, its Q_SNP.

Nothing in the loops refers to a model: what is to be computed stands on a tape (`sem_fixed_tape`), which leaves out
what is zero; sizes are run-time values. Models with one path coefficient have loops of their own (`sem_fixed_one`).
SNPs are on the last, contiguous axis of all arrays and go through in groups, side by side (see `lanes`); a SNP's result
has the same bits in any group and in a block of any size.

How the constants come from a model: :mod:`daskgen.sem.folding`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from numba import types

from daskgen.kernels.compile import helper, input_array, kernel, output_array
from daskgen.kernels.lane_algebra import factorise, invert, sandwich, solve
from daskgen.kernels.lanes import LANES, fill, load, multiply_add, store, subtract
from daskgen.kernels.sem_fixed_groups import (
    BAD_INPUT,
    CONVERGED,
    FAILED,
    NO_CONVERGENCE,
    NOT_IDENTIFIED,
    NOT_POSITIVE_DEFINITE,
    OPEN,
    OWN_SLOTS,
    SINGULAR,
    STEPS,
    close_lanes,
    grouped,
    read_group,
    write_group,
)
from daskgen.kernels.sem_fixed_one import fit_one_effect
from daskgen.kernels.sem_fixed_tape import DATA, LAYOUT, RESULTS, SOLUTION, STEP, FixedConstants
from daskgen.kernels.tape import TAPE_TYPES, run_tape

__all__ = [
    "BAD_INPUT",
    "CONVERGED",
    "NOT_IDENTIFIED",
    "NOT_POSITIVE_DEFINITE",
    "NO_CONVERGENCE",
    "FixedConstants",
    "FixedFits",
    "fit_fixed",
]

Float64 = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class FixedFits:
    """Results of n SNPs; NaN where the status says that there are none.

    estimate, se: of theta (t, n), or of (theta, p, nu). variance: (n,), p. chisq, aic: (n,). q_snp: (factors, n).
    status: int16 (n,). covariance: of (theta, p, nu), its upper triangle row by row (elements, n), or no rows where it
    was not asked for.
    """

    estimate: Float64
    se: Float64
    variance: Float64
    chisq: Float64
    aic: Float64
    q_snp: Float64
    status: npt.NDArray[np.int16]
    covariance: Float64


def fit_fixed(
    beta: Float64, se: Float64, variance: Float64, constants: FixedConstants, *, report: str = "effects"
) -> FixedFits:
    """Fit each SNP: `beta` and `se` float64 (k, n), `variance` float64 (n,).

    report: "effects"; "parameters", estimate and se of every parameter; "covariances", also their covariance.

    Status BAD_INPUT where an effect is not finite or a standard error or variance not positive; NOT_POSITIVE_DEFINITE
    where the covariance matrix of the SNP and the traits is not, phi b'S^-1 b >= 1; NOT_IDENTIFIED where the
    information matrix is singular; NO_CONVERGENCE where Newton's steps don't converge. All of these have NaN.
    """
    n, t = variance.shape[0], constants.n_effects
    if beta.shape != (constants.n_traits, n) or se.shape != beta.shape:
        raise ValueError(
            f"beta {beta.shape} and se {se.shape} must be ({constants.n_traits}, n), variance {variance.shape} (n,)"
        )
    data = grouped(beta), grouped(se), grouped(variance)
    groups, factors = len(data[2]), len(constants.indicators)
    others = 0 if report == "effects" else constants.n_others
    every = t + 1 + others
    pairs = every * (every + 1) // 2 if report == "covariances" else 0
    parts = np.cumsum([t, t, 1, 1, 1, factors, int(report != "effects"), others, others, pairs])
    out, status = np.empty((parts[-1] * groups, LANES)), np.empty((groups, LANES), np.int16)
    if groups and t == 1 and factors <= 1 and report == "effects":
        fit_one_effect(constants, *data, out, status)
    elif groups:
        tape = getattr(constants, f"{report}_tape")
        _fit_fixed(
            *tape.tape.arrays(),
            tape.tape.n_slots,
            tape.tape.constant_slot,
            tape.tape.constant,
            tape.layout,
            tape.results,
            t,
            *data,
            out,
            status,
        )
    rows = np.split(out.reshape(parts[-1], groups * LANES)[:, :n], parts[:-1])
    estimate, errors, p, (chisq,), (aic,), q_snp, p_error, nu, nu_errors, covariance = rows
    if report != "effects":
        estimate, errors = np.concatenate([estimate, p, nu]), np.concatenate([errors, p_error, nu_errors])
    return FixedFits(estimate, errors, p[0], chisq, aic, q_snp, status.reshape(-1)[:n], covariance)


# The loops ----------------------------------------------------------------------------------------------------------

(
    _BETA, _SE, _PHI, _ETA, _P, _NORMAL, _RIGHT, _FACTOR, _MOVE, _NEXT_P, _AT, _AT_P,
    _INFORMATION, _FILLING, _INFORMATION_FACTOR, _BREAD, _WORK, _COVARIANCE, _OUTSIDE,
) = range(len(LAYOUT))  # fmt: skip


@kernel(
    types.void(
        *TAPE_TYPES,
        types.int64,
        input_array(types.int32, 1),
        input_array(types.float64, 1),
        *[input_array(types.int64, 1)] * 2,
        types.int64,
        *[input_array(types.float64, 2)] * 3,
        output_array(types.float64, 2),
        output_array(types.int16, 2),
    )
)
def _fit_fixed(
    kind, target, first, left, right, factor, stage,
    n_slots, constant_slot, constant, layout, results, t, beta, se, variance, out, status,
):  # fmt: skip
    tape = (kind, target, first, left, right, factor, stage)
    own = n_slots
    memory = np.zeros((n_slots + OWN_SLOTS, LANES))
    for c in range(constant.size):
        memory[constant_slot[c], :] = constant[c]
    for group in range(variance.shape[0]):
        read_group(memory, layout[_BETA], layout[_SE], layout[_PHI], own, beta, se, variance, group)
        run_tape(DATA, *tape, memory)
        singular = factorise(memory, layout[_NORMAL], t, layout[_FACTOR], fill(0.0))
        solve(memory, layout[_FACTOR], t, layout[_RIGHT], layout[_ETA])
        store(memory, layout[_P], load(memory, layout[_PHI]))
        store(memory, own + OPEN, subtract(fill(1.0), singular))
        store(memory, own + FAILED, singular)
        for _ in range(STEPS):
            run_tape(STEP, *tape, memory)
            if not _step(memory, layout, own, t):
                break
        for a in range(t):
            store(memory, layout[_AT] + a, load(memory, layout[_ETA] + a))
        store(memory, layout[_AT_P], load(memory, layout[_P]))
        run_tape(SOLUTION, *tape, memory)
        singular = factorise(memory, layout[_INFORMATION], t + 1, layout[_INFORMATION_FACTOR], fill(0.0))
        store(memory, own + SINGULAR, singular)
        invert(memory, layout[_INFORMATION_FACTOR], t + 1, layout[_BREAD])
        sandwich(memory, layout[_BREAD], layout[_FILLING], t + 1, layout[_WORK], layout[_COVARIANCE])
        run_tape(RESULTS, *tape, memory)
        write_group(memory, own, layout[_OUTSIDE], results[2 * t + 1], results, group, out, status)


@helper
def _step(memory, layout, own, t):
    """A Newton step in the lanes that are open; whether one stays open."""
    singular = factorise(memory, layout[_NORMAL], t, layout[_FACTOR], fill(0.0))
    solve(memory, layout[_FACTOR], t, layout[_RIGHT], layout[_MOVE])
    decrement, is_open = fill(0.0), load(memory, own + OPEN)
    for a in range(t):
        move = load(memory, layout[_MOVE] + a)
        decrement = multiply_add(load(memory, layout[_RIGHT] + a), move, decrement)
        store(memory, layout[_ETA] + a, multiply_add(is_open, move, load(memory, layout[_ETA] + a)))
    wanted = load(memory, layout[_NEXT_P])
    return close_lanes(memory, own, layout[_PHI], layout[_P], wanted, decrement, singular)
