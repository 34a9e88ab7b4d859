"""How fast a .bed becomes a store, beside plink2 --make-pgen and bio2zarr's plink2zarr, in the same run.

    python -m benchmarks.convert_bed --out benchmarks/results/convert_bed.json
    python -m benchmarks.convert_bed --smoke

The file is in the page cache. Every tool is a process of its own; CPU seconds and the largest resident memory are
what the system counted for it, start of the interpreter included; for daskgen also without the imports and the loading
of its compiled kernels, a second that does not grow with the file. The best of some runs counts. daskgen counts codes,
fingerprints the files and checksums the chunks on the way; the others do not. Beside its largest memory stands what
its plan promised. A tool that is not installed is left out and named. Two floors: `cp` of the .bed, and a bare loop
that reads it, hashes it with SHA-256 and writes it to new files of 8 MB, which is what a conversion cannot do without.
Writing new files costs what the machine asks for fresh memory, which changes from run to run; the ratio to that floor
in the same run is the figure to keep.
"""

from __future__ import annotations

import argparse
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

from benchmarks.machine import measure, versions

_LONG = 20  # CPU seconds: a tool that takes longer is run once

_CONVERT = """
import os, sys, time
from conversion import genotypes
# Loads what a conversion needs, compiled kernels included.
genotypes(sys.argv[1].replace(".bed", ".tiny.bed"), sys.argv[2] + ".tiny", force=True)
started = os.times()
plan = genotypes(sys.argv[1], sys.argv[2]).plan
ended = os.times()
print(plan.peak, ended.system - started.system, ended.user + ended.system - started.user - started.system)
"""


_FLOOR = """
import hashlib, sys
digest, piece, number = hashlib.sha256(), bytearray(8_000_000), 0
with open(sys.argv[1], "rb", buffering=0) as file:
    while n := file.readinto(piece):
        part = memoryview(piece)[:n]
        digest.update(part)
        with open(f"{sys.argv[2]}/{number}", "wb", buffering=0) as out:
            out.write(part)
        number += 1
"""


