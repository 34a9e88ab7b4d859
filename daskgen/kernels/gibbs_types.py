"""What the Gibbs sampler works on: genotypes, records, priors, the state of chains, their sums, and the Numba types."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numba import types

from daskgen.kernels.compile import input_array, output_array

__all__ = [
    "COMMON",
    "INVERSE_CHI_SQUARE",
    "LASSO",
    "GivenDraws",
    "Markers",
    "Priors",
    "Records",
    "State",
    "Sums",
    "markers_type",
    "run_signature",
]

COMMON, INVERSE_CHI_SQUARE, LASSO = range(3)
"""How the variance of a set's markers is drawn: one for all, one each (BayesA, BayesB), or exponential (BayesL)."""


class Markers(NamedTuple):
    """Genotypes: packed uint8 (P, bytes), or (0, bytes) where there are dosages: uint16 (P, 4 bytes), `dosage_dots`,
    else (0, 0); shift, missing, diagonal float64 (P,); gap_start, gap_place: missing calls, see `genotype_dots`; start
    int64 (blocks + 1,); owner int64 (blocks,), the set of a block; repeats int64 (blocks,), inner repeats; gram
    float64 or gram_single float32, the other being empty: all blocks' X'WX one after the other, and offset int64
    (blocks,).

    Not all genotypes have to be here at once: place int64 (blocks,) is the row in `packed` or `dosage` of a block's
    first marker, gap_at int64 (blocks,) where its part of `gap_start` begins, origin int64 (1,) the first tile of
    samples that `packed` has.
    """

    packed: np.ndarray
    dosage: np.ndarray
    shift: np.ndarray
    missing: np.ndarray
    gap_start: np.ndarray
    gap_place: np.ndarray
    diagonal: np.ndarray
    start: np.ndarray
    owner: np.ndarray
    repeats: np.ndarray
    gram: np.ndarray
    gram_single: np.ndarray
    offset: np.ndarray
    place: np.ndarray
    gap_at: np.ndarray
    origin: np.ndarray


class Records(NamedTuple):
    """Samples and location effects. y, w: float64 (4, bytes), planes: the weighted mean and the sum of weights of a
    sample's records. observed float64 (4, bytes): 1 where a sample counts for the genetic variance.

    pointer int64 (Q + 1,), sample int64, value float64: the columns of X, compressed, as weighted means of the samples;
    diagonal float64 (Q,), x'Wx over records; term int64 (Q,), -1 for fixed effects, else the random term;
    precision_pointer int64 (Q + 1,), precision_column int64, precision float64: prior precision matrix by rows, empty
    rows for fixed effects.

    What several records of a sample add, as moments of the deviations from its means (tilde): within_pointer int64
    (Q + 1,), within_column int64, within float64: X~'W X~ by rows; within_right float64 (Q,): X~'W y~; within_square
    float64 (1,): y~'W y~. Empty rows and zeros where no sample has two records.
    """

    y: np.ndarray
    w: np.ndarray
    observed: np.ndarray
    pointer: np.ndarray
    sample: np.ndarray
    value: np.ndarray
    diagonal: np.ndarray
    term: np.ndarray
    precision_pointer: np.ndarray
    precision_column: np.ndarray
    precision: np.ndarray
    within_pointer: np.ndarray
    within_column: np.ndarray
    within: np.ndarray
    within_right: np.ndarray
    within_square: np.ndarray


class Priors(NamedTuple):
    """Of the sets: classes int64 (S,); gamma float64 (S, K); kind int64 (S,); df, scale float64 (S,); estimate_pi,
    estimate_variance int64 (S,). log_pi_marker float64 (K, P), or (K, 0): fixed proportions by marker. random_df,
    random_scale float64 (U,). residual float64 (4,): df, scale, 1 if the variance is estimated, number of records
    with a weight above zero.
    """

    classes: np.ndarray
    gamma: np.ndarray
    kind: np.ndarray
    df: np.ndarray
    scale: np.ndarray
    estimate_pi: np.ndarray
    estimate_variance: np.ndarray
    log_pi_marker: np.ndarray
    random_df: np.ndarray
    random_scale: np.ndarray
    residual: np.ndarray


class State(NamedTuple):
    """Of C chains: residual, location (C, 4, bytes), X theta by sample; effect, slab float64 (C, P); group int8 (C, P);
    own_variance float64 (C, P) or (C, 0); variance (C, S); pi (C, S, K); theta (C, Q); random_variance (C, U);
    residual_variance (C,).
    """

    residual: np.ndarray
    location: np.ndarray
    effect: np.ndarray
    slab: np.ndarray
    group: np.ndarray
    own_variance: np.ndarray
    variance: np.ndarray
    pi: np.ndarray
    theta: np.ndarray
    random_variance: np.ndarray
    residual_variance: np.ndarray


class Sums(NamedTuple):
    """Over saved draws, by chain: effect, effect_square, included float64 (C, P); genetic, genetic_square float64
    (C, 4, bytes), of Z a; trace float64 (C, draws, columns), see `trace_columns`; theta float64 (C, draws, Q) and
    draw float32 (C, draws, P), or of no draws.
    """

    effect: np.ndarray
    effect_square: np.ndarray
    included: np.ndarray
    genetic: np.ndarray
    genetic_square: np.ndarray
    trace: np.ndarray
    theta: np.ndarray
    draw: np.ndarray


class GivenDraws(NamedTuple):
    """Random numbers to be used in place of drawn ones, or empty: location float64 (iterations, Q); uniform, normal
    float64 (iterations, repeats, P); pi float64 (iterations, S, K); chi_square float64 (iterations, S + 1), of the
    sets' variances and the residual's.
    """

    location: np.ndarray
    uniform: np.ndarray
    normal: np.ndarray
    pi: np.ndarray
    chi_square: np.ndarray


# Arrays inside a tuple are not converted, so that all of them are typed as writeable, and must be.
_BYTES2, _STEPS2 = output_array(types.uint8, 2), output_array(types.uint16, 2)
_PLACES, _GROUPS = output_array(types.uint16, 1), output_array(types.int8, 2)
_V, _M, _T = (output_array(types.float64, ndim) for ndim in (1, 2, 3))
_I = output_array(types.int64, 1)


def markers_type() -> types.Type:
    """The Numba type of `Markers`."""
    numbers = (_V, _I, _I, _I, _V, output_array(types.float32, 1), _I, _I, _I, _I)
    return types.NamedTuple((_BYTES2, _STEPS2, _V, _V, _I, _PLACES, *numbers), Markers)


def run_signature() -> types.Type:
    """The signature of `gibbs.run`."""
    records = types.NamedTuple((_M, _M, _M, _I, _I, _V, _V, _I, _I, _I, _V, _I, _I, _V, _V, _V), Records)
    priors = types.NamedTuple((_I, _M, _I, _V, _V, _I, _I, _M, _V, _V, _V), Priors)
    state = types.NamedTuple((_T, _T, _M, _M, _GROUPS, _M, _M, _T, _M, _M, _V), State)
    sums = types.NamedTuple((_M, _M, _M, _T, _T, _T, _T, output_array(types.float32, 3)), Sums)
    given = types.NamedTuple((_M, _T, _T, _T, _M), GivenDraws)
    places, six, four = input_array(types.int64, 1), (types.int64,) * 6, (types.int64,) * 4
    limbs = output_array(types.int16, 5)
    return types.int64(
        markers_type(), records, priors, state, sums, given, input_array(types.uint32, 2), places, *six, places, *four,
        _I, _T, _T, limbs, _M, _M, _M, _T,
    )  # fmt: skip
