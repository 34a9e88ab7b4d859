"""Single-cell steps beside scanpy: CPU seconds, wall seconds and peak memory, each run in a process of its own.

    python -m benchmarks.cells                                   3k, 25k, 50k, 100k and 200k cells x 35,000 genes
    python -m benchmarks.cells --cells 25000 --tools daskgen,scanpy
    python -m benchmarks.cells --out benchmarks/results/cells.json --figure docs/_static/cells-scaling.svg
    python -m benchmarks.cells --smoke                           a minute, 2,000 cells x 3,000 genes

Counts are simulated once per size (`dg.simulate.cells`, 6.8 % of the values are counts) and kept in --folder. Steps:
quality control with the shares of the 50 to 500 largest counts, normalisation to 10,000, logarithms, 2,000 genes
(seurat), 50 components, eight gene sets of the 50 largest counts. daskgen runs its `pipeline`, and its steps one by
one; scanpy runs in memory (arpack; gene sets with SciPy) and on Dask (without gene sets). Compiled code is warm. The
peak is that of the whole process, by the kernel's high-water mark; reading is counted for all, and what scanpy needs
without reading and the cast to float32 is given too. Results are added to those that --out has of other sizes and
tools, so that sizes can be run one by one; --figure draws all of them.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.machine import versions

SIZES = [3_000, 25_000, 50_000, 100_000, 200_000]
TOOLS = ["daskgen", "daskgen_steps", "scanpy", "scanpy_dask"]
LABELS = {
    "daskgen": "daskgen, pipeline",
    "daskgen_steps": "daskgen, step by step",
    "scanpy": "scanpy in memory",
    "scanpy_dask": "scanpy on Dask",
}
READING = ("read", "float32")
STEPS = ["read", "float32", "qc", "normalize", "log1p", "hvg", "pca", "ora"]
N_UP = 50


class Steps:
    """CPU and wall seconds of each step of a run."""

    def __init__(self):
        self.seconds = {}

    def __call__(self, name, work):
        cpu, wall = time.process_time(), time.perf_counter()
        result = work()
        self.seconds[name] = {
            "cpu_s": round(time.process_time() - cpu, 3),
            "wall_s": round(time.perf_counter() - wall, 3),
            "peak_gb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6, 3),
        }
        return result


def sets_of(names):
    """Eight sets of 5 to 40 genes, the same for all tools."""
    import numpy as np

    generator = np.random.default_rng(7)
    return {f"set{i}": list(generator.choice(names, 5 * (i + 1), replace=False)) for i in range(8)}


def warm(data):
    """A small store that every tool goes through before its clock starts, so that nothing compiles meanwhile."""
    import daskgen as dg

    path = data / "warm.zarr"
    if not path.exists():
        dg.simulate.cells(path, n_cells=600, n_genes=3_000, seed=5)
    return path


def run_daskgen(path, threads, steps=None):
    import daskgen as dg
    import daskgen.cells

    with dg.cluster.connect(f"threads:{threads}"):
        cells = dg.cells.open(path)
        sets = sets_of(cells.var_names)
        if steps is None or isinstance(steps, Fused):
            (steps or Steps())("pipeline", lambda: dg.cells.pipeline(cells, gene_sets=sets, n_up=N_UP))
            return
        steps("qc", lambda: dg.cells.calculate_qc_metrics(cells))
        steps("normalize", lambda: dg.cells.normalize_total(cells, target_sum=1e4))
        steps("log1p", lambda: dg.cells.log1p(cells))
        steps("hvg", lambda: dg.cells.highly_variable_genes(cells, n_top_genes=2000))
        steps("pca", lambda: dg.cells.pca(cells, 50))
        steps("ora", lambda: dg.cells.ora(cells, sets, n_up=N_UP))


class Fused(Steps):
    """The fused pipeline has one line."""


def scanpy_ora(data, sets):
    """The same test with SciPy: the 50 largest stored values of each row."""
    import numpy as np
    import scipy.sparse
    from scipy.stats import hypergeom

    place = {name: i for i, name in enumerate(data.var_names)}
    pairs = [(place[gene], j) for j, genes in enumerate(sets.values()) for gene in genes]
    member = scipy.sparse.csr_matrix((np.ones(len(pairs)), tuple(zip(*pairs, strict=True))), (data.n_vars, len(sets)))
    x, drawn, ends = data.X, [], [0]
    for row in range(data.n_obs):
        part = slice(x.indptr[row], x.indptr[row + 1])
        columns = x.indices[part]
        if len(columns) > N_UP:
            columns = columns[np.argpartition(x.data[part], -N_UP)[-N_UP:]]
        drawn.append(columns)
        ends.append(ends[-1] + len(columns))
    columns = np.concatenate(drawn)
    overlap = (scipy.sparse.csr_matrix((np.ones(len(columns)), columns, ends), x.shape) @ member).toarray().astype(int)
    sizes = np.asarray(member.sum(axis=0)).astype(int)
    p = np.where(overlap > 0, hypergeom.sf(overlap - 1, data.n_vars, sizes, np.diff(ends)[:, None]), 1.0)
    data.obsm["ora_estimate"] = -np.log10(np.maximum(p, 1e-300)).astype(np.float32)


def scanpy_steps(sc, data, steps):
    data.var["mt"] = data.var_names.str.upper().str.startswith("MT-")
    steps("qc", lambda: sc.pp.calculate_qc_metrics(data, qc_vars=["mt"], inplace=True))
    steps("normalize", lambda: sc.pp.normalize_total(data, target_sum=1e4))
    steps("log1p", lambda: sc.pp.log1p(data))
    steps("hvg", lambda: sc.pp.highly_variable_genes(data, n_top_genes=2000))


def run_scanpy(path, threads, steps=None):
    import anndata
    import scanpy as sc

    steps = steps or Steps()
    data = steps("read", lambda: anndata.read_zarr(path))
    data.X = steps("float32", lambda: data.X.astype("float32"))
    scanpy_steps(sc, data, steps)
    steps("pca", lambda: sc.pp.pca(data, n_comps=50, svd_solver="arpack", mask_var="highly_variable"))
    steps("ora", lambda: scanpy_ora(data, sets_of(data.var_names)))


def run_scanpy_dask(path, threads, steps=None):
    import anndata
    import dask
    import scanpy as sc
    import zarr

    steps = steps or Steps()
    group = zarr.open_group(path, mode="r")
    with dask.config.set(scheduler="threads", num_workers=threads):
        data = anndata.AnnData(
            anndata.experimental.read_elem_lazy(group["X"], chunks=(5_000, group["X"].attrs["shape"][1])),
            anndata.io.read_elem(group["obs"]),
            anndata.io.read_elem(group["var"]),
        )
        data.X = data.X.map_blocks(lambda block: block.astype("float32"), dtype="float32")
        scanpy_steps(sc, data, steps)

        def components():
            sc.pp.pca(data, n_comps=50, mask_var="highly_variable")
            data.obsm["X_pca"] = data.obsm["X_pca"].compute()

        steps("pca", components)


def child(tool, path, warm_path, threads):
    """One run; its figures as a line of JSON."""
    import warnings

    warnings.simplefilter("ignore")
    run = {"daskgen": run_daskgen, "daskgen_steps": run_daskgen}.get(tool) or globals()[f"run_{tool}"]
    run(warm_path, threads)
    base = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
    steps = Fused() if tool == "daskgen" else Steps()
    run(path, threads, steps)
    found = steps.seconds
    total = {name: round(sum(step[name] for step in found.values()), 3) for name in ("cpu_s", "wall_s")}
    peak = round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6, 3)
    print(json.dumps({"steps": found, **total, "peak_gb": peak, "before_gb": round(base, 3)}))


def fresh_copy(path, folder):
    """A copy without results; arrays are linked, not copied."""
    import shutil

    target = folder / "run.zarr"
    shutil.rmtree(target, ignore_errors=True)
    shutil.copytree(path, target, copy_function=lambda a, b: os.link(a, b) if "/c/" in a else shutil.copy2(a, b))
    return target


def simulate(data, n_cells, n_genes):
    import daskgen as dg

    path = data / f"cells_{n_cells}_{n_genes}.zarr"
    if not path.exists():
        dg.simulate.cells(path, n_cells=n_cells, n_genes=n_genes, seed=1)
    return path


def compute(entry, key="cpu_s"):
    """Seconds without reading and the cast to float32: the steps alone."""
    return sum(step[key] for name, step in entry["steps"].items() if name not in READING)


def table(results):
    """A line for each run; times how many CPU seconds of daskgen's pipeline at that size another tool takes."""
    lines = [
        "| cells | tool | CPU s | wall s | peak GB | CPU / pipeline | steps alone | steps (CPU s) |",
        "|---|---|---|---|---|---|---|---|",
    ]
    ours = {entry["cells"]: entry["cpu_s"] for entry in results if entry["tool"] == "daskgen"}
    for entry in sorted(results, key=lambda entry: (entry["cells"], TOOLS.index(entry["tool"]))):
        steps = ", ".join(f"{name} {step['cpu_s']:.2f}" for name, step in entry["steps"].items())
        base = ours.get(entry["cells"])
        ratios = f"{entry['cpu_s'] / base:.1f} | {compute(entry) / base:.1f}" if base else "|"
        lines.append(
            f"| {entry['cells']:,} | {LABELS[entry['tool']]} | {entry['cpu_s']:.2f} | {entry['wall_s']:.2f} "
            f"| {entry['peak_gb']:.2f} | {ratios} | {steps} |"
        )
    return "\n".join(lines)


