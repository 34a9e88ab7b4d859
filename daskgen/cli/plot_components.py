"""daskgen plot components: what share of the variance each component explains."""

from __future__ import annotations

import click

from daskgen.cli.options import Settings, example, settings_options
from daskgen.cli.plot_scan import draw

__all__ = ["command"]


@click.command("components", epilog=example("daskgen plot components bmi.reml.zarr --out bmi.png"))
@click.argument("store")
@click.option("--title", metavar="TEXT", help="Title of the figure.")
@settings_options("out", "force")
def command(store: str, title: str | None, settings: Settings) -> None:
    """Bars of the heritability of each component, with standard errors.

    STORE is a result of daskgen reml. The ending of --out says the format: .png, .svg, .pdf.
    """
    from daskgen.plotting import components

    draw("components", components, store, settings, title=title)
