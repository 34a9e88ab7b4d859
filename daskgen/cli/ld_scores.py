"""daskgen ld-scores: LD scores from genotypes."""

from __future__ import annotations

from typing import Any

import click

from daskgen.cli.options import Settings, example, pick_given, selection_options, settings_options
from daskgen.cli.pca import check_store_path
from daskgen.cli.run import Run

__all__ = ["command"]


@click.command("ld-scores", epilog=example("daskgen ld-scores cohort.zarr --window 1000kb --out ld.zarr"))
@click.argument("genotypes")
@click.option(
    "--window", default="1cM", show_default=True, metavar="DISTANCE", help="To each side: 1cM, 1000kb or 500snp."
)
@click.option(
    "--annotations", metavar="FILE", help="An .annot file: a score for each of its columns beside CHR BP SNP CM."
)
@click.option(
    "--dosage",
    type=click.Choice(["auto", "yes", "no"]),
    default="auto",
    show_default=True,
    help="Use dosages: where there are any, required, or hard calls only.",
)
@selection_options()
@settings_options("out", "force", "cluster", "memory_limit", "scratch")
def command(
    genotypes: str,
    window: str,
    annotations: str | None,
    dosage: str,
    selection: dict[str, Any],
    settings: Settings,
) -> None:
    """LD scores of the variants of a genotype store, univariate or for each annotation.

    Sums of squared correlations (adjusted for the number of samples) over all variants within the window, exactly, and
    M and M_5_50 by contig. --out is a store for daskgen ldsc.
    """
    from daskgen.ldsc import ld_scores, to_store

    with Run("ld-scores", settings) as run:
        assert settings.out is not None
        check_store_path(settings.out, force=settings.force)
        result = ld_scores(
            genotypes,
            window=window,
            dosage={"yes": True, "no": False}.get(dosage, "auto"),
            **pick_given({"annotations": annotations}),
            **selection,
        )
        scores = result["ld_score"].values
        for name, column in zip(result["annotation"].values.tolist(), scores.T, strict=True):
            run.say(f"{name:<20} mean {column.mean():.4f}, {column.min():.4f} to {column.max():.4f}")
        totals = {name: result[name].values.sum(axis=0).tolist() for name in ("M", "M_5_50")}
        run.say("M          " + "  ".join(f"{value:,.10g}" for value in totals["M"]))
        run.say("M_5_50     " + "  ".join(f"{value:,.10g}" for value in totals["M_5_50"]))
        to_store(result, settings.out, force=settings.force)
        run.say(f"{settings.out}   {len(scores):,} variants, {result.attrs['n_samples']:,} samples")
        run.summary.update(
            n_variants=len(scores),
            n_samples=result.attrs["n_samples"],
            annotations=result["annotation"].values.tolist(),
            **totals,
        )
