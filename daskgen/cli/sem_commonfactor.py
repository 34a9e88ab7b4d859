"""daskgen sem commonfactor: one factor of all traits."""

from __future__ import annotations

import click

from daskgen.cli.options import Settings, example, settings_options
from daskgen.cli.per_snp import estimation_option
from daskgen.cli.run import Run
from daskgen.cli.sem_fit_output import check_destinations, diagram_option, out_option, show_fit, with_out

__all__ = ["command"]


@click.command("commonfactor", epilog=example("daskgen sem commonfactor covstruct.zarr --out common.tsv"))
@click.argument("covstruct")
@estimation_option
@diagram_option
@out_option
@settings_options("force")
def command(covstruct: str, estimation: str, diagram: str | None, out: str | None, settings: Settings) -> None:
    """Fit one factor to the genetic covariances of all traits, as commonfactor() of GenomicSEM.

    COVSTRUCT is a store of daskgen ldsc or daskgen convert covstruct. What is printed is kept beside --out, as text and
    as JSON.
    """
    from daskgen.sem import commonfactor

    settings = with_out(settings, out)
    with Run("sem commonfactor", settings, computes=False) as run:
        check_destinations(settings, diagram)
        show_fit(run, commonfactor(covstruct, estimation=estimation), diagram=diagram)
