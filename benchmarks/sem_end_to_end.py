"""One SEM fit per SNP from store to store, in processes of their own: seconds, CPU seconds, memory.

    python -m benchmarks.sem_end_to_end --out benchmarks/results/sem_end_to_end.json
    python -m benchmarks.sem_end_to_end --wheel gsem-env/bin/python    # with genomicsem==0.2.0 (CPython 3.12)
    python -m benchmarks.sem_end_to_end --smoke

A common factor of three traits, measurement fixed, at 1 million and at 4.94 million SNPs: the sumstats store is read,
every SNP fitted, and the result written with checksums, the columns of the variants as encoded chunks. Wall, CPU and
the largest resident memory are what the system counted for the process, start of the interpreter and imports included.
The floor is a process that reads as many bytes as the store has and writes as many as the result, as plain files. The
peer is the genomicsem wheel on the same SNPs, as a table of text, which is what it takes; where it cannot be run it is
left out and named.
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

TRAITS = ("T1", "T2", "T3")
MODEL = "F1 =~ NA*T1 + T2 + T3\nF1 ~~ 1*F1\nF1 ~ SNP"
S = [[0.28, 0.12, 0.14], [0.12, 0.17, 0.10], [0.14, 0.10, 0.34]]
INTERCEPTS = [[1.04, 0.12, 0.08], [0.12, 1.01, 0.10], [0.08, 0.10, 1.05]]

_FITS = """
import sys, time
import daskgen as dg
dg.sem.user_gwas
started = time.process_time()
result = dg.sem.user_gwas(sys.argv[1], sys.argv[2], sys.argv[3])
result.dg.to_store(sys.argv[4])
print(time.process_time() - started)
"""
_RUN = "from daskgen.cli import main\nmain()\n"
_FUNCTION, _COMMAND = "user_gwas to a store", "daskgen sem user-gwas, with closing summary"
# What starting costs, each with what is above it.
_STARTS = {
    "start of Python": "pass",
    "and numpy": "import numpy",
    "and zarr": "import numpy, zarr",
    "and numba": "import numpy, zarr, numba",
    "and daskgen sem user-gwas": "import numpy, zarr, numba, daskgen.cli.sem_user_gwas, daskgen.sem.gwas",
    "and its compiled kernel": "import daskgen.cli.sem_user_gwas, daskgen.sem.gwas\n"
    "from daskgen.kernels import sem_fixed_one\nsem_fixed_one._fit_one_effect.compile()",
    "what a Dataset needs: and xarray, Dask": "import daskgen.sem.gwas, xarray, dask.array",
}
_VERIFY = "import sys, daskgen as dg\nsys.exit(len(dg.verify(sys.argv[1])))\n"
_FLOOR = """
import sys
import numpy as np
source, copy, destination = sys.argv[1:]
buffer = np.empty(1 << 20)
with open(source, "rb") as file:
    while file.readinto(buffer):
        pass
with open(destination, "rb") as file, open(copy, "wb") as out:
    while n := file.readinto(buffer):
        out.write(buffer.view(np.uint8)[:n])
