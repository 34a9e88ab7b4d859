"""What the commands of daskgen plot share."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import click

from daskgen.cli.options import Settings
from daskgen.cli.run import Run

__all__ = ["draw", "parameter_option", "title_option"]

parameter_option = click.option(
    "--parameter", metavar="LABEL", help='Which effect, as "F1~SNP". May be left out where there is one.'
)
title_option = click.option("--title", metavar="TEXT", help="Title of the figure. Default: the parameter.")


def draw(name: str, figure: Callable[..., Any], store: str, settings: Settings, **options: Any) -> None:
    """Run the command `name`: draw the figure of the store and say where it is."""
    with Run(f"plot {name}", settings, computes=False) as run:
        assert settings.out is not None
        figure(store, save=settings.out, force=settings.force, **options)
        run.say(settings.out)
        run.summary["file"] = settings.out
