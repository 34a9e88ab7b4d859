"""`trace`: the draws of a posterior, chain by chain, and how they are spread."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from daskgen.bayes import Posterior
from daskgen.errors import UsageError
from daskgen.inputs.arguments import known_arguments
from daskgen.plotting.style import COLOURS, drawing, new_figure
from daskgen.stores import StoreLike

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["trace"]

_WIDTH, _ROW = 7.0, 1.5  # inches
_BINS = 40


@known_arguments()
def trace(
    posterior: Posterior | StoreLike,
    quantities: str | Sequence[str] | None = None,
    *,
    title: str | None = None,
    save: str | os.PathLike[str] | None = None,
    force: bool = False,
) -> Figure:
    """Trace plots: for each quantity its draws in their order and their distribution, a colour for each chain.

    Chains that have converged cannot be told apart. R-hat and the effective number of draws stand above each panel.

    Parameters
    ----------
    posterior
        What `dg.bayes.fit` gave, or the path of its store.
    quantities
        Names as in `posterior.diagnostics()`. Default: all whose draws vary.
    title
        Title of the figure. Default: the trait and the method.
    save
        Path of the file, .png, .svg or .pdf.
    force
        Replace a file that is there.

    Returns
    -------
    matplotlib.figure.Figure

    Raises
    ------
    UsageError
        An unknown quantity, a path that cannot be written.
    MissingPackageError
        matplotlib is not installed.
    """
    with drawing(save, force=force) as finished:
        found = posterior if isinstance(posterior, Posterior) else Posterior.open(posterior)
        names = _chosen(found, quantities)
        return finished(_draw(found, names, title))


def _chosen(posterior: Posterior, quantities: str | Sequence[str] | None) -> list[str]:
    table = posterior.diagnostics()
    if quantities is None:
        return [str(name) for name in table.index[table["sd"] > 0]]
    names = [quantities] if isinstance(quantities, str) else list(quantities)
    unknown = [name for name in names if name not in table.index]
    if unknown:
        raise UsageError(
            f"the posterior has no quantity {unknown[0]!r}.", expected=", ".join(str(name) for name in table.index)
        )
    return names


def _draw(posterior: Posterior, names: Sequence[str], title: str | None) -> Figure:
    attrs = posterior.dataset.attrs
    figure = new_figure(_WIDTH, _ROW * len(names) + 0.4)
    panels = figure.subplots(len(names), 2, squeeze=False, width_ratios=[3, 1])
    table = posterior.diagnostics()
    for name, (left, right) in zip(names, panels, strict=True):
        draws = posterior.dataset["trace"].sel(quantity=name).values
        edges = np.linspace(draws.min(), draws.max(), _BINS + 1) if np.ptp(draws) > 0 else _BINS
        for chain, values in enumerate(draws):
            colour = COLOURS[chain % len(COLOURS)]
            left.plot(np.arange(1, len(values) + 1), values, color=colour, linewidth=0.4, rasterized=True)
            right.hist(values, edges, color=colour, histtype="step", orientation="horizontal", linewidth=0.8)
        row = table.loc[name]
        left.set_title(f"{name}   R-hat {row['r_hat']:.3f}, ESS {row['ess_bulk']:,.0f}")
        left.set_xlim(1, max(2, draws.shape[1]))
        right.set_ylim(left.get_ylim())
        right.set(xticks=[], yticklabels=[])
        right.spines["bottom"].set_visible(False)
    panels[-1][0].set_xlabel("saved draw")
    figure.suptitle(title if title is not None else f"{attrs.get('trait', '')}, {attrs.get('method', '')}", fontsize=10)
    return figure
