"""White-space separated tables, read in blocks of lines so that a file of any length needs little memory."""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, TextIO

import numpy as np

from daskgen.errors import InputError, MissingPackageError
from daskgen.inputs.files import open_binary

__all__ = ["as_text", "blocks_of_text", "columns_of", "decimals", "integers", "open_text", "rows_of"]

BLOCK_CHARACTERS = 1 << 20
"""Characters that are held at a time: with the words of their lines, some 20 MB."""

# What str.split() takes as blank among the ASCII characters.
_IS_BLANK = np.array([chr(code).isspace() for code in range(256)]) & (np.arange(256) < 128)


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
            stream: Any = zstandard.ZstdDecompressor().stream_reader(raw, read_across_frames=True)
        else:
            stream = io.BufferedReader(raw, 1 << 20) if isinstance(raw, io.RawIOBase) else raw
        yield io.TextIOWrapper(stream, encoding="utf-8")


def blocks_of_text(path: str, file: TextIO, *, first: int = 1, start: str = "") -> Iterator[tuple[int, str]]:
    """(number of the block's first line, its whole lines) of `start` and the rest of `file`.

    The last line of a block comes without its end; blank lines at the end of the file are left out. Raises InputError
    where the file cannot be decompressed or is not text.
    """
    held, fresh = start, "more"
    while fresh:
        try:
            fresh = file.read(BLOCK_CHARACTERS) + file.readline()
        except UnicodeDecodeError as error:
            raise InputError(f"{path} is not a text file (after line {first:,}).", found=str(error)) from None
        except _read_errors() as error:
            raise InputError(f"{path} cannot be read to its end (after line {first:,}).", found=str(error)) from error
        text = held + fresh
        end = len(text.rstrip())
        if end:
            yield first, text[:end]
            first += text.count("\n", 0, end) + 1
        held = text[end:].partition("\n")[2] if end else text


def _read_errors() -> tuple[type[Exception], ...]:
    try:
        import zstandard
    except ImportError:
        return (OSError, EOFError)
    return (OSError, EOFError, zstandard.ZstdError)


def columns_of(path: str, first: int, text: str, n_columns: int, *, names: str) -> list[list[str]]:
    """The columns of a block of lines, `n_columns` of them.

    Raises InputError that names the first line with another number of columns. `names`: what the columns should be.
    """
    # The whole block is split at once: a list per line takes five times as long.
    words = text.split()
    n_lines = text.count("\n") + 1
    if len(words) != n_lines * n_columns or not _is_even(text, n_columns):
        for number, line in enumerate(text.split("\n"), first):
            row = line.split()
            if len(row) != n_columns:
                found = f"{len(row)} columns: {' '.join(row)[:80]}" if row else "a blank line"
                raise InputError(
                    f"{path}, line {number:,}: wrong number of columns.", found=found, expected=f"{n_columns}: {names}"
                )
    return [words[i::n_columns] for i in range(n_columns)]


def _is_even(text: str, n_columns: int) -> bool:
    """Whether each line has so many words, where it can be told quickly; False means that one has to look."""
    if not text.isascii():
        return False
    data = np.frombuffer(text.encode(), np.uint8)
    begins = ~_IS_BLANK[data]
    begins[1:] &= _IS_BLANK[data[:-1]]
    lines = np.concatenate([np.zeros(1, np.int64), np.flatnonzero(data[:-1] == ord("\n")) + 1])
    return bool((np.add.reduceat(begins, lines, dtype=np.int64) == n_columns).all())


def rows_of(path: str) -> Iterator[tuple[int, list[str]]]:
    """(line number, words) of each line that is not blank: for short lists."""
    with open_text(path) as file:
        for first, text in blocks_of_text(path, file):
            for number, line in enumerate(text.split("\n"), first):
                if words := line.split():
                    yield number, words


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
