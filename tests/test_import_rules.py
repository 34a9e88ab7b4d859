"""Who may import whom. The rules are those of docs/concepts/architecture.md; a violation names file, line and rule.

Imports inside functions count as much as those at the top of a file. Only what `daskgen/__init__.py` imports when a
public name is first used is exempt: it is the table of contents, not a layer.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

CHECKOUT = Path(__file__).resolve().parents[1]

# Lower may not import higher. What shares a row may not import each other, except as said in MAY_ALSO_IMPORT.
LAYERS = [
    {"errors"},
    {"config"},
    {"buffers", "interrupts", "limits"},
    {"inputs"},
    {"kernels"},
    {"linalg"},
    {"stores"},
    {"cluster"},
    {"passes"},
    {"genotypes", "gwas"},
    {"opening"},
    {"ldsc", "sem", "reml", "bayes", "cells", "simulate"},
    {"plotting", "validation"},
    {"reporting"},
    {"cli"},
]
LAYER = {name: depth for depth, names in enumerate(LAYERS) for name in names}
MAY_ALSO_IMPORT = {
    ("sem", "ldsc"),  # the SEM engine reads what LD-score regression produces
    ("gwas", "plotting"),  # the accessor of a result draws it
}
CONVERSION_MAY_IMPORT = {"errors", "config", "limits", "inputs", "kernels", "stores", "passes"}

# Packages beyond the standard library that a kernel may import: arrays in, arrays out.
KERNELS_MAY_IMPORT = {"numpy", "numba", "llvmlite", "scipy", "cupy", "daskgen"}

# Code that runs inside tasks calls only what frees the GIL.
HOLDS_THE_GIL = {
    "scipy.linalg.blas": "np.matmul, or cython_blas from a Numba nogil function",
    "scipy.linalg.eigh": "numpy.linalg.eigh",
    "scipy.sparse": "a Numba nogil loop",
}
WRITES_ZARR = {"dask.array.to_zarr", "dask.array.store"}
# The types of Zarr are for everybody; what opens or makes a group or an array is for daskgen/stores.
OPENS_ZARR = {
    f"zarr.{name}"
    for name in (
        *(
            "open",
            "open_array",
            "open_group",
            "open_consolidated",
            "open_like",
            "load",
            "save",
            "save_array",
            "save_group",
        ),
        *(
            "array",
            "create",
            "create_array",
            "create_group",
            "create_hierarchy",
            "empty",
            "from_array",
            "full",
            "group",
        ),
        *("ones", "zeros", "consolidate_metadata"),
    )
}


class Import(NamedTuple):
    """One imported name: ``from scipy.linalg import eigh`` is ``scipy.linalg.eigh``."""

    name: str
    line: int
    for_type_checking: bool


class Violation(NamedTuple):
    """A broken rule and where."""

    path: str
    line: int
    rule: str

    def __str__(self) -> str:
        return f"{self.path}:{self.line}: {self.rule}"


def imports_of(tree: ast.Module, path: str) -> Iterator[Import]:
    """Every name imported anywhere in the module, relative imports resolved."""
    package = list(Path(path).with_suffix("").parts[:-1])
    type_checking = {
        id(node)
        for branch in ast.walk(tree)
        if isinstance(branch, ast.If) and ast.unparse(branch.test).endswith("TYPE_CHECKING")
        for statement in branch.body
        for node in ast.walk(statement)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield Import(alias.name, node.lineno, id(node) in type_checking)
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            module = ".".join([*base, *([node.module] if node.module else [])])
            for alias in node.names:
                yield Import(f"{module}.{alias.name}", node.lineno, id(node) in type_checking)


def within(name: str, package: str) -> bool:
    """Whether `name` is `package` or lies in it."""
    return name == package or name.startswith(package + ".")


def layer_of(path: str) -> str | None:
    """The name of the layer that the file belongs to; None for daskgen/__init__.py."""
    parts = Path(path).with_suffix("").parts
    return None if parts[1] == "__init__" else parts[1]


def runs_in_tasks(path: str) -> bool:
    """Whether what the module does happens inside Dask tasks."""
    return path.startswith(("daskgen/kernels/", "daskgen/passes/", "daskgen/genotypes/")) or path.endswith("/graph.py")


def check_layers(path: str, imported: Import) -> str | None:
    """The order of the layers inside daskgen, and between daskgen and conversion."""
    target = imported.name.split(".")
    if path.startswith("conversion/"):
        if target[0] == "daskgen" and len(target) > 1 and target[1] not in CONVERSION_MAY_IMPORT | {"__version__"}:
            return f"conversion may import of daskgen only {', '.join(sorted(CONVERSION_MAY_IMPORT))}; not {target[1]}"
        return None
    here = layer_of(path)
    if here is None:
        return None
    if target[0] == "conversion" and here != "cli":
        return "daskgen reaches conversion only from cli and the lazy alias dg.convert"
    if target[0] != "daskgen" or len(target) == 1 or target[1] in (here, "__version__"):
        return None
    there = target[1]
    if there not in LAYER:
        return f"imports {there}, which is not in the table of layers"
    if LAYER[there] < LAYER[here] or (here, there) in MAY_ALSO_IMPORT:
        return None
    return f"{here} may not import {there}: the order is {' < '.join(', '.join(sorted(row)) for row in LAYERS)}"


def check_packages(path: str, imported: Import) -> str | None:
    """Where Dask's scheduler, CuPy and Zarr may be known."""
    name, package = imported.name, imported.name.split(".")[0]
    if imported.for_type_checking:
        return None
    if within(name, "distributed") or within(name, "dask.distributed"):
        known = path.startswith(("daskgen/cluster", "daskgen/passes/")) or path.endswith("/graph.py")
        return None if known else "distributed is imported only in cluster, passes and graph modules"
    if package == "cupy" and not path.startswith("daskgen/kernels/cuda/"):
        return "cupy is imported only under daskgen/kernels/cuda; elsewhere kernels dispatch on the array's type"
    if package == "matplotlib" and not path.startswith("daskgen/plotting/"):
        return "matplotlib is imported only in plotting"
    if name in OPENS_ZARR and not path.startswith("daskgen/stores/"):
        return f"{name} outside daskgen/stores: write with StoreWriter, read with daskgen.stores.open_group"
    if path.startswith("daskgen/kernels/"):
        if package not in KERNELS_MAY_IMPORT and package not in sys.stdlib_module_names:
            return f"kernels take arrays and give arrays; they know nothing of {package}"
    return None


