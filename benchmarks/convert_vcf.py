"""How fast a VCF becomes a store, beside bio2zarr's vcf2zarr and plink2zarr and plink2's import, in the same run.

    python -m benchmarks.convert_vcf --out benchmarks/results/convert_vcf.json
    python -m benchmarks.convert_vcf --smoke

The file has phased calls, and with --dosages DS and GP too, and is in the page cache. Every tool is a process of its
own with one thread; CPU seconds and the largest resident memory are what the system counted for it, start of the
interpreter included; for daskgen also without imports and the loading of compiled kernels. The best of some runs
counts. Figures are CPU seconds per gigabyte of text; of daskgen there is also the memory that its plan promised.
daskgen reads bgzip and plain gzip, both without an index, each twice: once for the variants, once for the calls; it
counts, fingerprints and checksums on the way. vcf2zarr keeps all fields of the file. plink2 --vcf writes a .pgen,
and, in another run, a .bed of the same calls, which is what plink2zarr starts from: both together lead to Zarr.
The first floor unpacks the file once, with the library daskgen uses; the
second goes through its calls with cyvcf2 (htslib), one record after the other, and writes nothing. A tool that is not
installed is left out and named.
"""

from __future__ import annotations

import argparse
import gzip
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

from benchmarks.convert_bed import compile_kernels, versions_here
from benchmarks.machine import measure
from benchmarks.tabix_index import write_index
from tests.vcf_files import bgzip

_CONVERT = """
import sys, time
import dask
from conversion import genotypes
dask.config.set(num_workers=1)
# Loads what a conversion needs, compiled kernels included.
genotypes(sys.argv[1].replace(".vcf.gz", ".tiny.vcf.gz"), sys.argv[2] + ".tiny")
started = time.process_time()
plan = genotypes(sys.argv[1], sys.argv[2]).plan
print(time.process_time() - started, plan.peak)
"""

_UNPACK = """
import sys
from conversion.compressed_blocks import blocks_of, kind_of
for block in blocks_of(sys.argv[1], kind_of(sys.argv[1])):
    pass
"""

_HTSLIB = """
import sys
import cyvcf2
for record in cyvcf2.VCF(sys.argv[1]):
    record.genotype.array()
"""

_DISTINCT = 256  # rows of genotypes, which are repeated


def write_cohort(folder: Path, n_samples: int, n_variants: int, dosages: bool, seed: int = 0) -> None:
    """cohort.vcf.gz (bgzip) and gzip.vcf.gz (plain gzip) of unrelated samples, and the size of their text."""
    rng = np.random.default_rng(seed)
    rows = []
    for _ in range(_DISTINCT):
        alleles = rng.random((n_samples, 2)) < rng.uniform(0.01, 0.5)
        calls = np.array(["0|0", "0|1", "1|0", "1|1"])[alleles @ np.array([2, 1])]
        if dosages:
            doubt = rng.beta(0.3, 6, n_samples).round(3)
            ds = np.abs(alleles.sum(axis=1) - doubt)
            parts = zip(calls, ds, doubt, strict=True)
            calls = [f"{call}:{d:.3f}:{1 - e:.3f},{e:.3f},0" for call, d, e in parts]
        rows.append("\t".join(calls))
    fields = "GT:DS:GP" if dosages else "GT"
    declared = "".join(
        f'##FORMAT=<ID={key},Number={number},Type={kind},Description="{key}">\n'
        for key, number, kind in (("GT", "1", "String"), ("DS", "A", "Float"), ("GP", "G", "Float"))
    )
    header = "##fileformat=VCFv4.3\n##contig=<ID=22>\n" + declared
    header += "\t".join(["#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\tFORMAT", *(f"I{i}" for i in range(n_samples))])
    block, size = [header + "\n"], 0
    with open(folder / "cohort.vcf.gz", "wb") as blocked, gzip.open(folder / "gzip.vcf.gz", "wb", 6) as plain:
        for i in range(n_variants):
            block.append(f"22\t{100 * i + 1}\trs{i}\tA\tG\t.\tPASS\t.\t{fields}\t{rows[i % _DISTINCT]}\n")
            if i % 500 == 499 or i == n_variants - 1:
                text = "".join(block).encode()
                blocked.write(bgzip(text, end=i == n_variants - 1))
                plain.write(text)
                block, size = [], size + len(text)
    (folder / "size.txt").write_text(str(size))
    lines = [f"22\t{i + 1}\trs{i}\tA\tG\t.\tPASS\t.\t{fields}\t{rows[i]}\n" for i in range(16)]
    tiny = (header + "\n" + "".join(lines)).encode()
    (folder / "cohort.tiny.vcf.gz").write_bytes(bgzip(tiny))
    with gzip.open(folder / "gzip.tiny.vcf.gz", "wb") as file:
        file.write(tiny)
    write_index(folder / "cohort.vcf.gz")


