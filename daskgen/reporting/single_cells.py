"""Sections of reports on single cells: what the store holds, quality, components, gene sets."""

from __future__ import annotations

import numpy as np

from daskgen.reporting import figures
from daskgen.reporting.page import Section, figure, preformatted
from daskgen.stores import Location

__all__ = ["cells"]

_SHOWN_COMPONENTS = 20


def cells(location: Location) -> list[Section]:
    """An AnnData store: its parts and steps, and a figure of each step that has been made."""
    from daskgen.cells import open as open_cells
    from daskgen.cells.describing import cells_lines
    from daskgen.plotting import cell_quality, gene_sets

    opened = open_cells(location.url)
    parts = []
    if {"n_genes_by_counts", "total_counts"} <= set(opened.store.columns("obs")):
        parts.append(Section("Quality", [figure(cell_quality(opened), "quality of the cells")]))
    kept = opened.uns("pca")
    if kept is not None and "variance" in kept:
        variance = np.asarray(kept["variance"], np.float64)[:_SHOWN_COMPONENTS]
        names = [f"PC{i + 1}" for i in range(len(variance))]
        scores = opened.store.matrix("obsm", "X_pca")[:, :2]
        body = [figure(figures.bars(names, variance, None, "variance"), "variance of the components")]
        if scores.shape[1] == 2:
            drawn = figures.scatter(scores[:, 0], scores[:, 1], ("PC1", "PC2"))
            body.append(figure(drawn, "cells on PC1 and PC2"))
        parts.append(Section("Components", body))
    if opened.uns("ora") is not None:
        parts.append(Section("Gene sets", [figure(gene_sets(opened), "scores of gene sets")]))
    return [Section("Single cells", [preformatted("\n".join(cells_lines(opened.store)))], parts)]
