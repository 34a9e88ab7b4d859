"""daskgen report: a result as one HTML file."""

from __future__ import annotations

import click

from daskgen.cli.options import Settings, example, settings_options
from daskgen.cli.run import Run

__all__ = ["command"]


@click.command("report", epilog=example("daskgen report height.reml.zarr --out height.html"))
@click.argument("result")
@click.option("--title", help="Heading of the page. Default: the name of the store.")
@settings_options("out", "force")
def command(result: str, title: str | None, settings: Settings) -> None:
    """Write one HTML file about a store: what it is, its tables and figures, and where it comes from.

    RESULT is a store of any kind, or a folder, of which every store is taken. The page needs no other file.
    """
    from daskgen.reporting import make_report

    assert settings.out is not None
    with Run("report", settings, computes=False) as run:
        run.say(make_report(result, settings.out, title=title, force=settings.force))
