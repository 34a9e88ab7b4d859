"""`cell_quality`: how many genes and counts cells have, and what share of them is mitochondrial."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import numpy as np

from daskgen.errors import InputError
from daskgen.inputs.arguments import known_arguments
from daskgen.plotting.style import COLOURS, GREY, drawing, new_figure
from daskgen.stores import StoreLike

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from daskgen.cells import Cells

__all__ = ["cell_quality"]

_BINS = 60


@known_arguments()
def cell_quality(
    cells: Cells | StoreLike,
    *,
    title: str | None = None,
    save: str | os.PathLike[str] | None = None,
    force: bool = False,
) -> Figure:
    """Genes, counts and mitochondrial share of the cells, after `dg.cells.calculate_qc_metrics`.

    Parameters
    ----------
    cells
        What `dg.cells.open` gave, or the path of a store.
    title
        Title of the figure.
    save
        Path of the file, .png, .svg or .pdf.
    force
        Replace a file that is there.

    Returns
    -------
    matplotlib.figure.Figure
        Histograms of genes and of the mitochondrial share, with the cells that filters left out in grey, and the
        density of genes against counts.

    Raises
    ------
    InputError
        A store without these columns.
    UsageError
        A path that cannot be written.
    MissingPackageError
        matplotlib is not installed.
    """
    with drawing(save, force=force) as finished:
        from daskgen.cells import open as open_cells

        opened = open_cells(cells)
        have = opened.store.columns("obs")
        if "n_genes_by_counts" not in have or "total_counts" not in have:
            raise InputError(
                f"{opened.store.location.name} has no columns of quality yet.",
                do="calculate_qc_metrics, or daskgen cells",
            )
        kept = opened.cell_mask
        genes, counts = (np.asarray(opened.store.column("obs", name)) for name in ("n_genes_by_counts", "total_counts"))
        share = np.asarray(opened.store.column("obs", "pct_counts_mt")) if "pct_counts_mt" in have else None
        figure = new_figure(10.5 if share is not None else 7.0, 3.2)
        axes = figure.subplots(1, 2 if share is None else 3, squeeze=False)[0]
        _histogram(axes[0], genes, kept, "genes with a count")
        both = kept & (counts > 0) & (genes > 0)
        if both.any():
            axes[1].hexbin(
                counts[both],
                genes[both],
                gridsize=50,
                xscale="log",
                yscale="log",
                bins="log",
                cmap="cividis",
                linewidths=0,
            )
        axes[1].set(xlabel="counts", ylabel="genes with a count")
        if share is not None:
            _histogram(axes[2], share, kept, "mitochondrial counts, %")
        axes[0].set_title(title or f"{int(kept.sum()):,} of {len(kept):,} cells")
        return finished(figure)


def _histogram(axis: Axes, values: np.ndarray, kept: np.ndarray, label: str) -> None:
    defined = np.isfinite(values)
    edges = np.histogram_bin_edges(values[defined], _BINS) if defined.any() else np.linspace(0, 1, 2)
    axis.hist(values[defined & kept], edges, color=COLOURS[0], label="kept")
    if (defined & ~kept).any():
        axis.hist(values[defined & ~kept], edges, color=GREY, alpha=0.7, label="left out")
        axis.legend()
    axis.set(xlabel=label, ylabel="cells")