def check_task_code(path: str, imported: Import) -> str | None:
    """What holds the GIL stays out of tasks."""
    if not runs_in_tasks(path):
        return None
    for name, instead in HOLDS_THE_GIL.items():
        if within(imported.name, name):
            return f"{name} holds the GIL inside a task; use {instead}"
    return None


def dotted(node: ast.expr) -> str:
    """``da.store`` for an attribute of a name, else the empty string."""
    parts: list[str] = []
    while isinstance(node, ast.Attribute):
        parts.append(node.attr)
        node = node.value
    return ".".join([node.id, *reversed(parts)]) if isinstance(node, ast.Name) else ""


def check_calls(tree: ast.Module, path: str) -> Iterator[tuple[int, str]]:
    """Writes to Zarr outside the one writer, and GIL-holding calls by their full name."""
    aliases = {
        alias.asname or alias.name: alias.name
        for node in ast.walk(tree)
        if isinstance(node, ast.Import)
        for alias in node.names
    } | {
        alias.asname or alias.name: f"{node.module}.{alias.name}"
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and node.module and not node.level
        for alias in node.names
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute):
            first, _, rest = dotted(node).partition(".")
            full = f"{aliases.get(first, first)}.{rest}"
            if runs_in_tasks(path) and full in HOLDS_THE_GIL:
                yield node.lineno, f"{full} holds the GIL inside a task; use {HOLDS_THE_GIL[full]}"
            if path.startswith("daskgen/stores/"):
                continue
            if node.attr == "to_zarr" or full in WRITES_ZARR:
                yield node.lineno, f"{dotted(node) or node.attr} writes Zarr outside daskgen/stores; use StoreWriter"
            if full in OPENS_ZARR:
                yield node.lineno, f"{full} outside daskgen/stores: write with StoreWriter, read with open_group"