def contestants(folder: Path) -> tuple[dict[str, list[str]], dict[str, str]]:
    """Command of every tool that is here, and why others are not."""
    vcf, gz = str(folder / "cohort.vcf.gz"), str(folder / "gzip.vcf.gz")
    python, out = [sys.executable, "-c"], str(folder / "out")
    commands = {
        "unpack": [*python, _UNPACK, vcf],
        "daskgen, bgzip": [*python, _CONVERT, vcf, out + ".zarr"],
        "daskgen, gzip": [*python, _CONVERT, gz, out + ".zarr"],
    }
    absent = {}
    if importlib.util.find_spec("cyvcf2"):
        commands["cyvcf2"] = [*python, _HTSLIB, vcf]
    else:
        absent["cyvcf2"] = "not installed"
    plink2 = shutil.which("plink2")
    for tool in ("plink2 --vcf to .pgen", "plink2 --vcf to .bed"):
        if plink2 is None:
            absent[tool] = "not installed"
    if plink2 is not None:
        dosage = ["dosage=DS"] if (folder / "dosages").exists() else []
        start, end = [plink2, "--vcf", vcf], ["--threads", "1", "--out"]
        commands["plink2 --vcf to .pgen"] = [*start, *dosage, "--make-pgen", *end, out]
        # Kept, as the next tool's source.
        commands["plink2 --vcf to .bed"] = [*start, "--make-bed", *end, str(folder / "bed")]
    places = f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}"
    if (plink2zarr := shutil.which("plink2zarr", path=places)) is None:
        absent["plink2zarr"] = "not installed"
    elif plink2 is None:
        absent["plink2zarr"] = "it needs a .bed, which plink2 makes"
    else:
        commands["plink2zarr"] = [plink2zarr, "convert", "-f", "-Q", str(folder / "bed"), out + ".vcz"]
    if (vcf2zarr := shutil.which("vcf2zarr", path=places)) is None:
        absent["vcf2zarr"] = "not installed"
    else:
        commands["vcf2zarr"] = [vcf2zarr, "convert", "-f", "-Q", vcf, out + ".vcz"]
    return commands, absent


def main(arguments: list[str] | None = None) -> dict[str, Any]:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--n-samples", type=int, default=2_504)
    parser.add_argument("--n-variants", type=int, default=60_000)
    parser.add_argument("--dosages", action="store_true", help="with DS and GP beside GT")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--without", nargs="*", default=[], help="tools to leave out")
    parser.add_argument("--folder", help="where the files are made; default: the system's temporary folder")
    parser.add_argument("--out", help="JSON file for the result")
    parser.add_argument("--smoke", action="store_true", help="a tiny cohort, once")
    parser.add_argument("--make-only", metavar="FOLDER", help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if options.make_only:
        write_cohort(Path(options.make_only), options.n_samples, options.n_variants, options.dosages)
        return {}
    if options.smoke:
        options.n_samples, options.n_variants, options.repeats = 101, 1_000, 1
    with tempfile.TemporaryDirectory(dir=options.folder) as name:
        folder = Path(name).resolve()
        # Made by another process: a child's largest memory includes what its parent had when it was started.
        size = ["--n-samples", str(options.n_samples), "--n-variants", str(options.n_variants)]
        size += ["--dosages"] * options.dosages
        subprocess.run([sys.executable, "-m", "benchmarks.convert_vcf", "--make-only", name, *size], check=True)
        if options.dosages:
            (folder / "dosages").touch()
        gigabytes = int((folder / "size.txt").read_text()) / 1e9
        compile_kernels(folder / "cohort.tiny.vcf.gz")
        commands, absent = contestants(folder)
        results: dict[str, Any] = {}
        for tool in [tool for tool in commands if tool not in options.without]:
            runs = []
            for _ in range(options.repeats):
                for path in folder.glob("out*"):
                    shutil.rmtree(path) if path.is_dir() else path.unlink()
                runs.append(measure(commands[tool], folder))
            best = min(runs, key=lambda run: run["cpu_s"])
            results[tool] = {key: value for key, value in best.items() if key != "output"}
            results[tool]["cpu_s_per_gb"] = round(best["cpu_s"] / gigabytes, 2)
            if tool.startswith("daskgen"):
                inside = min(float(run["output"].split()[-2]) for run in runs)
                results[tool]["cpu_s_per_gb_once_loaded"] = round(inside / gigabytes, 2)
                results[tool]["planned_peak_mb"] = round(int(best["output"].split()[-1]) / 1e6)
            print(f"{tool:<22} {json.dumps(results[tool])}", flush=True)
        for tool, why in absent.items():
            print(f"{tool:<22} left out: {why}", flush=True)
        report = {
            "benchmark": "convert_vcf",
            "date": time.strftime("%Y-%m-%d"),
            "load_average": os.getloadavg(),
            "command": " ".join(["python -m benchmarks.convert_vcf", *(arguments or sys.argv[1:])]),
            "n_samples": options.n_samples,
            "n_variants": options.n_variants,
            "dosages": options.dosages,
            "text_gb": round(gigabytes, 3),
            "file_gb": round((folder / "cohort.vcf.gz").stat().st_size / 1e9, 3),
            "results": results,
            "left_out": absent,
            "versions": versions_here(),
        }
    if options.out:
        Path(options.out).write_text(json.dumps(report, indent=2) + "\n")
    return report


if __name__ == "__main__":
    main()
