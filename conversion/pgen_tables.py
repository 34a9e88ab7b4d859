"""The tables of a PLINK 2 file set: .pvar (variants, also .pvar.zst) and .psam (samples).

Both have optional ``##`` lines and one header line that begins with ``#``; without one a .pvar is a .bim and a .psam
a .fam in the order of columns that plink2 then assumes.
Source: https://www.cog-genomics.org/plink/2.0/formats
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain
from typing import TextIO

import numpy as np

from conversion.columns import contig_codes, genetic_positions, parse_phenotype, parse_sex, positions
from conversion.info_scores import declared, score_key, score_of_rows, scores_in
from conversion.plink1 import read_fam
from conversion.source import SampleTable, VariantTable
from daskgen.errors import InputError
from daskgen.inputs.text import as_text, blocks_of_text, columns_of, open_text

__all__ = ["multiallelic", "read_psam", "stated_score", "variant_tables"]

_NEEDED = ("CHROM", "POS", "ID", "REF", "ALT")
_NOT_PHENOTYPES = {"FID", "IID", "SID", "PAT", "MAT", "SEX"}
# Without a header plink2 takes five columns, or six with the centimorgans third, alleles ALT before REF.
_HEADERLESS = {5: ("CHROM", "ID", "POS", "ALT", "REF"), 6: ("CHROM", "ID", "CM", "POS", "ALT", "REF")}


def read_psam(path: str) -> SampleTable:
    """The samples of a .psam: ``#IID`` or ``#FID IID``, then any of SID PAT MAT SEX and phenotypes.

    Absent columns are unknown ("0"; sex 0); the phenotype is the first column that is none of these. Raises
    InputError for a header without IID and for rows of another length.
    """
    with open_text(path) as file:
        number, header, _ = _header(file)
        if header is None:
            return read_fam(path)
        if "IID" not in header:
            raise InputError(
                f"{path}: the header names no IID column.", found=" ".join(header), expected="#IID or #FID"
            )
        names = " ".join(header)
        parts = [
            columns_of(path, first, text, len(header), names=names)
            for first, text in blocks_of_text(path, file, first=number)
        ]
    if not parts:
        raise InputError(f"{path} is empty: it names no samples.")
    columns = {name: list(chain(*column)) for name, column in zip(header, zip(*parts, strict=True), strict=True)}
    n = len(columns["IID"])
    unknown = ["0"] * n
    phenotype = next((name for name in header if name not in _NOT_PHENOTYPES), None)
    return SampleTable(
        as_text(columns["IID"]),
        as_text(columns.get("FID", unknown)),
        as_text(columns.get("PAT", unknown)),
        as_text(columns.get("MAT", unknown)),
        parse_sex(columns.get("SEX", unknown)),
        np.full(n, np.nan) if phenotype is None else parse_phenotype(columns[phenotype]),
    )


def _header(file: TextIO) -> tuple[int, list[str] | None, str]:
    """Skips ``##`` lines: (number of the first line of data, names of columns, "").

    Where there is no header: (number of the first line, None, that line).
    """
    for number, line in enumerate(file, 1):
        if line.startswith("##"):
            continue
        if line.startswith("#"):
            return number + 1, line[1:].split(), ""
        return number, None, line
    return 1, None, ""


def _pvar_columns(path: str, *more: str) -> Iterator[tuple[int, dict[str, list[str]]]]:
    """(number of the first line, columns by name) of consecutive blocks of a .pvar. more: further columns."""
    with open_text(path) as file:
        number, header, line = _header(file)
        if header is None:
            named = _HEADERLESS.get(len(line.split()))
            if named is None:
                raise InputError(
                    f"{path} has no header line, and another number of columns than a .pvar without one.",
                    found=line.strip()[:80] or "an empty file",
                    expected="a line that begins #CHROM POS ID REF ALT",
                )
            header = list(named)
        if absent := [name for name in _NEEDED if name not in header]:
            raise InputError(
                f"{path}: the header lacks {', '.join(absent)}.", found=" ".join(header), expected=" ".join(_NEEDED)
            )
        wanted = [name for name in (*_NEEDED, "CM", *more) if name in header]
        for first, text in blocks_of_text(path, file, first=number, start=line):
            columns = columns_of(path, first, text, len(header), names=" ".join(header))
            yield first, {name: columns[header.index(name)] for name in wanted}


def multiallelic(path: str) -> tuple[int, np.ndarray, np.ndarray]:
    """(variants in the .pvar, indices of those with several ALT alleles, how many each of these has), int64."""
    n_variants = 0
    index: list[int] = []
    n_alt: list[int] = []
    for _, columns in _pvar_columns(path):
        several = [(i, text.count(",") + 1) for i, text in enumerate(columns["ALT"], n_variants) if "," in text]
        index.extend(i for i, _ in several)
        n_alt.extend(n for _, n in several)
        n_variants += len(columns["ALT"])
    return n_variants, np.array(index, np.int64), np.array(n_alt, np.int64)


def stated_score(path: str) -> str | None:
    """The key of INFO that holds the quality of imputation in a .pvar; None where it declares none."""
    lines: list[str] = []
    with open_text(path) as file:
        for line in file:
            if not line.startswith("##"):
                return score_key(declared(lines)["INFO"]) if "INFO" in line.split() else None
            lines.append(line)
    return None


def variant_tables(path: str, score: str | None = None) -> Iterator[VariantTable]:
    """The variants of a .pvar, one row per ALT allele. score: the key of INFO to keep as their info score."""
    for first, columns in _pvar_columns(path, *([] if score is None else ["INFO"])):
        n_alt = np.fromiter((text.count(",") + 1 for text in columns["ALT"]), np.int64, len(columns["ALT"]))
        names, codes = contig_codes(columns["CHROM"])
        centimorgans = columns.get("CM")
        row = np.repeat(np.arange(len(n_alt)), n_alt)
        allele = np.empty((len(row), 2), np.dtypes.StringDType())
        allele[:, 0] = as_text(columns["REF"])[row]
        allele[:, 1] = as_text(",".join(columns["ALT"]).split(","))
        yield VariantTable(
            codes[row],
            names,
            positions(path, first, columns["POS"])[row],
            np.zeros(len(row)) if centimorgans is None else genetic_positions(path, first, centimorgans)[row],
            as_text(columns["ID"])[row],
            allele,
            None if score is None else score_of_rows(scores_in(columns["INFO"], score), n_alt),
        )
