"""K V on packed genotypes against its floor: the two matrix products alone, on genotypes that are decoded already.

    python -m benchmarks.genotype_products --out benchmarks/results/genotype_products.json
    python -m benchmarks.genotype_products --smoke

floor    Z'V and Z S in float32 by NumPy for every block of variants; the decoded blocks (variants x samples) come from
         a rotating set that is several times the last-level cache, as decoded genotypes in memory would
kernel   daskgen.kernels.genotype_products.kv on packed chunks of 8 MB

Both have the same shapes, and the same number of Python threads, each with its share of the variants; BLAS runs one
thread in each. Floor and kernel are measured in turn, --repeat times, and the best of each counts: wall time, and CPU
time of all threads. Nothing else should run meanwhile.
"""

from __future__ import annotations

import argparse
import datetime
import json
import platform
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numba
import numpy as np
import scipy
from threadpoolctl import threadpool_info, threadpool_limits

from benchmarks.machine import processor
from daskgen.kernels import genotype_products as products
from daskgen.kernels.genotype_codes import packed_width

TILE, BLOCK = 16_384, 256
CHUNK_BYTES = 8_000_000

Work = Callable[[int], None]


def last_level_cache() -> int:
    """Bytes of the largest processor cache; 64 MB where the system does not say."""
    sizes = Path("/sys/devices/system/cpu/cpu0/cache").glob("index*/size")
    return max((int(size.read_text().strip().removesuffix("K")) * 1024 for size in sizes), default=64_000_000)


def floor(n_samples: int, n_variants: int, r: int, threads: int) -> Work:
    """The two products of each block, for the share of one thread."""
    rng = np.random.default_rng(0)
    block_bytes = 4 * BLOCK * n_samples
    in_rotation = max(3, -(-3 * last_level_cache() // (threads * block_bytes)))
    decoded = [rng.standard_normal((threads, BLOCK, n_samples), dtype=np.float32) for _ in range(in_rotation)]
    v = rng.standard_normal((n_samples, r), dtype=np.float32)
    share = n_variants // threads

    def work(thread: int) -> None:
        s, u = np.empty((BLOCK, r), np.float32), np.empty((n_samples, r), np.float32)
        for number, first in enumerate(range(0, share, BLOCK)):
            z = decoded[number % in_rotation][thread, : min(BLOCK, share - first)]
            np.matmul(z, v, out=s[: len(z)])
            np.matmul(z.T, s[: len(z)], out=u)

    return work


def kernel(n_samples: int, n_variants: int, r: int, threads: int) -> Work:
    """K V of the packed chunks of one thread's share."""
    rng = np.random.default_rng(1)
    order = products.plane_order(n_samples, TILE)
    planes = products.to_planes(rng.standard_normal((n_samples, r)), order)
    out = np.zeros((threads, len(order), r))
    width = packed_width(n_samples)
    rows, share = max(1, CHUNK_BYTES // width), n_variants // threads
    table = products.value_table(rng.uniform(0.1, 1, rows), rng.uniform(1, 2, rows))
    packed = [
        [rng.integers(0, 256, (min(rows, share - first), width), np.uint8) for first in range(0, share, rows)]
        for _ in range(threads)
    ]

    def work(thread: int) -> None:
        for chunk in packed[thread]:
            products.kv(chunk, table[: len(chunk)], np.ones(len(chunk)), planes, out[thread], TILE, BLOCK)

    return work


def seconds(work: Work, threads: int) -> tuple[float, float]:
    """Wall and CPU seconds of `work` on all threads."""

    def timed(thread: int) -> float:
        start = time.thread_time()
        work(thread)
        return time.thread_time() - start

    with ThreadPoolExecutor(threads) as pool:
        start = time.perf_counter()
        cpu = sum(pool.map(timed, range(threads)))
        return time.perf_counter() - start, cpu


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--samples", "--n", type=int, default=20_000)
    parser.add_argument("--variants", "--m", type=int, default=100_000)
    parser.add_argument("--vectors", "--r", type=int, default=64)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--repeat", type=int, default=5)
    parser.add_argument("--smoke", action="store_true", help="a small size, to see that it runs")
    parser.add_argument("--out", type=Path, help="a JSON file for the result")
    given = parser.parse_args()
    if given.smoke:
        given.samples, given.variants, given.repeat = 1_000, 4_000, 1
    shape = (given.samples, given.variants, given.vectors, given.threads)
    best: dict[str, tuple[float, float]] = {}
    with threadpool_limits(1):
        works = {"floor": floor(*shape), "kernel": kernel(*shape)}
        for work in works.values():
            seconds(work, given.threads)  # memory is touched, kernels are compiled
        for _ in range(given.repeat):
            for name, work in works.items():
                wall, cpu = seconds(work, given.threads)
                before = best.get(name, (np.inf, np.inf))
                best[name] = (min(wall, before[0]), min(cpu, before[1]))
        blas = sorted(
            {f"{lib['internal_api']} {lib['version']} {lib.get('architecture', '')}" for lib in threadpool_info()}
        )
    genotypes = given.samples * given.variants
    result: dict[str, Any] = {
        "command": "python -m benchmarks.genotype_products "
        + f"--n {given.samples} --m {given.variants} --r {given.vectors} --threads {given.threads}",
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
        "machine": f"{processor()}, {given.threads} threads",
        "versions": {
            "python": platform.python_version(),
            "numpy": np.__version__,
            "scipy": scipy.__version__,
            "numba": numba.__version__,
        },
        "blas": blas,
        "seconds": {name: {"wall": wall, "cpu": cpu} for name, (wall, cpu) in best.items()},
        "cpu_ns_per_genotype": {name: 1e9 * cpu / genotypes for name, (_, cpu) in best.items()},
        "ratio_to_floor": {
            "wall": best["kernel"][0] / best["floor"][0],
            "cpu": best["kernel"][1] / best["floor"][1],
        },
    }
    print(json.dumps(result, indent=2))
    if given.out:
        given.out.write_text(json.dumps(result, indent=2) + "\n")


if __name__ == "__main__":
    main()
