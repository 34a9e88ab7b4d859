"""White-space separated tables, read in blocks of lines so that a file of any length needs little memory."""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from itertools import islice
from typing import TextIO

import numpy as np

from daskgen.errors import InputError, MissingPackageError
from daskgen.inputs.files import open_binary

__all__ = ["BLOCK_LINES", "as_text", "blocks_of_lines", "columns_of", "decimals", "integers", "open_text"]

BLOCK_LINES = 1 << 16
"""Lines that are held at a time: some 20 MB of Python strings."""


@contextmanager
def open_text(path: str) -> Iterator[TextIO]:
    """The file as UTF-8 text; ``.zst`` is unpacked while it is read."""
    with open_binary(path) as raw:
        if path.endswith(".zst"):
            try:
                import zstandard
            except ImportError:
                raise MissingPackageError(
                    f"{path} is compressed, and the package that unpacks it is not installed.",
                    do='pip install "daskgen[formats]"',
                ) from None
            stream = zstandard.ZstdDecompressor().stream_reader(raw, read_across_frames=True)
        else:
            stream = io.BufferedReader(raw, 1 << 20) if isinstance(raw, io.RawIOBase) else raw
        yield io.TextIOWrapper(stream, encoding="utf-8")


def blocks_of_lines(path: str, file: Iterable[str], *, first: int = 1) -> Iterator[tuple[int, list[str]]]:
    """(number of the block's first line, its lines) for the lines of `file`; blank ones at its end are left out.

    Raises InputError where the file cannot be decompressed or is not text.
    """
    blank: list[str] = []
    remaining = iter(file)
    while True:
        try:
            block = list(islice(remaining, BLOCK_LINES))
        except UnicodeDecodeError as error:
            raise InputError(f"{path} is not a text file (after line {first:,}).", found=str(error)) from None
        except _read_errors() as error:
            raise InputError(f"{path} cannot be read to its end (after line {first:,}).", found=str(error)) from error
        if not block:
            return
        block = blank + block
        end = len(block)
        while end and not block[end - 1].strip():
            end -= 1
        if end:
            yield first, block[:end]
            first += end
        blank = block[end:]


def _read_errors() -> tuple[type[Exception], ...]:
    """What a damaged or cut file raises, compressed or not."""
    try:
        import zstandard
    except ImportError:
        return (OSError, EOFError, ValueError)
    return (OSError, EOFError, ValueError, zstandard.ZstdError)


def columns_of(
    path: str, first: int, lines: Sequence[str], n_columns: int, *, names: str, at_least: bool = False
) -> list[tuple[str, ...]]:
    """The columns of a block of lines, `n_columns` of them (with `at_least`, further ones are left unread).

    Raises InputError that names the first line with another number of columns. `names`: what the columns should be.
    """
    split = n_columns if at_least else -1
    rows = [line.split(None, split) for line in lines]
    lengths = set(map(len, rows))
    wanted = {n_columns, n_columns + 1} if at_least else {n_columns}
    if not lengths <= wanted:
        for number, row in enumerate(rows, first):
            if len(row) not in wanted:
                found = f"{len(row)} columns: {' '.join(row)[:80]}" if row else "a blank line"
                raise InputError(
                    f"{path}, line {number:,}: wrong number of columns.", found=found, expected=f"{n_columns}: {names}"
                )
    columns = list(zip(*rows, strict=False))
    return columns[:n_columns]


def integers(path: str, first: int, column: Sequence[str], name: str) -> np.ndarray:
    """A column of whole numbers as int64. InputError with the line that is none."""
    try:
        return np.fromiter(map(int, column), np.int64, len(column))
    except (ValueError, OverflowError):
        raise _not_a_number(path, first, column, name, int, "a whole number") from None


def decimals(path: str, first: int, column: Sequence[str], name: str) -> np.ndarray:
    """A column of numbers as float64. InputError with the line that is none."""
    try:
        return np.fromiter(map(float, column), np.float64, len(column))
    except ValueError:
        raise _not_a_number(path, first, column, name, float, "a number") from None


def _not_a_number(path: str, first: int, column: Sequence[str], name: str, kind: type, expected: str) -> InputError:
    for number, text in enumerate(column, first):
        try:
            np.int64(kind(text)) if kind is int else kind(text)
        except (ValueError, OverflowError):
            return InputError(f"{path}, line {number:,}: {name} is not a number.", found=text, expected=expected)
    raise AssertionError("a column that failed has a value that fails")


def as_text(values: Sequence[str] | np.ndarray) -> np.ndarray:
    """Text as NumPy StringDType, as it is stored."""
    return np.array(values, dtype=np.dtypes.StringDType())
