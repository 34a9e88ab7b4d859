"""Groups of SNPs on their way into and out of the fits of `sem_fixed`: reading, checks, status, results.

Arrays of `rows` over SNPs are seen as (rows x groups, LANES): the group `at` of row r is element r groups + at, and is
loaded and stored as one vector.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from daskgen.kernels.compile import helper
from daskgen.kernels.lanes import LANES, fill, load, multiply, multiply_add, select, store, subtract

__all__ = [
    "BAD_INPUT",
    "CONVERGED",
    "FAILED",
    "NOT_IDENTIFIED",
    "NOT_POSITIVE_DEFINITE",
    "NO_CONVERGENCE",
    "OPEN",
    "OWN_SLOTS",
    "SINGULAR",
    "STEPS",
    "close_lanes",
    "grouped",
    "read_group",
    "write_group",
]

CONVERGED, NO_CONVERGENCE, NOT_POSITIVE_DEFINITE, NOT_IDENTIFIED, BAD_INPUT = 0, 2, 3, 4, 5
"""Values of `status`: those of `daskgen.sem.per_snp.Status`."""

STEPS = 25
_DECREMENT = 1e-16
_BELOW_ONE = float(np.nextafter(1.0, 0.0))
_VARIANCE_CHANGE = 1e-9  # of p, relative; a step leaves only a small part of what it changes

OPEN, FAILED, SINGULAR, _FINITE, _LEAST, _CODE, OWN_SLOTS = range(7)
"""Slots, from `own` on, that say of each lane: 1 while it goes on, 1 if it never got to a minimum, 1 if the information
matrix is singular; 0 if all that was read is finite; the smallest standard error or variance; the status.
"""


def grouped(values: npt.ArrayLike) -> npt.NDArray[np.float64]:
    """float64 (rows, n) or (n,) as (rows x groups, LANES), without a copy where n is a multiple of `LANES`.

    What is left over in the last group is 1, which is a SNP like any other.
    """
    array = np.ascontiguousarray(values, np.float64)
    left_over = -array.shape[-1] % LANES
    if left_over:
        array = np.pad(array, [*[(0, 0)] * (array.ndim - 1), (0, left_over)], constant_values=1.0)
    return array.reshape(-1, LANES)


@helper
def read_group(memory, effects, errors, phi, own, beta, se, variance, at):
    """A group of SNPs, into slots from `effects`, from `errors` and at `phi`."""
    zero = fill(0.0)
    groups = variance.shape[0]
    least = load(variance, at)
    finite = multiply(zero, least)
    store(memory, phi, least)
    for i in range(beta.shape[0] // groups):
        effect, error = load(beta, i * groups + at), load(se, i * groups + at)
        store(memory, effects + i, effect)
        store(memory, errors + i, error)
        finite = multiply_add(zero, error, multiply_add(zero, effect, finite))
        least = select(error, least, least, error)
    store(memory, own + _FINITE, finite)
    store(memory, own + _LEAST, least)


@helper
def close_lanes(memory, own, phi, p, wanted, decrement, singular):
    """p becomes `wanted` in the lanes that are open; those close that are there, or failed. Whether one stays open.

    Vectors: `wanted`, the `decrement` of the step that was taken, `singular` (1.0 where none could be). phi, p: slots.
    """
    zero, one = fill(0.0), fill(1.0)
    is_open, last = load(memory, own + OPEN), load(memory, p)
    change = subtract(wanted, last)
    change = select(zero, change, subtract(zero, change), change)
    far = select(change, multiply(fill(_VARIANCE_CHANGE), load(memory, phi)), one, zero)
    far = select(decrement, fill(_DECREMENT), one, far)
    store(memory, p, select(one, is_open, last, wanted))
    failed = multiply(is_open, singular)
    store(memory, own + FAILED, select(one, failed, load(memory, own + FAILED), one))
    store(memory, own + OPEN, multiply(subtract(is_open, failed), far))
    still = False
    for lane in range(LANES):
        still |= memory[own + OPEN, lane] > 0.0
    return still


@helper
def write_group(memory, own, outside, chisq, results, at, out, status):
    """Status, and the slots `results` as rows of `out`, NaN where a SNP has none. outside, chisq: slots."""
    zero, one = fill(0.0), fill(1.0)
    total, failed = load(memory, chisq), load(memory, own + FAILED)
    # `select` takes its last argument where the first is at most the second, which NaN never is.
    ended = select(load(memory, own + OPEN), zero, zero, select(failed, zero, zero, one))
    ended = select(subtract(total, total), zero, zero, ended)
    code = select(one, ended, fill(float(NO_CONVERGENCE)), fill(float(CONVERGED)))
    within = select(load(memory, outside), fill(_BELOW_ONE), zero, one)
    code = select(one, within, fill(float(NOT_POSITIVE_DEFINITE)), code)
    code = select(load(memory, own + SINGULAR), failed, fill(float(NOT_IDENTIFIED)), code)
    usable = select(load(memory, own + _LEAST), zero, one, zero)
    usable = select(load(memory, own + _FINITE), zero, zero, usable)
    code = select(one, usable, fill(float(BAD_INPUT)), code)
    store(memory, own + _CODE, code)
    for lane in range(LANES):
        status[at, lane] = np.int16(memory[own + _CODE, lane])
    groups = status.shape[0]
    for r in range(results.size):
        store(out, r * groups + at, select(code, zero, fill(np.nan), load(memory, results[r])))
