"""The kind of array decides which kernels are used."""

from __future__ import annotations

import inspect
import subprocess
import sys

import numpy as np
import pytest

from daskgen.kernels import dispatch, genotype_products
from daskgen.kernels.cuda import genotype_products as on_gpu


def test_numpy_arrays_go_to_the_cpu_kernels():
    assert dispatch.genotype_products(np.zeros((2, 2), np.uint8)) is genotype_products


def test_cupy_arrays_go_to_the_cuda_kernels():
    stand_in = type("ndarray", (), {"__module__": "cupy"})
    assert dispatch.genotype_products(stand_in()) is on_gpu


@pytest.mark.parametrize("name", sorted(set(dispatch.__all__) - {"genotype_products"}))
def test_kernels_of_cells_go_by_the_kind_of_array(name):
    module = getattr(dispatch, name)(np.zeros(3))
    assert module.__name__ == f"daskgen.kernels.{name}"
    stand_in = type("ndarray", (), {"__module__": "cupy"})
    with pytest.raises(TypeError, match=f"{name} has no kernels for CuPy arrays"):
        getattr(dispatch, name)(stand_in())


def test_other_arrays_are_refused_by_name():
    with pytest.raises(TypeError, match=r"not on builtins\.list"):
        dispatch.genotype_products([[1, 2]])


def test_both_modules_have_the_same_functions_with_the_same_arguments():
    assert on_gpu.__all__ == genotype_products.__all__
    for name in on_gpu.__all__:
        cpu, gpu = (inspect.signature(getattr(module, name)).parameters for module in (genotype_products, on_gpu))
        assert [(p.name, p.default) for p in cpu.values()] == [(p.name, p.default) for p in gpu.values()]


def test_importing_the_cuda_kernels_needs_no_cupy():
    code = "import sys; sys.modules['cupy'] = None; import daskgen.kernels.cuda.genotype_products"
    subprocess.run([sys.executable, "-c", code], check=True)
