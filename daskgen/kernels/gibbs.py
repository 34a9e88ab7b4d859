"""Gibbs sampling of marker effects from packed genotypes: many iterations of several chains in one call.

The model of one chain, with samples i, location effects theta (fixed: flat prior, random: precision matrix over s2u)
and markers j in sets with priors of their own:

    y = X theta + Z a + e,   e_i ~ N(0, s2e / w_i),   w_i = 0 where nothing was observed.

One iteration: location effects one by one; markers block by block (:mod:`daskgen.kernels.marker_sampler`), for all
chains while the block is at hand; mixture proportions, marker variances, variances of random effects; residual
variance. The residual r = y - X theta - Z a is kept at every sample, with y = 0 where it is missing, so that Z a of
unobserved samples is known too.

A team of threads shares the work: each has some tiles of the samples, for which it forms the block's right-hand sides
and updates the residual; the leader samples. So do the workers of a gang, of which each has the genotypes of its tiles
only: sums over tiles and the residual are exchanged through a hook, everything else is done by all of them alike. Sums
over tiles are added pairwise, and draws are functions of chain, iteration and marker, so neither the size of the team
nor of the gang changes a bit.
"""

from __future__ import annotations

import math

import numpy as np

from daskgen.kernels.compile import helper, kernel
from daskgen.kernels.genotype_dots import TILE, add_across, add_within, clear_padding, n_tiles
from daskgen.kernels.gibbs_types import COMMON, run_signature
from daskgen.kernels.gibbs_updates import (
    RESIDUAL,
    count_included,
    draw_marker_priors,
    draw_random_variances,
    sample_location,
    save_draw,
    save_tile,
    tile_moments,
    within_squares,
)
from daskgen.kernels.limbs import LIMBS, ROWS
from daskgen.kernels.marker_dots import add_changes, marker_products, prepare_tile
from daskgen.kernels.marker_sampler import prepare_draws, sample_block
from daskgen.kernels.random_draws import chi_square
from daskgen.kernels.teams import ask, barrier, told_to_stop

__all__ = ["BLOCK", "ITERATION", "SUMS", "run", "work_space"]

ITERATION, BLOCK, SUMS = range(3)
"""What a hook is asked for: the whole residual at the start of an iteration (the number is the iteration), the rows of
a block (the number is the block), the sums of the other workers in `partial`.
"""


def work_space(chains: int, n_markers: int, width: int, longest: int) -> tuple[np.ndarray, ...]:
    """The last arguments of `run` for a team: width bytes of samples, `longest` markers in a block."""
    tiles = n_tiles(width)
    return (
        np.zeros((tiles, chains, max(4, longest))),
        np.zeros((chains, 4, width)),
        np.zeros((chains, tiles, LIMBS, 4, TILE), np.int16),
        np.zeros((chains, tiles)),
        np.zeros((chains, tiles)),
        np.zeros((chains, n_markers)),
        np.zeros((chains, 2, longest)),
    )


@helper
def logarithms(of_markers, pi):
    """log P(class): those of the markers (classes, P), if there are any, else of all alike (classes, 1)."""
    if of_markers.shape[1]:
        return of_markers
    found = np.empty((pi.size, 1))
    for k in range(pi.size):
        found[k, 0] = math.log(pi[k]) if pi[k] > 0.0 else -np.inf
    return found


@helper
def given_draws(given, row, repeat):
    """The recorded uniforms and normals of all markers for one pass, or empty ones."""
    if given.uniform.size:
        return given.uniform[row, repeat], given.normal[row, repeat]
    return given.uniform.reshape(-1), given.normal.reshape(-1)


