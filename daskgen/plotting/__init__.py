"""Figures of results: `heatmap` of genetic correlations, `manhattan` and `qq` of scans.

Each function takes a result or the path of its store, returns a matplotlib Figure, and writes it where `save` says.
matplotlib is an extra, "plots", and imported when a figure is drawn.
"""

from __future__ import annotations

from daskgen.plotting.genetic_correlations import heatmap
from daskgen.plotting.manhattan_plot import manhattan
from daskgen.plotting.quantile_plot import qq

__all__ = ["heatmap", "manhattan", "qq"]
