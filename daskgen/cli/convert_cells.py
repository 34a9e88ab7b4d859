"""daskgen convert cells: single-cell counts to an AnnData store."""

from __future__ import annotations

import time
from typing import Any

import click

from daskgen.cli.options import Settings, example, settings_options
from daskgen.cli.run import Run, format_seconds

__all__ = ["command", "describe_cells"]


@click.command("cells", epilog=example("daskgen convert cells filtered_feature_bc_matrix/ --out pbmc.zarr"))
@click.argument("source", nargs=-1, required=True)
@click.option(
    "--counts",
    default="auto",
    show_default=True,
    metavar="WHERE",
    help="Which matrix has the counts: X, raw.X or layers/NAME; auto: the first that holds whole numbers.",
)
@click.option(
    "--join",
    type=click.Choice(["outer", "inner"]),
    default="outer",
    show_default=True,
    help="Genes of several sources: of any, or those that all have.",
)
@click.option(
    "--batch-key",
    default="sample",
    show_default=True,
    metavar="NAME",
    help="Column that says which source a cell is of.",
)
@click.option("--gene-symbols", metavar="COLUMN", help="Column of var with the names that genes are to have.")
@click.option("--genome", metavar="NAME", help="Take the genes of this genome only (10x).")
@click.option(
    "--gex-only/--all-features", default=True, help="Of 10x sources take gene expression, or antibodies and so on too."
)
@click.option("--dry-run", is_flag=True, help="Look at all values, print the plan and write nothing.")
@settings_options("out", "force", "resume", "cluster", "memory_limit", "scratch")
def command(
    source: tuple[str, ...],
    counts: str,
    join: str,
    batch_key: str,
    gene_symbols: str | None,
    genome: str | None,
    gex_only: bool,
    dry_run: bool,
    settings: Settings,
) -> None:
    """Convert single-cell counts to an AnnData store in Zarr, which scanpy reads too.

    SOURCE is .h5ad, AnnData Zarr, a folder with matrix.mtx (10x), .h5 (10x) or .loom; several of them become one store.
    """
    import conversion

    with Run("convert cells", settings, resumable=True) as run:
        assert settings.out is not None
        started = time.monotonic()
        result = conversion.cells(
            list(source),
            settings.out,
            counts=counts,
            join=join,  # type: ignore[arg-type]
            batch_key=batch_key,
            gene_symbols=gene_symbols,
            genome=genome,
            gex_only=gex_only,
            dry_run=dry_run,
            force=settings.force,
            resume=settings.resume,
        )
        if dry_run:
            run.say("Nothing was written (--dry-run).")
            run.keeps_log = False
            return
        describe_cells(run, settings.out, time.monotonic() - started, result)


def describe_cells(run: Run, path: str, seconds: float, result: Any = None) -> None:
    """What was made: size and time on the terminal; shape and where the counts were found in the summary."""
    from daskgen.limits import format_bytes
    from daskgen.stores.anndata import AnnDataStore
    from daskgen.stores.location import Location

    store = AnnDataStore.open(path)
    size = Location.of(path).size()
    run.say(f"{path}   {format_bytes(size)} in {format_seconds(seconds)}      next: daskgen info {path}")
    run.summary.update(
        store=path,
        store_id=store.group.attrs["store_id"],
        bytes=size,
        n_cells=store.n_cells,
        n_genes=store.n_genes,
        n_values=store.x_info.nnz,
        provenance=store.group.attrs["provenance"],
    )
    if result is not None:
        run.summary.update(counts_from=result.where, notes=list(result.notes))
