"""Which kernels an array needs: those for the CPU for a NumPy array, their CUDA twins for a CuPy array."""

from __future__ import annotations

import importlib
from types import ModuleType

__all__ = ["genotype_products"]


def genotype_products(genotypes: object) -> ModuleType:
    """The module with ``ztv``, ``zs`` and ``kv`` for this array of packed genotypes or dosages.

    :mod:`daskgen.kernels.genotype_products` or :mod:`daskgen.kernels.cuda.genotype_products`, which have the same
    functions. Raises TypeError for any other kind of array.
    """
    return _module("genotype_products", genotypes)


def _module(name: str, array: object) -> ModuleType:
    library = type(array).__module__.partition(".")[0]
    if library == "numpy":
        return importlib.import_module(f"daskgen.kernels.{name}")
    if library == "cupy":
        return importlib.import_module(f"daskgen.kernels.cuda.{name}")
    raise TypeError(f"kernels work on NumPy or CuPy arrays, not on {type(array).__module__}.{type(array).__qualname__}")
