"""daskgen sem usermodel: a structural equation model of genetic covariances."""

from __future__ import annotations

import click

from daskgen.cli.options import Settings, example, settings_options
from daskgen.cli.per_snp import estimation_option
from daskgen.cli.run import Run
from daskgen.cli.sem_fit_output import (
    check_destinations,
    diagram_option,
    model_text,
    out_option,
    show_fit,
    with_out,
)

__all__ = ["command"]


@click.command(
    "usermodel", epilog=example('daskgen sem usermodel covstruct.zarr "F1 =~ A + B + C" --std-lv --out fit.tsv')
)
@click.argument("covstruct")
@click.argument("model")
@estimation_option
@click.option("--std-lv", is_flag=True, help="Factors have variance 1, and all their loadings are free.")
@click.option("--no-cfi", is_flag=True, help="Leave out the CFI.")
@click.option("--imp-cov", is_flag=True, help="Print implied and residual covariances too.")
@click.option("--no-fix-resid", is_flag=True, help="Do not bound residual variances where the model does not converge.")
@click.option("--q-factor", is_flag=True, help="Add the misfit between the indicators of each pair of factors.")
@diagram_option
@out_option
@settings_options("force")
def command(
    covstruct: str,
    model: str,
    estimation: str,
    std_lv: bool,
    no_cfi: bool,
    imp_cov: bool,
    no_fix_resid: bool,
    q_factor: bool,
    diagram: str | None,
    out: str | None,
    settings: Settings,
) -> None:
    """Fit a model to genetic covariances, as usermodel() of GenomicSEM.

    COVSTRUCT is a store of daskgen ldsc or daskgen convert covstruct, MODEL a model in lavaan's language, or a file
    with one. Lines are separated by new lines or semicolons. What is printed is kept beside --out, as text and as JSON.
    """
    from daskgen.sem import usermodel

    settings = with_out(settings, out)
    with Run("sem usermodel", settings, computes=False) as run:
        check_destinations(settings, diagram)
        fit = usermodel(
            covstruct,
            model_text(model),
            estimation=estimation,
            std_lv=std_lv,
            cfi_calc=not no_cfi,
            imp_cov=imp_cov,
            fix_resid=not no_fix_resid,
            q_factor=q_factor,
        )
        show_fit(run, fit, diagram=diagram, matrices=imp_cov)
