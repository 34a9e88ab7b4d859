"""daskgen plot heatmap: genetic correlations as a figure."""

from __future__ import annotations

import click

from daskgen.cli.options import Settings, example, settings_options
from daskgen.cli.run import Run
from daskgen.cli.summary_options import names_of

__all__ = ["command"]


@click.command("heatmap", epilog=example("daskgen plot heatmap covstruct.zarr --order clustered --out rg.png"))
@click.argument("covstruct")
@click.option(
    "--order",
    multiple=True,
    metavar="given|clustered|NAME,...",
    help="Order of the traits: as they are, like ones beside each other, or by name. Default: given.",
)
@click.option(
    "--show",
    type=click.Choice(["auto", "se", "stars", "values", "none"]),
    default="auto",
    show_default=True,
    help="What is printed in a cell: rg with its standard error, with stars for p, alone, or nothing.",
)
@click.option("--title", metavar="TEXT", help="Title of the figure.")
@settings_options("out", "force")
def command(covstruct: str, order: tuple[str, ...], show: str, title: str | None, settings: Settings) -> None:
    """Heat map of genetic correlations, heritabilities on the diagonal.

    COVSTRUCT is a store of daskgen ldsc or daskgen convert covstruct. The ending of --out says the format: .png, .svg,
    .pdf. Correlations of traits whose heritability is not positive are hatched.
    """
    from daskgen.plotting import heatmap

    with Run("plot heatmap", settings, computes=False) as run:
        assert settings.out is not None
        names = names_of(order)
        chosen = names[0] if len(names) == 1 else names or "given"
        heatmap(covstruct, order=chosen, show=show, title=title, save=settings.out, force=settings.force)  # type: ignore[arg-type]
        run.say(settings.out)
        run.summary["file"] = settings.out
