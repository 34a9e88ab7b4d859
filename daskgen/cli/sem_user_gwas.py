"""daskgen sem user-gwas: a structural equation model fitted at every SNP."""

from __future__ import annotations

import click

from daskgen.cli.options import Settings, example, settings_options
from daskgen.cli.per_snp import estimation_option, gc_option, run_scan, smooth_check_option, snp_se_option
from daskgen.cli.run import Run
from daskgen.cli.sem_fit_output import model_text
from daskgen.cli.summary_options import names_of

__all__ = ["command"]


@click.command(
    "user-gwas",
    epilog=example(
        "daskgen sem user-gwas covstruct.zarr sumstats.zarr "
        '--model "F1 =~ NA*T1 + T2 + T3; F1 ~~ 1*F1; F1 ~ SNP" --q-snp --out f1.zarr'
    ),
)
@click.argument("covstruct")
@click.argument("sumstats", nargs=-1, required=True)
@click.option(
    "--model",
    required=True,
    metavar="FILE|TEXT",
    help="The model in lavaan's language, with the SNP: a file, or the text itself.",
)
@estimation_option
@click.option(
    "--fix-measurement/--free-measurement",
    default=True,
    show_default=True,
    help="Hold loadings and covariances of factors at their estimates without the SNP, or estimate them at every SNP.",
)
@click.option("--q-snp", is_flag=True, help="Heterogeneity of the SNP's effects on the indicators of each factor.")
@gc_option
@snp_se_option
@click.option("--std-lv", is_flag=True, help="Factors have variance 1, all loadings are free.")
@smooth_check_option
@click.option(
    "--sub",
    multiple=True,
    metavar="LABEL,...|all",
    help='Keep these parameters, as "F1~SNP"; all: every row of the model. Default: effects of the SNP and :=.',
)
@click.option("--twas", is_flag=True, help="The stores hold predicted expression: Gene in the model, its variance hsq.")
@settings_options("out", "force", "resume", "cluster", "memory_limit", "scratch")
def command(
    covstruct: str,
    sumstats: tuple[str, ...],
    model: str,
    estimation: str,
    fix_measurement: bool,
    q_snp: bool,
    gc: str,
    snp_se: float,
    std_lv: bool,
    smooth_check: bool,
    sub: tuple[str, ...],
    twas: bool,
    settings: Settings,
) -> None:
    """One structural equation model per SNP, as userGWAS() of GenomicSEM.

    COVSTRUCT is a store of daskgen ldsc or daskgen convert covstruct, SUMSTATS one or several of daskgen convert
    sumstats; the variants are those that all traits of the model have. A SNP whose fit fails has a status and no
    numbers; it does not end the run, and the exit code is 0 however many there are. The counts by status are printed at
    the end.
    """
    # Not dg.sem.user_gwas, which gives a Dataset: xarray and Dask take longer to import than a million fits.
    from daskgen.sem.gwas import GwasOptions, user_gwas_scan

    names = names_of(sub)
    with Run("sem user-gwas", settings, resumable=True) as run:
        options = GwasOptions(
            model_text(model),
            estimation=estimation,
            fix_measurement=fix_measurement,
            q_snp=q_snp,
            gc=gc,
            snp_se=snp_se,
            std_lv=std_lv,
            smooth_check=smooth_check,
            twas=twas,
            sub="all" if names == ["all"] else names or None,
        )
        run_scan(run, user_gwas_scan(covstruct, list(sumstats), options).write)
