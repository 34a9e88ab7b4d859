"""daskgen he: variance components by Haseman-Elston regression."""

from __future__ import annotations

from typing import Any

import click

from daskgen.cli.options import Settings, example, selection_options, settings_options
from daskgen.cli.reml_options import (
    for_summary,
    genotype_sources,
    heritability_lines,
    model_options,
    table_options,
)
from daskgen.cli.run import Run
from daskgen.cli.table import check_table_path, write_table

__all__ = ["command"]


@click.command("he", epilog=example("daskgen he --genotypes mice.zarr --pheno bmi.txt --out bmi.he.tsv"))
@table_options()
@model_options()
@selection_options()
@settings_options("out", "force", "seed", "cluster", "memory_limit", "scratch")
def command(tables: dict[str, Any], model: dict[str, Any], selection: dict[str, Any], settings: Settings) -> None:
    """Variance components by Haseman-Elston regression: moments, a few passes, no iteration.

    --out is a table with a row per phenotype and component: variance and standard error.
    """
    from daskgen.reml import he_regression

    with Run("he", settings) as run:
        assert settings.out is not None
        check_table_path(settings.out, force=settings.force)
        sources = genotype_sources(tables.pop("genotypes"))
        result = he_regression(
            sources, seed=settings.seed, memory_limit=settings.memory_limit, **tables, **model, **selection
        )
        for line in ["", *heritability_lines(result), ""]:
            run.say(line)
        write_table(result.variance_components, settings.out)
        run.say(settings.out)
        run.summary.update(
            variance_components=for_summary(result.variance_components), heritability=for_summary(result.heritability)
        )
