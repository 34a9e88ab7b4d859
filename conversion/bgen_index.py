"""The .bgi index that bgenix makes of a BGEN file: an SQLite table of where each variant lies."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from typing import NamedTuple

import numpy as np

from conversion.bgen_records import BgenHeader
from daskgen.errors import InputError
from daskgen.inputs.files import exists, is_url, open_binary, size_of

__all__ = ["IndexedVariant", "find_index", "index_places", "indexed_variants"]

_ROWS = 10_000


class IndexedVariant(NamedTuple):
    """A row of the index, in the file's order. Of alleles it has the first two."""

    start: int
    n_alleles: int
    rsid: str
    contig: str
    position: int
    allele_1: str
    allele_2: str


def find_index(path: str) -> str | None:
    """The index beside the .bgen `path`, or None."""
    return path + ".bgi" if not is_url(path) and exists(path + ".bgi") else None


def index_places(index: str, path: str, header: BgenHeader) -> tuple[np.ndarray, np.ndarray]:
    """(first byte of each variant and the end of the last, number of alleles), int64.

    Raises InputError where the index is of another file, or of an earlier state of it.
    """
    starts = np.empty(header.n_variants + 1, np.int64)
    n_alleles = np.empty(header.n_variants, np.int64)
    starts[0] = header.first
    with closing(_connect(index)) as connection:
        _check_beginning(connection, index, path)
        n = _one(connection, index, "SELECT COUNT(*) FROM Variant")
        if n != header.n_variants:
            raise _foreign(index, path, f"{n:,} variants", f"{header.n_variants:,}")
        columns = "file_start_position, size_in_bytes, number_of_alleles"
        for i, (start, size, alleles) in enumerate(_rows(connection, index, columns)):
            if start != starts[i]:
                raise _foreign(index, path, f"variant {i + 1:,} at byte {start:,}", f"byte {int(starts[i]):,}")
            starts[i + 1], n_alleles[i] = start + size, alleles
    if starts[-1] > (size := size_of(path)):
        raise InputError(
            f"{path} is cut: it is shorter than its index says.",
            found=f"{size:,} bytes",
            expected=f"{int(starts[-1]):,}",
            do="copy or download the file again",
        )
    return starts, n_alleles


def indexed_variants(index: str) -> Iterator[IndexedVariant]:
    """The variants of the index in the order of the file."""
    columns = "file_start_position, number_of_alleles, rsid, chromosome, position, allele1, allele2"
    with closing(_connect(index)) as connection:
        for row in _rows(connection, index, columns):
            yield IndexedVariant(*row)


def _connect(index: str) -> sqlite3.Connection:
    connection = sqlite3.connect(f"file:{_quoted(index)}?mode=ro&immutable=1", uri=True)
    connection.text_factory = lambda data: data.decode(errors="replace")
    return connection


def _quoted(path: str) -> str:
    return path.replace("%", "%25").replace("?", "%3f").replace("#", "%23")


def _rows(connection: sqlite3.Connection, index: str, columns: str) -> Iterator[tuple]:
    try:
        cursor = connection.execute(f"SELECT {columns} FROM Variant ORDER BY file_start_position")
        while rows := cursor.fetchmany(_ROWS):
            yield from rows
    except sqlite3.Error as error:
        raise _unreadable(index, error) from error


def _one(connection: sqlite3.Connection, index: str, query: str) -> int:
    try:
        return int(connection.execute(query).fetchone()[0])
    except sqlite3.Error as error:
        raise _unreadable(index, error) from error


def _check_beginning(connection: sqlite3.Connection, index: str, path: str) -> None:
    """InputError if the index remembers another beginning of the file (old ones don't remember any)."""
    try:
        row = connection.execute("SELECT file_size, first_1000_bytes FROM Metadata").fetchone()
    except sqlite3.Error:
        return
    if row is None:
        return
    with open_binary(path) as file:
        beginning = file.read(1000)
    if row[0] != size_of(path):
        raise _foreign(index, path, f"a file of {row[0]:,} bytes", f"{size_of(path):,}")
    if bytes(row[1]) != beginning[: len(row[1])]:
        raise _foreign(index, path, "another beginning of the file", "the first bytes of the file")


def _unreadable(index: str, error: Exception) -> InputError:
    return InputError(
        f"{index} cannot be read as the index of a BGEN file.",
        found=str(error),
        do="remove it, or make it again: bgenix -g FILE.bgen -index -clobber",
    )


def _foreign(index: str, path: str, found: str, expected: str) -> InputError:
    return InputError(
        f"{index} is not the index of {path} as it is now.",
        found=found,
        expected=expected,
        do=f"remove it (the file is then scanned once), or make it again: bgenix -g {path} -index -clobber",
    )
