"""Linear association beside plink2 --glm on the same cohort, in the same run: CPU seconds of one thread each.

    python -m benchmarks.association --out benchmarks/results/association.json
    python -m benchmarks.association --smoke

Measured for each number of phenotypes and share of missing calls, the best of --repeat:

daskgen     `dg.reml.gwas(...).dg.to_store` from a genotypes store: opening, tables, covariates, the pass, writing
kernel      the pass alone, variants already read: products, counts, tests
plink2      `plink2 --glm hide-covar --threads 1` from the same genotypes as .bed, user + system time of the process

`speed` is plink2's seconds over daskgen's: above 1 daskgen is the faster. Where plink2 is not installed its columns are
left out. The machine may be shared: CPU time is what is compared.
"""

from __future__ import annotations

import argparse
import json
import resource
import shutil
import subprocess
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pandas as pd
from threadpoolctl import threadpool_limits

import conversion
import daskgen as dg
from benchmarks.machine import processor
from daskgen import reml

COVARIATES = 3


def best(function, repeat, clock=time.process_time):
    """Seconds of the fastest of `repeat` calls, the first of all not counted."""
    function()
    times = []
    for _ in range(repeat):
        start = clock()
        function()
        times.append(clock() - start)
    return min(times)


def children_seconds():
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def cohort(folder, n, m, missing, seed):
    """(path of a .bed file, path of a store) of n people and m variants, `missing` of the calls without a value."""
    generator = np.random.default_rng(seed)
    codes = np.array([0b00, 0b10, 0b11, 0b01], np.uint8)  # .bed's for 2, 1, 0 copies of A1 and for none
    prefix = folder / f"cohort-{round(1000 * missing)}"
    with open(prefix.with_suffix(".bed"), "wb") as file:
        file.write(b"\x6c\x1b\x01")
        for _ in range(m):
            p = generator.uniform(0.05, 0.5)
            calls = (generator.random((2, n), np.float32) < p).sum(axis=0)
            calls[generator.random(n) < missing] = 3
            row = np.zeros(4 * ((n + 3) // 4), np.uint8)
            row[:n] = codes[calls]
            file.write((row.reshape(-1, 4) << np.array([0, 2, 4, 6], np.uint8)).sum(axis=1).astype(np.uint8).tobytes())
    prefix.with_suffix(".bim").write_text("".join(f"1\trs{i}\t0\t{i + 1}\tA\tG\n" for i in range(m)))
    prefix.with_suffix(".fam").write_text("".join(f"F{i}\tI{i}\t0\t0\t2\t-9\n" for i in range(n)))
    store = folder / f"cohort-{round(1000 * missing)}.zarr"
    conversion.genotypes(prefix.with_suffix(".bed"), store)
    return prefix, store


def tables(folder, n, phenotypes, seed):
    """Paths of a table of phenotypes and one of covariates."""
    generator = np.random.default_rng(seed)
    ids = {"#FID": [f"F{i}" for i in range(n)], "IID": [f"I{i}" for i in range(n)]}
    paths = []
    for name, count in (("y", phenotypes), ("c", COVARIATES)):
        frame = pd.DataFrame(ids | {f"{name}{i}": generator.normal(size=n) for i in range(count)})
        paths.append(folder / f"{name}{count}.txt")
        frame.to_csv(paths[-1], sep="\t", index=False)
    return paths


def measure(folder, n, m, missing, phenotypes, repeat):
    prefix, store = folder / f"cohort-{round(1000 * missing)}", folder / f"cohort-{round(1000 * missing)}.zarr"
    y, c = tables(folder, n, phenotypes, seed=1)
    out = folder / "scan.zarr"
    result = reml.gwas(store, y, c, min_mac=0)
    scan = result.encoding["daskgen_run"].run.scan
    codes = [scan.view.read_codes(index) for index in range(scan.view.n_chunks)]
    kept = scan.test(slice(0, scan.n_variants))

    def kernel():
        for (_, _, rows), block in zip(scan.view.chunk_rows, codes, strict=True):
            for start in range(0, len(block), 512):
                part = slice(rows.start + start, min(rows.start + start + 512, rows.stop))
                scan._test_block(block[start : start + 512], part, as_rows(kept), 0)

    def as_rows(values):
        return {name: array[None] if array.ndim == 1 else array for name, array in values.items()}

    with dg.cluster.connect("threads:1"), threadpool_limits(1):
        found = {
            "n": n,
            "m": m,
            "missing": missing,
            "phenotypes": phenotypes,
            "daskgen_s": best(lambda: reml.gwas(store, y, c, min_mac=0).dg.to_store(out, force=True), repeat),
            "kernel_s": best(kernel, repeat),
        }
    found["kernel_ns_per_genotype"] = found["kernel_s"] / (n * m) * 1e9
    plink2 = shutil.which("plink2")
    if plink2:
        command = [plink2, "--bfile", prefix, "--pheno", y, "--covar", c, "--glm", "hide-covar", "--threads", "1"]
        command = [*map(str, command), "--out", str(folder / "peer")]
        run = lambda: subprocess.run(command, check=True, capture_output=True)  # noqa: E731
        found["plink2_s"] = best(run, repeat, children_seconds)
        found["speed"] = found["plink2_s"] / found["daskgen_s"]
        peer = pd.read_csv(folder / "peer.y0.glm.linear", sep="\t")
        p = dg.open_store(out)["p"].values.reshape(phenotypes, m)[0]
        found["largest_difference_of_log10_p"] = float(np.nanmax(np.abs(np.log10(peer["P"]) - np.log10(p))))
    return found


def plink2_version():
    plink2 = shutil.which("plink2")
    if plink2 is None:
        return None
    return subprocess.run([plink2, "--version"], check=True, capture_output=True, text=True).stdout.strip()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path)
    parser.add_argument("--smoke", action="store_true", help="small sizes, to see that it runs")
    parser.add_argument("--repeat", type=int, default=3)
    given = parser.parse_args()
    n, m = (500, 1_000) if given.smoke else (5_000, 100_000)
    repeat = 1 if given.smoke else given.repeat
    results = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        # plink2 takes much longer where calls are missing, so there it gets fewer variants.
        for missing, variants in ((0.0, m), (0.02, m // 5)):
            cohort(folder, n, variants, missing, seed=1)
            for phenotypes in (1, 10):
                results.append(measure(folder, n, variants, missing, phenotypes, repeat))
                print(json.dumps(results[-1]))
    command = f"python -m benchmarks.association --repeat {given.repeat}" + " --smoke" * given.smoke
    report = {
        "command": command + (f" --out {given.out}" if given.out else ""),
        "made": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": processor(),
        "plink2": plink2_version(),
        "results": results,
    }
    if given.out:
        given.out.write_text(json.dumps(report, indent=2) + "\n")


if __name__ == "__main__":
    main()
