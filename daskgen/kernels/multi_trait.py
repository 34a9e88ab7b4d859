"""Gibbs sampling of marker effects on several traits: many iterations of several chains in one call.

The model of one chain, with samples i, location effects theta (the same columns for every trait) and markers j in sets
with priors of their own:

    y_i = theta' x_i + sum_j z_ij a_j + e_i,   e_i ~ N(0, R / w_i),   a_j = D_j beta_j,   beta_j ~ N(0, G).

One iteration: residuals of traits that a sample lacks, given those it has; location effects; markers block by block
(:mod:`daskgen.kernels.multi_trait_sampler`); Pi, G, covariances of random terms, R. Residuals are kept at every sample,
as in :mod:`daskgen.kernels.gibbs`, whose team of threads, gang of workers, blocks and random counters are the same.
"""

from __future__ import annotations

import math

import numpy as np

from daskgen.kernels.compile import helper, kernel
from daskgen.kernels.genotype_dots import TILE, add_across, add_within, clear_padding
from daskgen.kernels.gibbs import BLOCK, ITERATION, SUMS
from daskgen.kernels.limbs import LIMBS, ROWS
from daskgen.kernels.marker_dots import add_changes, marker_products, prepare_tile
from daskgen.kernels.multi_trait_sampler import sample_traits
from daskgen.kernels.multi_trait_types import traits_signature
from daskgen.kernels.multi_trait_updates import (
    MARKER,
    draw_covariances,
    draw_proportions,
    imputation_tables,
    impute_tile,
    moments_of_tile,
    sample_locations,
    save_effects,
    save_trace,
    save_traits_tile,
)
from daskgen.kernels.random_draws import uniform_and_normal
from daskgen.kernels.small_matrices import factor, invert
from daskgen.kernels.teams import ask, barrier, told_to_stop

__all__ = ["run_traits"]


@helper
def draw_numbers(start, begin, end, iteration, row, repeat, given, key, uniforms, normals):
    """The uniforms and normals (b, T) of the markers `begin` to `end` - 1 of the block that starts at `start`, for one
    pass over it: recorded ones where there are some.
    """
    for j in range(begin, end):
        for k in range(uniforms.shape[1]):
            if given.uniform.size:
                uniforms[j - start, k] = given.uniform[row, repeat, j, k]
                normals[j - start, k] = given.normal[row, repeat, j, k]
            else:
                uniforms[j - start, k], normals[j - start, k] = uniform_and_normal(
                    iteration, j, repeat * uniforms.shape[1] + k, MARKER, key
                )


