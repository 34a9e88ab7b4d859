"""A file of summary statistics as a table: its columns' names, and blocks of rows of the columns that are wanted.

Every text column comes as text: what a number is, and what stands for a missing one, is decided where the column is
used (`numbers`), and for most rows of a large file, which are not in the reference, never.
"""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from typing import Protocol

import numpy as np
import polars as pl

from conversion.summary.fields import is_known
from conversion.summary.layout import BLANKS, TextLayout, one_blank, split_line, text_layout
from conversion.summary.stored import StoredTable, is_store
from conversion.summary.streams import line_blocks, open_unpacked
from daskgen.errors import InputError
from daskgen.inputs.files import is_url, open_binary

__all__ = ["ParquetTable", "StoredTable", "Table", "TextTable", "open_table"]

_HEAD_BYTES = 1 << 20
_HEAD_ROWS = 1_000
_PARQUET_ROWS = 300_000


class Table(Protocol):
    """What a source of rows offers. `names`: of its columns, as written in the file."""

    path: str
    names: tuple[str, ...]

    def head(self) -> pl.DataFrame:
        """The first rows, all columns as text."""
        ...

    def blocks(self, columns: Sequence[str]) -> Iterator[pl.DataFrame]:
        """All rows of `columns`, in blocks, in the order of the file."""
        ...


def open_table(path: str) -> Table:
    """The table at `path`: text (packed or not), Parquet, GWAS-VCF, or a trait of a store, told by its content."""
    if is_store(path):
        return StoredTable(path)
    with open_binary(path) as file:
        magic = file.read(4)
    if magic == b"PAR1":
        return ParquetTable(path)
    lines = _first_lines(path)
    if lines and lines[0].startswith("##fileformat=VCF"):
        from conversion.summary.gwas_vcf import GwasVcfTable

        return GwasVcfTable(path)
    return TextTable(path, lines)


def _first_lines(path: str) -> list[str]:
    with open_unpacked(path) as stream:
        block = next(line_blocks(path, stream, size=_HEAD_BYTES), b"")
    return block.decode("utf-8", errors="replace").splitlines()


