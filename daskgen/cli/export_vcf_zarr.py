"""daskgen export vcf-zarr: a genotype store as VCF Zarr."""

from __future__ import annotations

from typing import Any

import click

from daskgen.cli.options import Settings, example, selection_options, settings_options
from daskgen.cli.run import Run

__all__ = ["command"]


@click.command("vcf-zarr", epilog=example("daskgen export vcf-zarr cohort.zarr --out cohort.vcz"))
@click.argument("store")
@click.option(
    "--variants-chunk-size", type=click.IntRange(min=1), metavar="N", help="Variants of a chunk. Default: 1000."
)
@click.option(
    "--samples-chunk-size",
    type=click.IntRange(min=1),
    metavar="N",
    default=10_000,
    show_default=True,
    help="Samples of a chunk.",
)
@click.option(
    "--haploid-calls",
    type=click.Choice(["haploid", "homozygous"]),
    default="haploid",
    show_default=True,
    help="Calls on MT, Y and the X of males: one allele, or two equal ones.",
)
@selection_options("maf_min", "missing_max")
@settings_options("out", "force", "cluster", "memory_limit", "scratch")
def command(
    store: str,
    variants_chunk_size: int | None,
    samples_chunk_size: int,
    haploid_calls: str,
    selection: dict[str, Any],
    settings: Settings,
) -> None:
    """Write a genotype store as VCF Zarr 0.4 in Zarr format 2, for sgkit and others.

    Allele 1 is the allele that the store counts. Dosages become call_DS.
    """
    import conversion

    with Run("export vcf-zarr", settings) as run:
        assert settings.out is not None
        path = conversion.export_vcf_zarr(
            store,
            settings.out,
            variants_chunk_size=variants_chunk_size,
            samples_chunk_size=samples_chunk_size,
            haploid_calls=haploid_calls,  # type: ignore[arg-type]
            force=settings.force,
            **selection,
        )
        run.say(path)
        run.summary["store"] = path
