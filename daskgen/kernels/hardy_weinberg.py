"""The exact test of Hardy-Weinberg proportions (Wigginton, Cutler and Abecasis 2005, Am J Hum Genet 76:887-893)."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from numba import types

from daskgen.kernels.compile import helper, input_array, kernel, output_array

__all__ = ["exact_p"]

Counts = npt.NDArray[np.int64]

# Probabilities are taken relative to that of the observed genotypes, which is set to this number, so that their sum
# overflows only where the p-value is below the smallest float64.
_OBSERVED = 2.0**-80
# Two numbers of heterozygotes are equally likely if their probabilities agree to this; rounding is a tenth of it.
_TIE = 1e-11
# A tail is summed until its terms are this small a part of it.
_NEGLIGIBLE = 2.0**-70


def exact_p(n_hom1: npt.ArrayLike, n_het: npt.ArrayLike, n_hom2: npt.ArrayLike) -> npt.NDArray[np.float64]:
    r"""p-values of the exact test, float64, of the common shape of the three arrays of genotype counts.

    Given the allele counts, `h` heterozygotes among `n` samples have the probability

    .. math:: P(h) = \frac{n!}{n_{11}!\,h!\,n_{22}!} \frac{2^h n_1!\,n_2!}{(2n)!}

    and p is the sum of all P that are at most that of the observed number (no mid-p correction), as ``plink2 --hardy``
    gives it. It is 1 where there is no choice: one allele only, or no samples. p below 1e-308 is rounded to 0.
    The relative error is about 1e-12 for half a million samples. Raises TypeError for counts that are not integers,
    ValueError for negative ones.
    """
    counts = np.stack(np.broadcast_arrays(n_hom1, n_het, n_hom2))
    if not np.issubdtype(counts.dtype, np.integer):
        raise TypeError(f"genotype counts must be integers, they are {counts.dtype}")
    if counts.size and counts.min() < 0:
        raise ValueError("genotype counts must not be negative")
    p = np.empty(counts.shape[1:], np.float64)
    hom1, het, hom2 = counts.reshape(3, -1).astype(np.int64)
    _exact_p(hom1, het, hom2, p.reshape(-1))
    return p


_COUNTS = input_array(types.int64, 1)


@kernel(types.void(_COUNTS, _COUNTS, _COUNTS, output_array(types.float64, 1)))
def _exact_p(n_hom1: Counts, n_het: Counts, n_hom2: Counts, p: npt.NDArray[np.float64]) -> None:
    for variant in range(p.size):
        hom1 = float(n_hom1[variant])
        het = float(n_het[variant])
        hom2 = float(n_hom2[variant])
        fewer = _likely_and_unlikely(hom1, het, hom2, -1.0)
        more = _likely_and_unlikely(hom1, het, hom2, 1.0)
        unlikely = _OBSERVED + fewer[1] + more[1]
        p[variant] = unlikely / (unlikely + fewer[0] + more[0])


@helper
def _likely_and_unlikely(hom1: float, het: float, hom2: float, direction: float) -> tuple[float, float]:
    """Sums of the probabilities above, and of those at most, the observed one, going from it in one direction."""
    likely = 0.0
    unlikely = 0.0
    term = _OBSERVED
    while True:
        if direction < 0:
            ratio = het * (het - 1) / (4 * (hom1 + 1) * (hom2 + 1))
        else:
            ratio = 4 * hom1 * hom2 / ((het + 2) * (het + 1))
        het += 2 * direction
        hom1 -= direction
        hom2 -= direction
        term *= ratio
        if term > _OBSERVED * (1 + _TIE):
            likely += term
        else:
            unlikely += term
        # P(h) has one peak, so once the terms fall they fall to the end. At the end the ratio is 0.
        if (ratio < 1 and term < _NEGLIGIBLE * (_OBSERVED + unlikely)) or likely == np.inf:
            return likely, unlikely
