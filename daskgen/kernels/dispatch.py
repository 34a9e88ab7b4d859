"""Which kernels an array needs: those for the CPU for a NumPy array, their CUDA twins for a CuPy array."""

from __future__ import annotations

import importlib
from types import ModuleType

__all__ = ["cells_columns", "cells_enrichment", "cells_gram", "cells_rows", "cells_variance", "genotype_products"]


def genotype_products(genotypes: object) -> ModuleType:
    """The module with ``ztv``, ``zs`` and ``kv`` for this array of packed genotypes or dosages.

    :mod:`daskgen.kernels.genotype_products` or :mod:`daskgen.kernels.cuda.genotype_products`, which have the same
    functions. Raises TypeError for any other kind of array.
    """
    return _module("genotype_products", genotypes)


def cells_rows(values: object) -> ModuleType:
    """The module with ``summarise_rows`` for blocks of rows with values in this kind of array."""
    return _module("cells_rows", values)


def cells_enrichment(values: object) -> ModuleType:
    """The module with ``set_overlaps`` for blocks of rows with values in this kind of array."""
    return _module("cells_enrichment", values)


def cells_variance(values: object) -> ModuleType:
    """The module with ``add_clipped`` and ``add_residuals`` for blocks of rows with values in this kind of array."""
    return _module("cells_variance", values)


def cells_columns(values: object) -> ModuleType:
    """The module with ``find_columns``, ``project`` and ``add_transposed`` for blocks of rows in this kind of array."""
    return _module("cells_columns", values)


def cells_gram(values: object) -> ModuleType:
    """The module with ``GramSum`` and ``full_columns`` for blocks of rows with values in this kind of array."""
    return _module("cells_gram", values)


def _module(name: str, array: object) -> ModuleType:
    library = type(array).__module__.partition(".")[0]
    if library == "numpy":
        return importlib.import_module(f"daskgen.kernels.{name}")
    if library == "cupy":
        try:
            return importlib.import_module(f"daskgen.kernels.cuda.{name}")
        except ModuleNotFoundError as error:
            if error.name != f"daskgen.kernels.cuda.{name}":
                raise
            raise TypeError(f"{name} has no kernels for CuPy arrays: give NumPy arrays.") from None
    raise TypeError(f"kernels work on NumPy or CuPy arrays, not on {type(array).__module__}.{type(array).__qualname__}")
