"""Figures of results: `heatmap` of genetic correlations, `components` of variance, `manhattan` and `qq` of scans,
`trace` of posteriors, `cell_quality` and `gene_sets` of single cells.

Each function takes a result or the path of its store, returns a matplotlib Figure, and writes it where `save` says.
matplotlib is an extra, "plots", and imported when a figure is drawn.
"""

from __future__ import annotations

from daskgen.plotting.component_bars import components
from daskgen.plotting.gene_set_map import gene_sets
from daskgen.plotting.genetic_correlations import heatmap
from daskgen.plotting.manhattan_plot import manhattan
from daskgen.plotting.quality_panels import cell_quality
from daskgen.plotting.quantile_plot import qq
from daskgen.plotting.trace_plot import trace

__all__ = ["cell_quality", "components", "gene_sets", "heatmap", "manhattan", "qq", "trace"]
