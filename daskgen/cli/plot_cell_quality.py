"""daskgen plot cell-quality: genes, counts and mitochondrial share of cells."""

from __future__ import annotations

import click

from daskgen.cli.options import Settings, example, settings_options
from daskgen.cli.plot_scan import draw

__all__ = ["command"]


@click.command("cell-quality", epilog=example("daskgen plot cell-quality pbmc.zarr --out quality.png"))
@click.argument("store")
@click.option("--title", metavar="TEXT", help="Title of the figure.")
@settings_options("out", "force")
def command(store: str, title: str | None, settings: Settings) -> None:
    """Genes, counts and mitochondrial share of the cells of STORE, after daskgen cells.

    The ending of --out says the format: .png, .svg, .pdf. Cells that filters left out are grey.
    """
    from daskgen.plotting import cell_quality

    draw("cell-quality", cell_quality, store, settings, title=title)
