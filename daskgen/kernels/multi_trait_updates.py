"""The parts of an iteration for several traits beside the markers: missing traits, location effects, covariance
matrices, proportions, and what is saved. Helpers take arrays: the tuples that hold them cost the compiler seconds a
call.
"""

from __future__ import annotations

import math

import numpy as np

from daskgen.kernels.compile import helper
from daskgen.kernels.genotype_dots import TILE
from daskgen.kernels.random_draws import gamma, uniform_and_normal
from daskgen.kernels.small_matrices import draw_covariance, factor, solve_factored

__all__ = [
    "MARKER",
    "draw_covariances",
    "draw_proportions",
    "imputation_tables",
    "impute_tile",
    "moments_of_tile",
    "n_moments",
    "sample_locations",
    "save_effects",
    "save_trace",
    "save_traits_tile",
]

# Purposes of random counters. A covariance matrix uses the one after its own too.
LOCATION, MARKER, PROPORTION, IMPUTED = 0, 1, 2, 3
VARIANCE, RANDOM, RESIDUAL = 10, 12, 14


@helper
def imputation_tables(patterns, r, tables):
    """Of each pattern of observed traits o and missing ones m, what makes a draw of the missing residuals.

    Given the observed ones they are N(B r_o, V): B = R_mo R_oo^-1, V = R_mm - B R_om. tables (patterns, 2, T, T): B in
    the rows of missing and columns of observed traits, and the lower factor of V in the rows and columns of missing
    ones.
    """
    traits = r.shape[0]
    square, row = np.empty((traits, traits)), np.empty(traits)
    seen, gone = np.empty(traits, np.int64), np.empty(traits, np.int64)
    for p in range(patterns.size):
        observed, missing = 0, 0
        for k in range(traits):
            if (patterns[p] >> k) & 1:
                seen[observed] = k
                observed += 1
            else:
                gone[missing] = k
                missing += 1
        if missing == 0:
            continue
        slopes, spread = tables[p, 0], tables[p, 1]
        for i in range(observed):
            for j in range(observed):
                square[i, j] = r[seen[i], seen[j]]
        factor(square, observed, square)
        for i in range(missing):
            for j in range(observed):
                row[j] = r[gone[i], seen[j]]
            solve_factored(square, observed, row)
            for j in range(observed):
                slopes[gone[i], seen[j]] = row[j]
        for i in range(missing):
            for j in range(missing):
                total = r[gone[i], gone[j]]
                for k in range(observed):
                    total -= slopes[gone[i], seen[k]] * r[seen[k], gone[j]]
                square[i, j] = total
        factor(square, missing, square)
        for i in range(missing):
            for j in range(i + 1):
                spread[gone[i], gone[j]] = square[i, j]


@helper
def impute_tile(tile, iteration, r, y, w, pattern, patterns, key, tables, z):
    """Draw the missing residuals r (T, 4, bytes) of the samples of one tile; y becomes what goes with them. w, pattern:
    (4, bytes); z: work (T,).
    """
    traits = r.shape[0]
    first = tile * TILE
    last = min(first + TILE, r.shape[2])
    everything = (1 << traits) - 1
    for k in range(4):
        for i in range(first, last):
            p = pattern[k, i]
            if p < 0:
                continue
            seen = patterns[p]
            if seen == everything:
                continue
            slopes, spread = tables[p, 0], tables[p, 1]
            scale = 1.0 / math.sqrt(w[k, i])
            for m in range(traits):
                if not (seen >> m) & 1:
                    _, z[m] = uniform_and_normal(iteration, 4 * i + k, m, IMPUTED, key)
            for m in range(traits):
                if (seen >> m) & 1:
                    continue
                new = 0.0
                for q in range(traits):
                    if (seen >> q) & 1:
                        new += slopes[m, q] * r[q, k, i]
                    elif q <= m:
                        new += spread[m, q] * z[q] * scale
                y[m, k, i] += new - r[m, k, i]
                r[m, k, i] = new


