"""What starting costs: packages that take long to import are imported where they are used, and not before.

A fresh interpreter does each thing and says which modules it has then.
"""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

import daskgen as dg
from tests.sem.small import structure_of
from tests.sem.stand_in import effects, write_sumstats

TABLES = {"pandas", "xarray", "dask", "distributed", "matplotlib", "scipy.stats", "scipy.special", "scipy.optimize"}
COMPILED = {"numba", "zarr", "polars"}
MODEL = "F1 =~ NA*T1 + T2 + T3\nF1 ~~ 1*F1\nF1 ~ SNP"


def modules_after(code: str, *arguments: str) -> set[str]:
    """The modules of a new interpreter that has run `code`."""
    script = f"{code}\nimport sys\nprint('\\n'.join(sys.modules), file=sys.stderr)"
    done = subprocess.run([sys.executable, "-c", script, *arguments], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    return set(done.stderr.split())


def after_command(*arguments: str) -> set[str]:
    code = "import sys\nfrom daskgen.cli.app import invoke\nassert invoke(sys.argv[1:]) == 0"
    return modules_after(code, *arguments)


def test_importing_daskgen_imports_nothing_that_takes_long():
    found = modules_after("import daskgen as dg\nimport daskgen.sem, daskgen.ldsc, daskgen.gwas, daskgen.config")
    assert not found & (TABLES | COMPILED | {"numpy"})


@pytest.mark.parametrize(
    "arguments",
    [["--help"], ["sem", "user-gwas", "--help"], ["convert", "munge", "--help"], ["ldsc", "--help"], ["--version"]],
)
def test_help_imports_nothing_that_takes_long(arguments):
    assert not after_command(*arguments) & (TABLES | COMPILED | {"numpy"})


@pytest.fixture(scope="module")
def stores(tmp_path_factory):
    """A covariance structure and effects of three of its traits."""
    folder = tmp_path_factory.mktemp("light")
    dg.ldsc.to_store(structure_of(I=np.eye(6)), folder / "covstruct.zarr")
    write_sumstats(folder / "sumstats.zarr", effects(301), traits=("T1", "T2", "T3"))
    return folder


def test_fits_per_snp_import_neither_tables_nor_dask(stores):
    """From store to store with the closing summary: NumPy, Numba, Zarr and the command line, nothing else."""
    call = ["sem", "user-gwas", str(stores / "covstruct.zarr"), str(stores / "sumstats.zarr"), "--model", MODEL]
    assert not after_command(*call, "--out", str(stores / "f1.zarr")) & TABLES
    assert dg.open_store(stores / "f1.zarr").sizes["variant"] == 301
    assert not after_command("verify", str(stores / "f1.zarr")) & TABLES


def test_munging_imports_neither_pandas_nor_dask(stores):
    rows = [f"rs{i}\tA\tG\t{0.01 * i - 1:.3f}\t{1000 + i}" for i in range(200)]
    (stores / "t.txt").write_text("\n".join(["SNP\tA1\tA2\tZ\tN", *rows]) + "\n")
    (stores / "reference.txt").write_text("\n".join(["SNP\tA1\tA2", *(f"rs{i}\tA\tG" for i in range(200))]) + "\n")
    call = ["convert", "munge", str(stores / "t.txt"), "--reference", str(stores / "reference.txt")]
    assert not after_command(*call, "--out", str(stores / "munged.zarr")) & (TABLES | {"numba"})
