"""Gibbs sampling of marker effects from packed genotypes: many iterations of several chains in one call.

The model of one chain, with samples i, location effects theta (fixed: flat prior, random: precision matrix over s2u)
and markers j in sets with priors of their own:

    y = X theta + Z a + e,   e_i ~ N(0, s2e / w_i),   w_i = 0 where nothing was observed.

One iteration: location effects one by one; markers block by block (:mod:`daskgen.kernels.marker_sampler`); mixture
proportions, marker variances, variances of random effects; residual variance. The residual r = y - X theta - Z a
is kept at every sample, with y = 0 where it is missing, so that Z a of unobserved samples is known too.

A team of threads shares the work: each has some tiles of the samples, for which it forms the block's right-hand sides
and updates the residual; the leader samples. Sums over tiles are added pairwise, and draws are functions of chain,
iteration and marker, so the team's size changes no bit.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from numba import types

from daskgen.kernels.compile import helper, input_array, kernel, output_array
from daskgen.kernels.genotype_dots import TILE, add_marker, add_tiles, clear_padding, tile_products
from daskgen.kernels.marker_sampler import sample_block
from daskgen.kernels.random_draws import chi_square, gamma, two_uniforms, uniform_and_normal
from daskgen.kernels.teams import barrier

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
    "run",
]

COMMON, INVERSE_CHI_SQUARE, LASSO = range(3)
"""How the variance of a set's markers is drawn: one for all, one each (BayesA, BayesB), or exponential (BayesL)."""

LOCATION, MARKER, PROPORTION, VARIANCE, OWN_VARIANCE, RANDOM, RESIDUAL = range(7)  # purposes of random counters

Vector = npt.NDArray[np.float64]


class Markers(NamedTuple):
    """Genotypes: packed uint8 (P, bytes); shift, missing, diagonal float64 (P,); gap_start, gap_place: missing calls,
    see `genotype_dots`; start int64 (blocks + 1,); owner int64 (blocks,), the set of a block; repeats int64 (blocks,),
    inner repeats; gram float32 or float64, all blocks' X'WX one after the other, and offset int64 (blocks,).
    """

    packed: np.ndarray
    shift: np.ndarray
    missing: np.ndarray
    gap_start: np.ndarray
    gap_place: np.ndarray
    diagonal: np.ndarray
    start: np.ndarray
    owner: np.ndarray
    repeats: np.ndarray
    gram: np.ndarray
    offset: np.ndarray


