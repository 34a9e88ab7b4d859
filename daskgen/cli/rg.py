"""daskgen rg: genetic correlations of measured phenotypes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from daskgen.cli.options import Settings, example, pick_given, selection_options, settings_options
from daskgen.cli.pca import check_store_path
from daskgen.cli.reml_options import for_summary, genotype_sources, model_options, table_options, text_table
from daskgen.cli.run import Run
from daskgen.cli.table import check_table_path, p_text, write_table

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["command"]


@click.command("rg", epilog=example("daskgen rg --genotypes mice.zarr --pheno mice.pheno --out mice.rg.tsv"))
@table_options("residual_weights")
@model_options()
@click.option("--n-blocks", type=click.IntRange(min=5), metavar="N", help="Blocks of samples of the jackknife.")
@click.option(
    "--families", metavar="FILE", help="Table with FID IID (or IID) and a family: families are not divided by blocks."
)
@click.option("--covstruct", metavar="STORE", help="Write the covariance structure too, for sem and plot heatmap.")
@selection_options()
@settings_options("out", "force", "seed", "cluster", "memory_limit", "scratch")
def command(
    tables: dict[str, Any],
    model: dict[str, Any],
    covstruct: str | None,
    selection: dict[str, Any],
    settings: Settings,
    **options: Any,
) -> None:
    """Genetic correlations of every two phenotypes, by Haseman-Elston regression; errors by a block jackknife.

    Phenotypes may be missing in any samples, and need not share any. --out is a table with a row per pair (with several
    components, per pair and component): correlation, covariances and heritabilities with their standard errors.
    """
    import daskgen as dg

    with Run("rg", settings) as run:
        assert settings.out is not None
        check_table_path(settings.out, force=settings.force)
        if covstruct is not None:
            check_store_path(covstruct, force=settings.force)
        sources = genotype_sources(tables.pop("genotypes"))
        table = dg.reml.rg(
            sources,
            seed=settings.seed,
            memory_limit=settings.memory_limit,
            **tables,
            **model,
            **selection,
            **pick_given(options),
        )
        for line in ["", *correlation_lines(table), ""]:
            run.say(line)
        write_table(table, settings.out)
        run.say(settings.out)
        if covstruct is not None:
            structure = dg.ldsc.covstruct(table.attrs["S"], table.attrs["V"], traits=table.attrs["traits"])
            dg.ldsc.to_store(structure, covstruct, force=settings.force)
            run.say(f"{covstruct}   next: daskgen plot heatmap {covstruct} --out rg.png")
        run.summary["correlations"] = for_summary(table)


def correlation_lines(table: pd.DataFrame) -> list[str]:
    """A line per pair (and component): the correlation and what it is made of."""
    names = ["trait_1", "trait_2", *(["component"] if "component" in table else [])]
    rows = [(*names, "rg", "SE", "p", "h2 1", "SE", "h2 2", "SE", "n in both")]
    for _, row in table.iterrows():
        figures = [
            f"{row[name]:.4f}" if row[name] == row[name] else "NA"
            for name in ("rg", "se", "h2_1", "h2_1_se", "h2_2", "h2_2_se")
        ]
        p = p_text(row["p"])
        rows.append((*(str(row[name]) for name in names), *figures[:2], p, *figures[2:], f"{row['n_both']:,}"))
    return text_table(rows)
