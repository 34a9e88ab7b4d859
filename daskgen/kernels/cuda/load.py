"""CuPy, if it and a GPU are there, and the CUDA C++ sources of this folder, compiled by it (NVRTC) on first use."""

from __future__ import annotations

import functools
import hashlib
from pathlib import Path
from typing import Any

import numpy as np

from daskgen.errors import MissingPackageError, UsageError

__all__ = ["FOLDER", "cupy", "free_memory", "function", "options", "source", "to_host"]

FOLDER = Path(__file__).parent


@functools.cache
def cupy() -> Any:
    """The module cupy.

    Raises :class:`MissingPackageError` if it is not installed, :class:`UsageError` if it finds no GPU.
    """
    try:
        import cupy
    except ImportError as error:
        raise MissingPackageError(
            "arrays on a GPU need CuPy, which is not installed.",
            found=str(error),
            do="pip install --only-binary :all: 'daskgen[cuda12]'  (or cuda13, whichever the driver supports)",
        ) from error
    if not cupy.cuda.is_available():
        raise UsageError(
            "no GPU can be used here.",
            found=f"CuPy {cupy.__version__}, but no CUDA device with a driver for CUDA {_cuda_version(cupy)}",
            do="check nvidia-smi and CUDA_VISIBLE_DEVICES, or work with NumPy arrays",
        )
    return cupy


def _cuda_version(module: Any) -> str:
    version = module.cuda.runtime.runtimeGetVersion()
    return f"{version // 1000}.{version % 1000 // 10}"


def source(name: str) -> str:
    """The text of the CUDA C++ file `name` of this folder."""
    return (FOLDER / name).read_text(encoding="utf-8")


def options() -> tuple[str, ...]:
    """What the sources are compiled with.

    CuPy keeps compiled code by source and options, not by what a source includes: the macro makes a changed header
    another set of options.
    """
    headers = hashlib.sha256(b"".join(path.read_bytes() for path in sorted(FOLDER.glob("*.cuh"))))
    return (
        "--std=c++17",
        f"--include-path={FOLDER}",
        f"--define-macro=DASKGEN_HEADERS=0x{headers.hexdigest()[:8]}",
    )


@functools.cache
def function(file: str, name: str) -> Any:
    """The kernel `name` of `file`, to be called as ``f(grid, block, arguments)`` on the current device."""
    return cupy().RawModule(code=source(file), options=options()).get_function(name)


def free_memory() -> int:
    """Bytes that a new array may take on the current device: what is free and what CuPy's pool holds unused."""
    module = cupy()
    free_on_device, _ = module.cuda.runtime.memGetInfo()
    return int(free_on_device + module.get_default_memory_pool().free_bytes())


def to_host(array: Any) -> np.ndarray:
    """A NumPy array with the numbers of a CuPy or NumPy array."""
    return array.get() if hasattr(array, "get") else np.asarray(array)
