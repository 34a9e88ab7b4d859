"""daskgen plot qq: observed against expected p values."""

from __future__ import annotations

import click

from daskgen.cli.options import Settings, example, settings_options
from daskgen.cli.plot_scan import draw, parameter_option, title_option

__all__ = ["command"]


@click.command("qq", epilog=example('daskgen plot qq f1.zarr --parameter "F1~SNP" --out f1_qq.png'))
@click.argument("store")
@parameter_option
@title_option
@settings_options("out", "force")
def command(store: str, parameter: str | None, title: str | None, settings: Settings) -> None:
    """Quantile-quantile plot of the p values of a result per variant, with lambda GC.

    STORE is one of daskgen sem user-gwas or another scan. The ending of --out says the format: .png, .svg, .pdf.
    """
    from daskgen.plotting import qq

    draw("qq", qq, store, settings, parameter=parameter, title=title)
