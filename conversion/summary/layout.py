"""How a text table is laid out: comment lines, the header, and what separates columns, told from its first lines.

Header and rows need not agree: a header separated by blanks over rows separated by tabs is common. The rows decide;
the header is then cut by whatever gives as many names.
"""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from daskgen.errors import InputError

__all__ = ["BLANKS", "TextLayout", "one_blank", "split_line", "text_layout"]

BLANKS = "blanks"
"""The separator of tables whose columns are set apart by any number of blanks and tabs."""

SEPARATORS = ("\t", ",", ";", "|", " ", BLANKS)  # the first of those that fit equally well is taken


@dataclass(frozen=True)
class TextLayout:
    """names: of the columns, as written; separator: of the rows; skipped: lines before the first row."""

    names: tuple[str, ...]
    separator: str
    skipped: int


def split_line(line: str, separator: str) -> list[str]:
    """The fields of one line; quotes may hold a separator."""
    if separator == BLANKS:
        if '"' not in line:
            return line.split()
        line, separator = " ".join(line.split()), " "
    return next(csv.reader([line], delimiter=separator), [])


def text_layout(path: str, lines: Sequence[str], is_header: Sequence[bool]) -> TextLayout:
    """The layout of a table that begins with `lines`; is_header: which of them look like names of columns.

    Lines that begin with "#" before the header are comments; "#" before the first name is taken off. Raises InputError
    for a file without rows, or whose header and rows don't fit each other under any separator.
    """
    header = _header_line(path, lines, is_header)
    rows = [line for line in lines[header + 1 :] if line.strip()][:100]
    if not rows:
        raise InputError(f"{path} has no rows.", found=f"{len(lines)} lines, the header included", do="check the file")
    best: tuple[int, str, list[str]] | None = None
    for separator in SEPARATORS:
        counts = Counter(len(split_line(row, separator)) for row in rows)
        width, agreeing = max(counts.items(), key=lambda item: (item[1], item[0]))
        names = _names(lines[header], separator, width)
        if names is None or width < 2 or (separator == " " and "" in names):
            continue
        if best is None or agreeing > best[0]:
            best = agreeing, separator, names
    if best is None or 2 * best[0] < len(rows):
        width = len(lines[header].split())
        raise InputError(
            f"{path}: its header and its rows have different numbers of columns.",
            found=f"{width} names ({lines[header].strip()[:80]}), {len(rows[0].split())} values in the first row",
            expected="a name for each column; columns separated by tabs, commas, semicolons, bars or blanks",
            do="correct the header",
        )
    return TextLayout(tuple(best[2]), best[1], header + 1)


def _header_line(path: str, lines: Sequence[str], is_header: Sequence[bool]) -> int:
    """Which line is the header: the first without "#", unless the "#" line before it has the names."""
    plain = next((i for i, line in enumerate(lines) if line.strip() and not line.startswith("#")), None)
    if plain is None:
        raise InputError(f"{path} is empty." if not any(map(str.strip, lines)) else f"{path} has only comment lines.")
    if not is_header[plain] and plain and lines[plain - 1].startswith("#") and not lines[plain - 1].startswith("##"):
        return plain - 1
    return plain


def _names(line: str, separator: str, width: int) -> list[str] | None:
    """The header's names if some separator cuts it into `width`; one fewer is what R writes with row names."""
    text = line.lstrip("#").strip("\n")
    for candidate in (separator, *SEPARATORS):
        found = [name.strip() for name in split_line(text, candidate)]
        if len(found) == width:
            return found
        if len(found) == width - 1 and candidate == separator and width > 2:
            return ["row_name", *found]
    return None


def one_blank(block: bytes) -> bytes:
    """Lines whose columns are set apart by any number of blanks and tabs, with one tab instead of each such run."""
    data = np.frombuffer(block, np.uint8)
    blank = (data == ord(" ")) | (data == ord("\t"))
    before, after = np.empty_like(blank), np.empty_like(blank)
    before[0], before[1:] = False, blank[:-1]
    after[-1], after[:-1] = False, blank[1:]
    first, last = np.flatnonzero(blank & ~before), np.flatnonzero(blank & ~after)
    # Runs at the beginning or the end of a line separate nothing.
    at_start = (first == 0) | (data[first - 1] == ord("\n"))
    at_end = data[np.minimum(last + 1, len(data) - 1)] == ord("\n")
    result = data.copy()
    inside = last[~at_start & ~at_end]
    result[inside] = ord("\t")
    keep = ~blank
    keep[inside] = True
    return result[keep].tobytes()
