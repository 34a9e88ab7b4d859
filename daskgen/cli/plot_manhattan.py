"""daskgen plot manhattan: the strength of association along the genome."""

from __future__ import annotations

import click

from daskgen.cli.options import Settings, example, settings_options
from daskgen.cli.plot_scan import draw, parameter_option, title_option

__all__ = ["command"]


@click.command("manhattan", epilog=example('daskgen plot manhattan f1.zarr --parameter "F1~SNP" --out f1.png'))
@click.argument("store")
@parameter_option
@click.option(
    "--threshold",
    type=click.FloatRange(0, 1, min_open=True),
    default=5e-8,
    show_default=True,
    metavar="P",
    help="p value of the line, and of the points in another colour.",
)
@title_option
@settings_options("out", "force")
def command(store: str, parameter: str | None, threshold: float, title: str | None, settings: Settings) -> None:
    """Manhattan plot of a result per variant.

    STORE is one of daskgen sem user-gwas or another scan. The ending of --out says the format: .png, .svg, .pdf.
    """
    from daskgen.plotting import manhattan

    draw("manhattan", manhattan, store, settings, parameter=parameter, threshold=threshold, title=title)
