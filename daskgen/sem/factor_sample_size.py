"""`effective_n`: the sample size that a GWAS of a factor amounts to.

The standard error of a SNP's effect on a variable of variance 1 is 1 / sqrt(2 f (1 - f) N) where f is its allele
frequency, so each SNP says N = 1 / (2 f (1 - f) se^2); the mean over common SNPs is the effective sample size
(Mallard et al. 2022, Cell Genomics 2, 100140).
"""

from __future__ import annotations

import numpy as np
import xarray as xr

from daskgen.errors import InputError, UsageError
from daskgen.gwas.layout import blocks, effect, open_gwas, usable
from daskgen.inputs.arguments import known_arguments
from daskgen.stores import StoreLike

__all__ = ["effective_n"]


@known_arguments()
def effective_n(
    gwas: StoreLike | xr.Dataset, parameter: str | None = None, *, maf: tuple[float, float] = (0.1, 0.4)
) -> float:
    """The effective sample size of a GWAS of a factor: mean of 1 / (2 maf (1 - maf) se^2) over common SNPs.

    Parameters
    ----------
    gwas
        A result of `user_gwas` or `commonfactor_gwas`, or the path of its store.
    parameter
        Label of the effect of the SNP, such as "F1~SNP"; may be left out where there is one.
    maf
        Limits of the minor allele frequencies that count, both included.

    One pass; nothing is kept of it but two sums. The variance of the factor should be 1: where a loading is 1 instead,
    N is that of effects in units of that trait.

    Raises
    ------
    UsageError
        Limits outside 0 to 0.5, a parameter that is not there.
    InputError
        A result without frequencies, or without a SNP within the limits.
    """
    low, high = maf
    if not 0 < low <= high <= 0.5:
        raise UsageError(
            "maf are two frequencies, the smaller first.", found=f"{low}, {high}", expected="0 < low <= high <= 0.5"
        )
    dataset = gwas if isinstance(gwas, xr.Dataset) else open_gwas(gwas)
    if "maf" not in dataset.variables:
        raise InputError("the result has no allele frequencies (maf).", found=", ".join(map(str, dataset.variables)))
    found = effect(dataset, parameter)
    status = dataset["status"] if "status" in dataset.variables else None
    total, count = 0.0, 0
    for _, (se, frequency, code) in blocks(dataset, [found.se, dataset["maf"], status]):
        folded = np.minimum(frequency, 1.0 - frequency)
        counted = np.isfinite(se) & (se > 0) & (folded >= low) & (folded <= high)
        if code is not None:
            counted &= usable(code, dataset["status"].attrs)
        f, error = folded[counted], se[counted]
        total += float((1.0 / (2.0 * f * (1.0 - f) * error**2)).sum())
        count += int(counted.sum())
    if not count:
        raise InputError(f"no SNP has a minor allele frequency from {low:g} to {high:g} and a standard error.")
    return total / count