def draw(results, path):
    """Wall seconds and peak memory against cells, and the wall seconds of each step at the largest size of both."""
    import matplotlib as mpl

    mpl.use("Agg")
    mpl.rcParams["svg.hashsalt"] = "cells"
    from matplotlib import pyplot as plt
    from matplotlib.ticker import FixedLocator, FuncFormatter, NullFormatter

    figure, axes = plt.subplots(1, 4, figsize=(15, 3.8), layout="constrained")
    sizes = sorted({entry["cells"] for entry in results})
    panels = [("cpu_s", "CPU seconds"), ("wall_s", "wall seconds"), ("peak_gb", "peak memory, GB")]
    for axis, (key, label) in zip(axes[:3], panels, strict=True):
        for tool in TOOLS:
            points = [(entry["cells"], entry[key]) for entry in results if entry["tool"] == tool]
            if points:
                axis.plot(*zip(*sorted(points), strict=True), marker="o", label=LABELS[tool])
        axis.set(xlabel="cells", ylabel=label, xscale="log", yscale="log")
        axis.xaxis.set_major_locator(FixedLocator(sizes))
        axis.xaxis.set_major_formatter(FuncFormatter(lambda n, _: f"{n / 1000:g}k"))
        axis.xaxis.set_minor_formatter(NullFormatter())
        axis.grid(alpha=0.3)
    axes[0].legend(fontsize="small")
    by_tool = {
        tool: {entry["cells"]: entry["steps"] for entry in results if entry["tool"] == tool}
        for tool in ("daskgen_steps", "scanpy")
    }
    both = set(by_tool["daskgen_steps"]) & set(by_tool["scanpy"])
    if both:
        size = max(both)
        for shift, (tool, of_size) in zip((-0.2, 0.2), by_tool.items(), strict=True):
            seconds = [of_size[size].get(name, {}).get("wall_s", 0.0) for name in STEPS]
            axes[3].bar([place + shift for place in range(len(STEPS))], seconds, 0.4, label=LABELS[tool])
        axes[3].set_xticks(range(len(STEPS)), STEPS, rotation=45, ha="right")
        axes[3].set(ylabel="wall seconds", title=f"each step, {size:,} cells")
        axes[3].legend(fontsize="small")
    figure.savefig(path, dpi=130, metadata={"Date": None} if str(path).endswith(".svg") else None)
    plt.close(figure)