@helper
def sample_locations(
    iteration, r, fitted, theta, w, pointer, sample, value, diagonal, term, precision_pointer, precision_column,
    precision_value, key, r_inverse, u_inverse, work,
):  # fmt: skip
    """All location effects of a chain, the traits of a column at once: precision d R^-1 + P_qq U^-1.

    r, fitted: (T, 4, bytes); theta: (Q, T); w (4, bytes) to precision_value: of `TraitRecords`; u_inverse: (U, T, T),
    inverse covariance matrices of the random terms; work: (3, T, T).
    """
    traits = r.shape[0]
    precision, product, right, change = work[0], work[1, 0], work[2, 0], work[2, 1]
    for q in range(diagonal.size):
        first, last = pointer[q], pointer[q + 1]
        d = diagonal[q]
        for k in range(traits):
            total = d * theta[q, k]
            for at in range(first, last):
                plane, place = sample[at] & 3, sample[at] >> 2
                total += value[at] * w[plane, place] * r[k, plane, place]
            product[k] = total
        for k in range(traits):
            right[k] = 0.0
            for m in range(traits):
                right[k] += r_inverse[k, m] * product[m]
                precision[k, m] = d * r_inverse[k, m]
        if term[q] >= 0:
            inverse = u_inverse[term[q]]
            for at in range(precision_pointer[q], precision_pointer[q + 1]):
                other = precision_column[at]
                for k in range(traits):
                    for m in range(traits):
                        if other == q:
                            precision[k, m] += precision_value[at] * inverse[k, m]
                        else:
                            right[k] -= precision_value[at] * inverse[k, m] * theta[other, m]
        factor(precision, traits, precision)
        solve_factored(precision, traits, right)
        for k in range(traits - 1, -1, -1):  # + L'^-1 z
            _, z = uniform_and_normal(iteration, q, k, LOCATION, key)
            for m in range(k + 1, traits):
                z -= precision[m, k] * change[m]
            change[k] = z / precision[k, k]
        for k in range(traits):
            new = right[k] + change[k]
            change[k] = new - theta[q, k]
            theta[q, k] = new
        for k in range(traits):
            for at in range(first, last):
                plane, place = sample[at] & 3, sample[at] >> 2
                step = value[at] * change[k]
                r[k, plane, place] -= step
                fitted[k, plane, place] += step


@helper
def draw_proportions(s, iteration, group, pi, key, counts, place):
    """Pi (listed,) ~ Dirichlet(counts + 1) of set s. group: states of its markers; counts: work (listed,); place:
    int64, where a state is in `states`.
    """
    for k in range(counts.size):
        counts[k] = 1.0
    for j in range(group.size):
        counts[place[group[j]]] += 1.0
    whole = 0.0
    for k in range(counts.size):
        pi[k] = gamma(counts[k], iteration, s * 4096 + k, PROPORTION, key)
        whole += pi[k]
    for k in range(counts.size):
        pi[k] /= whole


@helper
def _add_products(rows, weights_pointer, weights_column, weights, first, last, total):
    """total += sum over the rows `first` to `last` - 1 of row' Q row, or row' row where Q has no entries."""
    traits = total.shape[0]
    for j in range(first, last):
        if weights.size == 0:
            for k in range(traits):
                for q in range(traits):
                    total[k, q] += rows[j, k] * rows[j, q]
            continue
        for at in range(weights_pointer[j], weights_pointer[j + 1]):
            other = weights_column[at]
            for k in range(traits):
                for q in range(traits):
                    total[k, q] += rows[j, k] * weights[at] * rows[other, q]


@helper
def draw_covariances(
    iteration, set_start, moments, df, scale, estimate, random_df, random_scale, residual, residual_scale, diagonal,
    slab, theta, term, precision_pointer, precision_column, precision, variance, random_variance, residual_variance,
    key, work, total,
):  # fmt: skip
    """The covariance matrices: G of each set ~ InvWishart(df + P, S + sum beta beta'), of each random term ~
    InvWishart(df + levels, S + theta' Q theta), and R ~ InvWishart(df + N, S + E'WE).

    df to diagonal: of `TraitPriors`; slab (P, T), theta (Q, T); term to precision: of `TraitRecords`; variance (S, T,
    T), random_variance (U, T, T), residual_variance (T, T): changed. work, total: (T, T).
    """
    traits = total.shape[0]
    sets, terms = df.size, random_df.size
    for number in range(sets + terms + 1):
        purpose, index, freedom = VARIANCE, number, 0.0
        out = residual_variance
        if number < sets:
            if not estimate[number]:
                continue
            first, last = set_start[number], set_start[number + 1]
            total[:] = scale[number]
            freedom = df[number] + (last - first)
            _add_products(slab, precision_pointer, precision_column, precision[:0], first, last, total)
            out = variance[number]
        elif number < sets + terms:
            purpose, index = RANDOM, number - sets
            first = 0
            while term[first] != index:
                first += 1
            last = first
            while last < term.size and term[last] == index:
                last += 1
            total[:] = random_scale[index]
            freedom = random_df[index] + (last - first)
            _add_products(theta, precision_pointer, precision_column, precision, first, last, total)
            out = random_variance[index]
        else:
            if residual[2] == 0.0:
                continue
            purpose, index, at = RESIDUAL, 0, 0
            for m in range(traits):
                for q in range(m + 1):
                    total[m, q] = residual_scale[m, q] + moments[at]
                    total[q, m] = total[m, q]
                    at += 1
            freedom = residual[0] + residual[1]
        draw_covariance(total, freedom, diagonal, iteration, index, purpose, key, work, out)


