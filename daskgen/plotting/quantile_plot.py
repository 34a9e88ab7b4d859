"""`qq`: observed p values of a scan against those expected where nothing is associated."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import xarray as xr

from daskgen.errors import InputError
from daskgen.gwas import QQPoints, open_gwas, qq_points
from daskgen.inputs.arguments import known_arguments
from daskgen.plotting.style import COLOURS, GREY, drawing, new_figure
from daskgen.stores import StoreLike

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["qq"]

_SIDE = 4.0  # inches


@known_arguments()
def qq(
    result: xr.Dataset | StoreLike,
    parameter: str | None = None,
    *,
    title: str | None = None,
    save: str | os.PathLike[str] | None = None,
    force: bool = False,
) -> Figure:
    """Quantile-quantile plot of the p values of one parameter, with lambda GC and the 95 % band of the expectation.

    Parameters
    ----------
    result
        A result per variant (`dg.sem.user_gwas`, an association scan), or the path of its store.
    parameter
        Label such as "F1~SNP"; may be left out where there is one.
    title
        Title of the figure. Default: the parameter.
    save
        Path of the file, .png, .svg or .pdf.
    force
        Replace a file that is there.

    Returns
    -------
    matplotlib.figure.Figure

    The band holds for independent variants; linkage disequilibrium makes it too narrow. The data are read block by
    block (`daskgen.gwas.qq_points`).

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
        found = qq_points(dataset, parameter)
        if not found.n_variants:
            raise InputError("no variant has a p value.", do="daskgen info says how the fits ended")
        return finished(_draw(found, found.label if title is None else title))


def _draw(found: QQPoints, title: str) -> Figure:
    figure = new_figure(_SIDE, _SIDE)
    axes = figure.subplots()
    expected, observed = found.points["expected"], found.points["observed"]
    right, top = 1.04 * float(expected.max()), 1.06 * max(float(observed.max()), float(expected.max()))
    axes.fill_between(
        expected, found.points["lower"], found.points["upper"], color=GREY, alpha=0.25, linewidth=0, label="95 % band"
    )
    axes.plot([0, right], [0, right], color=GREY, linewidth=0.8)
    axes.plot(expected, observed, ".", color=COLOURS[0], markersize=4, markeredgewidth=0, rasterized=True)
    axes.set(
        xlim=(0, right),
        ylim=(0, top),
        xlabel=r"expected $-\log_{10}\,p$",
        ylabel=r"observed $-\log_{10}\,p$",
        title=title,
    )
    axes.text(
        0.04,
        0.96,
        rf"$\lambda_{{GC}}$ = {found.lambda_gc:.3f}" + f"\n{found.n_variants:,} variants",
        transform=axes.transAxes,
        va="top",
    )
    axes.legend(loc="lower right")
    return figure