@kernel(run_signature())
def run(
    markers, records, priors, state, sums, given, keys, set_start, n_samples, first_iteration, iterations, burn_in,
    thin, independent, bounds, worker, hook, member, team, meeting, partial, planes, limbs, unit, total, change,
    ready,
):  # fmt: skip
    """Run iterations `first_iteration` to `first_iteration` + `iterations` - 1 of all chains, as thread `member` of
    `team`; all members get the same arrays.

    keys: uint32 (C, 2). set_start: int64 (S + 1,). Iterations count from 1; one is saved where it is beyond `burn_in`
    and iteration - burn_in is a multiple of `thin`, as draw number (iteration - burn_in) / thin - 1 less that of the
    first saved one of this call. independent: 1 freezes the residual during a sweep. bounds: int64 (workers + 1,), the
    tiles of each worker of the gang; worker: which of them this is; hook: `daskgen.kernels.hooks`, needed with several
    workers and where blocks are not in memory. meeting: `teams.new_barrier`. Work space: partial float64 (tiles, C,
    longest block, at least 4), planes (C, 4, bytes), limbs int16 (C, tiles, LIMBS, 4, TILE), zeros, unit, total
    float64 (C, tiles), change (C, P), ready (C, 2, longest block).

    Returns the number of iterations done: fewer than asked where a residual variance is no longer a finite number or
    the hook said stop, which leaves an iteration half done.
    """
    chains = keys.shape[0]
    blocks = markers.start.size - 1
    width = records.w.shape[1]
    tiles = max(1, -(-width // TILE))
    low, high = bounds[worker], bounds[worker + 1]
    own_first, own_last = low + member * (high - low) // team, low + (member + 1) * (high - low) // team
    alone, dosages, origin = bounds.size == 2, markers.dosage.size > 0, markers.origin[0]
    first_draw = 0
    if first_iteration > burn_in:
        first_draw = (first_iteration - 1 - burn_in) // thin
    longest = partial.shape[2]
    flat = partial.reshape((tiles, chains * longest))
    weight, limb_sums = np.empty(priors.gamma.shape[1]), np.empty(ROWS * LIMBS, np.int32)
    for row in range(iterations):
        iteration = first_iteration + row
        draw = (iteration - burn_in) // thin - 1 - first_draw
        saved = iteration > burn_in and (iteration - burn_in) % thin == 0
        if member == 0:
            ask(meeting, hook, ITERATION, iteration)
            for c in range(chains):
                sample_location(c, iteration, row, records, state, keys[c], given)
        barrier(meeting, team)
        for turn in range((1 + independent) * blocks):  # once more over the blocks where the residual waits for the end
            b = turn % blocks
            if hook != 0:
                if member == 0:
                    ask(meeting, hook, BLOCK, b)
                barrier(meeting, team)
                if told_to_stop(meeting):
                    return row
            start, stop = markers.start[b], markers.start[b + 1]
            held = markers.place[b] + stop - start
            codes, dosage = markers.packed[markers.place[b] : held], markers.dosage[markers.place[b] : held]
            shift, missing = markers.shift[start:stop], markers.missing[start:stop]
            gaps, gap_place = markers.gap_start[markers.gap_at[b] :], markers.gap_place
            if turn < blocks:
                for c in range(chains):
                    for tile in range(own_first, own_last):
                        prepare_tile(
                            dosages, state.residual[c], records.w, tile, planes[c], limbs[c], unit[c], total[c]
                        )
                marker_products(
                    codes, dosage, shift, missing, gaps, gap_place, origin, own_first, own_last, planes, limbs, unit,
                    total, limb_sums, partial,
                )  # fmt: skip
                # Drawn by the team together; a pass that is repeated draws again, by the leader.
                s = markers.owner[b]
                classes = priors.classes[s]
                gamma, common = priors.gamma[s, :classes], priors.kind[s] == COMMON
                begin = start + member * (stop - start) // team
                end = start + (member + 1) * (stop - start) // team
                for c in range(chains):
                    own = state.own_variance[c, :0] if common else state.own_variance[c]
                    log_pi = logarithms(priors.log_pi_marker, state.pi[c, s, :classes])
                    uniform, normal = given_draws(given, row, 0)
                    prepare_draws(
                        start, begin, end, iteration, 0, keys[c], uniform, normal, markers.diagonal, own,
                        state.variance[c, s], gamma, log_pi, state.residual_variance[c], ready[c, 0], ready[c, 1],
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
                        effect = state.effect[c]
                        own = state.own_variance[c, :0] if common else state.own_variance[c]
                        log_pi = logarithms(priors.log_pi_marker, state.pi[c, s, :classes])
                        for j in range(start, stop):
                            change[c, j] = effect[j]
                        for repeat in range(markers.repeats[b]):
                            if repeat > 0:
                                uniform, normal = given_draws(given, row, repeat)
                                prepare_draws(
                                    start, start, stop, iteration, repeat, keys[c], uniform, normal, markers.diagonal,
                                    own, state.variance[c, s], gamma, log_pi, state.residual_variance[c], ready[c, 0],
                                    ready[c, 1],
                                )  # fmt: skip
                            sample_block(
                                start, stop, partial[0, c], markers.gram[first:last], markers.gram_single[first:last],
                                markers.diagonal, effect, state.slab[c], state.group[c], own, state.variance[c, s],
                                gamma, log_pi, ready[c, 0], ready[c, 1], given.uniform.size == 0 and common,
                                state.residual_variance[c], weight[:classes],
                            )  # fmt: skip
                        for j in range(start, stop):
                            change[c, j] -= effect[j]
                barrier(meeting, team)
            if turn >= independent * blocks:
                for c in range(chains):
                    add_changes(
                        codes, dosage, shift, missing, gaps, gap_place, origin, own_first, own_last,
                        change[c, start:stop], state.residual[c],
                    )  # fmt: skip
                    if own_last == tiles:
                        clear_padding(state.residual[c], n_samples)
        for c in range(chains):
            for tile in range(own_first, own_last):
                tile_moments(c, tile, records, state, partial[tile, c, :4])
        barrier(meeting, team)
        if member == 0:
            add_within(flat, low, high, tiles)
            if not alone:
                ask(meeting, hook, SUMS, blocks)
                add_across(flat, bounds, tiles)
            for c in range(chains):
                moments = partial[0, c, :4]
                for s in range(priors.classes.size):
                    draw_marker_priors(
                        c, iteration, row, set_start[s], set_start[s + 1], s, priors, state, keys[c], given
                    )
                draw_random_variances(c, iteration, records, priors, state, keys[c])
                if priors.residual[2] > 0.0:
                    if given.chi_square.size:
                        chi = given.chi_square[row, priors.classes.size]
                    else:
                        chi = chi_square(priors.residual[0] + priors.residual[3], iteration, 0, RESIDUAL, keys[c])
                    squares = moments[0] + within_squares(c, records, state)
                    scaled = squares + priors.residual[0] * priors.residual[1]
                    state.residual_variance[c] = scaled / chi
                if saved:
                    save_draw(c, draw, moments, priors, state, sums)
                    count_included(c, draw, set_start, priors, state, sums)
        if saved:
            for c in range(chains):
                for tile in range(own_first, own_last):
                    save_tile(c, tile, records, state, sums)
        barrier(meeting, team)
        if told_to_stop(meeting):
            return row
        for c in range(chains):
            if not state.residual_variance[c] < np.inf:
                return row + 1
    return iterations