def write_cohort(folder: Path, n_samples: int, n_variants: int, seed: int = 0) -> None:
    """A .bed/.bim/.fam of unrelated samples in Hardy-Weinberg proportions, 0.5 % missing; 512 variants repeated."""
    rng = np.random.default_rng(seed)
    width = -(-n_samples // 4)
    block = min(512, n_variants)
    frequency = rng.uniform(0.01, 0.5, (block, 1))
    copies = rng.binomial(2, frequency, (block, n_samples)).astype(np.uint8)
    copies[rng.random((block, n_samples)) < 0.005] = 3
    two_bits = np.array([3, 2, 0, 1], np.uint8)[copies]  # 0, 1, 2 copies of A1 and missing, as .bed has them
    two_bits = np.pad(two_bits, ((0, 0), (0, 4 * width - n_samples)))
    rows = np.bitwise_or.reduce(two_bits.reshape(block, width, 4) << np.array([0, 2, 4, 6], np.uint8), axis=2)
    with open(folder / "cohort.bed", "wb") as file:
        file.write(b"\x6c\x1b\x01")
        for start in range(0, n_variants, block):
            file.write(rows[: min(block, n_variants - start)].tobytes())
    with open(folder / "cohort.bim", "w") as file:
        file.writelines(f"{1 + 22 * i // n_variants}\trs{i}\t0\t{i + 1}\tA\tG\n" for i in range(n_variants))
    with open(folder / "cohort.fam", "w") as file:
        file.writelines(f"F{i} I{i} 0 0 {1 + i % 2} -9\n" for i in range(n_samples))
    with open(folder / "cohort.tiny.bed", "wb") as file:
        file.write(b"\x6c\x1b\x01" + rows[:16].tobytes())
    with open(folder / "cohort.bim") as bim, open(folder / "cohort.tiny.bim", "w") as file:
        file.writelines(line for line, _ in zip(bim, rows[:16], strict=False))
    shutil.copyfile(folder / "cohort.fam", folder / "cohort.tiny.fam")


def compile_kernels(tiny: Path) -> None:
    """Convert a tiny file, so that no measured run compiles anything."""
    command = [sys.executable, "-c", "import sys; from conversion import genotypes; genotypes(*sys.argv[1:])"]
    subprocess.run([*command, str(tiny), f"{tiny}.zarr"], check=True)


def contestants(bed: Path, folder: Path) -> dict[str, list[str]]:
    """Command of every tool that is here."""
    prefix = str(bed.with_suffix(""))
    here = Path(sys.executable).parent
    commands = {
        "cp": ["cp", str(bed), str(folder / "copy.bed")],
        "read, hash, write": [sys.executable, "-c", _FLOOR, str(bed), str(folder / "pieces")],
        "daskgen": [sys.executable, "-c", _CONVERT, str(bed), str(folder / "cohort.zarr")],
    }
    if plink2 := shutil.which("plink2"):
        commands["plink2 --make-pgen"] = [plink2, "--bfile", prefix, "--make-pgen", "--out", str(folder / "cohort")]
    plink2zarr = shutil.which("plink2zarr", path=f"{here}{os.pathsep}{os.environ.get('PATH', '')}")
    if plink2zarr:
        commands["plink2zarr"] = [plink2zarr, "convert", prefix, str(folder / "cohort.vcz"), "-p", "1"]
    return commands


def versions_here() -> dict[str, str]:
    found = versions("numpy", "numba", "zarr", "dask", "bio2zarr")
    if plink2 := shutil.which("plink2"):
        found["plink2"] = subprocess.check_output([plink2, "--version"], text=True).strip()
    return found


def main(arguments: list[str] | None = None) -> dict[str, Any]:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--n-samples", type=int, default=50_000)
    parser.add_argument("--n-variants", type=int, default=80_000)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--without", nargs="*", default=[], help="tools to leave out")
    parser.add_argument("--folder", help="where the files are made; default: the system's temporary folder")
    parser.add_argument("--out", help="JSON file for the result")
    parser.add_argument("--smoke", action="store_true", help="a tiny cohort, once")
    parser.add_argument("--make-only", metavar="FOLDER", help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if options.make_only:
        write_cohort(Path(options.make_only), options.n_samples, options.n_variants)
        return {}
    if options.smoke:
        options.n_samples, options.n_variants, options.repeats = 1_001, 2_000, 1
    with tempfile.TemporaryDirectory(dir=options.folder) as name:
        folder = Path(name).resolve()
        bed = folder / "cohort.bed"
        # Made, and read into the page cache, by other processes: a child's largest memory includes what its parent
        # had when it was started.
        size = ["--n-samples", str(options.n_samples), "--n-variants", str(options.n_variants)]
        subprocess.run([sys.executable, "-m", "benchmarks.convert_bed", "--make-only", name, *size], check=True)
        gigabytes = bed.stat().st_size / 1e9
        compile_kernels(folder / "cohort.tiny.bed")
        results: dict[str, Any] = {}
        commands = contestants(bed, folder)
        for tool in [tool for tool in commands if tool not in options.without]:
            runs = []
            for _ in range(options.repeats):
                for made in ("copy.bed", "pieces", "cohort.pgen", "cohort.zarr", "cohort.vcz"):
                    path = folder / made
                    shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)
                (folder / "pieces").mkdir()
                subprocess.run(["cat", str(bed)], stdout=subprocess.DEVNULL, check=True)
                runs.append(measure(commands[tool], folder))
                if runs[-1]["cpu_s"] > _LONG:
                    break
            best = min(runs, key=lambda run: run["cpu_s"])
            results[tool] = {key: value for key, value in best.items() if key != "output"}
            results[tool]["gb_per_cpu_s"] = round(gigabytes / best["cpu_s"], 3)
            if tool == "daskgen":
                about = min((run["output"].split() for run in runs), key=lambda words: float(words[-1]))
                results[tool]["gb_per_cpu_s_once_loaded"] = round(gigabytes / float(about[-1]), 3)
                results[tool]["system_s_once_loaded"] = round(float(about[-2]), 3)
                results[tool]["planned_peak_mb"] = round(int(about[-3]) / 1e6)
                results[tool]["times_the_floor"] = round(best["cpu_s"] / results["read, hash, write"]["cpu_s"], 2)
            print(f"{tool:<20} {json.dumps(results[tool])}", flush=True)
    report = {
        "benchmark": "convert_bed",
        "date": time.strftime("%Y-%m-%d"),
        "load_average": os.getloadavg(),
        "command": " ".join(["python -m benchmarks.convert_bed", *(arguments or sys.argv[1:])]),
        "n_samples": options.n_samples,
        "n_variants": options.n_variants,
        "bed_gb": round(gigabytes, 3),
        "results": results,
        "left_out": sorted({"plink2 --make-pgen", "plink2zarr"} - set(results)),
        "versions": versions_here(),
    }
    if options.out:
        Path(options.out).write_text(json.dumps(report, indent=2) + "\n")
    return report


if __name__ == "__main__":
    main()
