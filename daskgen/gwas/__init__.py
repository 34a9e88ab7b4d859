"""Results with a row per variant, of SEM fits and of association scans: opened, tabulated, exported, summarised.

Importing this package registers the accessor `.dg` of xarray Datasets (`accessor.GwasAccessor`): at once where xarray
is imported already, else with the first Dataset that `open_gwas` or an engine makes. Everything works block by block:
no function holds a whole result unless it is asked for one.
"""

from __future__ import annotations

import importlib
import sys
from typing import TYPE_CHECKING

# name -> module. They are imported when they are first used: a pass needs no table and no plot.
_LAZY = {
    "GwasAccessor": "accessor",
    "ManhattanPoints": "points",
    "QQPoints": "points",
    "array_plans": "layout",
    "attach_run": "layout",
    "lambda_and_hits": "summaries",
    "lambda_gc": "summaries",
    "manhattan_points": "points",
    "n_hits": "summaries",
    "open_gwas": "layout",
    "open_results": "layout",
    "qq_points": "points",
    "result_table": "tables",
    "snp_effects": "layout",
    "status_counts": "summaries",
    "top": "summaries",
}

__all__ = [
    "GwasAccessor",
    "ManhattanPoints",
    "QQPoints",
    "array_plans",
    "attach_run",
    "lambda_and_hits",
    "lambda_gc",
    "manhattan_points",
    "n_hits",
    "open_gwas",
    "open_results",
    "qq_points",
    "result_table",
    "snp_effects",
    "status_counts",
    "top",
]

if TYPE_CHECKING:
    from daskgen.gwas.accessor import GwasAccessor
    from daskgen.gwas.layout import array_plans, attach_run, open_gwas, open_results, snp_effects
    from daskgen.gwas.points import ManhattanPoints, QQPoints, manhattan_points, qq_points
    from daskgen.gwas.summaries import lambda_and_hits, lambda_gc, n_hits, status_counts, top
    from daskgen.gwas.tables import result_table


def __getattr__(name: str) -> object:
    if name not in _LAZY:
        raise AttributeError(f"module 'daskgen.gwas' has no attribute {name!r}.")
    return getattr(importlib.import_module(f"daskgen.gwas.{_LAZY[name]}"), name)


if "xarray" in sys.modules:
    importlib.import_module("daskgen.gwas.accessor")
