"""Allele frequency, called samples and heterozygous calls per variant, as a genotype store keeps them.

Frequencies count chromosomes: a sample with one X counts once on X outside the pseudo-autosomal regions, only
samples with a Y count on Y, and MT counts once. Haploid calls are coded 0 and 2, so a heterozygous one is a half.
With c copies of the counted allele (code or dosage), p = sum(c * ploidy / 2) / sum(ploidy) over called samples.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from conversion.genomes import MT, X, Y
from daskgen.kernels.genotype_codes import count_codes, dosage_moments, sample_mask

__all__ = ["STATISTICS", "HaploidSamples", "allele_statistics"]

STATISTICS = np.dtype([("allele_frequency", "<f4"), ("n_called", "<i4"), ("n_het", "<i4")])
"""One record per variant. n_called and n_het are numbers of samples by hard calls (n_het: code 1, haploid or not);
the frequency is of dosages where they are stored."""


@dataclass(frozen=True, eq=False)
class HaploidSamples:
    """The samples with one copy of X and a Y, as far as sexes are known. `index`: int64; `mask`: packed."""

    index: np.ndarray
    mask: np.ndarray

    @classmethod
    def of(cls, sex: np.ndarray, haploid_sex: int) -> HaploidSamples:
        """Those whose `sex` (int8; 1 male, 2 female, 0 unknown) is `haploid_sex`."""
        index = np.flatnonzero(sex == haploid_sex)
        return cls(index, sample_mask(index, len(sex)))


def allele_statistics(
    packed: np.ndarray,
    dosage: np.ndarray | None,
    n_samples: int,
    ploidy_class: np.ndarray,
    haploid: HaploidSamples,
    counts: np.ndarray | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """(records of dtype STATISTICS, heterozygous haploid calls on X, Y and MT as int64 (3,)) of some variants.

    packed: (v, q) uint8; dosage: (v, n) uint16 or None; ploidy_class: role codes (v,) uint8; counts: `count_codes` of
    packed, where they are known.
    Where no sample's sex makes it haploid, X is taken as diploid in all and Y as carried by all.
    """
    counts = (count_codes(packed, n_samples) if counts is None else counts).astype(np.int64)
    result = np.empty(len(packed), STATISTICS)
    result["n_called"] = counts[:, :3].sum(axis=1)
    result["n_het"] = counts[:, 1]
    copies, called = _totals(counts, dosage, None)
    chromosomes = 2 * called
    heterozygous = np.zeros(3, np.int64)

    on_mt = np.flatnonzero(ploidy_class == MT)
    heterozygous[2] = counts[on_mt, 1].sum()
    if len(haploid.index):
        for role in (X, Y):
            here = np.flatnonzero(ploidy_class == role)
            if not len(here):
                continue
            own = None if dosage is None else dosage[here]
            own_counts = count_codes(np.ascontiguousarray(packed[here]), n_samples, mask=haploid.mask).astype(np.int64)
            own_copies, own_called = _totals(own_counts, own, haploid.index)
            heterozygous[role - X] = own_counts[:, 1].sum()
            if role == X:
                copies[here] -= own_copies / 2
                chromosomes[here] -= own_called
            else:
                copies[here], chromosomes[here] = own_copies / 2, own_called
    with np.errstate(invalid="ignore"):
        result["allele_frequency"] = copies / chromosomes
    return result, heterozygous


def _totals(counts: np.ndarray, dosage: np.ndarray | None, samples: np.ndarray | None) -> tuple[np.ndarray, np.ndarray]:
    """(sum of copies as float64, samples with a value as int64) by hard calls, or by dosages where there are any."""
    if dosage is None:
        return (counts[:, 1] + 2 * counts[:, 2]).astype(np.float64), counts[:, :3].sum(axis=1)
    called, total, _ = dosage_moments(dosage, samples=samples)
    return total.astype(np.float64), called.astype(np.int64)
