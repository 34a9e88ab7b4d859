"""daskgen variant-stats: allele statistics per variant."""

from __future__ import annotations

from typing import Any

import click

from daskgen.cli.options import Settings, example, selection_options, settings_options
from daskgen.cli.run import Run

__all__ = ["command"]


@click.command("variant-stats", epilog=example("daskgen variant-stats cohort.zarr --out cohort.variants.tsv"))
@click.argument("store")
@selection_options()
@settings_options("out", "force", "cluster", "memory_limit")
def command(store: str, selection: dict[str, Any], settings: Settings) -> None:
    """Write allele statistics per variant as TSV (.tsv or .tsv.gz).

    Calls, missing rate, allele frequency, genotype counts and the exact Hardy-Weinberg p, over the samples selected.
    """
    from daskgen.cli.table import check_table_path, variant_table, write_table
    from daskgen.genotypes import variant_stats

    with Run("variant-stats", settings) as run:
        assert settings.out is not None
        check_table_path(settings.out, force=settings.force)
        table = variant_table(variant_stats(store, **selection))
        write_table(table, settings.out)
        run.say(f"{settings.out}   {len(table):,} variants")
        run.summary["n_variants"] = len(table)
