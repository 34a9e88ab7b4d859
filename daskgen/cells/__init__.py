"""Single-cell counts in bounded memory and in place: scanpy's steps, with its names, arguments and fields.

`open` an AnnData store (Zarr), then `calculate_qc_metrics`, `filter_cells`, `filter_genes`, `normalize_total`, `log1p`,
`highly_variable_genes`, `scale`, `pca` and `ora` write their results into it; `pipeline` runs them all in as few
passes as they need. `Cells.to_anndata` gives what scanpy goes on with.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

# name -> module. They are imported when they are first used.
_LAZY = {
    "Cells": "opened",
    "calculate_qc_metrics": "steps_quality",
    "filter_cells": "steps_filter",
    "filter_genes": "steps_filter",
    "highly_variable_genes": "steps_variable",
    "log1p": "steps_normalise",
    "normalize_total": "steps_normalise",
    "open": "opened",
    "ora": "steps_ora",
    "ora_lists": "steps_ora",
    "pca": "steps_components",
    "pipeline": "fused",
    "scale": "steps_components",
}

__all__ = [
    "Cells",
    "calculate_qc_metrics",
    "filter_cells",
    "filter_genes",
    "highly_variable_genes",
    "log1p",
    "normalize_total",
    "open",
    "ora",
    "ora_lists",
    "pca",
    "pipeline",
    "scale",
]

if TYPE_CHECKING:
    from daskgen.cells.fused import pipeline
    from daskgen.cells.opened import Cells, open
    from daskgen.cells.steps_components import pca, scale
    from daskgen.cells.steps_filter import filter_cells, filter_genes
    from daskgen.cells.steps_normalise import log1p, normalize_total
    from daskgen.cells.steps_ora import ora, ora_lists
    from daskgen.cells.steps_quality import calculate_qc_metrics
    from daskgen.cells.steps_variable import highly_variable_genes


def __getattr__(name: str) -> object:
    if name not in _LAZY:
        raise AttributeError(f"module 'daskgen.cells' has no attribute {name!r}. Its names are: {', '.join(__all__)}.")
    value = getattr(importlib.import_module(f"daskgen.cells.{_LAZY[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return list(__all__)
