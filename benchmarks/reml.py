"""REML fits: seconds, memory, passes and random error, beside a dense REML in NumPy.

    python -m benchmarks.reml --out benchmarks/results/reml.json
    python -m benchmarks.reml --cases one --seeds 20 --out benchmarks/results/reml_seeds.json
    python -m benchmarks.reml --cases growth
    python -m benchmarks.reml --curves --out benchmarks/results/reml_curves.json
    python -m benchmarks.reml --smoke

Simulated samples, h2 = 0.5, three covariates. Every fit is a process of its own: seconds and CPU seconds are of the fit
alone, the largest memory of the whole process. The cases:

one         5,000 x 50,000, one component, stochastic; with --seeds as many fits, compared with the exact maximum
dense       the same cohort, NumPy: genotypes read, relationship matrix by sgemm, eigenvalues, profile likelihood
exact       the same cohort, method="exact"
large       20,000 x 100,000, one component and five
growth      5,000 to 80,000 samples x 20,000 variants, one component
--curves    one component and five, 5,000 x 20,000: random error, passes and seconds against probes, tol and the
            preconditioner

`share` is the largest Monte-Carlo error of a variance over its standard error.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import json
import os
import platform
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

H2, COVARIATES = 0.5, 3

Case = dict[str, Any]


# In a process of its own ----------------------------------------------------------------------------------------------


def make(store: str, n: int, m: int) -> dict[str, Any]:
    """A cohort with a phenotype and covariates beside it."""
    import daskgen as dg

    dg.simulate.genotypes(store, n_samples=n, n_variants=m, seed=1)
    y = dg.simulate.phenotypes(store, h2=H2, seed=2)
    generator = np.random.default_rng(3)
    x = pd.DataFrame(
        generator.normal(size=(n, COVARIATES)), index=y.index, columns=[f"x{i}" for i in range(COVARIATES)]
    )
    (y.iloc[:, 0] + x.sum(axis=1)).rename("y").to_csv(f"{store}.y.tsv", sep="\t", index_label="IID")
    x.to_csv(f"{store}.x.tsv", sep="\t", index_label="IID")
    return {}


def fit(store: str, components: int = 1, core: bool | str = "auto", **options: Any) -> dict[str, Any]:
    """A fit of daskgen."""
    from daskgen import reml
    from daskgen.genotypes.reader import open_reader
    from daskgen.reml import pcg_fit

    if core != "auto":
        pcg_fit.CORE_STEPS = -1 if core else 10**6
    m = open_reader(store).n_variants
    sets = None
    if components > 1:
        sets = {f"c{i}": np.arange(i * m // components, (i + 1) * m // components) for i in range(components)}
    start, cpu = time.perf_counter(), time.process_time()
    found = reml.fit(store, f"{store}.y.tsv", f"{store}.x.tsv", components=sets, **options)
    table, total = found.variance_components, found.heritability.iloc[-1]
    return {
        "seconds": round(time.perf_counter() - start, 2),
        "cpu_s": round(time.process_time() - cpu, 2),
        "passes": int(found.dataset["passes"].values[0]),
        "probes": int(found.dataset["n_probes"].values[0]),
        "h2": float(total["h2"]),
        "se": float(total["se"]),
        "monte_carlo_se": float(total["monte_carlo_se"]),
        "share": float((table["monte_carlo_se"] / table["se"]).max()),
        "converged": bool(found.converged),
    }


def dense(store: str) -> dict[str, Any]:
    """The textbook's way: K formed, its eigenvalues, the profile likelihood."""
    from scipy.optimize import minimize_scalar

    from daskgen.genotypes.reader import open_reader
    from daskgen.kernels.genotype_codes import unpack

    start, cpu = time.perf_counter(), time.process_time()
    reader = open_reader(store)
    n, m = reader.n_samples, reader.n_variants
    y = pd.read_csv(f"{store}.y.tsv", sep="\t")["y"].to_numpy()
    x = np.column_stack([np.ones(n), pd.read_csv(f"{store}.x.tsv", sep="\t").iloc[:, 1:].to_numpy()])
    k = np.zeros((n, n), np.float32)
    for first in range(0, m, 2048):
        g = unpack(reader.read(first, min(first + 2048, m)), n).astype(np.float32)
        g -= g.mean(axis=1, keepdims=True)
        g /= np.maximum(g.std(axis=1, keepdims=True), 1e-6)
        k += g.T @ g
    k /= m
    q = np.linalg.qr(x)[0].astype(np.float32)
    kq = k @ q
    k -= q @ kq.T + kq @ q.T - q @ (q.T @ kq) @ q.T
    values, vectors = np.linalg.eigh(k)
    c = x.shape[1]
    squares = (vectors.T @ (y - q @ (q.T @ y)))[c:] ** 2
    values = np.maximum(values[c:], 0)

    def negative(h: float) -> float:
        d = h * values / values.mean() + 1 - h
        return float((n - c) * np.log((squares / d).sum()) + np.log(d).sum())

    h2 = minimize_scalar(negative, bounds=(0, 1), method="bounded").x
    return {
        "seconds": round(time.perf_counter() - start, 2),
        "cpu_s": round(time.process_time() - cpu, 2),
        "h2": float(h2),
    }


