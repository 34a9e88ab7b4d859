"""How fast the exact sampler sweeps packed genotypes, beside its floor, and what a schedule buys in effective draws.

    python -m benchmarks.bayes --out benchmarks/results/bayes.json
    python -m benchmarks.bayes --smoke

Sweep: BayesC with 95 % of the effects zero, one chain, in 1e9 genotypes per second of wall time, on one thread and on
all of them, and four chains together on one thread (genotypes times chains). The floor is the bare sum of code times
vector over the same rows and tiles on one thread, which every sweep has to do once for each marker. Genotypes are 512
simulated rows, repeated. A peer of one line of NumPy per marker (float32 genotypes, one dot product and one update)
runs a few hundred markers.

Large: N = 50,000 with P = 100,000 and 200,000 in a store: Gram set-up, time per sweep, and peak memory of a process of
its own, with all of it in memory and with a limit below the packed size. The lines through the two are extended to two
million markers, which assumes as many samples, memory (or a disk as fast) for 25 GB, and 95 % of the effects zero.

Schedules: effective draws (bulk) of the heritability, of the residual variance and of breeding values per CPU second,
exact against the schedule of JWAS: on simulated cohorts, and on those that are named by --cohort NAME=FILE,CODES,Y.
BGLR needs R and is not measured; its sweep is the Markov step of the exact schedule, one marker at a time in double
precision, so that the peer of one line stands for it.

Gang: one chain on the threads of a process and on workers of one thread each that share the samples, with blocks of the
automatic size and four times that.

The parts can be measured one by one with --parts; a result file keeps what was in it of the others.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numba
import numpy as np
import pandas as pd

import daskgen as dg
from benchmarks.machine import processor
from daskgen import bayes, limits
from daskgen.bayes.blocks import automatic_size, make_blocks, make_markers
from daskgen.bayes.chains import ChainsOfKernel
from daskgen.bayes.diagnostics import ess_bulk
from daskgen.bayes.gang import GangRun
from daskgen.bayes.loading import pack_array
from daskgen.bayes.matrix import MarkerMatrix
from daskgen.bayes.methods import marker_prior
from daskgen.bayes.records import make_design, make_records
from daskgen.bayes.sampler import Chains, Problem
from daskgen.inputs.covariates import Covariates
from daskgen.kernels.genotype_dots import code_products, n_tiles
from daskgen.kernels.limbs import LIMBS, ROWS, TILE, cut_tile

PARTS = ("sweeps", "schedules", "large", "gang")


@numba.njit(nogil=True)
def _floor(packed, planes, shift, missing, gap_start, gap_place, limbs, unit, total, sums, out):
    tiles, size = out.shape[0], out.shape[2]
    for tile in range(tiles):
        last = min((tile + 1) * TILE, planes.shape[2])
        unit[0, tile], total[0, tile] = cut_tile(planes[0], tile * TILE, last, limbs[0, tile])
    for start in range(0, packed.shape[0], size):
        stop = min(start + size, packed.shape[0])
        code_products(
            packed[start:stop], shift[start:stop], missing[start:stop], gap_start[start * tiles :], gap_place, 0, 0,
            tiles, planes, limbs, unit, total, sums, out,
        )  # fmt: skip


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
    design = make_design(Covariates.none(n), [], np.ones(n, bool), intercept=True)
    records = make_records(y, None, design, np.arange(n), n)
    blocks = make_blocks("auto", np.array([0, p]), n)
    started = time.perf_counter()
    matrix = MarkerMatrix(packed, np.zeros((0, 0), np.uint16), shift, zero, n)
    markers = make_markers(matrix, blocks, records.w, limits.cores())
    gram_seconds = time.perf_counter() - started
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
    tiles = n_tiles(markers.packed.shape[1])
    planes = problem.records.y.copy()[None]
    work = (
        np.zeros((1, tiles, LIMBS, 4, TILE), np.int16),
        *(np.zeros((1, tiles)) for _ in range(2)),
        np.zeros(ROWS * LIMBS, np.int32),
    )
    out = np.empty((tiles, 1, 256))
    arguments = (markers.packed, planes, markers.shift, markers.missing, markers.gap_start, markers.gap_place, *work)
    _floor(*arguments, out)
    best = np.inf
    for _ in range(3):
        started = time.perf_counter()
        _floor(*arguments, out)
        best = min(best, time.perf_counter() - started)
    return best


def sweep_seconds(problem, threads, repeat=3, n_chains=1):
    """(wall seconds, CPU seconds) of one iteration of the chains together, the best of some runs."""
    chains = Chains.start(problem, n_chains, 1, seed=1)
    iterations = int(max(2, 4e9 // (problem.n_samples * problem.n_markers)))
    chains.advance(3, 10**9, 1, threads, keep_effects=False)
    best = (np.inf, np.inf)
    for _ in range(repeat):
        started, cpu = time.perf_counter(), time.process_time()
        chains.advance(iterations, 10**9, 1, threads, keep_effects=False)
        best = min(best, ((time.perf_counter() - started) / iterations, (time.process_time() - cpu) / iterations))
    return best


def peer_rate(n, p=256):
    """1e9 genotypes per second of a single-site sweep in NumPy: float32 genotypes, a product and a rare update each."""
    rng = np.random.default_rng(0)
    x = rng.standard_normal((p, n), np.float32)
    r, drawn = rng.standard_normal(n).astype(np.float32), rng.random(p) < 0.05
    best = np.inf
    for _ in range(3):
        started = time.process_time()
        for j in range(p):
            change = 1e-3 * float(x[j] @ r)
            if drawn[j]:
                r -= np.float32(change) * x[j]
        best = min(best, time.process_time() - started)
    return n * p / best / 1e9


def simulated(n, p):
    """Codes int8 (n, p) and a phenotype of heritability 0.5 with 5 % causal markers."""
    rng = np.random.default_rng(3)
    codes = rng.binomial(2, rng.uniform(0.1, 0.5, (1, p)), (n, p)).astype(np.int8)
    effects = np.where(rng.random(p) < 0.05, rng.standard_normal(p), 0)
    genetic = (codes - codes.mean(axis=0)) @ effects
    return codes, genetic + rng.standard_normal(n) * genetic.std()


def value_draws(posterior, codes):
    """Breeding values (chains, draws, people) of every saved draw, from the effects that are not zero."""
    kept = posterior.dataset
    draws = np.zeros((kept.sizes["chain"], kept.sizes["draw"], len(codes)))
    chain, draw = kept["effect_draw_place"].values
    centred = (codes - kept["effect_centre"].values).T
    pieces = np.array_split(np.arange(len(chain)), max(1, len(chain) // 100_000))
    for piece in pieces:
        terms = centred[kept["effect_draw_variant"].values[piece]] * kept["effect_draw_value"].values[piece, None]
        np.add.at(draws, (chain[piece], draw[piece]), terms)
    return draws


def schedules(codes, y, passes):
    """Effective draws (bulk) per CPU second of the exact schedule and of JWAS's, which makes as many passes.

    passes: of each chain, of the two schedules. Of the breeding values, the median over 50 people.
    """
    n = len(codes)
    few = np.random.default_rng(0).permutation(n)[:50]
    size = automatic_size(n)
    found = {"n": n, "p": codes.shape[1], "block": size}
    for name, own in (
        ("exact", {"chain_length": passes[0], "burn_in": passes[0] // 5}),
        (
            "jwas",
            {"chain_length": passes[1] * size, "burn_in": passes[1] // 5, "schedule": "jwas", "blocks": size},
        ),
    ):
        wall, cpu = time.perf_counter(), time.process_time()
        posterior = bayes.fit(codes, y, pi=0.95, chains=2, maf_min=0.0, keep_effects=True, seed=1, **own)
        wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
        ess = posterior.diagnostics()["ess_bulk"]
        values = value_draws(posterior, codes[few])
        of_values = np.median([ess_bulk(values[:, :, i]) for i in range(len(few))])
        found[name] = {
            "passes": passes[0] if name == "exact" else passes[1],
            "cpu_s": round(cpu, 2),
            "wall_s": round(wall, 2),
            "ess_heritability_per_cpu_s": round(ess["heritability"] / cpu, 2),
            "ess_residual_variance_per_cpu_s": round(ess["residual_variance"] / cpu, 2),
            "ess_breeding_value_per_cpu_s": round(of_values / cpu, 2),
        }
    found["exact / jwas"] = {
        key: round(found["exact"][key] / found["jwas"][key], 1) for key in found["exact"] if key.startswith("ess")
    }
    return found


@contextlib.contextmanager
def recorded(kind):
    """Within the block, what `advance` of chains or of a run on workers takes: a list of (seconds, iterations)."""
    advance, spent = kind.advance, []

    def timed(self, iterations, *arguments, **options):
        begun = time.perf_counter()
        found = advance(self, iterations, *arguments, **options)
        spent.append((time.perf_counter() - begun, iterations))
        return found

    kind.advance = timed
    try:
        yield spent
    finally:
        kind.advance = advance


def phenotypes_of(store):
    """Random numbers for the samples of a store."""
    ids = [str(i) for i in dg.open_store(store)["sample_id"].values]
    return pd.DataFrame({"y": np.random.default_rng(1).standard_normal(len(ids))}, index=ids)


def large_child(store, memory_limit):
    """Set-up and sweep of one chain on a store, in this process: prints seconds and the peak of memory as JSON."""
    table = phenotypes_of(store)
    bayes.fit(*simulated(100, 50), chain_length=2, burn_in=0)  # compiled code is there
    with recorded(ChainsOfKernel) as spent:
        started = time.perf_counter()
        bayes.fit(
            store, table, pi=0.95, estimate_pi=False, chains=1, chain_length=24, burn_in=0, keep_effects=False,
            memory_limit=memory_limit or None,
        )  # fmt: skip
        whole, sampling = time.perf_counter() - started, sum(seconds for seconds, _ in spent)
    sweep = sampling / sum(iterations for _, iterations in spent)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    print(json.dumps({"set_up_s": whole - sampling, "sweep_s": sweep, "peak_bytes": peak}))


def gang(folder, n, p):
    """Sweeps of one chain on the threads of a process, and by a gang of as many workers of one thread each."""
    store = str(Path(folder) / f"gang{n}x{p}.zarr")
    dg.simulate.genotypes(store, n_samples=n, n_variants=p, seed=1)
    table, row = phenotypes_of(store), {"n": n, "p": p, "cores": limits.cores()}
    # Three of the stretches in which chains are run; the first of them does not count.
    length = 3 * int(np.clip(2e10 * limits.cores() // (n * p), 1, 1_000))

    def measured(kind, size):
        options = {"pi": 0.95, "estimate_pi": False, "chains": 1, "burn_in": 0, "keep_effects": False}
        with recorded(kind) as spent:
            bayes.fit(store, table, blocks=size, chain_length=length, **options)
        late = spent[1:] or spent
        seconds = sum(part for part, _ in late) / sum(iterations for _, iterations in late)
        return {"sweep_g_per_s": round(n * p / 1e9 / seconds, 2), "us_a_block": round(seconds * 1e6 / -(-p // size), 1)}

    sizes = (automatic_size(n), 4 * automatic_size(n))
    row["threads"] = {size: measured(ChainsOfKernel, size) for size in sizes}
    with dg.cluster.connect(f"local:{limits.cores()}"):
        row["gang"] = {size: measured(GangRun, size) for size in sizes}
    print(json.dumps(row), flush=True)
    return row


def large(folder, n, sizes, known):
    """Set-up, sweep and memory of large cohorts, in memory and with half the packed size allowed; and the line.

    folder: where the cohorts are, or are made; known: rows that were measured before.
    """
    rows = [row for row in known if row["n"] == n and row["p"] not in sizes]
    for p in sizes:
        store = Path(folder) / f"large{n}x{p}.zarr"
        if not store.exists():
            dg.simulate.genotypes(str(store), n_samples=n, n_variants=p, seed=1)
        packed = p * -(-n // 4)
        for limit in (0, 600_000_000 + packed // 2):
            command = [sys.executable, "-m", "benchmarks.bayes", "--large-child", str(store), str(limit)]
            done = subprocess.run(command, check=True, capture_output=True, text=True)
            child = json.loads(done.stdout.splitlines()[-1])
            block = automatic_size(n)
            rows.append(
                {
                    "n": n,
                    "p": p,
                    "memory_limit_mb": round(limit / 1e6),
                    "packed_mb": round(packed / 1e6),
                    "set_up_s": round(child["set_up_s"], 1),
                    "sweep_s": round(child["sweep_s"], 2),
                    "sweep_g_per_s": round(n * p / 1e9 / child["sweep_s"], 2),
                    "peak_mb": round(child["peak_bytes"] / 1e6),
                    "bound_mb": round((packed + p * block * 4) / 1e6 + 1_000),
                }
            )
            print(json.dumps(rows[-1]), flush=True)
    rows.sort(key=lambda row: (row["p"], row["memory_limit_mb"]))
    command = "python -m benchmarks.bayes --parts large --scratch FOLDER"
    return {"command": command, "measured": rows, "extended": extended(rows, n)}


def extended(rows, n, p=2_000_000):
    """The lines through what was measured, at `p` markers: with genotypes in memory, and read from the store."""
    found = {"n": n, "p": p, "packed_gb": round(p * -(-n // 4) / 1e9)}
    for name, limited in (("in_memory", False), ("from_the_store", True)):
        own = [row for row in rows if bool(row["memory_limit_mb"]) == limited]
        if len(own) > 1:
            for what in ("set_up_s", "sweep_s"):
                line = np.polyfit([row["p"] for row in own], [row[what] for row in own], 1)
                found[f"{name}_{what}"] = round(float(np.polyval(line, p)), 1)
    return found


def sweep(n, p, missing):
    """Rates of full sweeps at one size, and of the floor."""
    cores = limits.cores()
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
    four, _ = sweep_seconds(problem, 1, n_chains=4)
    row |= {
        "four_chains_g_per_s": round(4 * genotypes / four, 2),
        "numpy_peer_g_per_cpu_s": round(peer_rate(n), 2),
    }
    if cores > 1:
        together, _ = sweep_seconds(problem, cores)
        row |= {
            f"sweep_g_per_s_{cores}_threads": round(genotypes / together, 2),
            "speed_up": round(one / together, 2),
        }
    print(json.dumps(row))
    return row


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--smoke", action="store_true", help="small sizes, to see that it runs")
    parser.add_argument("--out", type=Path)
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=list(PARTS), help="what to measure")
    parser.add_argument(
        "--cohort", action="append", default=[], metavar="NAME=FILE,CODES,Y", help="two arrays of an .npz"
    )
    parser.add_argument("--scratch", type=Path, help="folder where the large stores, 4 GB, are made and kept")
    parser.add_argument("--large-size", type=int, action="append", help="markers of a large cohort; default: both")
    parser.add_argument("--large-child", nargs=2, metavar=("STORE", "LIMIT"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.large_child:
        large_child(arguments.large_child[0], int(arguments.large_child[1]))
        return
    sizes = [(10_000, 50_000, 0.0), (50_000, 20_000, 0.0), (50_000, 20_000, 0.01)]
    cohorts = [(2_000, 5_000, (2_000, 500)), (10_000, 50_000, (600, 60))]
    large_sizes, gang_sizes = (50_000, (100_000, 200_000)), [(10_000, 20_000), (50_000, 10_000)]
    if arguments.smoke:
        sizes, cohorts, large_sizes = [(1_000, 1_024, 0.01)], [(200, 128, (60, 60))], (500, (512, 1_024))
        gang_sizes = [(3_000, 512)]
    kept = json.loads(arguments.out.read_text()) if arguments.out and arguments.out.exists() else {}
    result = {
        **kept,
        "command": kept.get("command", "python -m benchmarks.bayes"),
        "machine": processor(),
        "numba": numba.__version__,
    }
    if "sweeps" in arguments.parts:
        result["sweeps"] = [sweep(*size) for size in sizes]
    if "schedules" in arguments.parts:
        compared = {f"simulated {n} x {p}": schedules(*simulated(n, p), passes) for n, p, passes in cohorts}
        for cohort in arguments.cohort:
            name, _, rest = cohort.partition("=")
            file, codes, y = rest.split(",")
            with np.load(file) as arrays:
                known = np.isfinite(arrays[y].reshape(len(arrays[y]), -1)[:, 0])
                found, values = arrays[codes][known].astype(np.int8), arrays[y].reshape(len(known), -1)[known, 0]
            varies = (found != found[:1]).any(axis=0)
            compared[name] = schedules(np.ascontiguousarray(found[:, varies]), values, (4_000, 500))
        result["schedules"] = compared
        print(json.dumps(compared))
    if "large" in arguments.parts:
        n, both = large_sizes
        with tempfile.TemporaryDirectory() as folder:
            place, before = arguments.scratch or folder, kept.get("large", {}).get("measured", [])
            result["large"] = large(place, n, arguments.large_size or both, before)
        print(json.dumps(result["large"]))
    if "gang" in arguments.parts:
        with tempfile.TemporaryDirectory() as folder:
            rows = [gang(folder, *size) for size in gang_sizes]
        result["gang"] = {"command": "python -m benchmarks.bayes --parts gang", "measured": rows}
    if arguments.out:
        arguments.out.write_text(json.dumps(result, indent=2) + "\n")


if __name__ == "__main__":
    main()
