"""daskgen plot gene-sets: scores of gene sets as a heat map."""

from __future__ import annotations

import click

from daskgen.cli.options import Settings, example, settings_options
from daskgen.cli.plot_scan import draw

__all__ = ["command"]


@click.command("gene-sets", epilog=example("daskgen plot gene-sets pbmc.zarr --groupby batch --out sets.png"))
@click.argument("store")
@click.option("--groupby", metavar="COLUMN", help="A column of obs: mean scores of its groups. Default: single cells.")
@click.option("--n-sets", type=click.IntRange(min=1), default=30, show_default=True, help="Sets that are shown.")
@click.option("--title", metavar="TEXT", help="Title of the figure.")
@settings_options("out", "force")
def command(store: str, groupby: str | None, n_sets: int, title: str | None, settings: Settings) -> None:
    """Over-representation of gene sets in the cells of STORE, after daskgen cells --gene-sets.

    The ending of --out says the format: .png, .svg, .pdf. The sets of largest mean score are shown.
    """
    from daskgen.plotting import gene_sets

    draw("gene-sets", gene_sets, store, settings, groupby=groupby, n_sets=n_sets, title=title)
