"""Munging and scaling one row at a time in plain Python, from the columns that the caller names: sem.md B1 and B2.

Slow and obvious. Rows of an id that occurs twice are left out, every copy; everything else is as R GenomicSEM does it.
"""

from __future__ import annotations

import bz2
import csv
import gzip
import math
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from statistics import NormalDist

MISSING = {"", ".", "NA", "NaN", "nan", "NR"}


@dataclass(frozen=True)
class Spec:
    """Where things are in a file, by the names in its header; `separator` None for blanks and tabs.

    effect: name of the column with the effect; odds_ratio: whether it is a ratio; p: name of the p values, or of
    -log10 p where `log10`; n: a column, or a number; place: (contig, position) to join by instead of the id, "id" where
    the id is contig:position_....
    """

    effect_allele: str
    other_allele: str
    effect: str
    id: str = "SNP"
    p: str | None = "P"
    log10: bool = False
    odds_ratio: bool = False
    se: str | None = None
    n: str | float = 100_000.0
    frequency: str | None = None
    info: str | None = None
    direction: str | None = None
    place: tuple[str, str] | str | None = None
    separator: str | None = "\t"


def lines_of(path: Path) -> Iterator[str]:
    opened = {b"\x1f\x8b": gzip.open, b"BZ": bz2.open}.get(path.read_bytes()[:2], open)
    with opened(path, "rt", encoding="utf-8-sig") as file:
        for line in file:
            yield line.rstrip("\r\n")


def rows_of(path: Path, separator: str | None) -> Iterator[dict[str, str]]:
    """Rows as mappings; the header may be separated by blanks whatever the rows are separated by."""
    lines = [line for line in lines_of(path) if line.strip() and not line.startswith("##")]
    first = lines[0].lstrip("#")
    rows = [line.split() if separator is None else next(csv.reader([line], delimiter=separator)) for line in lines[1:]]
    header = next(csv.reader([first], delimiter=separator)) if separator else first.split()
    if len(header) != len(rows[0]):
        header = first.split()
    for row in rows:
        assert len(row) == len(header), row
        yield dict(zip(header, row, strict=True))


def number(text: str | None) -> float:
    try:
        return math.nan if text is None or text.strip() in MISSING else float(text)
    except ValueError:
        return math.nan


def z_of_p(p: float) -> float:
    """The upper-tail normal quantile of p / 2, for p from 1e-300."""
    return -NormalDist().inv_cdf(p / 2) if p < 1 else 0.0


@dataclass(frozen=True)
class Variant:
    effect: str
    other: str
    maf: float
    place: tuple[str, str] | None


def reference_of(path: Path) -> dict[str, Variant]:
    """id -> variant; ids that occur twice are left out."""
    rows = list(rows_of(path, "\t"))
    counts = Counter(row["SNP"] for row in rows)
    return {
        row["SNP"]: Variant(
            row["A1"].upper(),
            row["A2"].upper(),
            number(row.get("MAF")),
            (row["CHR"], row["BP"]) if "BP" in row else None,
        )
        for row in rows
        if counts[row["SNP"]] == 1
    }


def located(row: Mapping[str, str], spec: Spec, reference: Mapping[str, Variant], places: Mapping) -> str | None:
    """The id of the reference's variant that the row is, or None."""
    if spec.place is None:
        return row[spec.id] if row[spec.id] in reference else None
    if spec.place == "id":
        match = re.match(r"(?:chr)?(\w+?)[:_](\d+)", row[spec.id])
        if match is None:
            return None
        place = (match[1], match[2])
    else:
        contig, position = (row[name] for name in spec.place)
        place = (contig.removeprefix("chr"), position)
    found = places.get(place)
    if found is None:
        return None
    variant = reference[found]
    alleles = {row[spec.effect_allele].upper(), row[spec.other_allele].upper()}
    return found if alleles == {variant.effect, variant.other} else None


