"""Gibbs sampling of marker effects on several traits: many iterations of several chains in one call.

The model of one chain, with samples i, location effects theta (the same columns for every trait) and markers j in sets
with priors of their own:

    y_i = theta' x_i + sum_j z_ij a_j + e_i,   e_i ~ N(0, R / w_i),   a_j = D_j beta_j,   beta_j ~ N(0, G).

One iteration: residuals of traits that a sample lacks, given those it has; location effects; markers block by block
(:mod:`daskgen.kernels.multi_trait_sampler`); Pi, G, covariances of random terms, R. Residuals are kept at every sample,
as in :mod:`daskgen.kernels.gibbs`, whose team of threads, blocks and random counters are the same.
"""

from __future__ import annotations

import math

import numpy as np

from daskgen.kernels.compile import kernel
from daskgen.kernels.genotype_dots import TILE, add_within, clear_padding
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
    n_moments,
    sample_locations,
    save_effects,
    save_trace,
    save_traits_tile,
)
from daskgen.kernels.random_draws import uniform_and_normal
from daskgen.kernels.small_matrices import factor, invert
from daskgen.kernels.teams import barrier

__all__ = ["run_traits"]


@kernel(traits_signature())
def run_traits(
    markers, records, priors, state, sums, given, keys, set_start, n_samples, first_iteration, iterations, burn_in,
    thin, independent, member, team, meeting, partial, planes, limbs, unit, sums_of_limbs, change, tables,
):  # fmt: skip
    """Run iterations of all chains, as thread `member` of `team`: arguments and value as of `gibbs.run`.

    Work space: partial (tiles, T, longest block or number of moments), planes (T, 4, bytes), limbs int16 (T, tiles,
    LIMBS, 4, TILE), zeros, unit, sums_of_limbs (T, tiles), change (C, P, T), tables (patterns, 2, T, T).
    """
    chains, blocks = keys.shape[0], markers.start.size - 1
    width = records.w.shape[1]
    tiles = max(1, -(-width // TILE))
    traits, longest, listed = partial.shape[1], partial.shape[2], priors.states.size
    flat, limb_sums = partial.reshape((tiles, traits * longest)), np.empty(ROWS * LIMBS, np.int32)
    own_first, own_last = member * tiles // team, (member + 1) * tiles // team
    first_draw = 0
    if first_iteration > burn_in:
        first_draw = (first_iteration - 1 - burn_in) // thin
    uniforms, normals = np.empty((longest, traits)), np.empty((longest, traits))
    weight, counts, z = np.empty(listed), np.empty(listed), np.empty(traits)
    moments = np.empty(n_moments(traits))
    one, other = np.empty((traits, traits)), np.empty((traits, traits))
    r_inverse, g_inverse = np.empty((chains, traits, traits)), np.empty((chains, set_start.size - 1, traits, traits))
    u_inverse, work = np.empty((priors.random_df.size, traits, traits)), np.empty((5, traits, traits))
    place, log_pi = np.zeros(1 << traits, np.int64), np.full(1 << traits, -np.inf)
    for k in range(listed):
        place[priors.states[k]] = k
    dosages = markers.dosage.size > 0
    for row in range(iterations):
        iteration = first_iteration + row
        draw = (iteration - burn_in) // thin - 1 - first_draw
        saved = iteration > burn_in and (iteration - burn_in) % thin == 0
        for c in range(chains):
            if member == 0:
                imputation_tables(records.patterns, state.residual_variance[c], tables)
            barrier(meeting, team)
            for tile in range(own_first, own_last):
                impute_tile(
                    tile, iteration, state.residual[c], state.y[c], records.w, records.pattern, records.patterns,
                    keys[c], tables, z,
                )  # fmt: skip
            barrier(meeting, team)
            if member == 0:
                factor(state.residual_variance[c], traits, one)
                invert(one, traits, r_inverse[c])
                for s in range(set_start.size - 1):
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
        for b in range(blocks):
            start, stop = markers.start[b], markers.start[b + 1]
            s, size = markers.owner[b], stop - start
            codes, dosage = markers.packed[start:stop], markers.dosage[start:stop]
            shift, missing = markers.shift[start:stop], markers.missing[start:stop]
            gaps = markers.gap_start[markers.gap_at[b] :]
            for c in range(chains):
                for k in range(traits):
                    for tile in range(own_first, own_last):
                        prepare_tile(
                            dosages, state.residual[c, k], records.w, tile, planes[k], limbs[k], unit[k],
                            sums_of_limbs[k],
                        )  # fmt: skip
                marker_products(
                    codes, dosage, shift, missing, gaps, markers.gap_place, 0, own_first, own_last, planes, limbs, unit,
                    sums_of_limbs, limb_sums, partial,
                )  # fmt: skip
                barrier(meeting, team)
                if member == 0:
                    add_within(flat, 0, tiles, tiles)
                    for k in range(listed):
                        p = state.pi[c, s, k]
                        log_pi[priors.states[k]] = math.log(p) if p > 0.0 else -np.inf
                    for j in range(start, stop):
                        for k in range(traits):
                            change[c, j, k] = state.effect[c, j, k]
                    first = markers.offset[b]
                    gram = markers.gram[first : first + size * size].reshape((size, size))
                    for repeat in range(markers.repeats[b]):
                        for j in range(start, stop):
                            for k in range(traits):
                                if given.uniform.size:
                                    uniforms[j - start, k] = given.uniform[row, repeat, j, k]
                                    normals[j - start, k] = given.normal[row, repeat, j, k]
                                else:
                                    uniforms[j - start, k], normals[j - start, k] = uniform_and_normal(
                                        iteration, j, repeat * traits + k, MARKER, keys[c]
                                    )
                        sample_traits(
                            start, stop, partial[0], gram, markers.diagonal, state.effect[c], state.slab[c],
                            state.group[c], priors.joint[s] == 1, priors.states, log_pi, g_inverse[c, s],
                            r_inverse[c], uniforms, normals, weight, work,
                        )  # fmt: skip
                    for j in range(start, stop):
                        for k in range(traits):
                            change[c, j, k] -= state.effect[c, j, k]
                barrier(meeting, team)
                if independent == 0:
                    for k in range(traits):
                        add_changes(
                            codes, dosage, shift, missing, gaps, markers.gap_place, 0, own_first, own_last,
                            change[c, start:stop, k].copy(), state.residual[c, k],
                        )  # fmt: skip
                    if own_last == tiles:
                        for k in range(traits):
                            clear_padding(state.residual[c, k], n_samples)
        for c in range(chains):
            if independent:
                for b in range(blocks):
                    start, stop = markers.start[b], markers.start[b + 1]
                    for k in range(traits):
                        add_changes(
                            markers.packed[start:stop], markers.dosage[start:stop], markers.shift[start:stop],
                            markers.missing[start:stop], markers.gap_start[markers.gap_at[b] :], markers.gap_place, 0,
                            own_first, own_last, change[c, start:stop, k].copy(), state.residual[c, k],
                        )  # fmt: skip
                if own_last == tiles:
                    for k in range(traits):
                        clear_padding(state.residual[c, k], n_samples)
            for tile in range(own_first, own_last):
                moments_of_tile(tile, state.residual[c], state.y[c], state.location[c], records.w, partial[tile, 0])
            barrier(meeting, team)
            if member == 0:
                add_within(flat, 0, tiles, tiles)
                for k in range(moments.size):
                    moments[k] = partial[0, 0, k]
                for s in range(set_start.size - 1):
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
                        sums.trace[c, draw], moments, priors.residual[1], set_start, state.effect[c],
                        state.residual_variance[c], state.variance[c], state.pi[c], state.random_variance[c], one,
                    )  # fmt: skip
            if saved:
                for tile in range(own_first, own_last):
                    save_traits_tile(
                        tile, state.residual[c], state.y[c], state.location[c], sums.genetic[c], sums.genetic_square[c]
                    )
            barrier(meeting, team)
        for c in range(chains):
            for k in range(traits):
                if not state.residual_variance[c, k, k] < np.inf:
                    return row + 1
    return iterations
