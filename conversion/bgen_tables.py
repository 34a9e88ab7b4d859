"""Names, places and alleles of the variants of a BGEN file, as tables."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

import numpy as np

from conversion.bgen_records import BgenRecord
from conversion.columns import contig_codes
from conversion.source import VariantTable
from daskgen.errors import InputError
from daskgen.inputs.text import as_text

__all__ = ["NO_ID", "UNKNOWN_CONTIG", "Names", "names_of", "tables_of"]

NO_ID = ("", ".")
"""Texts that stand for no rs number; the other id of the variant is taken then."""

UNKNOWN_CONTIG = "0"
"""Contig of variants of which the file names none."""

_TABLE_ROWS = 1 << 14


class Names(NamedTuple):
    """A variant of the file. `contig` is empty where the file names none."""

    variant_id: str
    contig: str
    position: int
    alleles: tuple[str, ...]


def names_of(path: str, variant: int, record: BgenRecord) -> Names:
    """The names in a record. InputError where they are not text. `variant`: its number from 0."""
    try:
        rsid, snpid = record.rsid.decode(), record.snpid.decode()
        name = snpid if rsid in NO_ID and snpid else rsid
        return Names(name, record.contig.decode(), record.position, tuple(map(bytes.decode, record.alleles)))
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: the names of variant {variant + 1:,} are not text.", found=str(error)) from None


def tables_of(path: str, variants: Iterable[Names], default_contig: str) -> Iterator[VariantTable]:
    """The variants as tables, with a row for each allele after the first."""
    rows: list[Names] = []
    for row in variants:
        rows.append(row)
        if len(rows) == _TABLE_ROWS:
            yield _table(path, rows, default_contig)
            rows = []
    if rows:
        yield _table(path, rows, default_contig)


def _table(path: str, rows: list[Names], default_contig: str) -> VariantTable:
    position = np.array([row.position for row in rows], np.int64)
    if position.max() > np.iinfo(np.int32).max:
        at = int(position.argmax())
        raise InputError(f"{path}: the position of {rows[at].variant_id} is too large.", found=int(position[at]))
    row = np.repeat(np.arange(len(rows)), [len(row.alleles) - 1 for row in rows])
    names, codes = contig_codes([row.contig or default_contig for row in rows])
    allele = np.empty((len(row), 2), np.dtypes.StringDType())
    allele[:, 0] = as_text([row.alleles[0] for row in rows])[row]
    allele[:, 1] = as_text([text for row in rows for text in row.alleles[1:]])
    return VariantTable(
        codes[row],
        names,
        position.astype(np.int32)[row],
        np.zeros(len(row)),
        as_text([row.variant_id for row in rows])[row],
        allele,
    )
