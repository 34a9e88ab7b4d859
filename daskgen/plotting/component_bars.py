"""`components`: the shares of variance that components explain, with their standard errors."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import numpy as np

from daskgen.errors import InputError
from daskgen.inputs.arguments import known_arguments
from daskgen.plotting.style import COLOURS, GREY, drawing, new_figure
from daskgen.stores import StoreLike

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

    from daskgen.reml import RemlFit

__all__ = ["components"]

_WIDE, _BAR, _AROUND = 6.0, 0.22, 1.1  # inches: width; height of a bar; around the bars


@known_arguments()
def components(
    fit: RemlFit | StoreLike,
    *,
    title: str | None = None,
    save: str | os.PathLike[str] | None = None,
    force: bool = False,
) -> Figure:
    """Bars of the heritability of each component and in total, with 1.96 standard errors to both sides.

    Parameters
    ----------
    fit
        What `dg.reml.fit` or `dg.reml.he_regression` gave, or the path of its store.
    title
        Title of the figure.
    save
        Path of the file, .png, .svg or .pdf.
    force
        Replace a file that is there.

    Returns
    -------
    matplotlib.figure.Figure
        A group of bars per component, a colour per phenotype. A component at its bound of 0 has a hollow mark: its
        standard error is not defined.

    Raises
    ------
    InputError
        A fit without components, or with more phenotypes than there are colours.
    UsageError
        A path that cannot be written.
    MissingPackageError
        matplotlib is not installed.
    """
    with drawing(save, force=force) as finished:
        # The engine is imported when a fit is drawn, not with the other figures.
        from daskgen.reml import RemlFit

        opened = fit if isinstance(fit, RemlFit) else RemlFit.open(fit)
        table = opened.heritability
        if "phenotype" not in table:
            table.insert(0, "phenotype", opened.phenotypes[0])
        if len(opened.phenotypes) > len(COLOURS):
            raise InputError(
                "there are too many phenotypes for one figure.",
                found=len(opened.phenotypes),
                expected=f"at most {len(COLOURS)}",
                do='choose: fit["name"]',
            )
        return finished(_draw(table, opened, title))


def _draw(table: pd.DataFrame, fit: RemlFit, title: str | None) -> Figure:
    names = [*fit.components, "total"] if len(fit.components) > 1 else ["total"]
    k = len(fit.phenotypes)
    figure = new_figure(_WIDE, _AROUND + _BAR * len(names) * (k + 0.6))
    axes = figure.subplots()
    bound = fit.variance_components
    for i, (phenotype, colour) in enumerate(zip(fit.phenotypes, COLOURS, strict=False)):
        own = table[table["phenotype"] == phenotype].set_index("component").loc[names]
        at = np.arange(len(names)) + (i - (k - 1) / 2) * 0.8 / k
        axes.barh(at, own["h2"], height=0.72 / k, color=colour, label=phenotype)
        axes.errorbar(own["h2"], at, xerr=1.96 * own["se"], fmt="none", ecolor="black", elinewidth=0.9, capsize=2)
        mine = bound[bound["phenotype"] == phenotype] if "phenotype" in bound else bound
        held = mine.loc[mine["at_bound"], "component"].tolist()
        zero = [y for y, name in zip(at, names, strict=True) if name in held]
        axes.plot(np.zeros(len(zero)), zero, "o", color=colour, markerfacecolor="white", markersize=4, clip_on=False)
    axes.axvline(0, color=GREY, linewidth=0.8)
    axes.set_yticks(np.arange(len(names)), names)
    axes.set(ylim=(len(names) - 0.4, -0.6), xlabel="share of the phenotypic variance (1.96 standard errors)")
    axes.tick_params(axis="y", length=0)
    if title:
        axes.set_title(title)
    if k > 1:
        axes.legend(loc="best")
    elif not title:
        axes.set_title(fit.phenotypes[0])
    return figure
