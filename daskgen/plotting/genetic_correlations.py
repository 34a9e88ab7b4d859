"""`heatmap`: the genetic correlations of a covariance structure, heritabilities on the diagonal."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, get_args

import numpy as np
import xarray as xr
from scipy.special import erfc

from daskgen.errors import InputError, UsageError, examples
from daskgen.inputs.arguments import known_arguments
from daskgen.ldsc import covstruct as complete
from daskgen.plotting.style import drawing, new_figure
from daskgen.stores import StoreLike, open_dataset

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["Show", "heatmap"]

Show = Literal["auto", "se", "stars", "values", "none"]

_COLOURS = "RdBu"  # red negative, blue positive: a diverging map that colour-blind people can read
_INCHES = {"se": 0.78, "values": 0.55, "stars": 0.45, "none": 0.3}  # side of a cell
_LARGEST = 13.0  # inches that the cells take at most
_LEVEL = 0.05


@dataclass(frozen=True)
class _Correlations:
    """What is drawn, in the order of drawing: rg, se and p (k, k), heritabilities and their errors (k,)."""

    names: list[str]
    rg: np.ndarray
    se: np.ndarray
    p: np.ndarray
    h2: np.ndarray
    h2_se: np.ndarray

    def take(self, order: Sequence[int]) -> _Correlations:
        """The same in another order."""
        at = np.asarray(order, np.intp)
        square = np.ix_(at, at)
        return _Correlations(
            [self.names[i] for i in at],
            self.rg[square],
            self.se[square],
            self.p[square],
            self.h2[at],
            self.h2_se[at],
        )


@known_arguments()
def heatmap(
    covstruct: xr.Dataset | StoreLike,
    *,
    order: Literal["given", "clustered"] | Sequence[str] = "given",
    show: Show = "auto",
    title: str | None = None,
    save: str | os.PathLike[str] | None = None,
    force: bool = False,
) -> Figure:
    """Heat map of genetic correlations: the lower triangle, with heritabilities on the diagonal.

    Parameters
    ----------
    covstruct
        What `dg.ldsc.ldsc`, `dg.ldsc.covstruct` or `conversion.covstruct` gave, or the path of its store.
    order
        "given"; "clustered": traits of like correlations beside each other, by average linkage on 1 - rg with the
        leaves in their best order (undefined correlations count as 0); or the names of the traits, in the order wanted
        (some may be left out).
    show
        What is printed in a cell. "se": rg and its standard error; "stars": rg and * for p < 0.05, ** for p < 0.05
        divided by the number of pairs; "values": rg; "none". "auto": "se" for up to 12 traits, "stars" up to 30,
        "none" beyond.
    title
        Title of the figure.
    save
        Path of the file, .png, .svg or .pdf.
    force
        Replace a file that is there.

    Returns
    -------
    matplotlib.figure.Figure

    Standard errors are `rg_se` (jackknife of the ratio) where the structure has them, else `S_Stand_se`. Colours end at
    -1 and 1; a correlation beyond is printed as it is. Where a heritability is not positive, its correlations are
    undefined and hatched.

    Raises
    ------
    InputError
        A structure without correlations, or with a single trait; an order with traits that are not there.
    UsageError
        Another value of `order` or `show`, a path that cannot be written.
    MissingPackageError
        matplotlib is not installed.
    """
    if show not in get_args(Show):
        raise UsageError(f"show = {show!r} is not possible.", expected=", ".join(get_args(Show)))
    with drawing(save, force=force) as finished:
        found = _read(covstruct)
        found = found.take(_order(found, order))
        shown = _chosen(show, len(found.names))
        return finished(_draw(found, shown, title))


def _read(covstruct: xr.Dataset | StoreLike) -> _Correlations:
    dataset = covstruct if isinstance(covstruct, xr.Dataset) else open_dataset(covstruct, "covstruct")
    missing = [name for name in ("S", "V", "trait") if name not in dataset.variables]
    if missing:
        raise InputError(
            f"this is no covariance structure: {missing[0]} is not there.",
            found=examples(dataset.variables, 8),
            do="give the result of dg.ldsc.ldsc or dg.ldsc.covstruct, or its store",
        )
    names = [str(name) for name in dataset["trait"].values]
    if len(names) < 2:
        raise InputError("one trait has no genetic correlation.", found=", ".join(names), expected="two traits or more")
    if "rg" not in dataset:  # made elsewhere: S and V only
        dataset = complete(dataset["S"].values, dataset["V"].values, traits=names)
    rg = np.asarray(dataset["rg"].values, np.float64)
    se = _first(dataset, ("rg_se", "S_Stand_se"), rg.shape)
    with np.errstate(invalid="ignore", divide="ignore"):
        p = dataset["p"].values if "p" in dataset else erfc(np.abs(rg / se) / np.sqrt(2.0))
    h2_se = np.diag(_first(dataset, ("S_se",), rg.shape))
    return _Correlations(names, rg, se, np.asarray(p, np.float64), np.diag(dataset["S"].values), h2_se)


def _first(dataset: xr.Dataset, names: Sequence[str], shape: tuple[int, ...]) -> np.ndarray:
    """The first of the arrays that is there; NaN where none is."""
    for name in names:
        if name in dataset:
            return np.asarray(dataset[name].values, np.float64)
    return np.full(shape, np.nan)


def _order(found: _Correlations, order: Literal["given", "clustered"] | Sequence[str]) -> list[int]:
    if order == "given":
        return list(range(len(found.names)))
    if order == "clustered":
        return _clustered(found.rg)
    if isinstance(order, str):
        raise UsageError(f"order = {order!r} is not possible.", expected='"given", "clustered" or a list of traits')
    unknown = [name for name in order if name not in found.names]
    if unknown or len(set(order)) != len(order) or len(order) < 2:
        raise InputError(
            f"order: {unknown[0]!r} is not among the traits." if unknown else "order must name different traits.",
            found=", ".join(order),
            expected=f"two or more of {', '.join(found.names)}",
        )
    return [found.names.index(name) for name in order]


def _clustered(rg: np.ndarray) -> list[int]:
    """Leaves of the tree of average linkage on 1 - rg."""
    from scipy.cluster.hierarchy import leaves_list, linkage

    column, row = np.triu_indices(len(rg), 1)
    distance = 1.0 - np.clip(np.nan_to_num(rg[row, column]), -1.0, 1.0)
    order = [int(i) for i in leaves_list(linkage(distance, "average", optimal_ordering=True))]
    # A tree may be read from either end: from the one whose first trait was given first.
    return order if order[0] < order[-1] else order[::-1]


def _chosen(show: Show, k: int) -> str:
    if show != "auto":
        return show
    return "se" if k <= 12 else "stars" if k <= 30 else "none"


def _draw(found: _Correlations, show: str, title: str | None) -> Figure:
    k = len(found.names)
    side = min(_INCHES[show], _LARGEST / k)
    longest = max(map(len, found.names))
    figure = new_figure(k * side + 0.09 * longest + 1.3, k * side + 0.075 * longest + 1.0)
    axes = figure.subplots()
    lower = np.tril(np.ones((k, k), bool), -1)
    mesh = axes.pcolormesh(
        np.where(lower, found.rg, np.nan), cmap=_COLOURS, vmin=-1, vmax=1, edgecolors="white", linewidth=1.2
    )
    for i in range(k):
        _square(axes, i, i, "#ECECEC")
        for j in range(i):
            if np.isnan(found.rg[i, j]):
                _square(axes, i, j, "white", hatch="////", edgecolor="#777777")
    _print_cells(axes, found, show, side)
    labels = min(9.0, 72 * side * 0.6)
    axes.set_xticks(np.arange(k) + 0.5, found.names, rotation=0 if longest <= 8 * side / 0.6 else 90, fontsize=labels)
    axes.set_yticks(np.arange(k) + 0.5, found.names, fontsize=labels)
    axes.set(xlim=(0, k), ylim=(k, 0), aspect="equal")
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    if title:
        axes.set_title(title)
    bar = figure.colorbar(mesh, ax=axes, shrink=min(1.0, 2.5 / (k * side)), ticks=[-1, -0.5, 0, 0.5, 1])
    bar.set_label("genetic correlation")
    bar.outline.set_visible(False)
    figure.supxlabel(_caption(found, show), fontsize=7.5, color="#444444")
    return figure


def _square(axes: Axes, row: int, column: int, colour: str, **style: Any) -> None:
    from matplotlib.patches import Rectangle

    inset = 0.02  # as wide as the white line between coloured cells
    where = (column + inset, row + inset)
    axes.add_patch(Rectangle(where, 1 - 2 * inset, 1 - 2 * inset, facecolor=colour, **{"linewidth": 0.0, **style}))


def _print_cells(axes: Axes, found: _Correlations, show: str, side: float) -> None:
    if show == "none":
        return
    size = min(8.5, 72 * side / 5.5)
    bonferroni = _LEVEL / _n_pairs(found)
    for i in range(len(found.names)):
        axes.text(
            i + 0.5,
            i + 0.5,
            _cell(found.h2[i], found.h2_se[i], show, decimals=3 if show == "se" else 2),
            ha="center",
            va="center",
            fontsize=size,
            color="#444444",
        )
        for j in range(i):
            value = found.rg[i, j]
            if np.isnan(value):
                continue
            text = _cell(value, found.se[i, j], show)
            if show == "stars":
                p = found.p[i, j]
                text += "\n" + ("**" if p < bonferroni else "*" if p < _LEVEL else "")
            colour = "white" if abs(value) > 0.6 else "black"
            axes.text(j + 0.5, i + 0.5, text, ha="center", va="center", fontsize=size, color=colour)


def _cell(value: float, error: float, show: str, decimals: int = 2) -> str:
    # Heritabilities are smaller than correlations, and so are their errors.
    text = f"{round(value, decimals) + 0.0:.{decimals}f}".replace("-", "\N{MINUS SIGN}")  # no minus before zero
    return f"{text}\n({error:.{decimals}f})" if show == "se" and np.isfinite(error) else text


def _n_pairs(found: _Correlations) -> int:
    """Pairs of traits whose correlation is defined, at least 1."""
    return max(1, int(np.isfinite(np.tril(found.rg, -1)[np.tril_indices(len(found.names), -1)]).sum()))


def _caption(found: _Correlations, show: str) -> str:
    parts = {
        "se": "rg (standard error); on the diagonal h2",
        "stars": f"* p < {_LEVEL:g}   ** p < {_LEVEL:g} / {_n_pairs(found)} pairs; on the diagonal h2",
        "values": "rg; on the diagonal h2",
        "none": "",
    }
    undefined = np.isnan(found.rg[np.tril_indices(len(found.names), -1)]).any()
    hatched = "hatched: undefined, a heritability is not positive"
    return "\n".join(part for part in (parts[show], hatched if undefined else "") if part)