def merged(results, path):
    """These results, and those that the file has of other sizes and tools."""
    fresh = {(entry["cells"], entry["genes"], entry["tool"]) for entry in results}
    known = json.loads(path.read_text())["results"] if path.exists() else []
    kept = [entry for entry in known if (entry["cells"], entry["genes"], entry["tool"]) not in fresh]
    return sorted([*kept, *results], key=lambda entry: (entry["cells"], TOOLS.index(entry["tool"])))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cells", default=",".join(map(str, SIZES)))
    parser.add_argument("--genes", type=int, default=35_000)
    parser.add_argument("--tools", default=",".join(TOOLS))
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--folder", type=Path, help="where stores are made; default: a temporary one")
    parser.add_argument("--out", type=Path, help="JSON file that the results are added to")
    parser.add_argument("--figure", type=Path, help="figure of all results in --out (of this run, without --out)")
    parser.add_argument("--smoke", action="store_true", help="a small size, to see that it runs")
    parser.add_argument("--child", nargs=3, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        child(options.child[0], options.child[1], options.child[2], options.threads)
        return
    if not options.cells:  # the figure alone
        draw(json.loads(options.out.read_text())["results"], options.figure)
        return
    with tempfile.TemporaryDirectory() as temporary:
        results = run_all(options, options.folder or Path(temporary))
    if options.out:
        results = merged(results, options.out)
        about = {
            "command": "python -m benchmarks.cells --out benchmarks/results/cells.json",
            "date": time.strftime("%Y-%m-%d"),
            "threads": options.threads,
            "versions": versions("numpy", "numba", "zarr", "scanpy", "anndata", "dask"),
            "results": results,
        }
        options.out.write_text(json.dumps(about, indent=1) + "\n")
    if options.figure:
        draw(results, options.figure)
    print(table(results))


def run_all(options, folder):
    sizes = [2_000] if options.smoke else [int(size) for size in options.cells.split(",")]
    genes = 3_000 if options.smoke else options.genes
    folder.mkdir(parents=True, exist_ok=True)
    warm_path = warm(folder)
    threads = str(options.threads)
    environment = {
        **os.environ,
        "OMP_NUM_THREADS": threads,
        "OPENBLAS_NUM_THREADS": threads,
        "NUMBA_NUM_THREADS": threads,
    }
    results = []
    for size in sizes:
        path = simulate(folder, size, genes)
        for tool in options.tools.split(","):
            if tool.startswith("scanpy") and importlib.util.find_spec("scanpy") is None:
                print(f"{tool} is left out: scanpy is not installed", flush=True)
                continue
            command = [sys.executable, "-m", "benchmarks.cells", "--threads", threads, "--child", tool]
            command += [str(fresh_copy(path, folder)), str(warm_path)]
            ended = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
            if ended.returncode and tool.startswith("daskgen"):
                sys.exit(f"{tool} with {size:,} cells failed:\n{ended.stderr[-2000:]}")
            if ended.returncode:
                print(f"{tool} with {size:,} cells failed:\n{ended.stderr[-2000:]}", file=sys.stderr)
                continue
            results.append({"cells": size, "genes": genes, "tool": tool, **json.loads(ended.stdout.splitlines()[-1])})
            print(table(results[-1:]).splitlines()[-1], flush=True)
    return results


if __name__ == "__main__":
    main()
