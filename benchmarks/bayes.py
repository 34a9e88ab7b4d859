"""How fast the exact sampler sweeps packed genotypes, beside its floor, and what a schedule buys in effective draws.

    python -m benchmarks.bayes --out benchmarks/results/bayes.json
    python -m benchmarks.bayes --smoke

Sweep: BayesC with 95 % of the effects zero, one chain, in 1e9 genotypes per second of wall time, on one thread and on
all of them. The floor is the bare sum of code times vector over the same rows and tiles on one thread, which every
sweep has to do once for each marker. Genotypes are 512 simulated rows, repeated.

Schedules: effective draws (bulk) of the heritability and of the residual variance per CPU second, exact against the
schedule of JWAS, on a simulated cohort of the same number of passes over the data.
"""

from __future__ import annotations

import argparse
import json
import platform
import resource
import time
from pathlib import Path

import numba
import numpy as np

from daskgen import bayes, limits
from daskgen.bayes.blocks import automatic_size, gram_matrices, make_blocks
from daskgen.bayes.loading import pack_array
from daskgen.bayes.methods import marker_prior
from daskgen.bayes.records import make_design, make_records
from daskgen.bayes.sampler import Chains, Problem
from daskgen.kernels.genotype_dots import find_gaps, tile_products
from daskgen.kernels.gibbs import Markers


@numba.njit(nogil=True)
def _floor(packed, planes, shift, missing, gap_start, gap_place, total, out):
    tiles = out.shape[0]
    for start in range(0, packed.shape[0], out.shape[1]):
        stop = min(start + out.shape[1], packed.shape[0])
        tile_products(packed, start, stop, 0, tiles, planes, shift, missing, gap_start, gap_place, total, out)


