"""`manhattan`: the strength of every variant's association along the genome."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import numpy as np
import xarray as xr

from daskgen.errors import InputError
from daskgen.gwas import ManhattanPoints, manhattan_points, open_gwas
from daskgen.inputs.arguments import known_arguments
from daskgen.plotting.style import COLOURS, GREY, drawing, new_figure
from daskgen.stores import StoreLike

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["manhattan"]

_BANDS = (COLOURS[0], COLOURS[4])  # neighbouring contigs: dark and light blue
_HITS = COLOURS[1]
_WIDE, _HIGH = 10.0, 3.6  # inches


@known_arguments()
def manhattan(
    result: xr.Dataset | StoreLike,
    parameter: str | None = None,
    *,
    threshold: float = 5e-8,
    suggestive: float | None = 1e-5,
    title: str | None = None,
    save: str | os.PathLike[str] | None = None,
    force: bool = False,
) -> Figure:
    """Manhattan plot: -log10 p of every variant against its place, significant ones in another colour.

    Parameters
    ----------
    result
        A result per variant (`dg.sem.user_gwas`, an association scan), or the path of its store.
    parameter
        Label such as "F1~SNP"; may be left out where there is one.
    threshold, suggestive
        p values at which lines are drawn; None for no second one.
    title
        Title of the figure. Default: the parameter.
    save
        Path of the file, .png, .svg or .pdf.
    force
        Replace a file that is there.

    Returns
    -------
    matplotlib.figure.Figure

    The data are read block by block and thinned to what can be seen (`daskgen.gwas.manhattan_points`): every variant of
    p below 10^-8 is a point, and no cell of the picture that holds a variant is empty. Points are drawn as one picture
    inside the file (rasterised), so that an .svg or .pdf stays small; axes and text are vectors.

    Raises
    ------
    InputError
        A result without effects per variant, or without a single p value.
    UsageError
        An unknown parameter, a path that cannot be written.
    MissingPackageError
        matplotlib is not installed.
    """
    with drawing(save, force=force) as finished:
        dataset = result if isinstance(result, xr.Dataset) else open_gwas(result)
        found = manhattan_points(dataset, parameter)
        if not found.n_variants:
            raise InputError("no variant has a p value.", do="daskgen info says how the fits ended")
        return finished(_draw(found, threshold, suggestive, found.label if title is None else title))


def _draw(found: ManhattanPoints, threshold: float, suggestive: float | None, title: str) -> Figure:
    figure = new_figure(_WIDE, _HIGH)
    axes = figure.subplots()
    points = found.points
    x = found.axis(points["contig"].to_numpy(), points["position"].to_numpy())
    y, contig = points["minus_log10_p"].to_numpy(), points["contig"].to_numpy()
    line = -np.log10(threshold)
    hit = y >= line
    for band, colour in enumerate(_BANDS):
        chosen = (contig % 2 == band) & ~hit
        axes.plot(x[chosen], y[chosen], ".", color=colour, markersize=2.2, markeredgewidth=0, rasterized=True)
    axes.plot(x[hit], y[hit], ".", color=_HITS, markersize=4.0, markeredgewidth=0, rasterized=True)
    axes.axhline(line, color=_HITS, linewidth=0.8)
    if suggestive is not None:
        axes.axhline(-np.log10(suggestive), color=GREY, linewidth=0.8, linestyle=(0, (4, 3)))
    top = max(float(y.max()), line)
    axes.set(ylim=(0, 1.06 * top), ylabel=r"$-\log_{10}\,p$", title=title)
    _label_contigs(axes, found)
    return figure


def _label_contigs(axes: Axes, found: ManhattanPoints) -> None:
    whole = float(found.offset[-1] + found.length[-1])
    margin = 0.012 * whole
    axes.set_xlim(-margin, whole + margin)
    if not found.has_positions:
        axes.set_xlabel("variant")
        return
    middle = found.offset + 0.5 * found.length
    # A contig is named where there is room for its name beside the last one that was.
    room = 0.009 * whole
    free, ticks, names = -np.inf, [], []
    for at, name in zip(middle.tolist(), found.contigs, strict=True):
        half = room * max(1, len(name))
        if at - half > free:
            ticks.append(at)
            names.append(name)
            free = at + half
    axes.set_xticks(ticks, names)
    axes.tick_params(axis="x", length=0)
    axes.set_xlabel("chromosome")