@kernel(traits_signature())
def run_traits(
    markers, records, priors, state, sums, given, keys, set_start, n_samples, first_iteration, iterations, burn_in,
    thin, independent, bounds, worker, hook, member, team, meeting, partial, planes, limbs, unit, sums_of_limbs, change,
    ready, tables,
):  # fmt: skip
    """Run iterations of all chains, as thread `member` of `team`: arguments and value as of `gibbs.run`.

    Work space, V = C T vectors: partial (tiles, V, longest block or number of moments), planes (V, 4, bytes), limbs
    int16 (V, tiles, LIMBS, 4, TILE), zeros, unit, sums_of_limbs (V, tiles), change (C, T, P), ready (C, 2, longest, T),
    tables (C, patterns, 2, T, T).
    """
    chains, blocks, sets = keys.shape[0], markers.start.size - 1, set_start.size - 1
    width = records.w.shape[1]
    tiles = max(1, -(-width // TILE))
    traits, listed, longest = state.residual.shape[1], priors.states.size, partial.shape[2]
    flat, limb_sums = partial.reshape((tiles, partial.shape[1] * longest)), np.empty(ROWS * LIMBS, np.int32)
    low, high = bounds[worker], bounds[worker + 1]
    own_first, own_last = low + member * (high - low) // team, low + (member + 1) * (high - low) // team
    alone, dosages, origin = bounds.size == 2, markers.dosage.size > 0, markers.origin[0]
    first_draw = 0
    if first_iteration > burn_in:
        first_draw = (first_iteration - 1 - burn_in) // thin
    weight, counts, z = np.empty(listed), np.empty(listed), np.empty(traits)
    one, other = np.empty((traits, traits)), np.empty((traits, traits))
    r_inverse, g_inverse = np.empty((chains, traits, traits)), np.empty((chains, sets, traits, traits))
    u_inverse, work = np.empty((priors.random_df.size, traits, traits)), np.empty((5, traits, traits))
    place, log_pi = np.zeros(1 << traits, np.int64), np.full(1 << traits, -np.inf)
    for k in range(listed):
        place[priors.states[k]] = k
    for row in range(iterations):
        iteration = first_iteration + row
        draw = (iteration - burn_in) // thin - 1 - first_draw
        saved = iteration > burn_in and (iteration - burn_in) % thin == 0
        if member == 0:
            ask(meeting, hook, ITERATION, iteration)
            for c in range(chains):
                imputation_tables(records.patterns, state.residual_variance[c], tables[c])
        barrier(meeting, team)
        for c in range(chains):  # of all samples, so that each worker has what the others have
            for tile in range(member * tiles // team, (member + 1) * tiles // team):
                impute_tile(
                    tile, iteration, state.residual[c], state.y[c], records.w, records.pattern, records.patterns,
                    keys[c], tables[c], z,
                )  # fmt: skip
        barrier(meeting, team)
        if member == 0:
            for c in range(chains):
                factor(state.residual_variance[c], traits, one)
                invert(one, traits, r_inverse[c])
                for s in range(sets):
                    factor(state.variance[c, s], traits, one)
                    invert(one, traits, g_inverse[c, s])
                for u in range(priors.random_df.size):
                    factor(state.random_variance[c, u], traits, one)
                    invert(one, traits, u_inverse[u])
                sample_locations(
                    iteration, state.residual[c], state.location[c], state.theta[c], records.w, records.pointer,
                    records.sample, records.value, records.diagonal, records.term, records.precision_pointer,
                    records.precision_column, records.precision, keys[c], r_inverse[c], u_inverse, work,
                )  # fmt: skip
        barrier(meeting, team)
        for turn in range((1 + independent) * blocks):  # once more over the blocks where the residual waits for the end
            b = turn % blocks
            if hook != 0:
                if member == 0:
                    ask(meeting, hook, BLOCK, b)
                barrier(meeting, team)
                if told_to_stop(meeting):
                    return row
            start, stop, s = markers.start[b], markers.start[b + 1], markers.owner[b]
            held = markers.place[b] + stop - start
            codes, dosage = markers.packed[markers.place[b] : held], markers.dosage[markers.place[b] : held]
            shift, missing = markers.shift[start:stop], markers.missing[start:stop]
            gaps, gap_place = markers.gap_start[markers.gap_at[b] :], markers.gap_place
            if turn < blocks:
                for c in range(chains):
                    for k in range(traits):
                        v = c * traits + k
                        for tile in range(own_first, own_last):
                            prepare_tile(
                                dosages, state.residual[c, k], records.w, tile, planes[v], limbs[v], unit[v],
                                sums_of_limbs[v],
                            )  # fmt: skip
                    begin, end = start + member * (stop - start) // team, start + (member + 1) * (stop - start) // team
                    draw_numbers(start, begin, end, iteration, row, 0, given, keys[c], ready[c, 0], ready[c, 1])
                marker_products(
                    codes, dosage, shift, missing, gaps, gap_place, origin, own_first, own_last, planes, limbs, unit,
                    sums_of_limbs, limb_sums, partial,
                )  # fmt: skip
                barrier(meeting, team)
                if member == 0:
                    add_within(flat, low, high, tiles)
                    if not alone:
                        ask(meeting, hook, SUMS, b)
                        add_across(flat, bounds, tiles)
                    first = markers.offset[b]
                    last = first + (stop - start) * (stop - start)
                    for c in range(chains):
                        for k in range(listed):
                            p = state.pi[c, s, k]
                            log_pi[priors.states[k]] = math.log(p) if p > 0.0 else -np.inf
                        for k in range(traits):
                            for j in range(start, stop):
                                change[c, k, j] = state.effect[c, j, k]
                        for repeat in range(markers.repeats[b]):
                            if repeat > 0:
                                draw_numbers(
                                    start, start, stop, iteration, row, repeat, given, keys[c], ready[c, 0], ready[c, 1]
                                )
                            sample_traits(
                                start, stop, partial[0, c * traits : (c + 1) * traits], markers.gram[first:last],
                                markers.gram_single[first:last], markers.diagonal, state.effect[c], state.slab[c],
                                state.group[c], priors.joint[s] == 1, priors.states, log_pi, g_inverse[c, s],
                                r_inverse[c], ready[c, 0], ready[c, 1], weight, work,
                            )  # fmt: skip
                        for k in range(traits):
                            for j in range(start, stop):
                                change[c, k, j] -= state.effect[c, j, k]
                barrier(meeting, team)
            if turn >= independent * blocks:
                for c in range(chains):
                    for k in range(traits):
                        add_changes(
                            codes, dosage, shift, missing, gaps, gap_place, origin, own_first, own_last,
                            change[c, k, start:stop], state.residual[c, k],
                        )  # fmt: skip
                        if own_last == tiles:
                            clear_padding(state.residual[c, k], n_samples)
        for c in range(chains):
            for tile in range(own_first, own_last):
                moments_of_tile(
                    tile, state.residual[c], state.y[c], state.location[c], records.w, records.observed,
                    partial[tile, c * traits],
                )  # fmt: skip
        barrier(meeting, team)
        if member == 0:
            add_within(flat, low, high, tiles)
            if not alone:
                ask(meeting, hook, SUMS, blocks)
                add_across(flat, bounds, tiles)
            for c in range(chains):
                moments = partial[0, c * traits]
                for s in range(sets):
                    if priors.estimate_pi[s]:
                        group = state.group[c, set_start[s] : set_start[s + 1]]
                        draw_proportions(s, iteration, group, state.pi[c, s], keys[c], counts, place)
                draw_covariances(
                    iteration, set_start, moments, priors.df, priors.scale, priors.estimate_variance, priors.random_df,
                    priors.random_scale, priors.residual, priors.residual_scale, priors.diagonal == 1, state.slab[c],
                    state.theta[c], records.term, records.precision_pointer, records.precision_column,
                    records.precision, state.variance[c], state.random_variance[c], state.residual_variance[c], keys[c],
                    one, other,
                )  # fmt: skip
                if saved:
                    kept = sums.draw[c, draw] if sums.draw.shape[1] else sums.draw[c, 0:0].reshape(0)
                    save_effects(
                        state.effect[c], state.group[c], place, sums.effect[c], sums.effect_square[c], sums.included[c],
                        sums.states[c], kept,
                    )  # fmt: skip
                    if sums.theta.shape[1]:
                        for k in range(sums.theta.shape[2]):
                            sums.theta[c, draw, k] = state.theta[c, k // traits, k % traits]
                    save_trace(
                        sums.trace[c, draw], moments, set_start, state.effect[c], state.residual_variance[c],
                        state.variance[c], state.pi[c], state.random_variance[c], one,
                    )  # fmt: skip
        if saved:
            for c in range(chains):
                for tile in range(own_first, own_last):
                    save_traits_tile(
                        tile, state.residual[c], state.y[c], state.location[c], sums.genetic[c], sums.genetic_square[c]
                    )
        barrier(meeting, team)
        if told_to_stop(meeting):
            return row
        for c in range(chains):
            for k in range(traits):
                if not state.residual_variance[c, k, k] < np.inf:
                    return row + 1
    return iterations
