"""How fast a BGEN file becomes a store, beside plink2 --make-pgen and the PyPI reader `bgen`, in the same run.

    python -m benchmarks.convert_bgen --out benchmarks/results/convert_bgen.json
    python -m benchmarks.convert_bgen --smoke

The file has unphased probabilities of imputed genotypes, compressed with zlib or zstd, and is in the page cache. Every
tool is a process of its own with one thread; CPU seconds and the largest resident memory are what the system counted
for it, start of the interpreter included; for daskgen and the floor also without the imports and the loading of
compiled kernels. The best of some runs counts. Figures are gigabytes of 16-bit dosages per CPU second, and of daskgen
also the memory that its plan promised. daskgen writes dosages, hard calls and info scores, and fingerprints and
checksums on the way; plink2 writes a .pgen with dosages; the reader only hands out the dosages, one variant after the
other. The floor reads the file and unpacks its blocks, with the libraries that daskgen uses. A tool that is not
installed is left out and named.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.convert_bed import versions_here
from benchmarks.machine import measure
from tests.oracles.bgen import BgenVariant, block_2, write_bgen

_CONVERT = """
import sys, time
from conversion import genotypes
genotypes(sys.argv[1] + ".tiny.bgen", sys.argv[2] + ".tiny", force=True)
started = time.process_time()
plan = genotypes(sys.argv[1], sys.argv[2]).plan
print(plan.peak, time.process_time() - started)
"""

_UNPACK = """
import sys, time
from conversion.bgen_records import read_bgen_header, records
from conversion.bgen_unpack import bgen_unpacker
started = time.process_time()
header = read_bgen_header(sys.argv[1])
unpack = bgen_unpacker(header.compression)
with open(sys.argv[1], "rb", buffering=0) as file:
    for record in records(sys.argv[1], header):
        file.seek(record.data)
        unpack(memoryview(file.read(record.end - record.data)), header.layout, header.n_samples)
print(time.process_time() - started)
"""

_READER = """
import sys
import bgen
for variant in bgen.BgenReader(sys.argv[1]):
    variant.alt_dosage
