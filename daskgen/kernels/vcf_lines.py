"""The lines of a VCF: where each of them and its columns begin.

A record is a line of columns separated by tabs: CHROM POS ID REF ALT QUAL FILTER INFO FORMAT, then one per sample.

Source: the VCF 4.3 specification, https://samtools.github.io/hts-specs/VCFv4.3.pdf, section 1.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from numba import types

from daskgen.kernels.compile import helper, input_array, kernel, output_array
from daskgen.kernels.genotype_layout import as_input
from daskgen.kernels.text import PADDING, find

__all__ = ["ALT", "END", "FIRST_SAMPLE", "FORMAT", "count_rows", "n_alt_alleles", "split_lines"]

Bytes = npt.NDArray[np.uint8]
Index = npt.NDArray[np.int64]

ALT, FORMAT, FIRST_SAMPLE, END = 4, 8, 9, 10
"""Columns of what `split_lines` returns."""

_TAB, _NEWLINE, _RETURN, _COMMA = 9, 10, 13, 44


def split_lines(text: Bytes, n_bytes: int, n_lines: int) -> Index:
    """Where the columns of each line begin: int64 (lines, 11), of uint8 text followed by PADDING bytes.

    Columns 0 to 8 are CHROM to FORMAT, 9 is the first sample's, -1 where the line has fewer; 10 is the end of the
    line without its line end. n_lines: at most so many lines (the newlines, plus one if the last lacks its own);
    empty lines are left out.
    """
    data = as_input(text, np.uint8, "text", (None,))
    if len(data) < n_bytes + PADDING:
        raise ValueError(f"text needs {PADDING} more bytes than it has characters")
    columns = np.empty((n_lines, END + 1), np.int64)
    return columns[: _split(data, n_bytes, columns)]


@kernel(types.int64(input_array(types.uint8, 1), types.int64, output_array(types.int64, 2)))
def _split(text: Bytes, n_bytes: int, columns: Index) -> int:
    line, start = 0, 0
    while start < n_bytes and line < columns.shape[0]:
        place, column = start, 0
        columns[line, 0] = start
        while column < FIRST_SAMPLE and place < n_bytes and text[place] != _NEWLINE:
            if text[place] == _TAB:
                column += 1
                columns[line, column] = place + 1
            place += 1
        columns[line, column + 1 : END] = -1
        end = find(text, place, n_bytes, _NEWLINE)
        last = end - 1 if end > start and text[end - 1] == _RETURN else end
        columns[line, END] = last
        line += last > start
        start = end + 1
    return line


def count_rows(text: Bytes, columns: Index) -> Index:
    """Rows of each line of `split_lines`, int64: its ALT alleles, at least one."""
    counts = np.empty(len(columns), np.int64)
    _count(as_input(text, np.uint8, "text", (None,)), as_input(columns, np.int64, "columns", (None, None)), counts)
    return counts


@helper
def n_alt_alleles(text: Bytes, columns: Index, line: int) -> int:
    """ALT alleles of a line, at least one."""
    n = 1
    for place in range(columns[line, ALT], columns[line, ALT + 1] - 1):
        n += text[place] == _COMMA
    return n


@kernel(types.void(input_array(types.uint8, 1), input_array(types.int64, 2), output_array(types.int64, 1)))
def _count(text: Bytes, columns: Index, counts: Index) -> None:
    for line in range(columns.shape[0]):
        counts[line] = n_alt_alleles(text, columns, line) if columns[line, ALT + 1] >= 0 else 1
