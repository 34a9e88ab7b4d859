"""The parts of a Gibbs iteration beside the markers: location effects, proportions, variances, and what is saved."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from daskgen.kernels.compile import helper
from daskgen.kernels.genotype_dots import TILE
from daskgen.kernels.gibbs_types import INVERSE_CHI_SQUARE, LASSO
from daskgen.kernels.random_draws import chi_square, gamma, uniform_and_normal

__all__ = [
    "MARKER",
    "RESIDUAL",
    "count_included",
    "draw_marker_priors",
    "draw_random_variances",
    "sample_location",
    "save_draw",
    "save_tile",
    "tile_moments",
    "within_squares",
]

LOCATION, MARKER, PROPORTION, VARIANCE, OWN_VARIANCE, RANDOM, RESIDUAL = range(7)  # purposes of random counters

Vector = npt.NDArray[np.float64]


@helper
def _place(planes: Vector, sample: int) -> float:
    return planes[sample & 3, sample >> 2]


@helper
def sample_location(c, iteration, row, records, state, key, given):
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
        right += records.within_right[q]
        for at in range(records.within_pointer[q], records.within_pointer[q + 1]):
            right -= records.within[at] * state.theta[c, records.within_column[at]]
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
def draw_marker_priors(c, iteration, row, first, last, s, priors, state, key, given):
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
def draw_random_variances(c, iteration, records, priors, state, key):
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
def within_squares(c, records, state):
    """The sum of squares of records around the means of their samples: (y~ - X~ theta)' W (y~ - X~ theta)."""
    squares = records.within_square[0]
    for q in range(records.diagonal.size):
        theta = state.theta[c, q]
        squares -= 2.0 * theta * records.within_right[q]
        for at in range(records.within_pointer[q], records.within_pointer[q + 1]):
            squares += theta * records.within[at] * state.theta[c, records.within_column[at]]
    return max(squares, 0.0)


@helper
def tile_moments(c, tile, records, state, out):
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
def save_tile(c, tile, records, state, sums):
    """Add Z a of one tile, and its squares, to the sums."""
    r, fitted = state.residual[c], state.location[c]
    first = tile * TILE
    last = min(first + TILE, r.shape[1])
    for k in range(4):
        for i in range(first, last):
            genetic = records.y[k, i] - fitted[k, i] - r[k, i]
            sums.genetic[c, k, i] += genetic
            sums.genetic_square[c, k, i] += genetic * genetic


@helper
def save_draw(c, draw, moments, priors, state, sums):
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
def count_included(c, draw, set_start, priors, state, sums):
    """The number of markers with an effect, by set, to the trace."""
    at = 4
    for s in range(priors.classes.size):
        included = 0.0
        for j in range(set_start[s], set_start[s + 1]):
            if state.effect[c, j] != 0.0:
                included += 1.0
        sums.trace[c, draw, at] = included
        at += 2 + priors.classes[s]