class TextTable:
    """A delimited text file."""

    def __init__(self, path: str, lines: Sequence[str] | None = None, *, layout: TextLayout | None = None):
        self.path = path
        lines = _first_lines(path) if lines is None else lines
        if layout is None:
            looks = [sum(map(is_known, split_line(line.lstrip("#"), _likely(line)))) > 1 for line in lines[:200]]
            looks += [False] * (len(lines) - len(looks))
            layout = text_layout(path, lines, looks)
        self.layout = layout
        self.names = layout.names
        self._lines = [line for line in lines[self.layout.skipped : self.layout.skipped + _HEAD_ROWS] if line.strip()]
        fields = [field for line in self._lines for field in split_line(line, self.layout.separator)]
        self._padded = any(field != field.strip() for field in fields)

    def head(self) -> pl.DataFrame:
        """The first rows, all columns as text; lines with another number of columns are left out."""
        rows = [split_line(line, self.layout.separator) for line in self._lines]
        rows = [row for row in rows if len(row) == len(self.names)]
        columns = {f"{i}": [row[i] for row in rows] for i in range(len(self.names))}
        frame = pl.DataFrame(columns, schema=dict.fromkeys(columns, pl.String))
        return frame.select([pl.col(f"{i}").alias(name) for i, name in _first_of_each(self.names)])

    def blocks(self, columns: Sequence[str]) -> Iterator[pl.DataFrame]:
        """All rows of `columns`. InputError with the line that has another number of columns than the header."""
        index = [self.names.index(name) for name in columns]
        line = self.layout.skipped + 1
        with open_unpacked(self.path) as stream:
            for number, block in enumerate(line_blocks(self.path, stream)):
                if number == 0:
                    block = _without_lines(block, self.layout.skipped)
                if not block.strip():
                    continue
                frame, n_lines = self._parsed(block, line, index)
                yield frame.select(columns)
                line += n_lines

    def _parsed(self, block: bytes, line: int, index: list[int]) -> tuple[pl.DataFrame, int]:
        """The rows of `block`, whose first line is number `line`, and how many lines it has."""
        separator = self.layout.separator
        if separator == BLANKS:
            block, separator = one_blank(block), "\t"
        data = np.frombuffer(block, np.uint8)
        n_lines = int(np.count_nonzero(data == ord("\n")))
        n_separators = int(np.count_nonzero(data == ord(separator)))
        even = n_separators == n_lines * (len(self.names) - 1)
        if not even:
            block = self._checked(block, line, separator)
        try:
            frame = self._read(block, separator, index)
        except pl.exceptions.PolarsError as error:
            if even:  # a line has too few columns and another one too many
                self._checked(block, line, separator)
            raise InputError(
                f"{self.path} cannot be parsed after line {line:,}.", found=str(error).split("\n")[0]
            ) from None
        return frame, n_lines

    def _read(self, block: bytes, separator: str, index: list[int]) -> pl.DataFrame:
        wanted = sorted(set(index))
        frame = pl.read_csv(
            io.BytesIO(block),
            separator=separator,
            has_header=False,
            columns=wanted,
            infer_schema=False,
            quote_char='"' if b'"' in block else None,
            encoding="utf8" if block.isascii() else "utf8-lossy",  # a sixth faster
        )
        frame.columns = [self.names[i] for i in wanted]
        return frame.with_columns(pl.all().str.strip_chars()) if self._padded else frame

    def _checked(self, block: bytes, line: int, separator: str) -> bytes:
        """The block without its blank lines; InputError with the first line of another number of columns."""
        kept = []
        for number, raw in enumerate(block.decode("utf-8", errors="replace").split("\n")[:-1], line):
            if not raw.strip():
                continue
            n_fields = len(split_line(raw, separator))
            if n_fields != len(self.names):
                raise InputError(
                    f"{self.path}, line {number:,}: {n_fields} column{'s' * (n_fields != 1)}, the header has "
                    f"{len(self.names)}.",
                    found=raw[:100],
                    expected=f"{len(self.names)}: {' '.join(self.names)}"[:200],
                    do="correct or remove the line; a file whose last line is short was cut: fetch it again",
                )
            kept.append(raw)
        return ("\n".join(kept) + "\n").encode() if kept else b"\n"


def _likely(line: str) -> str:
    return next((separator for separator in ("\t", ",", ";", "|") if separator in line), BLANKS)


def _first_of_each(names: Sequence[str]) -> list[tuple[int, str]]:
    return [(i, name) for i, name in enumerate(names) if names.index(name) == i]


def _without_lines(block: bytes, n_lines: int) -> bytes:
    """The block after its first `n_lines` lines."""
    start = 0
    for _ in range(n_lines):
        start = block.find(b"\n", start) + 1
    return block[start:]


class ParquetTable:
    """A Parquet file. Columns keep their types."""

    def __init__(self, path: str):
        self.path = path
        try:
            self.names = tuple(self._scan().collect_schema().names())
        except pl.exceptions.PolarsError as error:
            raise InputError(
                f"{path} is not a whole Parquet file.", found=str(error).split("\n")[0], do="fetch the file again"
            ) from None

    def _scan(self) -> pl.LazyFrame:
        if not is_url(self.path):
            return pl.scan_parquet(self.path, glob=False)
        with open_binary(self.path) as file:
            return pl.scan_parquet(io.BytesIO(file.read()))

    def head(self) -> pl.DataFrame:
        """The first rows, all columns as text."""
        return self._scan().head(_HEAD_ROWS).collect().cast(pl.String)

    def blocks(self, columns: Sequence[str]) -> Iterator[pl.DataFrame]:
        """All rows of `columns`."""
        scan = self._scan().select(list(dict.fromkeys(columns)))
        n_rows = self._scan().select(pl.len()).collect().item()
        for start in range(0, n_rows, _PARQUET_ROWS):
            yield scan.slice(start, _PARQUET_ROWS).collect()
