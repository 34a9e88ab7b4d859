"""`gene_sets`: a heat map of the scores of gene sets, by cells or by groups of cells."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import numpy as np

from daskgen.errors import InputError, UsageError, examples
from daskgen.inputs.arguments import known_arguments
from daskgen.plotting.style import drawing, new_figure
from daskgen.stores import StoreLike

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from daskgen.cells import Cells

__all__ = ["gene_sets"]

_MOST_CELLS = 2_000


@known_arguments()
def gene_sets(
    cells: Cells | StoreLike,
    *,
    groupby: str | None = None,
    n_sets: int = 30,
    title: str | None = None,
    save: str | os.PathLike[str] | None = None,
    force: bool = False,
) -> Figure:
    """Scores of gene sets (-log10 p) as a heat map, after `dg.cells.ora`.

    Parameters
    ----------
    cells
        What `dg.cells.open` gave, or the path of a store.
    groupby
        A column of obs: the mean score in each of its groups. None: every cell, beside others of the same best set;
        2,000 evenly chosen ones where there are more.
    n_sets
        So many sets are shown, those of largest mean score.
    title
        Title of the figure.
    save
        Path of the file, .png, .svg or .pdf.
    force
        Replace a file that is there.

    Returns
    -------
    matplotlib.figure.Figure
        A row for each set, a column for each cell or group.

    Raises
    ------
    InputError
        A store without scores, or without that column.
    UsageError
        A path that cannot be written.
    MissingPackageError
        matplotlib is not installed.
    """
    with drawing(save, force=force) as finished:
        if n_sets < 1:
            raise UsageError(f"n_sets must be 1 or more, it is {n_sets}.")
        from daskgen.cells import open as open_cells

        opened = open_cells(cells)
        about = opened.uns("ora")
        if about is None:
            raise InputError(
                f"{opened.store.location.name} has no scores of gene sets yet.", do="ora, or daskgen cells --gene-sets"
            )
        kept = np.flatnonzero(opened.cell_mask)
        scores = opened.store.matrix("obsm", "ora_estimate")[kept]
        shown = np.sort(np.argsort(-scores.mean(axis=0), kind="stable")[:n_sets])
        scores, names = scores[:, shown], [str(about["set_names"][i]) for i in shown]
        if groupby is None:
            values, labels = _cells(scores), None
        else:
            if groupby not in opened.store.columns("obs"):
                raise InputError(f"obs has no column {groupby!r}.", found=examples(opened.store.columns("obs"), 10))
            import pandas as pd

            groups = pd.Categorical(opened.store.column("obs", groupby))[kept]
            values, labels = _groups(scores, groups.codes, [str(name) for name in groups.categories])
        figure = new_figure(8.0 if labels is None else max(4.0, 2.5 + 0.35 * len(labels)), 1.4 + 0.22 * len(names))
        axis = figure.subplots()
        image = axis.imshow(values.T, aspect="auto", cmap="cividis", interpolation="nearest", vmin=0)
        axis.set_yticks(range(len(names)), names)
        if labels is None:
            axis.set(xlabel=f"{len(values):,} of {len(kept):,} cells", xticks=[])
        else:
            axis.set_xticks(range(len(labels)), labels, rotation=45, ha="right")
            axis.set_xlabel(groupby or "")
        axis.set_title(title or "Over-representation of gene sets")
        figure.colorbar(image, ax=axis, label="-log10 p", shrink=0.8)
        return finished(figure)


def _cells(scores: np.ndarray) -> np.ndarray:
    """Scores of cells, those of the same best set beside each other, the largest first."""
    if len(scores) > _MOST_CELLS:
        scores = scores[np.linspace(0, len(scores) - 1, _MOST_CELLS).astype(int)]
    return scores[np.lexsort((-scores.max(axis=1), scores.argmax(axis=1)))]


def _groups(scores: np.ndarray, codes: np.ndarray, names: list[str]) -> tuple[np.ndarray, list[str]]:
    """Mean scores of groups that have cells, and their names."""
    used = [code for code in range(len(names)) if (codes == code).any()]
    return np.stack([scores[codes == code].mean(axis=0) for code in used]), [names[code] for code in used]
