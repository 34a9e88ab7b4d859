"""daskgen reml-gwas: association of every variant with phenotypes."""

from __future__ import annotations

from typing import Any

import click

from daskgen.cli.options import Settings, example, pick_given, selection_options, settings_options
from daskgen.cli.pca import checkpoint_path
from daskgen.cli.per_snp import run_scan
from daskgen.cli.reml_options import genotype_sources, table_options
from daskgen.cli.run import Run

__all__ = ["command"]


@click.command(
    "reml-gwas",
    epilog=example(
        "daskgen reml-gwas --genotypes mice.zarr --pheno mice.pheno --pheno-name BMI --covar mice.covar "
        "--covar-name sex --out bmi.zarr"
    ),
)
@click.option("--genotypes", required=True, metavar="STORE", help="Genotypes that are tested.")
@table_options("genotypes", "residual_weights")
@click.option(
    "--model",
    type=click.Choice(["linear", "mixed-loco"]),
    default="linear",
    show_default=True,
    help="Least squares; or a mixed model whose random effect leaves the variant's contig out.",
)
@click.option(
    "--model-genotypes",
    multiple=True,
    metavar="[NAME=]STORE",
    help="Genotypes that the random effect is made of, if others than those tested.",
)
@click.option("--fit", metavar="STORE", help="A result of daskgen reml for the same phenotypes. Default: fit now.")
@click.option(
    "--method",
    type=click.Choice(["auto", "exact", "streamed"]),
    default="auto",
    show_default=True,
    help="Left-out models by dense matrices, or by streamed solves with calibrated denominators.",
)
@click.option("--refit", is_flag=True, help="Estimate the variances again without each contig, as GCTA does.")
@click.option(
    "--binary",
    type=click.Choice(["refuse", "linear"]),
    default="refuse",
    show_default=True,
    help="A phenotype of two values is refused, or tested as a measurement.",
)
@click.option(
    "--missing-calls",
    type=click.Choice(["exclude", "mean"]),
    default="exclude",
    show_default=True,
    help="Samples without a call are left out of the variant's model, or get the mean. Linear model only.",
)
@click.option(
    "--min-mac",
    type=click.FloatRange(min=0),
    default=20,
    show_default=True,
    metavar="N",
    help="Least number of copies of the rarer allele among the analysed samples.",
)
@click.option("--min-info", type=click.FloatRange(0, 1), metavar="R2", help="Least imputation quality.")
@selection_options()
@settings_options("out", "force", "resume", "seed", "cluster", "memory_limit", "scratch")
def command(
    genotypes: str,
    model_genotypes: tuple[str, ...],
    fit: str | None,
    tables: dict[str, Any],
    selection: dict[str, Any],
    settings: Settings,
    **options: Any,
) -> None:
    """Test every variant for association with each phenotype.

    All phenotypes are tested in one pass over the genotypes, each in its own samples. --out is a store; `daskgen export
    tsv` writes it as plink2 or GCTA do. A variant that cannot be tested has a status and no numbers. With --model
    mixed-loco one fit serves all contigs; each is left out of the random effect when its variants are tested. Until the
    result is written, OUT.checkpoint keeps the state of the model for --resume.
    """
    from daskgen.reml import RemlFit, gwas

    with Run("reml-gwas", settings, resumable=True) as run:
        mixed: dict[str, Any] = {}
        if options["model"] == "mixed-loco":
            mixed["checkpoint"] = checkpoint_path(settings, ".fit")
        result = gwas(
            genotypes,
            model_genotypes=genotype_sources(model_genotypes) if model_genotypes else None,
            fit=None if fit is None else RemlFit.open(fit),
            seed=settings.seed,
            memory_limit=settings.memory_limit,
            **tables,
            **pick_given(options),
            **mixed,
            **selection,
        )
        run_scan(run, result.dg.to_store)
