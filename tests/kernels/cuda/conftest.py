"""The CUDA kernels on the processor: their sources built by the system's C++ compiler, and NumPy in CuPy's place."""

from __future__ import annotations

import ctypes
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from daskgen.kernels.cuda import load

Launch = Callable[[tuple[int, int], tuple[int], tuple], None]


@pytest.fixture(scope="session")
def host_library(tmp_path_factory: pytest.TempPathFactory) -> ctypes.CDLL:
    """The kernels as functions of a shared library, built with warnings as errors."""
    compiler = next((found for name in ("c++", "g++", "clang++") if (found := shutil.which(name))), None)
    if compiler is None:
        pytest.skip("there is no C++ compiler here (c++, g++ or clang++)")
    built = tmp_path_factory.mktemp("cuda_on_host") / "kernels.so"
    options = ["-std=c++17", "-O1", "-Wall", "-Wextra", "-Werror", "-shared", "-fPIC", f"-I{load.FOLDER}"]
    source = Path(__file__).with_name("on_host.cpp")
    done = subprocess.run([compiler, *options, str(source), "-o", str(built)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return ctypes.CDLL(str(built))


@pytest.fixture
def on_numpy(host_library: ctypes.CDLL, monkeypatch: pytest.MonkeyPatch) -> None:
    """daskgen.kernels.cuda with NumPy for CuPy, and launches that run on the processor."""

    def function(file: str, name: str) -> Launch:
        assert file == "genotype_decode.cu"

        def launch(grid: tuple[int, int], block: tuple[int], arguments: tuple) -> None:
            assert all(isinstance(a, (np.ndarray, np.int64)) for a in arguments)
            assert all(a.flags.c_contiguous for a in arguments if isinstance(a, np.ndarray))
            passed = [ctypes.c_uint(size) for size in (*grid, *block)]
            for argument in arguments:
                if isinstance(argument, np.ndarray):
                    passed.append(ctypes.c_void_p(argument.ctypes.data))
                else:
                    passed.append(ctypes.c_longlong(int(argument)))
            getattr(host_library, f"launch_{name}")(*passed)

        return launch

    monkeypatch.setattr(load, "cupy", lambda: np)
    monkeypatch.setattr(load, "function", function)
    monkeypatch.setattr(load, "free_memory", lambda: 2**33)
