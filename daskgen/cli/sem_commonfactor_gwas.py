"""daskgen sem commonfactor-gwas: the common factor of all traits, fitted at every SNP."""

from __future__ import annotations

import click

from daskgen.cli.options import Settings, example, settings_options
from daskgen.cli.per_snp import estimation_option, gc_option, run_scan, smooth_check_option, snp_se_option
from daskgen.cli.run import Run

__all__ = ["command"]


@click.command(
    "commonfactor-gwas",
    epilog=example("daskgen sem commonfactor-gwas covstruct.zarr sumstats.zarr --out factor.zarr"),
)
@click.argument("covstruct")
@click.argument("sumstats", nargs=-1, required=True)
@estimation_option
@gc_option
@snp_se_option
@smooth_check_option
@click.option("--twas", is_flag=True, help="The stores hold predicted expression; its variance is hsq.")
@settings_options("out", "force", "resume", "cluster", "memory_limit", "scratch")
def command(
    covstruct: str,
    sumstats: tuple[str, ...],
    estimation: str,
    gc: str,
    snp_se: float,
    smooth_check: bool,
    twas: bool,
    settings: Settings,
) -> None:
    """The effect of every SNP on the common factor of all traits, as commonfactorGWAS() of GenomicSEM.

    The loading of the first trait is 1; everything is estimated at every SNP. Q tells effects through the factor from
    others. A SNP whose fit fails has a status and no numbers; it does not end the run, and the exit code is 0 however
    many there are. The counts by status are printed at the end.
    """
    # Not dg.sem.commonfactor_gwas, which gives a Dataset: xarray and Dask take longer to import than a million fits.
    from daskgen.sem.common_factor_gwas import CommonFactorOptions, commonfactor_gwas_scan

    with Run("sem commonfactor-gwas", settings, resumable=True) as run:
        options = CommonFactorOptions(estimation, gc=gc, snp_se=snp_se, smooth_check=smooth_check, twas=twas)
        run_scan(run, commonfactor_gwas_scan(covstruct, list(sumstats), options).write)