_WORK = {"make": make, "fit": fit, "dense": dense}


# The measurements -----------------------------------------------------------------------------------------------------


def measured(what: str, **arguments: Any) -> dict[str, Any]:
    """What a process of its own gives, with its largest memory."""
    command = [sys.executable, "-m", "benchmarks.reml", "--work", json.dumps({"what": what, **arguments})]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(done.stderr)
    return json.loads(done.stdout.splitlines()[-1])  # type: ignore[no-any-return]


def cohort(folder: Path, n: int, m: int) -> str:
    store = folder / f"{n}x{m}.zarr"
    if not store.exists():
        measured("make", store=str(store), n=n, m=m)
    return str(store)


def cases(wanted: set[str], folder: Path, smoke: bool, seeds: int) -> list[Case]:
    """All cases that are wanted, measured."""
    n, m = (500, 2_000) if smoke else (5_000, 50_000)
    found: list[Case] = []

    def add(name: str, n: int, m: int, what: str = "fit", **options: Any) -> Case:
        case = {"case": name, "n": n, "m": m, **measured(what, store=cohort(folder, n, m), **options)}
        found.append(case)
        print(json.dumps(case), flush=True)
        return case

    if "one" in wanted:
        one = [add("one", n, m, method="stochastic", seed=seed) for seed in range(seeds)]
    if "exact" in wanted or ("one" in wanted and seeds > 1):
        exact = add("exact", n, m, method="exact")
        if "one" in wanted:
            z = [abs(case["h2"] - exact["h2"]) / case["monte_carlo_se"] for case in one]
            found.append(
                {
                    "case": "one over seeds",
                    "largest_z": max(z),
                    "root_mean_square_z": float(np.mean(np.square(z)) ** 0.5),
                }
            )
            print(json.dumps(found[-1]), flush=True)
    if "dense" in wanted:
        add("dense", n, m, "dense")
    if "large" in wanted:
        for components in (1, 5):
            size = (1_000, 3_000) if smoke else (20_000, 100_000)
            add(f"large, {components} components", *size, components=components, method="stochastic")
    if "growth" in wanted:
        for samples in (400, 800) if smoke else (5_000, 10_000, 20_000, 40_000, 80_000):
            add("growth", samples, 1_000 if smoke else 20_000, method="stochastic")
    return found


def curves(folder: Path, smoke: bool) -> list[Case]:
    """Random error, passes and seconds against what a user can choose."""
    n, m = (400, 1_000) if smoke else (5_000, 20_000)
    store, found = cohort(folder, n, m), []
    probes, tolerances = ((4, 8), (1e-2,)) if smoke else ((8, 16, 24, 48, 96), (3e-2, 1e-2, 3e-3, 1e-3, 1e-4))
    grid: list[Case] = [{"n_probes": r, "tol": 1e-3} for r in probes] + [{"n_probes": 24, "tol": t} for t in tolerances]
    for components in (1, 5):
        settings = grid if components == 1 else [*grid, {"n_probes": 24, "core": True}, {"n_probes": 24, "core": False}]
        for options in settings:
            case = measured("fit", store=store, components=components, method="stochastic", **options)
            found.append({"case": "curve", "components": components, **options, **case})
            print(json.dumps(found[-1]), flush=True)
    return found


def main(arguments: list[str] | None = None) -> dict[str, Any]:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cases", default="one,exact,dense,large,growth", help="which of them, with commas")
    parser.add_argument("--seeds", type=int, default=1, help="fits of the case `one`")
    parser.add_argument("--curves", action="store_true")
    parser.add_argument("--folder", help="where cohorts are made; default: the system's temporary folder")
    parser.add_argument("--smoke", action="store_true", help="small sizes, to see that it runs")
    parser.add_argument("--out", type=Path, help="JSON file for the result")
    parser.add_argument("--work", help=argparse.SUPPRESS)
    given = parser.parse_args(arguments)
    if given.work:
        work = json.loads(given.work)
        result = _WORK[work.pop("what")](**work)
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        print(json.dumps({**result, "peak_mb": round(peak / 1024)}))
        return result
    with tempfile.TemporaryDirectory(dir=given.folder) as name:
        folder = Path(name)
        results = (
            curves(folder, given.smoke)
            if given.curves
            else cases(set(given.cases.split(",")), folder, given.smoke, given.seeds)
        )
    report = {
        "benchmark": "reml",
        "date": time.strftime("%Y-%m-%d"),
        "machine": platform.machine(),
        "cores": os.cpu_count(),
        "versions": {
            package: importlib.metadata.version(package) for package in ("daskgen", "numpy", "numba", "scipy")
        },
        "results": results,
    }
    if given.out:
        given.out.write_text(json.dumps(report, indent=2) + "\n")
    return report


if __name__ == "__main__":
    main()
