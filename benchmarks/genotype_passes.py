"""K V through the passes against the plain loop over the same chunks, and principal components, on one machine.

    python -m benchmarks.genotype_passes --out benchmarks/results/genotype_passes.json
    python -m benchmarks.genotype_passes --smoke

Measured, each the best of --repeat, in seconds of wall time:

plain       packed chunks in memory, one Python thread per core over its share, kernels called directly
threads     the same product through `GenotypeOperator`, chunks in the worker's cache
streamed    the same, chunks read from the store in every pass
processes   a process per core on a TLS cluster, chunks in the workers' caches

The ratio threads / plain is what Dask, the fixed tree and the accounting cost. Peak memory is that of a process of its
own that opens the store and makes the product three times, beside what the plan says.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from threadpoolctl import threadpool_limits

import daskgen as dg
from benchmarks.machine import processor
from daskgen import limits
from daskgen.genotypes.operator import GenotypeOperator
from daskgen.genotypes.reader import StoreReader
from daskgen.genotypes.view import GenotypeView
from daskgen.kernels import genotype_products as products
from daskgen.passes import worker_cache

_PEAK = """
import resource, sys
import numpy as np
import daskgen as dg
operator = dg.genotypes.operator(sys.argv[1])
vectors = np.random.default_rng(0).standard_normal((operator.n_samples, int(sys.argv[2])))
for _ in range(3):
    operator.kv(vectors)
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024)
"""


def best(function, repeat):
    function()
    times = []
    for _ in range(repeat):
        start = time.perf_counter()
        function()
        times.append(time.perf_counter() - start)
    return min(times)


def alternating(functions, repeat):
    """The best time of each function; they are run in turn, so that all see the same machine."""
    times = {name: [] for name in functions}
    for _ in range(repeat + 1):
        for name, function in functions.items():
            start = time.perf_counter()
            function()
            times[name].append(time.perf_counter() - start)
    return {name: min(own) for name, own in times.items()}


def plain_loop(operator, vectors, threads):
    """The product without passes: halves of the chunks on threads, one accumulator each, one addition."""
    view = operator.view
    chunks = [view.load(i) for i in range(view.n_chunks)]
    order = operator._order
    weights = np.full(view.n_variants, 1 / float(operator.counted), np.float32)

    def part(worker, planes):
        out = np.zeros(planes.shape)
        for chunk in chunks[worker * len(chunks) // threads : (worker + 1) * len(chunks) // threads]:
            products.kv(chunk.codes, chunk.table, weights[chunk.rows], planes, out, operator.tile, operator.block)
        return out

    def product():
        planes = products.to_planes(vectors, order)
        with threadpool_limits(1), ThreadPoolExecutor(threads) as pool:
            parts = list(pool.map(part, range(threads), [planes] * threads))
        return products.from_planes(np.sum(parts, axis=0), order, view.n_samples)

    return product


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--samples", type=int, default=20_000)
    parser.add_argument("--variants", type=int, default=100_000)
    parser.add_argument("--vectors", type=int, default=64)
    parser.add_argument("--repeat", type=int, default=5)
    parser.add_argument("--smoke", action="store_true", help="a small size, to see that it runs")
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    if arguments.smoke:
        arguments.samples, arguments.variants, arguments.repeat = 1_000, 4_000, 1
    threads = limits.cores()
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "cohort.zarr")
        dg.simulate.genotypes(path, n_samples=arguments.samples, n_variants=arguments.variants, seed=1)
        vectors = np.random.default_rng(0).standard_normal((arguments.samples, arguments.vectors))
        operator = GenotypeOperator(GenotypeView(StoreReader.open(path)))
        plan = operator.plan(arguments.vectors)
        assert operator.counted > 0
        measured = subprocess.run(
            [sys.executable, "-c", _PEAK, path, str(arguments.vectors)], capture_output=True, text=True, check=True
        )
        peak = int(measured.stdout)
        streamed = GenotypeOperator(GenotypeView(StoreReader.open(path)), cache=False)
        assert streamed.counted > 0
        seconds = alternating(
            {
                "plain": plain_loop(operator, vectors, threads),
                "threads": lambda: operator.kv(vectors),
                "streamed": lambda: streamed.kv(vectors),
            },
            arguments.repeat,
        )
        worker_cache().clear()
        with dg.cluster.connect(f"local:{threads}"):
            on_workers = GenotypeOperator(GenotypeView(StoreReader.open(path)))
            assert on_workers.counted > 0
            seconds["processes"] = best(lambda: on_workers.kv(vectors), arguments.repeat)
    result = {
        "command": "python -m benchmarks.genotype_passes",
        "machine": processor(),
        "python": platform.python_version(),
        "numpy": np.__version__,
        "shape": [arguments.samples, arguments.variants, arguments.vectors],
        "seconds": seconds,
        "ratio_to_plain": {name: value / seconds["plain"] for name, value in seconds.items()},
        "planned_peak_bytes": plan.peak,
        "peak_bytes_threads": peak,
    }
    print(json.dumps(result, indent=2))
    if arguments.out:
        arguments.out.write_text(json.dumps(result, indent=2) + "\n")


if __name__ == "__main__":
    main()
