"""daskgen convert munge: GWAS files to the store that LD-score regression reads."""

from __future__ import annotations

import time
from typing import Any

import click

from daskgen.cli.options import Settings, example, pick_given, settings_options
from daskgen.cli.run import Run
from daskgen.cli.summary_options import describe_sumstats, summary_options

__all__ = ["command"]

EXAMPLE = "daskgen convert munge scz.txt.gz bmi.txt.gz --reference w_hm3.snplist --n scz=130644 --out munged.zarr"


@click.command("munge", epilog=example(EXAMPLE))
@summary_options
@click.option("--info-filter", type=float, default=0.9, show_default=True, help="Least quality of imputation.")
@click.option("--maf-filter", type=float, default=0.01, show_default=True, help="Least minor allele frequency.")
@click.option("--n-min", type=float, metavar="N", help="Least sample size of a variant. Default: any.")
@settings_options("out", "force", "cluster", "memory_limit", "scratch")
def command(
    source: tuple[str, ...],
    reference: str | None,
    call: dict[str, Any],
    info_filter: float,
    maf_filter: float,
    n_min: float | None,
    settings: Settings,
) -> None:
    """Align GWAS files to a reference and keep z and sample size, for LD-score regression.

    SOURCE is one or more files: text (packed or not), Parquet or GWAS-VCF with any of the usual headers, files that are
    munged already, or stores. Values per trait (--n, --sample-prev, ...) are one value for all traits, a list with
    commas in the order of the sources (--n 1000,,2000), or by name (--n scz=1000,bmi=2000).
    """
    import conversion

    with Run("convert munge", settings) as run:
        assert settings.out is not None
        started = time.monotonic()
        result = conversion.munge(
            list(source) or None,
            reference,
            settings.out,
            info_filter=info_filter,
            maf_filter=maf_filter,
            force=settings.force,
            **pick_given({**call, "n_min": n_min}),
        )
        following = f"daskgen ldsc {settings.out} eur_ld.zarr --out covstruct.zarr"
        describe_sumstats(run, settings.out, result, time.monotonic() - started, following)