def violations(path: str, source: str) -> list[Violation]:
    """Every rule that the module at `path` (relative to the checkout) breaks."""
    tree = ast.parse(source)
    found = [
        Violation(path, imported.line, rule)
        for imported in imports_of(tree, path)
        for check in (check_layers, check_packages, check_task_code)
        if (rule := check(path, imported))
    ]
    return sorted({*found, *(Violation(path, line, rule) for line, rule in check_calls(tree, path))})


def modules() -> list[Path]:
    return sorted(path for package in ("daskgen", "conversion") for path in (CHECKOUT / package).rglob("*.py"))


def test_every_module_keeps_the_rules() -> None:
    found = [
        violation
        for path in modules()
        for violation in violations(path.relative_to(CHECKOUT).as_posix(), path.read_text(encoding="utf-8"))
    ]
    assert not found, "\n" + "\n".join(map(str, found))


def test_every_part_of_daskgen_has_a_layer() -> None:
    parts = {
        layer_of(path.relative_to(CHECKOUT).as_posix())
        for path in modules()
        if path.is_relative_to(CHECKOUT / "daskgen")
    }
    assert parts - {None} <= set(LAYER), "add the new part to LAYERS"


@pytest.mark.parametrize(
    ("path", "source", "rule"),
    [
        ("daskgen/kernels/a.py", "import dask.array", "know nothing of dask"),
        ("daskgen/kernels/a.py", "def f():\n    import xarray", "know nothing of xarray"),
        ("daskgen/kernels/a.py", "from ..stores import StoreWriter", "kernels may not import stores"),
        ("daskgen/kernels/a.py", "import cupy", "only under daskgen/kernels/cuda"),
        ("daskgen/cli/a.py", "def f():\n    from matplotlib import pyplot", "only in plotting"),
        ("daskgen/stores/a.py", "from daskgen.passes import run_map", "stores may not import passes"),
        ("daskgen/stores/a.py", "def f():\n    import daskgen.passes.run", "stores may not import passes"),
        ("daskgen/stores/a.py", "from dask.distributed import get_client", "distributed is imported only"),
        ("daskgen/genotypes/a.py", "import conversion", "daskgen reaches conversion only from cli"),
        ("daskgen/genotypes/a.py", "import zarr\nzarr.open_group(path)", "outside daskgen/stores"),
        ("conversion/a.py", "from zarr import create_array", "outside daskgen/stores"),
        ("daskgen/genotypes/a.py", "from scipy.linalg import eigh", "holds the GIL"),
        ("daskgen/genotypes/a.py", "import scipy.linalg as sl\nsl.eigh(x)", "holds the GIL"),
        ("daskgen/reml/graph.py", "from scipy import sparse", "holds the GIL"),
        ("daskgen/reml/fit.py", "from daskgen import bayes", "reml may not import bayes"),
        ("daskgen/reml/fit.py", "import dask.array as da\nda.store(x, y)", "writes Zarr"),
        ("daskgen/cli/a.py", "ds.chunk(3).to_zarr(path)", "writes Zarr"),
        ("daskgen/genotypes/a.py", "from daskgen import nowhere", "not in the table of layers"),
        ("conversion/bed.py", "from daskgen.genotypes import pca", "conversion may import of daskgen only"),
    ],
)
def test_a_broken_rule_is_found_and_named(path: str, source: str, rule: str) -> None:
    found = violations(path, source)
    assert found
    assert any(rule in str(violation) and str(violation).startswith(f"{path}:") for violation in found)


@pytest.mark.parametrize(
    ("path", "source"),
    [
        ("daskgen/kernels/a.py", "import numpy as np\nimport numba\nfrom daskgen.errors import InputError"),
        ("daskgen/kernels/cuda/a.py", "def f():\n    import cupy"),
        ("daskgen/kernels/a.py", "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import cupy"),
        ("daskgen/sem/a.py", "from daskgen.ldsc import covstruct"),
        ("daskgen/reml/graph.py", "from distributed import get_client"),
        ("daskgen/cli/a.py", "import conversion"),
        ("daskgen/stores/writer.py", "import zarr\nzarr.open_group(path)"),
        ("daskgen/genotypes/a.py", "import zarr\nassert isinstance(x, zarr.Array)"),
        ("conversion/bed.py", "from daskgen import __version__\nfrom daskgen.stores import StoreWriter"),
    ],
)
def test_what_is_allowed_is_not_reported(path: str, source: str) -> None:
    assert violations(path, source) == []