@helper
def n_moments(traits):
    """How many numbers `moments_of_tile` gives."""
    return traits * (traits + 1) + traits + 1


@helper
def moments_of_tile(tile, r, y, fitted, weights, observed, out):
    """Of one tile: E'WE by lower triangle over the samples with any trait; over those that are `observed` the same of
    Z a, its sums, and their number. r, y, fitted: (T, 4, bytes); weights, observed: (4, bytes).
    """
    traits = r.shape[0]
    first = tile * TILE
    last = min(first + TILE, r.shape[2])
    pairs = traits * (traits + 1) // 2
    for m in range(n_moments(traits)):
        out[m] = 0.0
    for k in range(4):
        for i in range(first, last):
            w = weights[k, i]
            if w == 0.0:
                continue
            genetic = observed[k, i]
            at = 0
            for m in range(traits):
                g = genetic * (y[m, k, i] - fitted[m, k, i] - r[m, k, i])
                for q in range(m + 1):
                    out[at] += w * r[m, k, i] * r[q, k, i]
                    out[pairs + at] += g * (y[q, k, i] - fitted[q, k, i] - r[q, k, i])
                    at += 1
                out[2 * pairs + m] += g
            out[2 * pairs + traits] += genetic


@helper
def save_traits_tile(tile, r, y, fitted, sum_of_values, sum_of_squares):
    """Add Z a of one tile, and its squares, to the sums; all (T, 4, bytes)."""
    first = tile * TILE
    last = min(first + TILE, r.shape[2])
    for m in range(r.shape[0]):
        for k in range(4):
            for i in range(first, last):
                genetic = y[m, k, i] - fitted[m, k, i] - r[m, k, i]
                sum_of_values[m, k, i] += genetic
                sum_of_squares[m, k, i] += genetic * genetic


@helper
def _triangle(matrix, row, at):
    for m in range(matrix.shape[0]):
        for q in range(m + 1):
            row[at] = matrix[m, q]
            at += 1
    return at


@helper
def save_effects(effect, group, place, sums, squares, included, states, draw):
    """Add the effects (P, T) and states of a draw to the sums; draw: where they are kept, (P T,) or (0,)."""
    p, traits = effect.shape
    for j in range(p):
        for k in range(traits):
            a = effect[j, k]
            sums[j, k] += a
            squares[j, k] += a * a
            if a != 0.0:
                included[j, k] += 1.0
        if states.size:
            states[j, place[group[j]]] += 1.0
    if draw.size:
        for j in range(p):
            for k in range(traits):
                draw[j * traits + k] = effect[j, k]


@helper
def save_trace(row, moments, set_start, effect, residual_variance, variance, pi, random_variance, work):
    """The row of the trace, matrices by lower triangle: R, genetic covariances, h2 and genetic correlations of pairs,
    then by set G, the number of markers included by trait, Pi; the covariances of random terms.

    moments: of `moments_of_tile`; variance (S, T, T), pi (S, listed), random_variance (U, T, T); work: (T, T).
    """
    traits = effect.shape[1]
    pairs = traits * (traits + 1) // 2
    count = moments[2 * pairs + traits]
    at = 0
    for m in range(traits):
        for q in range(m + 1):
            work[m, q] = 0.0
            if count > 1.0:
                product = moments[2 * pairs + m] * moments[2 * pairs + q]
                work[m, q] = (moments[pairs + at] - product / count) / (count - 1.0)
            at += 1
    at = _triangle(residual_variance, row, 0)
    at = _triangle(work, row, at)
    for m in range(traits):
        work[m, m] = max(work[m, m], 0.0)
        row[at] = work[m, m] / (work[m, m] + residual_variance[m, m])
        at += 1
    for m in range(traits):
        for q in range(m):
            both = work[m, m] * work[q, q]
            row[at] = work[m, q] / math.sqrt(both) if both > 0.0 else 0.0
            at += 1
    for s in range(variance.shape[0]):
        at = _triangle(variance[s], row, at)
        for k in range(traits):
            included = 0.0
            for j in range(set_start[s], set_start[s + 1]):
                if effect[j, k] != 0.0:
                    included += 1.0
            row[at] = included
            at += 1
        for k in range(pi.shape[1]):
            row[at] = pi[s, k]
            at += 1
    for u in range(random_variance.shape[0]):
        at = _triangle(random_variance[u], row, at)
