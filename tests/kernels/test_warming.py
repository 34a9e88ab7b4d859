"""Kernels compiled ahead of a run, in several processes."""

from __future__ import annotations

import sys
from pathlib import Path

import dask.config
import pytest

from daskgen import limits
from daskgen.kernels import compile as compiling
from daskgen.kernels import warming
from daskgen.kernels.warming import warm


def test_warming_compiles_every_kernel_and_none_holds_the_gil():
    seconds = warm(limits.cores())
    assert "daskgen.kernels.genotype_products._zs" in seconds
    assert "daskgen.kernels.hardy_weinberg._exact_p" in seconds
    for entry in compiling.kernels():
        assert entry.compile().targetoptions["nogil"], entry.name


@pytest.fixture
def two_modules(monkeypatch):
    """Only the kernels of two small modules, as a fresh process would find them."""
    from daskgen.kernels import genotype_counts, hardy_weinberg

    names = {genotype_counts.__name__, hardy_weinberg.__name__}
    own = [compiling.Kernel(k._function, k.signatures) for k in compiling.kernels() if k.module in names]
    monkeypatch.setattr(warming, "kernels", lambda: own)
    return names


def test_other_processes_compile_into_the_cache_and_this_one_reads(two_modules, tmp_path, monkeypatch):
    with dask.config.set({"daskgen.cache": str(tmp_path)}):
        warm(2)
        assert {path.name.split("-")[0] for path in (tmp_path / "kernels").iterdir()} >= {
            name.rsplit(".", 1)[1] for name in two_modules
        }
        for entry in warming.kernels():
            assert sum(entry.compile().stats.cache_hits.values()) == len(entry.signatures), entry.name
        # All are marked now: nobody is asked again.
        monkeypatch.setattr(warming, "_compile_elsewhere", lambda *_: pytest.fail("compiled again"))
        warm(2)


def test_what_fails_elsewhere_is_compiled_here(two_modules, tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "executable", str(Path("/bin/false")))
    with dask.config.set({"daskgen.cache": str(tmp_path)}):
        assert set(warm(2)) == {entry.name for entry in warming.kernels()}
