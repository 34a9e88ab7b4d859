"""NVIDIA's runtime compiler through ctypes: the one that CuPy uses, which compiles for a GPU where there is none."""

from __future__ import annotations

import ctypes
import importlib.util
from pathlib import Path

import pytest


def library() -> ctypes.CDLL:
    """libnvrtc of the wheel nvidia-cuda-nvrtc; skips the test where it is not installed."""
    spec = importlib.util.find_spec("nvidia")
    folders = [Path(place) for place in spec.submodule_search_locations or []] if spec else []
    found = sorted(path for folder in folders for path in folder.glob("*/lib*/libnvrtc.so.*"))
    if not found:
        pytest.skip("the CUDA compiler is not here: pip install nvidia-cuda-nvrtc-cu12")
    return ctypes.CDLL(str(found[-1]))


def compile_to_ptx(source: str, name: str, options: tuple[str, ...]) -> str:
    """The PTX of a CUDA source; an error or a warning fails the test with the compiler's log."""
    nvrtc = library()
    program = ctypes.c_void_p()
    assert nvrtc.nvrtcCreateProgram(ctypes.byref(program), source.encode(), name.encode(), 0, None, None) == 0
    try:
        arguments = (ctypes.c_char_p * len(options))(*(option.encode() for option in options))
        status = nvrtc.nvrtcCompileProgram(program, len(options), arguments)
        log = _text(nvrtc.nvrtcGetProgramLogSize, nvrtc.nvrtcGetProgramLog, program)
        assert status == 0, log
        assert "warning" not in log, log
        return _text(nvrtc.nvrtcGetPTXSize, nvrtc.nvrtcGetPTX, program)
    finally:
        nvrtc.nvrtcDestroyProgram(ctypes.byref(program))


def _text(size_of, read, program: ctypes.c_void_p) -> str:
    size = ctypes.c_size_t()
    assert size_of(program, ctypes.byref(size)) == 0
    buffer = ctypes.create_string_buffer(size.value)
    assert read(program, buffer) == 0
    return buffer.value.decode()
