"""What every figure shares: matplotlib imported when first needed, type and colours, and how a file is written.

Figures are made without pyplot, so there is no global state, no window and no backend to choose: what is saved is drawn
by Agg (PNG) or written as vectors (SVG, PDF).
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from daskgen.errors import MissingPackageError, StoreError, UsageError

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["COLOURS", "ENDINGS", "GREY", "check_figure_path", "drawing", "new_figure", "save_figure", "styled"]

ENDINGS = (".png", ".svg", ".pdf")

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00", "#F0E442", "#000000")
"""Eight colours that people with any kind of colour blindness can tell apart (Okabe and Ito 2008)."""

GREY = "#8C8C8C"

_STYLE: dict[str, Any] = {
    "font.size": 9.0,
    "axes.titlesize": 10.0,
    "axes.titlelocation": "left",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.linewidth": 0.8,
    "legend.frameon": False,
    "hatch.linewidth": 0.6,
    "savefig.dpi": 200,
    "savefig.bbox": "tight",
    # Text stays text, so that it can be searched and edited.
    "svg.fonttype": "none",
    "pdf.fonttype": 42,
    # The same figure has the same bytes.
    "svg.hashsalt": "daskgen",
}
_NO_DATE = {".svg": {"Date": None}, ".pdf": {"CreationDate": None}, ".png": {}}


@contextlib.contextmanager
def styled() -> Iterator[None]:
    """What is drawn or saved inside has daskgen's style, whatever matplotlibrc says.

    Raises MissingPackageError where matplotlib is not installed.
    """
    try:
        import matplotlib
    except ImportError as error:
        raise MissingPackageError(
            "figures need the package matplotlib, which is not installed.",
            found=str(error),
            do='pip install "daskgen[plots]"',
        ) from error
    with matplotlib.rc_context():
        matplotlib.rcdefaults()
        matplotlib.rcParams.update(_STYLE)
        yield


def new_figure(width: float, height: float) -> Figure:
    """An empty figure of so many inches whose parts make room for each other. To be called inside `styled`."""
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), layout="constrained")


@contextlib.contextmanager
def drawing(save: str | os.PathLike[str] | None, *, force: bool = False) -> Iterator[Callable[[Figure], Figure]]:
    """The frame of a function that draws: refuses a path that cannot be written, then sets the style.

    What it gives is called with the figure at the end: it writes the file, where `save` names one, and returns the
    figure.
    """
    if save is not None:
        check_figure_path(save, force=force)
    with styled():

        def finished(figure: Figure) -> Figure:
            if save is not None:
                save_figure(figure, save, force=force)
            return figure

        yield finished


def check_figure_path(path: str | os.PathLike[str], *, force: bool = False) -> str:
    """The path as text; refused, before anything is drawn, where the figure could not be written.

    Raises UsageError for an ending that is not one of `ENDINGS` and a folder that does not exist, StoreError for a file
    that is there without `force`.
    """
    name = os.fspath(path)
    if os.path.splitext(name)[1].lower() not in ENDINGS:
        raise UsageError(f"{name}: this kind of figure is not written.", expected=f"a name in {', '.join(ENDINGS)}")
    folder = os.path.dirname(os.path.abspath(name))
    if not os.path.isdir(folder):
        raise UsageError(f"{name}: its folder does not exist.", found=folder, do=f"mkdir -p {folder}")
    if os.path.lexists(name) and not force:
        raise StoreError(f"{name} exists.", do="choose another name, or --force (force=True) to replace it")
    return name


def save_figure(figure: Figure, path: str | os.PathLike[str], *, force: bool = False) -> str:
    """Write the figure beside its place, then move it there; its ending says the format. Returns the path."""
    name = check_figure_path(path, force=force)
    stem, ending = os.path.splitext(name)
    partial = f"{stem}.{os.getpid()}.partial{ending}"
    try:
        with styled():
            figure.savefig(partial, format=ending[1:].lower(), metadata=_NO_DATE[ending.lower()])
        os.replace(partial, name)
    finally:
        if os.path.exists(partial):
            os.unlink(partial)
    return name