"""
_WHEEL = """
import json, sys
import numpy as np
import genomicsem
inputs = {name: np.array(value) for name, value in json.load(open(sys.argv[1])).items()}
inputs["N"], inputs["m"] = inputs["N"].tolist(), float(inputs["m"])
found = genomicsem.user_gwas(
    inputs, sys.argv[2], sys.argv[3], cores=2, parallel=True, fix_measurement=True, q_snp=False, smooth_check=False
)
print(len(found["snps"]["SNP"]))
"""


def covariance() -> dict[str, Any]:
    """S, V (sampling variances of about 1 % of the cells), I, N and m of the three traits."""
    s = np.array(S)
    row, column = [i for i in range(3) for _ in range(i, 3)], [j for i in range(3) for j in range(i, 3)]
    cells = [(c, r) for c, r in zip(column, row, strict=True)]
    v = np.array([[(s[a, c] * s[b, d] + s[a, d] * s[b, c]) * 1e-3 for c, d in cells] for a, b in cells])
    return {"S": s, "V": v + np.diag(np.full(6, 2e-5)), "I": np.array(INTERCEPTS), "N": np.full(6, 1e5), "m": 1.1e6}


def write_sumstats(path: Path, n: int, seed: int = 0) -> None:
    """A sumstats store of n SNPs, laid out as the converters do."""
    from daskgen.stores import ArrayPlan, RunKey, StoreWriter, column_layout

    text = np.dtypes.StringDType()
    step, k = column_layout(n).chunks[0], len(TRAITS)
    root = np.linalg.cholesky(np.array(INTERCEPTS))
    plans = [
        ArrayPlan("variant_id", (n,), "string", ("variants",), (step,)),
        ArrayPlan("variant_allele", (n, 2), "string", ("variants", "alleles"), (step, 2)),
        ArrayPlan("variant_contig", (n,), np.int32, ("variants",), (step,)),
        ArrayPlan("variant_position", (n,), np.int32, ("variants",), (step,)),
        ArrayPlan("maf", (n,), np.float64, ("variants",), (step,)),
        ArrayPlan("contig_id", (22,), "string", ("contigs",), (22,)),
        ArrayPlan("trait", (k,), "string", ("traits",), (k,)),
        ArrayPlan("rows_kept", (k,), np.int64, ("traits",), (k,)),
        *(ArrayPlan(name, (k, n), np.float64, ("traits", "variants"), (1, step)) for name in ("beta", "se")),
    ]
    run = RunKey("benchmark", {"n": n, "seed": seed})
    with StoreWriter(path, kind="sumstats", arrays=plans, run=run, attrs={"purpose": "gwas"}) as writer:
        writer.write("traits", trait=np.array(TRAITS, dtype=text), rows_kept=np.full(k, n, np.int64))
        writer.write("contigs", contig_id=np.array([str(i) for i in range(1, 23)], dtype=text))
        columns = writer.stage(
            "variants",
            arrays=["variant_id", "variant_allele", "variant_contig", "variant_position", "maf"],
            blocks={"variants": step},
        )
        values = writer.stage("values", arrays=["beta", "se"], blocks={"traits": 1, "variants": step})
        for index in range(columns.n_groups):
            rng = np.random.default_rng((seed, index))
            rows = columns.target.ranges(index)["variants"]
            size = rows.stop - rows.start
            where = np.arange(rows.start, rows.stop)
            maf = np.round(rng.uniform(0.01, 0.5, size), 4)
            first = rng.integers(0, 4, size)
            allele = np.stack([first, (first + rng.integers(1, 4, size)) % 4], axis=1)
            columns.target.write(
                index,
                {
                    "variant_id": np.array([f"rs{i}" for i in rng.integers(1, 10**9, size)], dtype=text),
                    "variant_allele": np.array(list("ACGT"), dtype=text)[allele],
                    "variant_contig": (22 * where // n).astype(np.int32),
                    "variant_position": (1_000 + 600 * (where % (n // 22 + 1))).astype(np.int32),
                    "maf": maf,
                },
            )
            se = 1 / np.sqrt(2 * maf * (1 - maf) * np.array([2e4, 5e4, 8e4])[:, None])
            z = root @ rng.standard_normal((k, size)) * np.sqrt(1.2)
            for trait in range(k):
                at = trait * columns.n_groups + index
                values.target.write(at, {"beta": (z * se)[trait : trait + 1], "se": se[trait : trait + 1]})
        writer.finish()


def write_table(store: Path, out: Path) -> None:
    """The store as the table of text that the wheel reads."""
    import polars as pl

    from daskgen.stores import open_group

    group = open_group(store)
    contigs = group["contig_id"][...].tolist()
    n, step = group["maf"].shape[0], 1 << 18
    with open(out, "wb") as file:
        for start in range(0, n, step):
            rows = slice(start, min(start + step, n))
            allele = group["variant_allele"][rows]
            columns: dict[str, Any] = {
                "SNP": group["variant_id"][rows].tolist(),
                "CHR": [contigs[i] for i in group["variant_contig"][rows].tolist()],
                "BP": group["variant_position"][rows],
                "MAF": group["maf"][rows],
                "A1": allele[:, 1].tolist(),
                "A2": allele[:, 0].tolist(),
            }
            for i, trait in enumerate(TRAITS):
                columns[f"beta.{trait}"], columns[f"se.{trait}"] = group["beta"][i, rows], group["se"][i, rows]
            pl.DataFrame(columns).write_csv(file, separator="\t", include_header=start == 0)


def bytes_moved(store: Path, result: Path) -> dict[str, int]:
    """Bytes of the effects that are read and of the result that is written."""

    def size(folder: Path) -> int:
        return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())

    return {"read": sum(size(store / name) for name in ("beta", "se", "maf")), "written": size(result)}


def run_size(folder: Path, n: int, repeats: int, wheel: str | None) -> dict[str, Any]:
    """All contestants on n SNPs; of each the run with the least CPU seconds."""
    store, result, cov = folder / f"s{n}.zarr", folder / "r.zarr", folder / "cov.zarr"
    # By processes of their own: a child's largest memory includes what its parent had when it was started.
    make = [sys.executable, "-m", "benchmarks.sem_end_to_end", "--make-only", str(folder), "--sizes", str(n)]
    subprocess.run(make, check=True)
    python = [sys.executable, "-c"]
    results: dict[str, Any] = {}

    def best(name: str, command: list[str], before: Any = None, times: int = repeats) -> None:
        runs = []
        for _ in range(times):
            if before is not None:
                before()
            runs.append(measure(command, folder))
        chosen = min(runs, key=lambda run: run["cpu_s"])
        results[name] = {key: chosen[key] for key in ("cpu_s", "wall_s", "peak_mb")}
        if command[2] == _FITS:
            results[name]["cpu_s_without_imports"] = round(min(float(run["output"].split()[-1]) for run in runs), 2)
        print(f"{n:>9,} SNPs  {name:<44} {json.dumps(results[name])}", flush=True)

    def cleared() -> None:
        shutil.rmtree(result, ignore_errors=True)
        for file in folder.glob("r.zarr.*"):
            file.unlink()

    for name, code in _STARTS.items():
        best(name, [*python, code])
    best(_FUNCTION, [*python, _FITS, str(cov), str(store), MODEL, str(result)], cleared)
    command = [*python, _RUN, "sem", "user-gwas", str(cov), str(store), "--model", MODEL]
    best(_COMMAND, [*command, "--out", str(result)], cleared)
    best("verify", [*python, _VERIFY, str(result)])
    moved = bytes_moved(store, result)
    for name, size in moved.items():
        (folder / name).write_bytes(os.urandom(1 << 20) * (size >> 20))
    floor = [*python, _FLOOR, *(str(folder / name) for name in ("read", "copy", "written"))]
    best("floor: as many bytes as plain files", floor)
    if wheel:
        subprocess.run([*make, "--table"], check=True)
        inputs = {name: np.asarray(value).tolist() for name, value in covariance().items()}
        (folder / "inputs.json").write_text(json.dumps(inputs))
        command = [wheel, "-c", _WHEEL, str(folder / "inputs.json"), str(folder / "s.tsv"), MODEL]
        best("genomicsem wheel", command, times=1)
        (folder / "s.tsv").unlink()
    shutil.rmtree(store)
    command_s, floor_s = results[_COMMAND]["cpu_s"], results["floor: as many bytes as plain files"]["cpu_s"]
    ratios = {"command / floor, CPU": round(command_s / max(floor_s, 0.01), 1)}
    if wheel:
        of_wheel = results["genomicsem wheel"]["cpu_s"]
        ratios["wheel / command, CPU"] = round(of_wheel / command_s, 1)
        ratios["wheel / function, CPU"] = round(of_wheel / results[_FUNCTION]["cpu_s"], 1)
        without = results[_FUNCTION]["cpu_s_without_imports"]
        ratios["wheel / function, CPU without imports"] = round(of_wheel / without, 1)
    return {"n": n, "bytes": moved, "results": results, "ratios": ratios}


def main(arguments: list[str] | None = None) -> dict[str, Any]:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", type=int, nargs="+", default=[1_000_000, 4_940_000], help="numbers of SNPs")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--wheel", metavar="PYTHON", help="interpreter of an environment with PyPI genomicsem")
    parser.add_argument("--wheel-up-to", type=int, default=1_000_000, help="largest number of SNPs that the wheel gets")
    parser.add_argument("--folder", help="where the files are made; default: the system's temporary folder")
    parser.add_argument("--out", help="JSON file for the result")
    parser.add_argument("--smoke", action="store_true", help="few SNPs, once")
    parser.add_argument("--make-only", metavar="FOLDER", help=argparse.SUPPRESS)
    parser.add_argument("--table", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if options.make_only:
        folder, n = Path(options.make_only), options.sizes[0]
        if options.table:
            write_table(folder / f"s{n}.zarr", folder / "s.tsv")
        else:
            write_sumstats(folder / f"s{n}.zarr", n)
            write_covstruct(folder / "cov.zarr")
        return {}
    if options.smoke:
        options.sizes, options.repeats = [5_003], 1
    with tempfile.TemporaryDirectory(dir=options.folder) as name:
        sizes = [
            run_size(Path(name), n, options.repeats, options.wheel if n <= options.wheel_up_to else None)
            for n in options.sizes
        ]
    report = {
        "benchmark": "sem_end_to_end",
        "date": time.strftime("%Y-%m-%d"),
        "command": " ".join(["python -m benchmarks.sem_end_to_end", *(arguments or sys.argv[1:])]),
        "traits": len(TRAITS),
        "model": MODEL,
        "sizes": sizes,
        "left_out": [] if options.wheel else ["genomicsem wheel"],
        "versions": versions_here(options.wheel),
    }
    if options.out:
        Path(options.out).write_text(json.dumps(report, indent=2) + "\n")
    return report


def write_covstruct(path: Path) -> None:
    """The covariance structure of the traits as a store."""
    import daskgen as dg
    from daskgen.ldsc import to_store

    found = covariance()
    made = dg.ldsc.covstruct(found["S"], found["V"], traits=list(TRAITS), I=found["I"], N=found["N"])
    to_store(made, path, force=path.exists())


def versions_here(wheel: str | None) -> dict[str, str]:
    found = versions("numpy", "numba", "zarr", "dask", "xarray")
    if wheel:
        ask = "import importlib.metadata as m; print(m.version('genomicsem'))"
        found["genomicsem"] = subprocess.check_output([wheel, "-c", ask], text=True).strip()
    return found


if __name__ == "__main__":
    main()
