"""`user_gwas`: a model fitted at every SNP."""

from __future__ import annotations

import logging
from collections.abc import Sequence

import xarray as xr

from daskgen.errors import UsageError
from daskgen.inputs.arguments import known_arguments
from daskgen.sem.effects import Sumstats
from daskgen.sem.gwas_model import gwas_model
from daskgen.sem.gwas_table import GwasTable, gwas_table
from daskgen.sem.moments import CovarianceSource, read_moments
from daskgen.sem.results import ParameterRow, lazy_dataset

__all__ = ["parameter_rows", "user_gwas"]

log = logging.getLogger("daskgen.sem")


@known_arguments()
def user_gwas(
    covstruct: CovarianceSource,
    sumstats: Sumstats | Sequence[Sumstats],
    model: str,
    *,
    estimation: str = "DWLS",
    fix_measurement: bool = True,
    q_snp: bool = False,
    gc: str = "standard",
    snp_se: float = 0.0005,
    std_lv: bool = False,
    smooth_check: bool = False,
    sub: str | Sequence[str] | None = None,
    twas: bool = False,
) -> xr.Dataset:
    """Fit a structural equation model with a SNP at every SNP: R GenomicSEM's userGWAS.

    Parameters
    ----------
    covstruct
        Genetic covariances S, their sampling covariance V and intercepts I: store or Dataset of `ldsc` or `covstruct`.
    sumstats
        Effects, standard errors and allele frequencies of the traits of the model: a store of purpose "gwas", an opened
        one, or a list of these. Traits are found by name; SNPs that not all of them have are left out.
    model
        In lavaan's language, the SNP called SNP: ``"F1 =~ NA*T1 + T2 + T3\\nF1 ~~ 1*F1\\nF1 ~ SNP"``.
    estimation
        "DWLS" (diagonally weighted least squares) or "ML" (maximum likelihood).
    fix_measurement
        True: the model without the SNP is fitted once, its loadings, covariances and regressions are held, and the
        SNP's paths and all variances are estimated at every SNP: a closed form, millions of SNPs a second. False: all
        parameters are estimated at every SNP.
    q_snp
        Also the heterogeneity statistic Q_SNP of every factor that the SNP has an effect on and traits measure.
    gc
        What the standard errors are multiplied by: "standard", the square root of the intercept; "conserv", the
        intercept; "none", 1. Intercepts below 1 count as 1.
    snp_se
        Standard error that the variance of the SNP is given, positive.
    std_lv
        Give factors variance 1 and free their first loadings.
    smooth_check
        Also `z_smooth`, the largest change of a trait's Z statistic where matrices were smoothed.
    sub
        What is reported: None, the SNP's paths and the := parameters; "all", every row that R reports; or labels, which
        are R's lhs op rhs without blanks.
    twas
        Effects are those of predicted expression: the model names Gene instead of SNP, its variance is `hsq`.

    Returns
    -------
    xarray.Dataset
        Lazy; one row per SNP in the order of the store: estimate, se (parameter, variant), chisq, aic, status
        (variant), chisq_df, q_snp (factor, variant), q_snp_df, z_smooth, fixed_estimate (fixed_parameter), and the
        variants' columns. `.dg.to_store(path)`, `.dg.top(...)` and others do the work.

    Raises
    ------
    InputError
        For a model that cannot be read, lacks the SNP, names traits that covstruct or sumstats lack, or is not
        identified; covstruct without I; sumstats of another purpose.
    UsageError
        For options that are not known.
    NotConvergedError
        Where the measurement part cannot be fitted.

    A SNP that cannot be fitted has a `status`, and stops nothing. Equations: `docs/methods/sem`.
    """
    if estimation not in ("DWLS", "ML"):
        raise UsageError("this estimation is not known.", found=estimation, expected="DWLS, ML")
    snp = "Gene" if twas else "SNP"
    moments = read_moments(covstruct)
    table = gwas_table(model, moments, snp=snp, estimation=estimation, fix_measurement=fix_measurement, std_lv=std_lv)
    prepared = gwas_model(
        table, estimation=estimation, q_snp=q_snp, gc=gc, snp_se=snp_se, smooth_check=smooth_check, sub=sub
    )
    log.info("Model      %d parameters, df %d; %s", prepared.n_parameters, prepared.chisq_df, prepared.why)
    arguments = {
        "model": model,
        "estimation": estimation,
        "fix_measurement": fix_measurement,
        "q_snp": q_snp,
        "gc": gc,
        "snp_se": snp_se,
        "std_lv": std_lv,
        "smooth_check": smooth_check,
        "sub": sub if sub is None or isinstance(sub, str) else list(sub),
        "twas": twas,
    }
    if not moments.source_id:
        arguments |= {"S": moments.s, "V": moments.v, "I": moments.intercepts}
    return lazy_dataset(
        prepared,
        sumstats,
        command="sem user-gwas",
        arguments=arguments,
        inputs=[moments.source_id] if moments.source_id else [],
        table=parameter_rows(table),
        smooth_check=smooth_check,
        twas=twas,
    )


def parameter_rows(table: GwasTable) -> list[ParameterRow]:
    """The table as R lists it: rows in its order, free ones numbered, := at the end."""
    out, number = [], 0
    for row in table.table.rows:
        number += row.free
        out.append(ParameterRow(row.name, number if row.free else 0, row.label))
    return out + [ParameterRow(f"{d.name}:={d.text}", 0, d.name) for d in table.table.definitions]
