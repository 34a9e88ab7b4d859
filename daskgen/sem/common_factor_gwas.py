"""`commonfactor_gwas`: one factor of all traits, and the effect of every SNP on it."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from daskgen.errors import InputError
from daskgen.inputs.arguments import known_arguments
from daskgen.sem.common_factor_fit import CommonFactorFit
from daskgen.sem.effects import Sumstats
from daskgen.sem.moments import CovarianceSource, read_moments
from daskgen.sem.results import ParameterRow, ScanResult, scan_result
from daskgen.sem.snp_covariance import SnpCovariance

if TYPE_CHECKING:
    import xarray as xr

__all__ = ["CommonFactorOptions", "commonfactor_gwas", "commonfactor_gwas_scan"]

log = logging.getLogger("daskgen.sem")


@dataclass(frozen=True)
class CommonFactorOptions:
    """How `commonfactor_gwas` fits; see there."""

    estimation: str = "DWLS"
    gc: str = "standard"
    snp_se: float = 0.0005
    smooth_check: bool = False
    twas: bool = False


@known_arguments()
def commonfactor_gwas(
    covstruct: CovarianceSource,
    sumstats: Sumstats | Sequence[Sumstats],
    *,
    estimation: str = "DWLS",
    gc: str = "standard",
    snp_se: float = 0.0005,
    smooth_check: bool = False,
    twas: bool = False,
) -> xr.Dataset:
    """The effect of every SNP on the common factor of all traits, and Q: R GenomicSEM's commonfactorGWAS.

    The loading of the first trait of `covstruct` is 1; the other loadings, the residual variances and the effect of the
    SNP are estimated at every SNP. Q tells whether the SNP acts on the traits through the factor alone.

    Parameters
    ----------
    covstruct
        Genetic covariances S of three traits or more, their sampling covariance V and intercepts I: store or Dataset of
        `ldsc` or `covstruct`.
    sumstats
        Effects, standard errors and allele frequencies of these traits: a store of purpose "gwas", an opened one, or a
        list of these. Traits are found by name; SNPs that not all of them have are left out.
    estimation
        "DWLS" (diagonally weighted least squares) or "ML" (maximum likelihood).
    gc
        What sampling errors of effects are multiplied by: "standard", the square root of the trait's intercept;
        "conserv", the intercept; "none", 1. Intercepts below 1 count as 1.
    snp_se
        Standard error that the variance of the SNP is given, positive.
    smooth_check
        Also `z_smooth`, the largest change of a trait's Z statistic where matrices were smoothed.
    twas
        Effects are those of predicted expression, its variance is `hsq`.

    Returns
    -------
    xarray.Dataset
        Lazy; one row per SNP in the order of the store: estimate, se (R's se_c), q, status (variant), q_df, z_smooth,
        and the variants' columns. `.dg.to_store(path)`, `.dg.top(...)` and others do the work.

    Raises
    ------
    InputError
        For fewer than three traits, traits that sumstats lack, covstruct without I, sumstats of another purpose.
    UsageError
        For options that are not known.

    A SNP that cannot be fitted has a `status`, and stops nothing. Equations: `docs/methods/sem`.
    """
    options = CommonFactorOptions(estimation, gc=gc, snp_se=snp_se, smooth_check=smooth_check, twas=twas)
    return commonfactor_gwas_scan(covstruct, sumstats, options).dataset()


def commonfactor_gwas_scan(
    covstruct: CovarianceSource, sumstats: Sumstats | Sequence[Sumstats], options: CommonFactorOptions
) -> ScanResult:
    """What `commonfactor_gwas` does, before anything is fitted."""
    o = options
    moments = read_moments(covstruct)
    if moments.intercepts is None:
        raise InputError(
            "the covariance structure has no intercepts I, which the sampling errors of a SNP's effects need.",
            do="take the result of ldsc, or give I to dg.ldsc.covstruct",
        )
    covariance = SnpCovariance.from_intercepts(moments.traits, moments.s, moments.v, moments.intercepts, o.gc, o.snp_se)
    snp = "Gene" if o.twas else "SNP"
    model = CommonFactorFit(covariance, estimation=o.estimation, snp=snp, smooth_check=o.smooth_check)
    log.info("Model      common factor of %s; %d parameters", ", ".join(model.traits), model.n_parameters)
    return scan_result(
        model,
        sumstats,
        command="sem commonfactor-gwas",
        arguments=asdict(o) | moments.arguments,
        inputs=moments.inputs,
        table=[ParameterRow(model.parameters[0], free=1)],
        smooth_check=o.smooth_check,
        common_factor=True,
        twas=o.twas,
    )
