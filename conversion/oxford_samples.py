"""Samples of Oxford files: a .sample file, or the ids that a BGEN file holds itself.

A .sample has a line of names (ID_1 ID_2 missing, then sex, father, mother, covariates and phenotypes), a line of types
(0 for the first three, then D, C, P or B), and a line per sample. ID_1 is taken as the family and ID_2 as the
individual, as PLINK does; with one id column it is the individual. The phenotype is the first column of type P or B.
Source: https://www.chg.ox.ac.uk/~gav/qctool/documentation/sample_file_formats.html
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from conversion.columns import parse_phenotype, parse_sex
from conversion.source import SampleTable
from daskgen.errors import InputError
from daskgen.inputs.files import exists
from daskgen.inputs.text import as_text, rows_of

__all__ = ["find_sample_file", "numbered_samples", "oxford_samples", "read_sample_file", "samples_of_ids"]

_SECOND_IDS = ("ID_2", "ID2", "IID")


def find_sample_file(path: str, ending: str) -> str | None:
    """The .sample beside the file `path`: named like it, with or without `ending`. None where there is none."""
    stem = path.removesuffix(".gz").removesuffix(ending)
    names = [stem + suffix for suffix in (".sample", ".samples")] + [path + ".sample"]
    return next((name for name in names if exists(name)), None)


def oxford_samples(
    path: str, n_samples: int, own_ids: Sequence[str] | None, sample_file: str | None, named: bool = False
) -> SampleTable:
    """The samples of the genotype file `path`, from its .sample, its own ids, or numbered from 0.

    named: whether the user named the .sample, so that its ids hold where the file's own are others. Raises InputError
    where the numbers of samples differ, or where the ids do and the .sample was only found beside the file.
    """
    if sample_file is None:
        return numbered_samples(n_samples) if own_ids is None else samples_of_ids(own_ids)
    table = read_sample_file(sample_file)
    if len(table) != n_samples:
        raise InputError(
            f"{path} and {sample_file} disagree about the number of samples.",
            found=f"{len(table):,} in {sample_file}",
            expected=f"{n_samples:,}, as {path} says",
            do="name the right .sample with sample_file (--sample-file)",
        )
    if own_ids is None or named:
        return table
    ids = as_text(own_ids)
    known = (table.sample_id, table.family_id, table.with_joined_ids().sample_id)
    if not any((ids == column).all() for column in known):
        at = int(np.flatnonzero(ids != table.sample_id)[0])
        raise InputError(
            f"{path} and {sample_file} name different samples, or in another order.",
            found=f"sample {at + 1:,} is {ids[at]} in {path} and {table.sample_id[at]} in {sample_file}",
            do="name the .sample with sample_file (--sample-file) to take its ids, or move it away to take those of "
            "the genotype file",
        )
    return table


def samples_of_ids(ids: Sequence[str]) -> SampleTable:
    """Samples of which only the ids are known."""
    n = len(ids)
    unknown = as_text(["0"] * n)
    return SampleTable(as_text(ids), unknown, unknown, unknown, np.zeros(n, np.int8), np.full(n, np.nan))


def numbered_samples(n: int) -> SampleTable:
    """Samples whose ids are their numbers from 0."""
    return samples_of_ids([str(i) for i in range(n)])


def read_sample_file(path: str) -> SampleTable:
    """The samples of a .sample file. InputError with the line that is not as the first one says."""
    rows = rows_of(path)
    _, names = next(rows, (0, []))
    number, kinds = next(rows, (0, []))
    if not names or len(kinds) != len(names) or kinds[0] != "0":
        raise InputError(
            f"{path} is not a .sample file.",
            found=f"line {number}: {' '.join(kinds)[:60] or 'nothing'}",
            expected="a line of names, and a line of their types that begins with 0",
        )
    columns: list[list[str]] = [[] for _ in names]
    for number, words in rows:
        if len(words) != len(names):
            raise InputError(
                f"{path}, line {number:,}: wrong number of columns.",
                found=f"{len(words)}: {' '.join(words)[:60]}",
                expected=f"{len(names)}: {' '.join(names)}",
            )
        for column, word in zip(columns, words, strict=True):
            column.append(word)
    n = len(columns[0])
    if not n:
        raise InputError(f"{path} names no samples.")
    unknown = ["0"] * n
    by_name = {name.lower(): column for name, column in zip(names, columns, strict=True)}
    two = len(names) > 1 and names[1].upper() in _SECOND_IDS
    phenotype = next((i for i, kind in enumerate(kinds) if kind in ("P", "B")), None)
    return SampleTable(
        as_text(columns[1] if two else columns[0]),
        as_text(columns[0] if two else unknown),
        as_text(by_name.get("father", unknown)),
        as_text(by_name.get("mother", unknown)),
        parse_sex(by_name.get("sex", unknown)),
        np.full(n, np.nan) if phenotype is None else parse_phenotype(columns[phenotype]),
    )
