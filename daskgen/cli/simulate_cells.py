"""daskgen simulate cells: single-cell counts with known structure."""

from __future__ import annotations

import time
from typing import Any

import click

from daskgen.cli.convert_cells import describe_cells
from daskgen.cli.options import Settings, example, pick_given, settings_options
from daskgen.cli.run import Run

__all__ = ["command"]


@click.command("cells", epilog=example("daskgen simulate cells --n-cells 3000 --n-genes 5000 --out simulated.zarr"))
@click.option("--n-cells", type=click.IntRange(min=1), required=True, help="Cells.")
@click.option("--n-genes", type=click.IntRange(min=20), default=35_000, show_default=True, help="Genes.")
@click.option(
    "--density",
    type=click.FloatRange(0, 0.9, min_open=True),
    default=0.068,
    show_default=True,
    help="Expected share of genes with a count in a cell.",
)
@click.option("--n-types", type=click.IntRange(min=1), metavar="N", help="Types of cells. Default: 12.")
@click.option("--n-programmes", type=click.IntRange(min=1), metavar="N", help="Programmes of genes. Default: 20.")
@click.option("--n-batches", type=click.IntRange(min=1), metavar="N", help="Batches of equal size. Default: 3.")
@settings_options("out", "force", "resume", "seed", "cluster", "memory_limit", "scratch")
def command(n_cells: int, n_genes: int, density: float, settings: Settings, **model: Any) -> None:
    """Simulate single-cell counts of any size straight into an AnnData store.

    obs has the type and the batch of each cell, var the programme of each gene. The content depends on the seed and the
    options, not on workers.
    """
    from daskgen import simulate

    with Run("simulate cells", settings, resumable=True) as run:
        assert settings.out is not None
        started = time.monotonic()
        simulate.cells(
            settings.out,
            n_cells=n_cells,
            n_genes=n_genes,
            density=density,
            seed=settings.seed,
            force=settings.force,
            resume=settings.resume,
            **pick_given(model),
        )
        describe_cells(run, settings.out, time.monotonic() - started)
