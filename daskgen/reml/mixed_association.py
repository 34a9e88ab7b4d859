"""Tests of one variant at a time in a mixed model whose random effect leaves the variant's own contig out.

    y = X b + x beta + u + e,    cov(u + e) = H_k = sum_g theta_g K_g,-k + theta_e I,

with K_g,-k made of the variants outside the contig group k of the tested variant, so that it does not compete with
itself. With P_k = H_k^-1 - H_k^-1 X (X'H_k^-1 X)^-1 X'H_k^-1 and q_k = P_k y,

    beta = x'q_k / x'P_k x,    se = (x'P_k x)^(-1/2),    z = beta / se,

chi-square with one degree of freedom. theta is that of one fit to all variants, so the only thing that differs between
contigs is q_k: one solve for each. The denominator is either exact (dense matrices) or

    x'P_k x = gamma x'M x,    gamma = the mean of x'P_k x / x'M x over some random variants,

which holds up to a few per cent where relatedness is weak. Missing calls are at the mean of the called samples.
Source: Yang et al. (2014), Nat. Genet. 46:100; Loh et al. (2015), Nat. Genet. 47:284 (calibration).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy.special import log_ndtr

from daskgen.kernels.association import allele_products, missing_products, planes_of
from daskgen.reml.association import COLLINEAR, Alleles, MissingSums, Status, Tests

__all__ = ["LeftOut", "mixed_tests"]


@dataclass(frozen=True, eq=False)
class LeftOut:
    """Of the phenotypes of one group of samples.

    group: int64 (variants of the scan,), the contig group of each, -1 where the model has no variant of its contig;
    projected: q_k (K + 1, N, t), the last for variants of no group, zero at samples that are not in the group;
    gamma (t,), or denominator (variants of the scan, t): x'P_k x where it is exact.
    """

    group: np.ndarray
    projected: np.ndarray
    gamma: np.ndarray | None = None
    denominator: np.ndarray | None = None

    @property
    def nbytes(self) -> int:
        exact = 0 if self.denominator is None else self.denominator.nbytes
        return self.group.nbytes + 2 * self.projected.nbytes + exact

    @cached_property
    def planes(self) -> list[np.ndarray]:
        """q_k of each group as the kernel takes them."""
        return [planes_of(q) for q in self.projected]


def mixed_tests(
    products: np.ndarray,
    genotypes: np.ndarray,
    rows: slice,
    alleles: Alleles,
    missing: MissingSums,
    status: np.ndarray,
    left_out: LeftOut,
) -> Tests:
    """Tests of the variants `rows`; products (v, c): x'Q over called samples, missing: its sums over the others."""
    mean = alleles.mean
    with_basis = products.copy()
    with_basis[missing.rows] += mean[missing.rows, None] * missing.columns
    squares = alleles.squares + mean**2 * (alleles.n - alleles.called)
    free = squares - np.einsum("vc,vc->v", with_basis, with_basis)
    cross = np.empty((len(products), left_out.projected.shape[2]))
    gaps = np.zeros(len(products), bool)
    gaps[missing.rows] = True
    group = left_out.group[rows]
    for k in np.unique(group):
        own = np.flatnonzero(group == k)
        part = np.ascontiguousarray(genotypes[own])
        cross[own] = allele_products(part, left_out.planes[k])
        lacking = np.flatnonzero(gaps[own])
        sums = missing_products(part, lacking, left_out.projected[k], 0)[0]
        cross[own[lacking]] += mean[own[lacking], None] * sums
    status = status.copy()
    status[(status == Status.TESTED) & ~(free > COLLINEAR * alleles.variation)] = Status.COLLINEAR
    tested = (status == Status.TESTED)[:, None]
    if left_out.denominator is not None:
        denominator = np.where(tested, left_out.denominator[rows], np.nan)
    else:
        assert left_out.gamma is not None
        denominator = np.where(tested, free[:, None] * left_out.gamma, np.nan)
    beta, se = cross / denominator, 1 / np.sqrt(denominator)
    z = beta / se
    return Tests(beta, se, z, log_ndtr(-np.abs(z)) + np.log(2.0), status)
