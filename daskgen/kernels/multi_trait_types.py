"""What the sampler of several traits works on: records, priors, state and sums of chains, and their Numba types."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numba import types

from daskgen.kernels.compile import input_array, output_array
from daskgen.kernels.gibbs_types import markers_type

__all__ = ["GivenTraitDraws", "TraitPriors", "TraitRecords", "TraitState", "TraitSums", "traits_signature"]


class TraitRecords(NamedTuple):
    """Samples and location effects, T traits. y float64 (T, 4, bytes), planes, 0 where missing; w (4, bytes): weights,
    0 where a sample has no trait; observed (4, bytes): 1 where a sample counts for the genetic variance, as one of each
    sample's records does; pattern int32 (4, bytes): which of `patterns` int64 (patterns,) a sample's traits
    have, a number with a bit for each observed one; -1 without any.

    pointer int64 (Q + 1,), sample int64, value float64: the columns of X, compressed, the same for all traits; diagonal
    float64 (Q,), x'Wx; term, precision_*: as in `gibbs_types.Records`.
    """

    y: np.ndarray
    w: np.ndarray
    observed: np.ndarray
    pattern: np.ndarray
    patterns: np.ndarray
    pointer: np.ndarray
    sample: np.ndarray
    value: np.ndarray
    diagonal: np.ndarray
    term: np.ndarray
    precision_pointer: np.ndarray
    precision_column: np.ndarray
    precision: np.ndarray


class TraitPriors(NamedTuple):
    """Of the sets: df float64 (S,), scale (S, T, T) of G; estimate_pi, estimate_variance, joint (sampler II) int64
    (S,); states int64 (listed,): the numbers of the states that may occur. random_df (U,), random_scale (U, T, T).
    residual_df, n_records, and whether R is estimated: float64 (3,); residual_scale (T, T). diagonal: 1 if covariances
    are 0.
    """

    df: np.ndarray
    scale: np.ndarray
    estimate_pi: np.ndarray
    estimate_variance: np.ndarray
    joint: np.ndarray
    states: np.ndarray
    random_df: np.ndarray
    random_scale: np.ndarray
    residual: np.ndarray
    residual_scale: np.ndarray
    diagonal: int


class TraitState(NamedTuple):
    """Of C chains: residual, y (with imputed values), location (C, T, 4, bytes); effect, slab float64 (C, P, T); group
    int16 (C, P), the number of the state; variance (C, S, T, T), G; pi (C, S, listed); theta (C, Q, T); random_variance
    (C, U, T, T); residual_variance (C, T, T), R.
    """

    residual: np.ndarray
    y: np.ndarray
    location: np.ndarray
    effect: np.ndarray
    slab: np.ndarray
    group: np.ndarray
    variance: np.ndarray
    pi: np.ndarray
    theta: np.ndarray
    random_variance: np.ndarray
    residual_variance: np.ndarray


class TraitSums(NamedTuple):
    """Over saved draws, by chain: effect, effect_square, included float64 (C, P, T); states (C, P, listed), or (C, 0,
    0); genetic, genetic_square (C, T, 4, bytes); trace (C, draws, columns); theta (C, draws, Q T); draw float32 (C,
    draws, P T), or of no draws.
    """

    effect: np.ndarray
    effect_square: np.ndarray
    included: np.ndarray
    states: np.ndarray
    genetic: np.ndarray
    genetic_square: np.ndarray
    trace: np.ndarray
    theta: np.ndarray
    draw: np.ndarray


class GivenTraitDraws(NamedTuple):
    """Random numbers in place of drawn ones, or empty: uniform, normal float64 (iterations, repeats, P, T)."""

    uniform: np.ndarray
    normal: np.ndarray


_V, _M, _T, _F = (output_array(types.float64, ndim) for ndim in (1, 2, 3, 4))
_I = output_array(types.int64, 1)


def traits_signature() -> types.Type:
    """The signature of `multi_trait.run_traits`."""
    pattern = output_array(types.int32, 2)
    records = types.NamedTuple((_T, _M, _M, pattern, _I, _I, _I, _V, _V, _I, _I, _I, _V), TraitRecords)
    priors = types.NamedTuple((_V, _T, _I, _I, _I, _I, _V, _T, _V, _M, types.int64), TraitPriors)
    state = types.NamedTuple((_F, _F, _F, _T, _T, output_array(types.int16, 2), _F, _T, _T, _F, _T), TraitState)
    sums = types.NamedTuple((_T, _T, _T, _T, _F, _F, _T, _T, output_array(types.float32, 3)), TraitSums)
    given = types.NamedUniTuple(_F, 2, GivenTraitDraws)
    places = input_array(types.int64, 1)
    return types.int64(
        markers_type(), records, priors, state, sums, given, input_array(types.uint32, 2),
        places, *(types.int64,) * 6, places, *(types.int64,) * 4, _I, _T, _T, output_array(types.int16, 5), _M, _M, _T,
        _F, output_array(types.float64, 5),
    )  # fmt: skip
