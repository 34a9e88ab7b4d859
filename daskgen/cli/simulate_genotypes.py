"""daskgen simulate genotypes: a cohort with known truth."""

from __future__ import annotations

import time
from typing import Any

import click

from daskgen.cli.convert_genotypes import describe_result
from daskgen.cli.options import Settings, example, pick_given, settings_options
from daskgen.cli.run import Run

__all__ = ["command"]


@click.command(
    "genotypes",
    epilog=example("daskgen simulate genotypes --n-samples 1000 --n-variants 5000 --seed 1 --out simulated.zarr"),
)
@click.option("--n-samples", type=click.IntRange(min=1), required=True, help="Samples.")
@click.option("--n-variants", type=click.IntRange(min=1), required=True, help="Variants.")
@click.option(
    "--missing-rate", type=click.FloatRange(0, 1), default=0.0, show_default=True, help="Share of missing calls."
)
@click.option(
    "--maf",
    nargs=2,
    type=click.FloatRange(0, 0.5),
    default=(0.01, 0.5),
    show_default=True,
    metavar="LOW HIGH",
    help="Range of minor allele frequencies.",
)
@click.option("--ld", type=float, metavar="RHO", help="Variants d apart have D' = RHO^d. Default: 0.9.")
@click.option("--families", type=click.IntRange(min=2), metavar="N", help="Full sibs in a family. Default: unrelated.")
@click.option("--populations", type=click.IntRange(min=1), metavar="N", help="Populations of equal size. Default: 1.")
@click.option("--fst", type=float, metavar="F", help="Their F_ST. Default: 0.05.")
@click.option("--contigs", type=click.IntRange(min=1), metavar="N", help="Contigs. Default: the 22 human autosomes.")
@click.option(
    "--chunk-mb", type=click.FloatRange(min=0, min_open=True), metavar="MB", help="Size of a chunk. Default: 8."
)
@settings_options("out", "force", "resume", "seed", "cluster", "memory_limit", "scratch")
def command(
    n_samples: int,
    n_variants: int,
    missing_rate: float,
    maf: tuple[float, float],
    settings: Settings,
    **model: Any,
) -> None:
    """Simulate genotypes of any size straight into a store, with the truth beside them.

    Frequencies, populations and the arguments are kept in the store. The content depends on the seed and the model,
    not on chunks or workers.
    """
    from daskgen import simulate

    with Run("simulate genotypes", settings, resumable=True) as run:
        assert settings.out is not None
        started = time.monotonic()
        simulate.genotypes(
            settings.out,
            n_samples=n_samples,
            n_variants=n_variants,
            missing_rate=missing_rate,
            maf=maf,
            seed=settings.seed,
            force=settings.force,
            resume=settings.resume,
            **pick_given(model),
        )
        describe_result(run, settings.out, time.monotonic() - started)
