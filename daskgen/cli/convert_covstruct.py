"""daskgen convert covstruct: what R's ldsc() returned to a store."""

from __future__ import annotations

import click

from daskgen.cli.options import Settings, example, settings_options
from daskgen.cli.run import Run

__all__ = ["command"]


@click.command("covstruct", epilog=example("daskgen convert covstruct ldsc.RData --out covstruct.zarr"))
@click.argument("source")
@settings_options("out", "force")
def command(source: str, settings: Settings) -> None:
    """Convert a covariance structure (S, V, I, N, m) that GenomicSEM made.

    SOURCE is an .rds or .RData file with the output of ldsc(), JSON, a text file with a part for each matrix, or a
    folder with S.csv, V.csv and so on.
    """
    import conversion

    with Run("convert covstruct", settings, computes=False) as run:
        assert settings.out is not None
        result = conversion.covstruct(source, settings.out, force=settings.force)
        run.say(str(result))
        run.summary.update(store=result.path, traits=list(result.traits), parts=list(result.parts))
