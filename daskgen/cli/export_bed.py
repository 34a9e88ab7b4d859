"""daskgen export bed: a genotype store as PLINK 1 files."""

from __future__ import annotations

from typing import Any

import click

from daskgen.cli.options import Settings, example, selection_options, settings_options
from daskgen.cli.run import Run

__all__ = ["command"]


@click.command("bed", epilog=example("daskgen export bed cohort.zarr --out cohort_again"))
@click.argument("store")
@selection_options("maf_min", "missing_max")
@settings_options("out", "force", "memory_limit", "scratch")
def command(store: str, selection: dict[str, Any], settings: Settings) -> None:
    """Write a genotype store as PREFIX.bed, .bim and .fam.

    --out is the prefix. A store that came from a .bed gives the same .bed bytes again.
    """
    import conversion

    with Run("export bed", settings, suffixes=(".bed", ".bim", ".fam")) as run:
        assert settings.out is not None
        run.summary["files"] = list(conversion.export_bed(store, settings.out, force=settings.force, **selection))
