"""Multivariate LD-score regression: arrays in memory, 1.1 million variants, 200 blocks, for 3, 10 and 30 traits.

    python -m benchmarks.ldsc --out benchmarks/results/ldsc.json
    python -m benchmarks.ldsc --smoke

Measured on one thread, each the best of --repeat, in seconds of CPU time (the machine may be shared):

compute     from z and N (traits, variants) in memory to S, V, I, their errors, genetic correlations and lambda GC
products    the floor: z z' of the same arrays by BLAS, which any statistic of all pairs has to read and multiply
whole       `dg.ldsc.ldsc` on stores: opening, joining ids, reading, computing (all threads; --whole)

The ratio compute / products is the price of what regression takes beyond a product: weights of each pair's own
variants, with missing ones, and block sums.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import xarray as xr
from threadpoolctl import threadpool_limits

import daskgen as dg
from benchmarks.machine import processor
from daskgen.kernels.ldsc import Pairs, padded_length
from daskgen.ldsc.correlation import genetic_correlation, standardised
from daskgen.ldsc.covariance import GeneticCovariance
from daskgen.ldsc.diagnostics import genomic_control
from daskgen.ldsc.graph import GROUP, pair_sums
from daskgen.ldsc.moments import PairMoments
from daskgen.ldsc.regression import BlockRegression, normal_equations

M = 1_173_569.0


def best(function, repeat):
    function()
    times = []
    for _ in range(repeat):
        start = time.process_time()
        function()
        times.append(time.process_time() - start)
    return min(times)


def traits(k, n_variants, missing, seed=0):
    generator = np.random.default_rng(seed)
    length = padded_length(n_variants)
    ld = generator.gamma(2, 12, length)
    n = np.repeat(generator.uniform(3e4, 3e5, (k, 1)), length, axis=1)
    z = generator.normal(size=(k, length)) * np.sqrt(1 + 0.2 * n * ld / M)
    absent = generator.random((k, length)) < missing
    absent[:, n_variants:] = True
    z[absent] = n[absent] = 0
    return z, n, ld


def compute(z, n, ld, n_blocks):
    k = len(z)
    groups = [slice(start, min(start + GROUP, k)) for start in range(0, k, GROUP)]
    cell = np.zeros((k, k), np.int64)
    column, row = np.triu_indices(k)
    cell[row, column] = cell[column, row] = np.arange(len(row))
    moments, blocks = np.empty((len(row), 8)), np.empty((len(row), n_blocks, 5))
    for a, first in enumerate(groups):
        for second in groups[a:]:
            sizes = (first.stop - first.start, second.stop - second.start)
            j, l = np.triu_indices(sizes[0]) if first == second else np.indices(sizes).reshape(2, -1)
            pairs = Pairs(z[first], n[first], z[second], n[second], j, l)
            at = cell[first.start + j, second.start + l]
            moments[at], blocks[at] = pair_sums(pairs, ld, ld, M, n_blocks)
    means = PairMoments.of(moments)
    fit = BlockRegression.fit(*normal_equations(blocks))
    structure = GeneticCovariance.of(fit, means.n_bar, M, np.ones(k))
    lambda_gc = [genomic_control(np.square(one[size > 0])) for one, size in zip(z, n, strict=True)]
    return (
        structure,
        standardised(structure.s, structure.v),
        genetic_correlation(structure.s, structure.delete_one),
        lambda_gc,
    )


def on_stores(k, n_variants, folder):
    """Seconds of wall time of the whole call on stores, and of its second call."""
    generator = np.random.default_rng(1)
    ids = np.array([f"rs{i}" for i in range(n_variants)], dtype=object)
    scores = xr.Dataset(
        {
            "ld_score": (("variants", "annotations"), generator.gamma(2, 12, (n_variants, 1))),
            "annotation": ("annotations", np.array(["L2"], dtype=object)),
            "variant_id": ("variants", ids),
            "variant_contig": ("variants", (np.arange(n_variants) * 22 // n_variants).astype(np.int32)),
            "variant_position": ("variants", np.arange(n_variants, dtype=np.int32)),
            "contig_id": ("contigs", np.array([str(c + 1) for c in range(22)], dtype=object)),
            "M_5_50": (("contigs", "annotations"), np.full((22, 1), M / 22)),
        },
        attrs={"kind": "ld_scores"},
    )
    ld = dg.ldsc.to_store(scores, f"{folder}/ld.zarr")
    munged = dg.simulate.sumstats(f"{folder}/{k}.zarr", ld, S=np.eye(k) * 0.1 + 0.1, N=1e5, missing_rate=0.05, seed=k)
    times = []
    for _ in range(2):
        start = time.perf_counter()
        dg.ldsc.ldsc(munged, ld)
        times.append(time.perf_counter() - start)
    return times


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--variants", type=int, default=1_100_000)
    parser.add_argument("--traits", type=int, nargs="+", default=[3, 10, 30])
    parser.add_argument("--blocks", type=int, default=200)
    parser.add_argument("--missing", type=float, default=0.05)
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--whole", action="store_true", help="also the whole call on stores")
    parser.add_argument("--smoke", action="store_true", help="a small size, to see that it runs")
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    if arguments.smoke:
        arguments.variants, arguments.traits, arguments.repeat, arguments.whole = 20_000, [3, 10], 1, True
    measured = {}
    for k in arguments.traits:
        z, n, ld = traits(k, arguments.variants, arguments.missing)
        with threadpool_limits(1):
            seconds = {
                "compute": best(lambda z=z, n=n, ld=ld: compute(z, n, ld, arguments.blocks), arguments.repeat),
                "products": best(lambda z=z: z @ z.T, arguments.repeat),
            }
        pairs = k * (k + 1) // 2
        measured[k] = {
            "cpu_seconds": seconds,
            "ratio_to_products": seconds["compute"] / seconds["products"],
            "ns_per_variant_and_pair": seconds["compute"] / pairs / arguments.variants * 1e9,
        }
        if arguments.whole:
            del z, n
            with tempfile.TemporaryDirectory() as folder:
                first, second = on_stores(k, arguments.variants, folder)
            measured[k]["whole_call_wall_seconds"] = {"first": first, "second": second}
    result = {
        "benchmark": "ldsc",
        "date": datetime.now(UTC).date().isoformat(),
        "load_average": os.getloadavg(),
        "command": "python -m benchmarks.ldsc",
        "machine": f"{processor()}, one used",
        "python": platform.python_version(),
        "numpy": np.__version__,
        "variants": arguments.variants,
        "blocks": arguments.blocks,
        "missing": arguments.missing,
        "traits": measured,
    }
    print(json.dumps(result, indent=2))
    if arguments.out:
        arguments.out.write_text(json.dumps(result, indent=2) + "\n")


if __name__ == "__main__":
    main()
