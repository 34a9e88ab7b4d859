"""From alleles and dosages by record to rows by counted allele, for sources that hand over arrays."""

from __future__ import annotations

import numpy as np

from conversion.half_calls import half_calls_met
from conversion.source import CallBlock
from daskgen.errors import InputError
from daskgen.kernels.allele_pairs import pack_alleles
from daskgen.kernels.genotype_codes import DOSAGE_MISSING, DOSAGE_SCALE, quantise_dosage, unpack

__all__ = ["dosage_of_probabilities", "doubled_if_haploid", "fill_rows"]

_ROUNDING = 0.005  # by which written dosages may lie outside 0 to 2


def fill_rows(
    block: CallBlock,
    place: int,
    alleles: np.ndarray,
    variant: np.ndarray,
    allele: np.ndarray,
    dosage: np.ndarray | None,
    where: str,
) -> None:
    """Fill rows of `block` from `place` on: row i counts allele[i] of record variant[i].

    alleles: int8 or int16 (records, samples, 2), as `pack_alleles` takes them. dosage: float32 (rows, samples) in
    copies of the counted allele, 0 to 2, NaN where there is none: there the call is taken. where: names the records in
    the message of the InputError that a dosage beyond its range raises.
    """
    end = place + len(variant)
    packed, n_half = pack_alleles(alleles, variant, allele, out=block.packed[place:end])
    half_calls_met(n_half)
    if block.dosage is None:
        return
    into = block.dosage[place:end]
    if dosage is None:
        into[...] = DOSAGE_MISSING
    else:
        if (wrong := (dosage < -_ROUNDING) | (dosage > 2 + _ROUNDING)).any():
            row, sample = np.argwhere(wrong)[0].tolist()
            raise InputError(
                f"{where}: a dosage lies outside 0 to 2 (0 to 1 for a haploid call).",
                found=f"{dosage[row, sample]:g} of sample {sample + 1:,}",
                do="dosages=False (--dosages no) takes the hard calls only",
            )
        into[...] = quantise_dosage(np.clip(dosage, 0, 2))
    codes = unpack(packed, alleles.shape[1])
    np.copyto(into, codes.astype(np.uint16) * np.uint16(DOSAGE_SCALE), where=(into == DOSAGE_MISSING) & (codes >= 0))


def doubled_if_haploid(dosage: np.ndarray, alleles: np.ndarray) -> np.ndarray:
    """DS (...) as float32 from 0 to 2: of a haploid call, with `alleles` (..., 2) = (a, -2), it runs from 0 to 1."""
    haploid = (alleles[..., 0] >= 0) & (alleles[..., 1] == -2)
    with np.errstate(invalid="ignore"):  # missing values of BCF and VCF Zarr are signalling NaN
        return np.where(haploid, 2 * dosage, dosage).astype(np.float32)


def dosage_of_probabilities(probability: np.ndarray, n_alt: int, allele: int) -> np.ndarray:
    """Expected copies of `allele`, 0 to 2, from GP: float32 (..., genotypes) -> float32 (...).

    Genotypes a/b with a <= b are ordered by b, then a. A haploid call has `n_alt` + 1 probabilities, then NaN, and
    counts twice. NaN where there are none. Raises ValueError where they don't sum to 1.
    """
    genotypes = [(a, b) for b in range(n_alt + 1) for a in range(b + 1)]
    n_one, n_two = n_alt + 1, len(genotypes)
    if probability.shape[-1] not in (n_one, n_two):
        raise ValueError(f"GP has {probability.shape[-1]} numbers for {n_alt + 1} alleles")
    with np.errstate(invalid="ignore"):
        values = probability.astype(np.float64)
        known = ~np.isnan(values[..., 0])
        haploid = np.isnan(values[..., n_one]) if values.shape[-1] == n_two else np.ones(known.shape, bool)
        values = np.nan_to_num(values)
        total = values.sum(axis=-1)
        if (np.abs(total - 1)[known] > 0.05).any():
            raise ValueError("GP are no probabilities: they do not sum to 1")
        one = 2 * values[..., allele]
        if values.shape[-1] == n_two:
            two = values @ np.array([(a == allele) + (b == allele) for a, b in genotypes], np.float64)
        else:
            two = one
        return np.where(known, np.where(haploid, one, two) / total, np.nan).astype(np.float32)