def problem_of(n, p, missing, seed=0):
    """A BayesC problem on 512 repeated markers."""
    rng = np.random.default_rng(seed)
    codes = rng.binomial(2, rng.uniform(0.05, 0.5, (1, 512)), (n, 512)).astype(np.int8)
    y = codes[:, :20] @ rng.standard_normal(20) + rng.standard_normal(n) * 5
    codes[rng.random(codes.shape) < missing] = 3
    few = pack_array(codes)
    called = codes < 3
    mean = np.where(called, codes, 0).sum(axis=0) / called.sum(axis=0)
    packed = np.ascontiguousarray(np.tile(few, (-(-p // 512), 1))[:p])
    shift, zero = np.resize(mean, p), np.zeros(p)
    design = make_design({}, [], np.ones(n, bool), intercept=True)
    records = make_records(y, None, design)
    blocks = make_blocks("auto", np.array([0, p]), n)
    started = time.perf_counter()
    gram, diagonal = gram_matrices(packed, blocks, shift, zero, records.w, limits.cores())
    gram_seconds = time.perf_counter() - started
    markers = Markers(
        packed, shift, zero, *find_gaps(packed, n), diagonal, blocks.start, blocks.owner, blocks.repeats, gram,
        blocks.offset,
    )  # fmt: skip
    variance = float(y.var())
    prior = marker_prior(
        "BayesC", genetic_variance=variance / 2, heterozygosity=shift * (1 - shift / 2), pi=0.95, estimate_pi=False
    )
    problem = Problem(
        markers, records, design, [prior], ["markers"], np.array([0, p]), blocks, n, variance / 2, 4.0, True
    )
    return problem, gram_seconds


def floor_seconds(problem):
    """Seconds of the bare products of one sweep on one thread."""
    markers = problem.markers
    tiles = max(1, -(-markers.packed.shape[1] // 512))
    planes = problem.records.y.copy()
    out, total = np.empty((tiles, 256)), np.empty(tiles)
    arguments = (markers.packed, planes, markers.shift, markers.missing, markers.gap_start, markers.gap_place)
    _floor(*arguments, total, out)
    best = np.inf
    for _ in range(3):
        started = time.perf_counter()
        _floor(*arguments, total, out)
        best = min(best, time.perf_counter() - started)
    return best


def sweep_seconds(problem, threads, repeat=3):
    """(wall seconds, CPU seconds) of one iteration of one chain, the best of some runs."""
    chains = Chains.start(problem, 1, 1, seed=1)
    iterations = int(max(2, 4e9 // (problem.n_samples * problem.n_markers)))
    chains.advance(3, 10**9, 1, threads, keep_effects=False)
    best = (np.inf, np.inf)
    for _ in range(repeat):
        started, cpu = time.perf_counter(), time.process_time()
        chains.advance(iterations, 10**9, 1, threads, keep_effects=False)
        best = min(best, ((time.perf_counter() - started) / iterations, (time.process_time() - cpu) / iterations))
    return best


def schedules(n, p, length):
    """Effective draws per CPU second of the exact schedule and of JWAS's, the same number of passes."""
    rng = np.random.default_rng(3)
    codes = rng.binomial(2, rng.uniform(0.1, 0.5, (1, p)), (n, p)).astype(np.int8)
    effects = np.where(rng.random(p) < 0.05, rng.standard_normal(p), 0)
    genetic = (codes - codes.mean(axis=0)) @ effects
    y = genetic + rng.standard_normal(n) * genetic.std()
    found = {}
    size = automatic_size(n)
    for name, options in (
        ("exact", {"chain_length": length, "burn_in": length // 5}),
        ("jwas", {"chain_length": length * size, "burn_in": length // 5, "schedule": "jwas", "blocks": size}),
    ):
        cpu = time.process_time()
        posterior = bayes.fit(codes, y, pi=0.95, chains=2, keep_effects=False, seed=1, **options)
        cpu = time.process_time() - cpu
        table = posterior.diagnostics()
        found[name] = {
            "cpu_s": round(cpu, 2),
            **{
                f"ess_{q}_per_s": round(table.loc[q, "ess_bulk"] / cpu, 1)
                for q in ("heritability", "residual_variance")
            },
        }
    return found


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--smoke", action="store_true", help="small sizes, to see that it runs")
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    sizes = [(10_000, 50_000, 0.0), (50_000, 20_000, 0.0), (50_000, 20_000, 0.01)]
    length, cohort = 1_000, (2_000, 5_000)
    if arguments.smoke:
        sizes, length, cohort = [(1_000, 1_024, 0.01)], 60, (200, 128)
    cores = limits.cores()
    rows = []
    for n, p, missing in sizes:
        problem, gram_seconds = problem_of(n, p, missing)
        genotypes = n * p / 1e9
        floor = floor_seconds(problem)
        one, cpu = sweep_seconds(problem, 1)
        row = {
            "n": n,
            "p": p,
            "missing": missing,
            "block": int(problem.blocks.sizes.max()),
            "gram_s": round(gram_seconds, 2),
            "floor_g_per_s": round(genotypes / floor, 2),
            "sweep_g_per_s": round(genotypes / one, 2),
            "sweep_g_per_cpu_s": round(genotypes / cpu, 2),
            "times_the_floor": round(one / floor, 2),
        }
        if cores > 1:
            together, _ = sweep_seconds(problem, cores)
            row |= {
                f"sweep_g_per_s_{cores}_threads": round(genotypes / together, 2),
                "speed_up": round(one / together, 2),
            }
        rows.append(row)
        print(json.dumps(row))
    result = {
        "command": "python -m benchmarks.bayes",
        "machine": f"{platform.machine()}, {cores} cores",
        "numba": numba.__version__,
        "sweeps": rows,
        "schedules": schedules(*cohort, length),
        "peak_mb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3),
    }
    print(json.dumps(result["schedules"]))
    if arguments.out:
        arguments.out.write_text(json.dumps(result, indent=2) + "\n")


if __name__ == "__main__":
    main()
