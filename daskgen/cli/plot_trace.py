"""daskgen plot trace: the draws of a posterior."""

from __future__ import annotations

import click

from daskgen.cli.options import Settings, example, settings_options
from daskgen.cli.run import Run

__all__ = ["command"]


@click.command("trace", epilog=example("daskgen plot trace bmi.zarr --quantity heritability --out bmi_trace.png"))
@click.argument("store")
@click.option(
    "--quantity",
    "quantities",
    metavar="NAME,...",
    help="Only these, by the names that daskgen bayes prints. Default: all that vary.",
)
@click.option("--title", metavar="TEXT", help="Title of the figure. Default: trait and method.")
@settings_options("out", "force")
def command(store: str, quantities: str | None, title: str | None, settings: Settings) -> None:
    """Trace plots of the draws, and their distributions, a colour for each chain.

    STORE is one of daskgen bayes. The ending of --out says the format: .png, .svg, .pdf.
    """
    from daskgen.plotting import trace

    with Run("plot trace", settings, computes=False) as run:
        assert settings.out is not None
        chosen = None if quantities is None else quantities.split(",")
        trace(store, chosen, title=title, save=settings.out, force=settings.force)
        run.say(settings.out)
        run.summary["file"] = settings.out
