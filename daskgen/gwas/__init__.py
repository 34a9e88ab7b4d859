"""Results with a row per variant, of SEM fits and of association scans: opened, tabulated, exported, summarised.

Importing this package registers the accessor `.dg` of xarray Datasets (`accessor.GwasAccessor`). Everything works block
by block: no function holds a whole result unless it is asked for one.
"""

from __future__ import annotations

from daskgen.gwas.accessor import GwasAccessor
from daskgen.gwas.layout import array_plans, attach_run, open_gwas, snp_effects
from daskgen.gwas.points import ManhattanPoints, QQPoints, manhattan_points, qq_points
from daskgen.gwas.summaries import lambda_gc, n_hits, status_counts, top
from daskgen.gwas.tables import result_table

__all__ = [
    "GwasAccessor",
    "ManhattanPoints",
    "QQPoints",
    "array_plans",
    "attach_run",
    "lambda_gc",
    "manhattan_points",
    "n_hits",
    "open_gwas",
    "qq_points",
    "result_table",
    "snp_effects",
    "status_counts",
    "top",
]
