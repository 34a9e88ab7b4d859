"""daskgen export tsv: a result per variant as a table of text."""

from __future__ import annotations

import click

from daskgen.cli.options import Settings, example, settings_options
from daskgen.cli.run import Run

__all__ = ["command"]


@click.command("tsv", epilog=example("daskgen export tsv f1.zarr --for genomicsem --out f1.tsv.gz"))
@click.argument("store")
@click.option(
    "--for",
    "layout",
    type=click.Choice(["genomicsem", "plink2", "gcta"]),
    help="Whose columns: genomicsem (userGWAS, commonfactorGWAS), plink2 (--glm), gcta (--mlma). Default: genomicsem "
    "for results of SEM, plink2 for association scans.",
)
@click.option("--parameter", metavar="NAME", help="Which phenotype of a scan of several.")
@settings_options("out", "force")
def command(store: str, layout: str | None, parameter: str | None, settings: Settings) -> None:
    """Write a result per variant as a tab-separated table, compressed if --out ends in .gz.

    With --for genomicsem the columns and rows are those of R: a row per variant and parameter, missing numbers NA.
    With --for plink2 and gcta a row is a variant, and the effect is that of A1.
    """
    from daskgen.gwas import open_gwas

    with Run("export tsv", settings, computes=False) as run:
        assert settings.out is not None
        path = open_gwas(store).dg.to_tsv(settings.out, layout=layout, parameter=parameter, force=settings.force)
        run.say(path)
        run.summary["file"] = path
