"""The genotypes of VCF text, a record and a sample at a time, as the specification says it."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np


class Row(NamedTuple):
    """One ALT allele of a record. codes: int8 (samples,), -1 missing; dosage: float64 (samples,), NaN missing."""

    contig: str
    position: int
    variant_id: str
    ref: str
    alt: str
    codes: np.ndarray
    dosage: np.ndarray


def rows_of_vcf(text: str) -> list[Row]:
    """All rows of a VCF, in order."""
    rows = []
    for line in text.splitlines():
        if line and not line.startswith("#"):
            contig, position, name, ref, alt, _, _, _, keys, *columns = line.split("\t")
            alleles = alt.split(",")
            for k, one in enumerate(alleles, 1):
                pairs = [_sample(keys.split(":"), column.split(":"), k, len(alleles)) for column in columns]
                codes = np.array([code for code, _ in pairs], np.int8)
                rows.append(Row(contig, int(position), name, ref, one, codes, np.array([d for _, d in pairs])))
    return rows


def _sample(keys: list[str], parts: list[str], k: int, n_alt: int) -> tuple[int, float]:
    """(code, dosage) of allele k for one sample."""
    fields = dict(zip(keys, parts, strict=False))
    alleles = [None if a == "." else int(a) for a in fields.get("GT", ".").replace("|", "/").split("/")]
    haploid = len(alleles) == 1
    assert len(alleles) <= 2
    code = -1 if None in alleles else sum(a == k for a in alleles) * (2 if haploid else 1)
    dosage = math.nan
    if "DS" in keys:
        if fields.get("DS", ".") != ".":
            dosage = float(fields["DS"].split(",")[k - 1])
            dosage *= 2 if haploid and alleles != [None] else 1
    elif fields.get("GP", ".") != ".":
        probability = [float(p) for p in fields["GP"].split(",")]
        if len(probability) == n_alt + 1:
            dosage = 2 * probability[k] / sum(probability)
        else:
            genotypes = [(a, b) for b in range(n_alt + 1) for a in range(b + 1)]
            assert len(genotypes) == len(probability)
            copies = [p * ((a == k) + (b == k)) for p, (a, b) in zip(probability, genotypes, strict=True)]
            dosage = sum(copies) / sum(probability)
    if "GT" not in keys and not math.isnan(dosage):
        stored = round(dosage * 16384)  # the distance is that of the dosage as it is stored
        nearest = round(stored / 16384)
        return (nearest if abs(stored - nearest * 16384) <= 0.1 * 16384 else -1), dosage
    if math.isnan(dosage) and code >= 0:
        dosage = float(code)
    return code, dosage