class Records(NamedTuple):
    """Samples and location effects. y, w: float64 (4, bytes), planes. pointer int64 (Q + 1,), sample int64, value
    float64: the columns of X, compressed; diagonal float64 (Q,), x'Wx; term int64 (Q,), -1 for fixed effects, else
    the random term; precision_pointer int64 (Q + 1,), precision_column int64, precision float64: prior precision
    matrix by rows, empty rows for fixed effects. observed float64 (4, bytes): 1 where a sample counts for the genetic
    variance.
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


@helper
def _place(planes: Vector, sample: int) -> float:
    return planes[sample & 3, sample >> 2]


@helper
def _sample_location(c, iteration, row, records, state, key, given):
    """All location effects of chain c, one after the other (Gauss-Seidel Gibbs)."""
    r, fitted = state.residual[c], state.location[c]
    s2e = state.residual_variance[c]
    for q in range(records.diagonal.size):
        first, last = records.pointer[q], records.pointer[q + 1]
        old = state.theta[c, q]
        right = records.diagonal[q] * old
        for at in range(first, last):
            sample = records.sample[at]
            right += records.value[at] * _place(records.w, sample) * _place(r, sample)
        lhs = records.diagonal[q] / s2e
        right /= s2e
        if records.term[q] >= 0:
            s2u = state.random_variance[c, records.term[q]]
            for at in range(records.precision_pointer[q], records.precision_pointer[q + 1]):
                other = records.precision_column[at]
                if other == q:
                    lhs += records.precision[at] / s2u
                else:
                    right -= records.precision[at] * state.theta[c, other] / s2u
        if given.location.size:
            z = given.location[row, q]
        else:
            _, z = uniform_and_normal(iteration, q, 0, LOCATION, key)
        new = right / lhs + z / math.sqrt(lhs)
        state.theta[c, q] = new
        change = new - old
        for at in range(first, last):
            sample = records.sample[at]
            step = records.value[at] * change
            r[sample & 3, sample >> 2] -= step
            fitted[sample & 3, sample >> 2] += step


@helper
def _draw_proportions(c, s, iteration, row, counts, priors, state, key, given):
    """pi of set s: Dirichlet(counts + 1), a Beta for two classes."""
    classes = priors.classes[s]
    if given.pi.size:
        for k in range(classes):
            state.pi[c, s, k] = given.pi[row, s, k]
        return
    total = 0.0
    for k in range(classes):
        value = gamma(counts[k] + 1.0, iteration, s * 64 + k, PROPORTION, key)
        state.pi[c, s, k] = value
        total += value
    for k in range(classes):
        state.pi[c, s, k] /= total


@helper
def _draw_lasso(q, u, z):
    """g with density proportional to g^(-1/2) exp(-q / (2 g) - g / 8): 1 / g is inverse Gaussian, mean 1 / (2 sqrt q),
    shape 1 / 4 (Michael, Schucany and Haas 1976).
    """
    mean = 0.5 / math.sqrt(max(q, 1e-300))
    shape = 0.25
    y = z * z
    x = mean + 0.5 * mean * mean * y / shape
    x -= 0.5 * mean / shape * math.sqrt(4.0 * mean * shape * y + mean * mean * y * y)
    if x <= 0.0 or u > mean / (mean + x):
        x = mean * mean / max(x, 1e-300)
    return 1.0 / x


@helper
def _draw_marker_priors(c, iteration, row, first, last, s, markers, priors, state, key, given):
    """Proportions and variances of set s, whose markers are `first` to `last` - 1."""
    classes = priors.classes[s]
    counts = np.zeros(classes)
    squares = 0.0
    used = 0.0
    for j in range(first, last):
        k = state.group[c, j]
        counts[k] += 1.0
        g = priors.gamma[s, k]
        if g > 0.0:
            squares += state.effect[c, j] ** 2 / g
            used += 1.0
    if priors.estimate_pi[s]:
        _draw_proportions(c, s, iteration, row, counts, priors, state, key, given)
    if not priors.estimate_variance[s]:
        return
    if priors.kind[s] == INVERSE_CHI_SQUARE:
        for j in range(first, last):
            draw = chi_square(priors.df[s] + 1.0, iteration, j, OWN_VARIANCE, key)
            state.own_variance[c, j] = (state.slab[c, j] ** 2 + priors.df[s] * priors.scale[s]) / draw
        return
    if priors.kind[s] == LASSO:
        # own_variance = g_j s2a, g_j from the last iteration; s2a given g, then g given s2a.
        s2a = state.variance[c, s]
        squares = 0.0
        for j in range(first, last):
            squares += state.effect[c, j] ** 2 * s2a / state.own_variance[c, j]
    if given.chi_square.size:
        draw = given.chi_square[row, s]
    else:
        draw = chi_square(priors.df[s] + used, iteration, s, VARIANCE, key)
    state.variance[c, s] = (squares + priors.df[s] * priors.scale[s]) / draw
    if priors.kind[s] == LASSO:
        s2a = state.variance[c, s]
        for j in range(first, last):
            u, z = uniform_and_normal(iteration, j, 0, OWN_VARIANCE, key)
            state.own_variance[c, j] = s2a * _draw_lasso(state.effect[c, j] ** 2 / s2a, u, z)


@helper
def _draw_random_variances(c, iteration, records, priors, state, key):
    """s2u of each random term: (theta' Q theta + df S) / chi2(df + levels)."""
    for u in range(priors.random_df.size):
        squares, levels = 0.0, 0.0
        for q in range(records.diagonal.size):
            if records.term[q] != u:
                continue
            levels += 1.0
            for at in range(records.precision_pointer[q], records.precision_pointer[q + 1]):
                squares += state.theta[c, q] * records.precision[at] * state.theta[c, records.precision_column[at]]
        draw = chi_square(priors.random_df[u] + levels, iteration, u, RANDOM, key)
        state.random_variance[c, u] = (squares + priors.random_df[u] * priors.random_scale[u]) / draw


@helper
def _weighted_residual(planes, weights, first, last, out):
    for k in range(4):
        for i in range(first, last):
            out[k, i] = planes[k, i] * weights[k, i]


@helper
def _tile_moments(c, tile, records, state, out):
    """Of one tile: r'Wr, and over the observed samples the number, sum and sum of squares of Z a."""
    r, fitted = state.residual[c], state.location[c]
    first = tile * TILE
    last = min(first + TILE, r.shape[1])
    squares, count, total, square = 0.0, 0.0, 0.0, 0.0
    for k in range(4):
        for i in range(first, last):
            squares += records.w[k, i] * r[k, i] * r[k, i]
            if records.observed[k, i] > 0.0:
                genetic = records.y[k, i] - fitted[k, i] - r[k, i]
                count += 1.0
                total += genetic
                square += genetic * genetic
    out[0], out[1], out[2], out[3] = squares, count, total, square


@helper
def _save_tile(c, tile, records, state, sums):
    r, fitted = state.residual[c], state.location[c]
    first = tile * TILE
    last = min(first + TILE, r.shape[1])
    for k in range(4):
        for i in range(first, last):
            genetic = records.y[k, i] - fitted[k, i] - r[k, i]
            sums.genetic[c, k, i] += genetic
            sums.genetic_square[c, k, i] += genetic * genetic


@helper
def _save(c, draw, moments, priors, state, sums):
    """Sums and the row of the trace: s2e, genetic variance, h2, then by set s2a, number included, pi; s2u."""
    p = state.effect.shape[1]
    for j in range(p):
        a = state.effect[c, j]
        sums.effect[c, j] += a
        sums.effect_square[c, j] += a * a
        if a != 0.0:
            sums.included[c, j] += 1.0
    if sums.draw.shape[1]:
        for j in range(p):
            sums.draw[c, draw, j] = state.effect[c, j]
    if sums.theta.shape[1]:
        for q in range(state.theta.shape[1]):
            sums.theta[c, draw, q] = state.theta[c, q]
    count = moments[1]
    genetic = 0.0
    if count > 1.0:
        genetic = max(0.0, (moments[3] - moments[2] * moments[2] / count) / (count - 1.0))
    s2e = state.residual_variance[c]
    row = sums.trace[c, draw]
    row[0], row[1], row[2] = s2e, genetic, genetic / (genetic + s2e)
    at = 3
    for s in range(priors.classes.size):
        row[at] = state.variance[c, s]
        at += 2
        for k in range(priors.classes[s]):
            row[at] = state.pi[c, s, k]
            at += 1
    for u in range(priors.random_df.size):
        row[at] = state.random_variance[c, u]
        at += 1


@helper
def _count_included(c, draw, set_start, priors, state, sums):
    at = 4
    for s in range(priors.classes.size):
        included = 0.0
        for j in range(set_start[s], set_start[s + 1]):
            if state.effect[c, j] != 0.0:
                included += 1.0
        sums.trace[c, draw, at] = included
        at += 2 + priors.classes[s]


# Arrays inside a tuple are not converted, so that all of them are typed as writeable, and must be.
_BYTES2, _PLACES, _GROUPS = output_array(types.uint8, 2), output_array(types.uint16, 1), output_array(types.int8, 2)
_V, _M, _T = (output_array(types.float64, ndim) for ndim in (1, 2, 3))
_I = output_array(types.int64, 1)


def _signature(gram: types.Type) -> types.Type:
    markers = types.NamedTuple((_BYTES2, _V, _V, _I, _PLACES, _V, _I, _I, _I, output_array(gram, 1), _I), Markers)
    records = types.NamedTuple((_M, _M, _M, _I, _I, _V, _V, _I, _I, _I, _V), Records)
    priors = types.NamedTuple((_I, _M, _I, _V, _V, _I, _I, _M, _V, _V, _V), Priors)
    state = types.NamedTuple((_T, _T, _M, _M, _GROUPS, _M, _M, _T, _M, _M, _V), State)
    sums = types.NamedTuple((_M, _M, _M, _T, _T, _T, _T, output_array(types.float32, 3)), Sums)
    given = types.NamedTuple((_M, _T, _T, _T, _M), GivenDraws)
    numbers = (types.int64,) * 8
    keys = input_array(types.uint32, 2)
    return types.int64(
        markers, records, priors, state, sums, given, keys, input_array(types.int64, 1), *numbers,
        output_array(types.int64, 1), _M, _M, _V, _M,
    )  # fmt: skip


@kernel(_signature(types.float64), _signature(types.float32))
def run(
    markers, records, priors, state, sums, given, keys, set_start, n_samples, first_iteration, iterations, burn_in,
    thin, independent, member, team, meeting, partial, planes, right, change,
):  # fmt: skip
    """Run iterations `first_iteration` to `first_iteration` + `iterations` - 1 of all chains, as thread `member` of
    `team`; all members get the same arrays.

    keys: uint32 (C, 2). set_start: int64 (S + 1,). Iterations count from 1; one is saved where it is beyond `burn_in`
    and iteration - burn_in is a multiple of `thin`, as draw number (iteration - burn_in) / thin - 1 less that of the
    first saved one of this call. independent: 1 freezes the residual during a sweep. meeting: `teams.new_barrier`.
    partial (tiles, longest block), planes (4, bytes), right (longest block,), change (C, P): work space.
    Returns the number of iterations done: fewer than asked where a residual variance is no longer a finite number.
    """
    chains = keys.shape[0]
    blocks = markers.start.size - 1
    width = markers.packed.shape[1]
    tiles = max(1, -(-width // TILE))
    own_first, own_last = member * tiles // team, (member + 1) * tiles // team
    first_draw = 0
    if first_iteration > burn_in:
        first_draw = (first_iteration - 1 - burn_in) // thin
    longest = partial.shape[1]
    uniforms, normals = np.empty(longest), np.empty(longest)
    weight = np.empty(priors.gamma.shape[1])
    moments, total = np.empty(4), np.empty(tiles)
    for row in range(iterations):
        iteration = first_iteration + row
        draw = (iteration - burn_in) // thin - 1 - first_draw
        saved = iteration > burn_in and (iteration - burn_in) % thin == 0
        if member == 0:
            for c in range(chains):
                _sample_location(c, iteration, row, records, state, keys[c], given)
        barrier(meeting, team)
        for b in range(blocks):
            start, stop = markers.start[b], markers.start[b + 1]
            s = markers.owner[b]
            size = stop - start
            for c in range(chains):
                for tile in range(own_first, own_last):
                    _weighted_residual(state.residual[c], records.w, tile * TILE, min(width, (tile + 1) * TILE), planes)
                tile_products(
                    markers.packed, start, stop, own_first, own_last, planes, markers.shift, markers.missing,
                    markers.gap_start, markers.gap_place, total, partial,
                )  # fmt: skip
                barrier(meeting, team)
                if member == 0:
                    add_tiles(partial, tiles, size, right)
                    for j in range(start, stop):
                        change[c, j] = state.effect[c, j]
                    per_marker = priors.log_pi_marker.shape[1] > 0
                    classes = priors.classes[s]
                    if per_marker:
                        log_pi = priors.log_pi_marker
                    else:
                        log_pi = np.empty((classes, 1))
                        for k in range(classes):
                            log_pi[k, 0] = math.log(state.pi[c, s, k]) if state.pi[c, s, k] > 0.0 else -np.inf
                    gram = markers.gram[markers.offset[b] : markers.offset[b] + size * size].reshape((size, size))
                    own = state.own_variance[c]
                    if priors.kind[s] == COMMON:
                        own = own[:0]
                    drawn = given.uniform.size == 0
                    for repeat in range(markers.repeats[b]):
                        if given.uniform.size:
                            for j in range(start, stop):
                                uniforms[j - start] = given.uniform[row, repeat, j]
                                normals[j - start] = given.normal[row, repeat, j]
                        else:
                            for j in range(start, stop):
                                uniforms[j - start], normals[j - start] = two_uniforms(
                                    iteration, j, repeat, MARKER, keys[c]
                                )
                        sample_block(
                            start, stop, right, gram, markers.diagonal, state.effect[c], state.slab[c],
                            state.group[c], own, state.variance[c, s], priors.gamma[s, :classes], log_pi, uniforms,
                            normals, drawn, state.residual_variance[c], weight[:classes],
                        )  # fmt: skip
                    for j in range(start, stop):
                        change[c, j] -= state.effect[c, j]
                barrier(meeting, team)
                if independent == 0:
                    for j in range(start, stop):
                        if change[c, j] != 0.0:
                            for tile in range(own_first, own_last):
                                add_marker(
                                    markers.packed, j, tile, change[c, j], state.residual[c], markers.shift,
                                    markers.missing, markers.gap_start, markers.gap_place,
                                )  # fmt: skip
                    if own_last == tiles:
                        clear_padding(state.residual[c], n_samples)
        if independent:
            for c in range(chains):
                for tile in range(own_first, own_last):
                    for j in range(change.shape[1]):
                        if change[c, j] != 0.0:
                            add_marker(
                                markers.packed, j, tile, change[c, j], state.residual[c], markers.shift,
                                markers.missing, markers.gap_start, markers.gap_place,
                            )  # fmt: skip
                if own_last == tiles:
                    clear_padding(state.residual[c], n_samples)
        for c in range(chains):
            for tile in range(own_first, own_last):
                _tile_moments(c, tile, records, state, partial[tile, :4])
            barrier(meeting, team)
            if member == 0:
                add_tiles(partial, tiles, 4, moments)
                for s in range(priors.classes.size):
                    _draw_marker_priors(
                        c, iteration, row, set_start[s], set_start[s + 1], s, markers, priors, state, keys[c], given
                    )
                _draw_random_variances(c, iteration, records, priors, state, keys[c])
                if priors.residual[2] > 0.0:
                    if given.chi_square.size:
                        chi = given.chi_square[row, priors.classes.size]
                    else:
                        chi = chi_square(priors.residual[0] + priors.residual[3], iteration, 0, RESIDUAL, keys[c])
                    state.residual_variance[c] = (moments[0] + priors.residual[0] * priors.residual[1]) / chi
                if saved:
                    _save(c, draw, moments, priors, state, sums)
                    _count_included(c, draw, set_start, priors, state, sums)
            if saved:
                for tile in range(own_first, own_last):
                    _save_tile(c, tile, records, state, sums)
            barrier(meeting, team)
        for c in range(chains):
            if not state.residual_variance[c] < np.inf:
                return row + 1
    return iterations
