"""`user_gwas`: a model fitted at every SNP."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from daskgen.errors import UsageError
from daskgen.inputs.arguments import known_arguments
from daskgen.sem.effects import Sumstats
from daskgen.sem.gwas_model import gwas_model
from daskgen.sem.gwas_table import GwasTable, gwas_table
from daskgen.sem.moments import CovarianceSource, read_moments
from daskgen.sem.results import ParameterRow, ScanResult, scan_result

if TYPE_CHECKING:
    import xarray as xr

__all__ = ["GwasOptions", "parameter_rows", "user_gwas", "user_gwas_scan"]

log = logging.getLogger("daskgen.sem")


@dataclass(frozen=True)
class GwasOptions:
    """The model of `user_gwas` and how it is fitted; see there."""

    model: str
    estimation: str = "DWLS"
    fix_measurement: bool = True
    q_snp: bool = False
    gc: str = "standard"
    snp_se: float = 0.0005
    std_lv: bool = False
    smooth_check: bool = False
    sub: str | Sequence[str] | None = None
    twas: bool = False


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
    options = GwasOptions(
        model,
        estimation=estimation,
        fix_measurement=fix_measurement,
        q_snp=q_snp,
        gc=gc,
        snp_se=snp_se,
        std_lv=std_lv,
        smooth_check=smooth_check,
        sub=sub,
        twas=twas,
    )
    return user_gwas_scan(covstruct, sumstats, options).dataset()


def user_gwas_scan(
    covstruct: CovarianceSource, sumstats: Sumstats | Sequence[Sumstats], options: GwasOptions
) -> ScanResult:
    """What `user_gwas` does, before anything is fitted."""
    o = options
    if o.estimation not in ("DWLS", "ML"):
        raise UsageError("this estimation is not known.", found=o.estimation, expected="DWLS, ML")
    moments = read_moments(covstruct)
    table = gwas_table(
        o.model,
        moments,
        snp="Gene" if o.twas else "SNP",
        estimation=o.estimation,
        fix_measurement=o.fix_measurement,
        std_lv=o.std_lv,
    )
    model = gwas_model(
        table,
        estimation=o.estimation,
        q_snp=o.q_snp,
        gc=o.gc,
        snp_se=o.snp_se,
        smooth_check=o.smooth_check,
        sub=o.sub,
    )
    log.info("Model      %d parameters, df %d; %s", model.n_parameters, model.chisq_df, model.why)
    return scan_result(
        model,
        sumstats,
        command="sem user-gwas",
        arguments=asdict(o) | moments.arguments,
        inputs=moments.inputs,
        table=parameter_rows(table),
        smooth_check=o.smooth_check,
        twas=o.twas,
    )


def parameter_rows(table: GwasTable) -> list[ParameterRow]:
    """The table as R lists it: rows in its order, free ones numbered, := at the end."""
    out, number = [], 0
    for row in table.table.rows:
        number += row.free
        out.append(ParameterRow(row.name, number if row.free else 0, row.label))
    return out + [ParameterRow(f"{d.name}:={d.text}", 0, d.name) for d in table.table.definitions]