def aligned(path: Path, spec: Spec, reference: Mapping[str, Variant]) -> Iterator[tuple[str, dict[str, str], bool]]:
    """(id, row, whether its alleles are turned) of the rows that are in the reference once and have its alleles."""
    places = {variant.place: name for name, variant in reference.items()}
    rows = [(located(row, spec, reference, places), row) for row in rows_of(path, spec.separator)]
    counts = Counter(name for name, _ in rows)
    for name, row in rows:
        if name is None or counts[name] > 1:
            continue
        variant = reference[name]
        alleles = row[spec.effect_allele].upper(), row[spec.other_allele].upper()
        if not all(re.fullmatch("[ACGT]", allele) for allele in alleles):
            continue
        if alleles == (variant.effect, variant.other):
            yield name, row, False
        elif alleles == (variant.other, variant.effect):
            yield name, row, True


def effect_and_z(row: Mapping[str, str], spec: Spec) -> tuple[float, float]:
    """(effect, z), NaN where either is missing."""
    effect = number(row[spec.effect])
    if spec.odds_ratio:
        effect = math.log(effect) if effect > 0 else math.nan
    if spec.p is None:
        return effect, effect
    p = 10 ** -number(row[spec.p]) if spec.log10 else number(row[spec.p])
    if math.isnan(p) or math.isnan(effect) or not 0 < p <= 1:
        return math.nan, math.nan
    return effect, math.copysign(z_of_p(p), effect) if effect else 0.0


def munged(
    path: Path, spec: Spec, reference: Mapping[str, Variant], info: float = 0.9, maf: float = 0.01
) -> dict[str, tuple[float, float]]:
    """id -> (z of the reference's A1, N)."""
    found = {}
    for name, row, turned in aligned(path, spec, reference):
        _, z = effect_and_z(row, spec)
        n = number(row[spec.n]) if isinstance(spec.n, str) else spec.n
        if math.isnan(z) or math.isnan(n):
            continue
        if spec.info is not None and not number(row[spec.info]) >= info:
            continue
        if spec.frequency is not None:
            frequency = number(row[spec.frequency])
            if not min(frequency, 1 - frequency) >= maf:
                continue
        found[name] = (-z if turned else z, n)
    return found


def scaled(
    path: Path, spec: Spec, reference: Mapping[str, Variant], scale: str, info: float = 0.6, maf: float = 0.01
) -> dict[str, tuple[float, float]]:
    """id -> (beta of the reference's A1, se)."""
    found = {}
    for name, row, turned in aligned(path, spec, reference):
        if not reference[name].maf >= maf:
            continue
        effect, z = effect_and_z(row, spec)
        n = number(row[spec.n]) if isinstance(spec.n, str) else spec.n
        se = math.nan if spec.se is None else number(row[spec.se])
        if math.isnan(z) or effect == 0 or z == 0:
            continue
        if spec.info is not None and not number(row[spec.info]) >= info:
            continue
        frequency = number(row[spec.frequency]) if spec.frequency is not None else reference[name].maf
        if math.isnan(frequency) or frequency in (0, 1):
            continue
        v = 2 * frequency * (1 - frequency)
        if scale == "linear":
            beta = z / math.sqrt(n * v)
            se = abs(beta / z)
        elif scale == "standardised":
            beta, se = effect, abs(effect / z)
        else:
            if scale == "linear_probability":
                se = 1 / math.sqrt(n / 4 * v)
                effect = z * se
            elif scale == "odds_ratio":  # R divides by the odds ratio of the reference's A1
                se = se / math.exp(-effect if turned else effect)
            elif scale == "odds_ratio_corrected":
                se = se / math.exp(effect)
            deviation = math.sqrt(effect**2 * v + math.pi**2 / 3)
            beta, se = effect / deviation, se / deviation
        if math.isnan(beta) or math.isnan(se):
            continue
        found[name] = (-beta if turned else beta, se)
    return found
