"""daskgen convert ld-scores: LDSC's LD scores to a store."""

from __future__ import annotations

import dataclasses

import click

from daskgen.cli.options import Settings, example, pick_given, settings_options
from daskgen.cli.run import Run

__all__ = ["command"]


@click.command("ld-scores", epilog=example("daskgen convert ld-scores eur_w_ld_chr/ --out eur_ld.zarr"))
@click.argument("prefix")
@click.option("--weights", metavar="PREFIX", help="LD scores over the regression's variants (weights).")
@click.option("--annotations", metavar="PREFIX", help=".annot files of partitioned scores, for their overlaps.")
@click.option("--frequencies", metavar="PREFIX", help=".frq files, which say which of their variants are common.")
@settings_options("out", "force")
def command(
    prefix: str, weights: str | None, annotations: str | None, frequencies: str | None, settings: Settings
) -> None:
    """Convert LD scores, univariate or partitioned, with M and M_5_50.

    PREFIX is a folder, the beginning of the names ("dir/baselineLD."), a pattern with @ for the chromosome, or the name
    of one set for all chromosomes ("UKBB.EUR"): what comes before CHROMOSOME.l2.ldscore.gz.
    """
    import conversion

    with Run("convert ld-scores", settings, computes=False) as run:
        assert settings.out is not None
        result = conversion.ld_scores(
            prefix,
            settings.out,
            force=settings.force,
            **pick_given({"weights": weights, "annotations": annotations, "frequencies": frequencies}),
        )
        for line in str(dataclasses.replace(result, path=settings.out)).splitlines():
            run.say(line)
        run.say(f"next: daskgen ldsc munged.zarr {settings.out} --out covstruct.zarr")
        run.summary.update(
            store=result.path,
            n_variants=result.n_variants,
            variants=result.variants,
            annotations=list(result.annotations),
            dropped=result.dropped,
        )
