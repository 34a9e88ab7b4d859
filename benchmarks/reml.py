"""REML fits: seconds, memory, passes and random error, beside a dense REML in NumPy.

    python -m benchmarks.reml --cases one,exact,dense --seeds 20 --out benchmarks/results/reml_one.json
    python -m benchmarks.reml --cases large --out benchmarks/results/reml_large.json
    python -m benchmarks.reml --cases dense10k,crossing --out benchmarks/results/reml_crossing.json
    python -m benchmarks.reml --cases growth --sizes 5000,10000,20000,40000 --out benchmarks/results/reml_growth.json
    python -m benchmarks.reml --curves simulated --out benchmarks/results/reml_curves.json
    python -m benchmarks.reml --curves mice,soybean --cohorts FOLDER --out benchmarks/results/reml_curves_real.json
    python -m benchmarks.reml --smoke

Simulated samples, h2 = 0.5, three covariates. Every fit is a process of its own: `seconds` and CPU seconds are of the
fit alone, opening and tables included; `process_s` and the largest memory of the whole process, with the start of the
interpreter and imports. The cases:

one         5,000 x 50,000, one component, stochastic; with --seeds as many fits, compared with the exact maximum
dense       the same cohort, NumPy: genotypes read, relationship matrix by sgemm, eigenvalues, profile likelihood
dense10k    10,000 x 100,000, NumPy: what 20,000 x 100,000 would take follows (matrix x 4, eigenvalues x 8)
exact       the same cohort, method="exact"
large       20,000 x 100,000, one component and five
crossing    1,000 to 6,000 samples x 20,000 variants, exact and stochastic, with the seconds that method="auto" predicts
growth      5,000 to 80,000 samples x 20,000 variants, one component
--curves    one component and five: random error, passes and seconds against probes, tol and the preconditioner, for
            5,000 x 20,000 simulated, and for the mice and soybeans of docs/how-to/heritability-and-prediction.md, which
            lie in FOLDER as NAME/NAME.bed with .pheno and .covar

`share` is the largest Monte-Carlo error of a variance over its standard error.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from benchmarks.machine import versions

H2, COVARIATES = 0.5, 3

MOUSE_COVARIATES = "sex,CageDensity,Litter,year,month"
REAL = {
    "mice": (
        "mice_hs1814",
        {"pheno_name": "Obesity.BMI", "covar_name": MOUSE_COVARIATES, "covar_numeric": MOUSE_COVARIATES},
    ),
    "soybean": ("soynam5590", {"pheno_name": "protein"}),
}

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


def make_real(bed: str, store: str) -> dict[str, Any]:
    import conversion

    conversion.genotypes(bed, store)
    return {}


def fit(
    store: str,
    phenotypes: str | None = None,
    covariates: str | None = None,
    components: int = 1,
    core: bool | str = "auto",
    **options: Any,
) -> dict[str, Any]:
    """A fit of daskgen; without tables those of a simulated cohort."""
    from daskgen import reml
    from daskgen.genotypes.reader import open_reader
    from daskgen.reml import pcg_fit

    if phenotypes is None:
        phenotypes, covariates = f"{store}.y.tsv", f"{store}.x.tsv"
    if core != "auto":
        pcg_fit.CORE_STEPS = -1 if core else 10**6
    m = open_reader(store).n_variants
    sets = None
    if components > 1:
        sets = {f"c{i}": np.arange(i * m // components, (i + 1) * m // components) for i in range(components)}
    start, cpu = time.perf_counter(), time.process_time()
    found = reml.fit(store, phenotypes, covariates, components=sets, **options)
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
    formed = time.perf_counter() - start
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
        "matrix_s": round(formed, 2),
        "h2": float(h2),
    }


_WORK: dict[str, Callable[..., dict[str, Any]]] = {"make": make, "make_real": make_real, "fit": fit, "dense": dense}


# The measurements -----------------------------------------------------------------------------------------------------


def measured(what: str, **arguments: Any) -> dict[str, Any]:
    """What a process of its own gives, with its largest memory."""
    command = [sys.executable, "-m", "benchmarks.reml", "--work", json.dumps({"what": what, **arguments})]
    start = time.perf_counter()
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(done.stderr)
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return {**found, "process_s": round(time.perf_counter() - start, 2)}


def cohort(folder: Path, n: int, m: int) -> str:
    store = folder / f"{n}x{m}.zarr"
    if not store.exists():
        measured("make", store=str(store), n=n, m=m)
    return str(store)


def cases(wanted: set[str], folder: Path, smoke: bool, seeds: int, sizes: list[int]) -> Iterator[Case]:
    """All cases that are wanted, measured."""
    n, m = (500, 2_000) if smoke else (5_000, 50_000)

    def one_of(name: str, n: int, m: int, what: str = "fit", **options: Any) -> Case:
        return {"case": name, "n": n, "m": m, **measured(what, store=cohort(folder, n, m), **options)}

    if "one" in wanted:
        one = []
        for seed in range(seeds):
            one.append(one_of("one", n, m, method="stochastic", seed=seed))
            yield one[-1]
    if "exact" in wanted:
        exact = one_of("exact", n, m, method="exact")
        yield exact
        if "one" in wanted:
            z = [abs(case["h2"] - exact["h2"]) / case["monte_carlo_se"] for case in one]
            root_mean_square = float(np.mean(np.square(z)) ** 0.5)
            yield {"case": "one over seeds", "largest_z": max(z), "root_mean_square_z": root_mean_square}
    if "dense" in wanted:
        yield one_of("dense", n, m, "dense")
    if "dense10k" in wanted:
        yield one_of("dense", *((800, 2_000) if smoke else (10_000, 100_000)), "dense")
    if "large" in wanted:
        for components in (1, 5):
            size = (1_000, 3_000) if smoke else (20_000, 100_000)
            yield one_of(f"large, {components} components", *size, components=components, method="stochastic")
    if "crossing" in wanted:
        for components, samples in ((1, 1_000), (1, 2_000), (1, 4_000), (1, 6_000), (5, 1_000), (5, 2_000)):
            size = (samples // 10, 1_000) if smoke else (samples, 20_000)
            for method in ("exact", "stochastic"):
                case = one_of("crossing", *size, components=components, method=method)
                yield {
                    **case,
                    "method": method,
                    "components": components,
                    "predicted_s": predicted(*size, components)[method],
                }
    if "growth" in wanted:
        for samples in sizes:
            yield one_of("growth", samples, 1_000 if smoke else 20_000, method="stochastic")


def predicted(n: int, m: int, components: int) -> dict[str, float]:
    """Seconds that `method="auto"` compares."""
    from daskgen.reml.choosing import predict_costs
    from daskgen.reml.probes import first_probes

    found = predict_costs(n, m, components, 1, first_probes(n, components), os.cpu_count() or 1)
    return {"exact": round(found.exact, 2), "stochastic": round(found.stochastic, 2)}


def curves(names: list[str], folder: Path, cohorts: Path | None, smoke: bool) -> Iterator[Case]:
    """Random error, passes and seconds against what a user can choose."""
    probes, tolerances = ((4, 8), (1e-2,)) if smoke else ((8, 16, 24, 48, 96), (3e-2, 1e-2, 1e-4))
    grid: list[Case] = [{}, *({"n_probes": r} for r in probes), *({"n_probes": 24, "tol": t} for t in tolerances)]
    cores: list[Case] = [{"n_probes": 24, "core": core} for core in (True, False)]
    for name in names:
        data: Case = {"store": cohort(folder, *((400, 1_000) if smoke else (5_000, 20_000)))}
        if name != "simulated":
            stem, data = REAL[name]
            bed = (cohorts or Path()) / stem / f"{stem}.bed"
            data = {"store": str(folder / f"{stem}.zarr"), "phenotypes": str(bed.with_suffix(".pheno")), **data}
            if "covar_name" in data:
                data["covariates"] = str(bed.with_suffix(".covar"))
            if not Path(data["store"]).exists():
                measured("make_real", bed=str(bed), store=data["store"])
        for components in (1, 5):
            for options in grid if components == 1 else [*grid, *cores]:
                case = measured("fit", components=components, method="stochastic", **data, **options)
                yield {"case": "curve", "cohort": name, "components": components, **options, **case}


def said(given: argparse.Namespace) -> str:
    """The command that makes these figures again."""
    words = ["python -m benchmarks.reml", f"--curves {given.curves}" if given.curves else f"--cases {given.cases}"]
    words += [f"--seeds {given.seeds}"] * (given.seeds > 1) + ["--cohorts FOLDER"] * bool(given.cohorts)
    words += [f"--sizes {given.sizes}"] * (not given.curves and "growth" in given.cases) + ["--smoke"] * given.smoke
    return " ".join([*words, *([f"--out {given.out}"] if given.out else [])])


def main(arguments: list[str] | None = None) -> dict[str, Any]:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cases", default="one,exact,dense,large,growth", help="which of them, with commas")
    parser.add_argument("--seeds", type=int, default=1, help="fits of the case `one`")
    parser.add_argument("--sizes", default="5000,10000,20000,40000,80000", help="samples of the case `growth`")
    parser.add_argument("--curves", metavar="COHORT,...", help="of simulated, mice, soybean")
    parser.add_argument("--cohorts", type=Path, metavar="FOLDER", help="where the real cohorts lie")
    parser.add_argument("--folder", help="where cohorts are made, and used again; default: a temporary one")
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
    with tempfile.TemporaryDirectory() as name:
        folder = Path(given.folder or name)
        sizes = [400, 800] if given.smoke else [int(size) for size in given.sizes.split(",")]
        running = (
            curves(given.curves.split(","), folder, given.cohorts, given.smoke)
            if given.curves
            else cases(set(given.cases.split(",")), folder, given.smoke, given.seeds, sizes)
        )
        results = []
        for case in running:
            print(json.dumps(case), flush=True)
            results.append(case)
    report = {
        "command": said(given),
        "date": time.strftime("%Y-%m-%d"),
        "versions": versions("numpy", "numba", "scipy"),
        "results": results,
    }
    if given.out:
        given.out.write_text(json.dumps(report, indent=2) + "\n")
    return report


if __name__ == "__main__":
    main()
