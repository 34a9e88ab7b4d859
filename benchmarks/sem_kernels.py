"""One structural equation model per SNP, on one core: SNPs per second with fixed and with free measurement.

    python -m benchmarks.sem_kernels --out benchmarks/results/sem_kernels.json
    python -m benchmarks.sem_kernels --smoke

Models have factors of three or four traits each, correlated, and the SNP acts on every factor: `user_gwas` with
q_snp=True. Data are in memory; what is measured is what a task does with its blocks. Seconds of CPU time of one thread,
each the best of --repeat (the machine may be shared):

fixed   fix_measurement=True: the closed form
all     the same with every parameter reported (sub="all")
free    fix_measurement=False: iterated at every SNP
copy    the floor: the same arrays of inputs and results copied, in the same blocks

The ratio to the floor says how far a fit is from only moving its numbers. Blocks are those of the engine.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import time
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
from threadpoolctl import threadpool_limits

from benchmarks.machine import processor
from daskgen.linalg.vech import vech_length
from daskgen.sem.gwas_model import gwas_model
from daskgen.sem.gwas_table import gwas_table
from daskgen.sem.moments import Moments

BLOCK_BYTES = 2**19


def best(function, repeat):
    function()
    times = []
    for _ in range(repeat):
        start = time.process_time()
        function()
        times.append(time.process_time() - start)
    return min(times)


def model_text(k, factors):
    per = k // factors
    lines = []
    for f in range(factors):
        first, *others = [f"T{f * per + i + 1}" for i in range(per)]
        lines += [f"F{f + 1} =~ NA*{' + '.join([first, *others])}", f"F{f + 1} ~~ 1*F{f + 1}", f"F{f + 1} ~ SNP"]
        lines += [f"F{f + 1} ~~ F{g + 1}" for g in range(f)]
    return "\n".join(lines)


def simulated(k, factors, n, seed=1):
    """Moments that the model fits up to sampling error, and SNPs with realistic effects."""
    generator = np.random.default_rng(seed)
    loadings = np.zeros((k, factors))
    loadings[np.arange(k), np.arange(k) // (k // factors)] = generator.uniform(0.3, 0.6, k)
    s = loadings @ (0.6 * np.eye(factors) + 0.4) @ loadings.T + np.diag(generator.uniform(0.05, 0.2, k))
    size = vech_length(k)
    root = generator.normal(size=(size, 3 * size)) * 0.004
    v = root @ root.T / (3 * size)
    noise = np.linalg.cholesky(v) @ generator.normal(size=size)
    column, row = np.triu_indices(k)
    s[row, column] += noise
    s[column, row] = s[row, column]
    intercepts = np.full((k, k), 0.12) + np.diag(generator.uniform(0.9, 1.0, k))
    maf = generator.uniform(0.01, 0.5, n)
    variance = 2 * maf * (1 - maf)
    se = np.sqrt(1 / (variance * generator.uniform(3e4, 3e5, (k, 1))))
    beta = loadings @ (generator.normal(size=(factors, n)) * 0.01) + generator.normal(size=(k, n)) * se
    moments = Moments(tuple(f"T{i + 1}" for i in range(k)), s, v, intercepts)
    return moments, beta, se, variance


def prepared(moments, text, *, fixed, sub=None):
    table = gwas_table(text, moments, snp="SNP", estimation="DWLS", fix_measurement=fixed, std_lv=False)
    return gwas_model(table, estimation="DWLS", q_snp=True, gc="standard", snp_se=0.0005, smooth_check=False, sub=sub)


def measure(model, beta, se, variance, repeat):
    """CPU seconds of the fits and of copying what they read and return, SNPs a block, and how the fits ended."""
    n = len(variance)
    block = max(64, BLOCK_BYTES // model.bytes_per_snp // 64 * 64)
    blocks = [
        tuple(np.ascontiguousarray(values[..., start : start + block]) for values in (beta, se, variance))
        for start in range(0, n, block)
    ]
    statuses = np.concatenate([model.fit(*part).status for part in blocks])
    fits = model.fit(*blocks[0])
    arrays = [*blocks[0], fits.estimate, fits.se, fits.chisq, fits.aic, fits.q_snp, fits.status]
    targets = [np.empty_like(values) for values in arrays]

    def copy():
        for _ in blocks:
            for source, target in zip(arrays, targets, strict=True):
                np.copyto(target, source)

    seconds = best(lambda: [model.fit(*part) for part in blocks], repeat)
    floor = best(copy, repeat)
    return {
        "snps": n,
        "block": block,
        "cpu_seconds": seconds,
        "snps_per_second": n / seconds,
        "ns_per_snp": seconds / n * 1e9,
        "copy_ns_per_snp": floor / n * 1e9,
        "ratio_to_copy": seconds / floor,
        "not_converged": int((statuses != 0).sum()),
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--snps", type=int, default=262_144, help="of the closed form; iterated fits take fewer")
    parser.add_argument("--sizes", nargs="+", default=["3,1", "6,2", "12,3"], help="traits,factors")
    parser.add_argument("--repeat", type=int, default=5)
    parser.add_argument("--smoke", action="store_true", help="a small size, to see that it runs")
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    if arguments.smoke:
        arguments.snps, arguments.sizes, arguments.repeat = 4_096, ["3,1", "6,2"], 1
    measured = {}
    for size in arguments.sizes:
        k, factors = map(int, size.split(","))
        moments, *data = simulated(k, factors, arguments.snps)
        text = model_text(k, factors)
        fewer = max(256, arguments.snps // (4 * k))
        with threadpool_limits(1):
            measured[size] = {
                "fixed": measure(prepared(moments, text, fixed=True), *data, arguments.repeat),
                "all": measure(
                    prepared(moments, text, fixed=True, sub="all"),
                    *(values[..., : arguments.snps // 8] for values in data),
                    arguments.repeat,
                ),
                "free": measure(
                    prepared(moments, text, fixed=False), *(values[..., :fewer] for values in data), arguments.repeat
                ),
            }
    result = {
        "benchmark": "sem_kernels",
        "date": datetime.now(UTC).date().isoformat(),
        "load_average": os.getloadavg(),
        "command": "python -m benchmarks.sem_kernels",
        "machine": f"{processor()}, one used",
        "python": platform.python_version(),
        "numpy": np.__version__,
        "traits,factors": measured,
    }
    print(json.dumps(result, indent=2))
    if arguments.out:
        arguments.out.write_text(json.dumps(result, indent=2) + "\n")


if __name__ == "__main__":
    main()
