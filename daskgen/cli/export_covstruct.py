"""daskgen export covstruct: a covariance structure as R users have it."""

from __future__ import annotations

import click

from daskgen.cli.options import Settings, example, settings_options
from daskgen.cli.run import Run

__all__ = ["command"]


@click.command("covstruct", epilog=example("daskgen export covstruct covstruct.zarr --out covstruct.rds"))
@click.argument("store")
@settings_options("out", "force")
def command(store: str, settings: Settings) -> None:
    """Write a covariance structure for R's GenomicSEM and others.

    The ending of --out says the format: .rds (readRDS), .RData (load; the object is called LDSCoutput), .json, .txt.
    """
    import conversion

    with Run("export covstruct", settings, computes=False) as run:
        assert settings.out is not None
        path = conversion.export_covstruct(store, settings.out, force=settings.force)
        run.say(path)
        run.summary["file"] = path