"""


def write_cohort(path: Path, n_samples: int, n_variants: int, bits: int, compression: str, seed: int = 0) -> None:
    """Imputed genotypes: frequencies from 0.001 to 0.5, three quarters of the calls nearly certain; 32 repeated."""
    rng = np.random.default_rng(seed)
    top = 2**bits - 1
    blocks = []
    for _ in range(min(32, n_variants)):
        frequency = 10 ** rng.uniform(-3, np.log10(0.5))
        call = rng.binomial(2, frequency, n_samples)
        certain = np.eye(3)[call]
        prior = np.array([(1 - frequency) ** 2, 2 * frequency * (1 - frequency), frequency**2])
        share = np.where(rng.random(n_samples) < 0.75, 1.0, rng.beta(2, 1, n_samples))[:, None]
        p = share * certain + (1 - share) * prior
        first = np.rint(p[:, 0] * top)
        second = np.minimum(np.rint(p[:, 1] * top), top - first)
        blocks.append(block_2(np.stack([first, second], axis=1).astype(np.int64), n_samples, bits=bits))
    variants = [
        BgenVariant(blocks[v % len(blocks)], position=v + 1, rsid=f"rs{v}", contig=str(1 + 22 * v // n_variants))
        for v in range(n_variants)
    ]
    ids = [f"I{i}" for i in range(n_samples)]
    write_bgen(path, variants, n_samples, sample_ids=ids, compression=compression)
    tiny = path.with_name(path.name + ".tiny.bgen")
    write_bgen(tiny, variants[:16], n_samples, sample_ids=ids, compression=compression)


def contestants(bgen: Path, folder: Path) -> dict[str, list[str]]:
    """Command of every tool that is here."""
    python = [sys.executable, "-c"]
    commands = {
        "read, unpack": [*python, _UNPACK, str(bgen)],
        "daskgen": [*python, _CONVERT, str(bgen), str(folder / "cohort.zarr")],
    }
    if plink2 := shutil.which("plink2"):
        out = ["--threads", "1", "--out", str(folder / "cohort")]
        commands["plink2 --make-pgen"] = [plink2, "--bgen", str(bgen), "ref-first", "--make-pgen", *out]
    if importlib.util.find_spec("bgen") is not None:
        commands["bgen, dosages only"] = [*python, _READER, str(bgen)]
    return commands


def main(arguments: list[str] | None = None) -> dict[str, Any]:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--n-samples", type=int, default=50_000)
    parser.add_argument("--n-variants", type=int, default=4_000)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--kinds", nargs="*", default=["8 zlib", "8 zstd", "16 zstd"], help="bits and compression")
    parser.add_argument("--folder", help="where the files are made; default: the system's temporary folder")
    parser.add_argument("--out", help="JSON file for the result")
    parser.add_argument("--smoke", action="store_true", help="a tiny cohort, once")
    parser.add_argument("--make-only", metavar="FILE", help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if options.make_only:
        bits, compression = options.kinds[0].split()
        write_cohort(Path(options.make_only), options.n_samples, options.n_variants, int(bits), compression)
        return {}
    if options.smoke:
        options.n_samples, options.n_variants, options.repeats, options.kinds = 501, 300, 1, ["8 zlib", "16 zstd"]
    gigabytes = 2 * options.n_samples * options.n_variants / 1e9
    results: dict[str, Any] = {}
    with tempfile.TemporaryDirectory(dir=options.folder) as name:
        folder = Path(name).resolve()
        for kind in options.kinds:
            path = folder / "cohort.bgen"
            # Made by another process: a child's largest memory includes what its parent had when it was started.
            shape = ["--n-samples", str(options.n_samples), "--n-variants", str(options.n_variants)]
            make = [sys.executable, "-m", "benchmarks.convert_bgen", "--make-only", str(path), "--kinds", kind]
            subprocess.run([*make, *shape], check=True)
            results[kind] = {"file_gb": round(path.stat().st_size / 1e9, 4)}
            for tool, command in contestants(path, folder).items():
                runs = []
                for _ in range(options.repeats):
                    shutil.rmtree(folder / "cohort.zarr", ignore_errors=True)
                    subprocess.run(["cat", str(path)], stdout=subprocess.DEVNULL, check=True)
                    runs.append(measure(command, folder))
                best = min(runs, key=lambda run: run["cpu_s"])
                entry = {key: value for key, value in best.items() if key != "output"}
                entry["dosage_gb_per_cpu_s"] = round(gigabytes / best["cpu_s"], 3)
                if tool in ("daskgen", "read, unpack"):
                    inside = min(float(run["output"].split()[-1]) for run in runs)
                    entry["dosage_gb_per_cpu_s_once_loaded"] = round(gigabytes / inside, 3)
                if tool == "daskgen":
                    entry["planned_peak_mb"] = round(int(best["output"].split()[-2]) / 1e6)
                    stored = sum(file.stat().st_size for file in (folder / "cohort.zarr").rglob("*") if file.is_file())
                    entry["store_gb"] = round(stored / 1e9, 4)
                results[kind][tool] = entry
                print(f"{kind:<8} {tool:<20} {json.dumps(entry)}", flush=True)
    tools = {"plink2 --make-pgen", "bgen, dosages only"}
    for tool in sorted(tools - set().union(*results.values())):
        print(f"{tool:<20} left out: not installed", flush=True)
    report = {
        "benchmark": "convert_bgen",
        "date": time.strftime("%Y-%m-%d"),
        "load_average": os.getloadavg(),
        "command": " ".join(["python -m benchmarks.convert_bgen", *(arguments or sys.argv[1:])]),
        "n_samples": options.n_samples,
        "n_variants": options.n_variants,
        "dosage_gb": gigabytes,
        "results": results,
        "left_out": sorted(tools - set().union(*results.values())),
        "versions": versions_here(),
    }
    if options.out:
        Path(options.out).write_text(json.dumps(report, indent=2) + "\n")
    return report


if __name__ == "__main__":
    main()
