"""daskgen sample-stats: call rates per sample."""

from __future__ import annotations

from typing import Any

import click

from daskgen.cli.options import Settings, example, selection_options, settings_options
from daskgen.cli.run import Run

__all__ = ["command"]


@click.command("sample-stats", epilog=example("daskgen sample-stats cohort.zarr --out cohort.samples.tsv"))
@click.argument("store")
@selection_options()
@settings_options("out", "force", "cluster", "memory_limit")
def command(store: str, selection: dict[str, Any], settings: Settings) -> None:
    """Write call statistics per sample as TSV (.tsv or .tsv.gz).

    Calls, missing rate, heterozygous calls and inbreeding coefficient, over the variants selected.
    """
    from daskgen.cli.table import check_table_path, sample_table, write_table
    from daskgen.genotypes import sample_stats

    with Run("sample-stats", settings) as run:
        assert settings.out is not None
        check_table_path(settings.out, force=settings.force)
        table = sample_table(sample_stats(store, **selection))
        write_table(table, settings.out)
        run.say(f"{settings.out}   {len(table):,} samples")
        run.summary["n_samples"] = len(table)
