"""Kernels: compiled once for fixed types, without the GIL, into a cache folder that can be chosen."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from pathlib import Path

import dask.config
import numpy as np
import pytest
from numba import types

import daskgen.kernels
from daskgen.kernels import compile as compiling
from daskgen.kernels.compile import cache_folder, input_array, kernel, output_array

# Flips genotypes in a fresh process and prints how often compiled code came from the cache.
FLIP = """
import numpy as np
from daskgen.kernels import genotype_codes as codes
print(codes.flip(np.array([[0b11_10_01_00]], np.uint8), 4)[0, 0], sum(codes._flip._compiled.stats.cache_hits.values()))
"""
FLIPPED = 0b11_00_01_10


def run(code: str, **environment: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", code], env={**os.environ, **environment}, check=True, capture_output=True, text=True
    )
    return done.stdout.strip()


def test_a_second_process_reads_what_the_first_compiled(tmp_path):
    assert run(FLIP, DASKGEN_CACHE=str(tmp_path)) == f"{FLIPPED} 0"
    compiled = {path for path in tmp_path.rglob("*") if path.is_file()}
    assert compiled
    assert run(FLIP, DASKGEN_CACHE=str(tmp_path)) == f"{FLIPPED} 1"
    assert {path for path in tmp_path.rglob("*") if path.is_file()} == compiled


def test_the_users_cache_folder_is_used_without_a_setting(tmp_path):
    code = f"import sys; sys.platform = 'linux'\n{FLIP}"
    environment = {"DASKGEN_CACHE": "null", "XDG_CACHE_HOME": str(tmp_path / "cache"), "HOME": str(tmp_path)}
    assert run(code, **environment) == f"{FLIPPED} 0"
    assert list((tmp_path / "cache" / "daskgen" / "kernels").rglob("*_flip*"))


def test_kernels_run_where_no_folder_can_be_written(tmp_path):
    blocked = tmp_path / "file"
    blocked.write_text("no folder can be made under a file")
    assert run(FLIP, DASKGEN_CACHE=str(blocked)) == f"{FLIPPED} 0"


def test_nothing_is_written_beside_the_sources(tmp_path):
    package = Path(daskgen.kernels.__file__).parent
    run(FLIP, DASKGEN_CACHE=str(tmp_path))
    assert not list(package.rglob("*.nb[ci]"))


def test_the_folder_of_other_peoples_functions_stays_as_it_was(tmp_path):
    code = FLIP + "\nimport numba; print(numba.config.CACHE_DIR)"
    found = run(code, DASKGEN_CACHE=str(tmp_path / "ours"), NUMBA_CACHE_DIR=str(tmp_path / "theirs"))
    assert found.splitlines()[-1] == str(tmp_path / "theirs")
    assert not (tmp_path / "theirs").exists()


def test_a_changed_source_leads_to_another_folder(tmp_path):
    """A kernel's own file and whatever it imports count, at any distance; other modules do not."""
    (tmp_path / "near.py").write_text("from daskgen.kernels import (\n    far,\n)\n")
    (tmp_path / "far.py").write_text("x = 1")
    (tmp_path / "other.py").write_text("x = 1")
    source = tmp_path / "mine.py"
    source.write_text("from daskgen.kernels.near import y\n")

    def now():
        compiling.sources_hash.cache_clear()
        return compiling.sources_hash(source)

    seen = [now()]
    (tmp_path / "other.py").write_text("x = 2")
    assert now() == seen[0]
    for name in ("far", "near", "mine"):
        path = tmp_path / f"{name}.py"
        path.write_text(path.read_text() + "\n# changed")
        assert now() not in seen
        seen.append(now())


def test_every_import_between_kernel_modules_is_seen():
    """Against the syntax trees of all of them."""
    folder = Path(daskgen.kernels.__file__).parent
    for source in folder.glob("*.py"):
        expected = set()
        for node in ast.walk(ast.parse(source.read_text())):
            if isinstance(node, ast.Import):
                assert not any(alias.name.startswith("daskgen.kernels.") for alias in node.names), source.name
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("daskgen.kernels"):
                parts = node.module.split(".")
                expected |= {parts[2]} if len(parts) > 2 else {alias.name for alias in node.names}
        expected = {name for name in expected if (folder / f"{name}.py").is_file()}
        assert expected <= {path.stem for path in compiling._with_imports(source)}, source.name


def test_the_cache_folder_follows_the_setting(tmp_path):
    with dask.config.set({"daskgen.cache": str(tmp_path / "chosen")}):
        folder = cache_folder()
    assert folder is not None
    assert folder.is_dir()
    assert folder.is_relative_to(tmp_path / "chosen")


@kernel(types.void(input_array(types.int64, 1), output_array(types.int64, 1)))
def double(numbers, doubled):
    for i in range(numbers.size):
        doubled[i] = 2 * numbers[i]


def test_a_kernel_takes_writeable_and_read_only_arrays_without_a_second_compilation():
    doubled = np.zeros(3, np.int64)
    fixed = np.array([4, 5, 6])
    fixed.flags.writeable = False
    for numbers in (np.array([1, 2, 3]), fixed):
        double(numbers, doubled)
        np.testing.assert_array_equal(doubled, 2 * numbers)
    assert len(double.compile().signatures) == 1


def test_a_kernel_refuses_arguments_of_other_types():
    with pytest.raises(TypeError, match="No matching definition"):
        double(np.zeros(3), np.zeros(3, np.int64))


def test_a_full_disk_costs_the_cache_but_not_the_run(monkeypatch):
    monkeypatch.setattr(compiling, "_registry", [])

    @kernel(types.int64(types.int64))
    def successor(number):
        return number + 1

    once = compiling._compile

    def full_disk(function, signatures, folder):
        if folder is not None:
            raise OSError(28, "No space left on device")
        return once(function, signatures, folder)

    monkeypatch.setattr(compiling, "_compile", full_disk)
    assert successor(1) == 2


def test_importing_the_kernels_compiles_none():
    modules = [f"daskgen.kernels.{path.stem}" for path in Path(daskgen.kernels.__file__).parent.glob("[a-z]*.py")]
    code = (
        f"import importlib; [importlib.import_module(name) for name in {modules}]\n"
        "from daskgen.kernels.compile import _registry\n"
        "print(len(_registry) > 10, [entry.name for entry in _registry if entry._compiled])"
    )
    assert run(code) == "True []"
