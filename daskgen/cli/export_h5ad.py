"""daskgen export h5ad: an AnnData store as one file."""

from __future__ import annotations

import click

from daskgen.cli.options import Settings, example, settings_options
from daskgen.cli.run import Run

__all__ = ["command"]


@click.command("h5ad", epilog=example("daskgen export h5ad pbmc.zarr --out pbmc.h5ad"))
@click.argument("store")
@click.option(
    "--compression",
    type=click.Choice(["gzip", "lzf", "none"]),
    default="gzip",
    show_default=True,
    help="Of the matrices.",
)
@settings_options("out", "force")
def command(store: str, compression: str, settings: Settings) -> None:
    """Write an AnnData store to an .h5ad file, for scanpy and R: matrices, tables, embeddings and all else in it."""
    import conversion

    with Run("export h5ad", settings, computes=False) as run:
        assert settings.out is not None
        chosen = None if compression == "none" else compression
        path = conversion.export_h5ad(store, settings.out, compression=chosen, force=settings.force)
        run.summary["file"] = path
