"""daskgen convert sumstats: GWAS files to the store that SEM of SNPs reads."""

from __future__ import annotations

import time
from typing import Any

import click

from daskgen.cli.options import Settings, example, pick_given, settings_options
from daskgen.cli.run import Run
from daskgen.cli.summary_options import describe_sumstats, per_trait, summary_options

__all__ = ["command"]

EXAMPLE = (
    "daskgen convert sumstats scz.txt.gz bmi.txt.gz --reference reference.1000G.maf.0.005.txt "
    "--scale scz=logistic,bmi=linear --out sumstats.zarr"
)


@click.command("sumstats", epilog=example(EXAMPLE))
@summary_options
@click.option(
    "--scale",
    metavar="SCALE,...",
    help="Of each trait's effects: linear (R: OLS), standardised, logistic (R: se.logit), odds_ratio (none of R's "
    "flags), odds_ratio_corrected, linear_probability (R: linprob).",
)
@click.option("--info-filter", type=float, default=0.6, show_default=True, help="Least quality of imputation.")
@click.option(
    "--maf-filter", type=float, default=0.01, show_default=True, help="Least minor allele frequency in the reference."
)
@click.option("--keep-indel", is_flag=True, help="Keep alleles longer than a base, if they are the reference's.")
@click.option("--ambig", is_flag=True, help="Drop A/T and C/G variants.")
@click.option(
    "--direct-filter", is_flag=True, help="Drop variants that are absent (?) from half of the cohorts or more."
)
@settings_options("out", "force", "cluster", "memory_limit", "scratch")
def command(
    source: tuple[str, ...],
    reference: str | None,
    call: dict[str, Any],
    scale: str | None,
    info_filter: float,
    maf_filter: float,
    keep_indel: bool,
    ambig: bool,
    direct_filter: bool,
    settings: Settings,
) -> None:
    """Align GWAS files to a reference and keep standardised effects, for SEM of SNPs.

    SOURCE is one or more files as in "daskgen convert munge", or a table that is merged already (SNP CHR BP MAF A1 A2,
    beta.T and se.T of each trait), which needs neither --reference nor --scale. Values per trait as there.
    """
    import conversion

    with Run("convert sumstats", settings) as run:
        assert settings.out is not None
        started = time.monotonic()
        result = conversion.sumstats(
            list(source) or None,
            reference,
            settings.out,
            info_filter=info_filter,
            maf_filter=maf_filter,
            keep_indel=keep_indel,
            ambig=ambig,
            direct_filter=direct_filter,
            force=settings.force,
            **pick_given({**call, "scale": per_trait("scale", scale, number=False)}),
        )
        following = f"daskgen sem user-gwas covstruct.zarr {settings.out} --model model.txt --out gwas.zarr"
        describe_sumstats(run, settings.out, result, time.monotonic() - started, following)
