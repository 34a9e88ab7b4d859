"""The CUDA sources compile, and are part of the package."""

from __future__ import annotations

import re
import zipfile
from pathlib import Path

import pytest

from daskgen.kernels.cuda import load
from tests.kernels.cuda.nvrtc import compile_to_ptx

SOURCES = sorted(path.name for path in load.FOLDER.glob("*.cu"))


@pytest.mark.parametrize("architecture", ["compute_80", "compute_90"])
@pytest.mark.parametrize("name", SOURCES)
def test_sources_compile_for_the_gpus_we_name(name, architecture):
    source = load.source(name)
    ptx = compile_to_ptx(source, name, (*load.options(), f"--gpu-architecture={architecture}"))
    for kernel in re.findall(r"__global__ void (\w+)", source):
        assert f".entry {kernel}(" in ptx


def test_a_source_that_does_not_compile_fails_the_check():
    with pytest.raises(AssertionError, match="identifier"):
        compile_to_ptx("__global__ void broken() { nonsense; }", "broken.cu", ())


def test_the_wheel_holds_the_sources(tmp_path):
    hatchling = pytest.importorskip("hatchling.builders.wheel", reason="hatchling builds the wheel")
    checkout = Path(__file__).resolve().parents[3]
    built = next(hatchling.WheelBuilder(str(checkout)).build(directory=str(tmp_path), versions=["standard"]))
    packed = zipfile.ZipFile(built).namelist()
    for path in load.FOLDER.glob("*.cu*"):
        assert f"daskgen/kernels/cuda/{path.name}" in packed
