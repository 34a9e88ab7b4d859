"""The map of a text matrix: where its markers are, and perhaps what their alleles are."""

from __future__ import annotations

import numpy as np

from conversion.columns import contig_codes, positions
from conversion.source import VariantTable
from daskgen.errors import InputError, examples
from daskgen.inputs.text import as_text, open_text

__all__ = ["read_marker_map"]

_COLUMNS = "marker, contig, position, and perhaps the other and the counted allele"


def read_marker_map(path: str, matrix: str, markers: tuple[str, ...], alleles: tuple[str, str]) -> VariantTable:
    """The table of `markers`, in their order, from the map at `path`, separated by commas or blanks.

    A first line whose third word is no number is taken as names of columns. alleles: where the map has none. Raises
    InputError where a marker is not in the map or is there twice.
    """
    rows: dict[str, list[str]] = {}
    n_columns = 0
    with open_text(path) as file:
        for number, line in enumerate(file, 1):
            words = [word.strip('" ') for word in (line.split(",") if "," in line else line.split())]
            if not line.strip():
                continue
            if not n_columns:
                n_columns = len(words)
                if n_columns not in (3, 5):
                    raise _strange(path, number, words)
                if not words[2].strip().lstrip("-").isdecimal():
                    continue
            if len(words) != n_columns:
                raise _strange(path, number, words)
            if words[0] in rows:
                raise InputError(f"{path}, line {number:,}: marker {words[0]} is there twice.")
            rows[words[0]] = words
    if absent := [name for name in markers if name not in rows]:
        raise InputError(
            f"{path} lacks {len(absent):,} of the {len(markers):,} markers of {matrix}.",
            found=f"the map has {examples(rows)}",
            expected=f"the matrix has {examples(absent)}",
        )
    wanted = [rows[name] for name in markers]
    names, codes = contig_codes([row[1] for row in wanted])
    allele = np.empty((len(wanted), 2), np.dtypes.StringDType())
    for side, text in enumerate(alleles):
        allele[:, side] = text if n_columns == 3 else as_text([row[3 + side] for row in wanted])
    place = positions(path, 1, [row[2] for row in wanted])
    return VariantTable(codes, names, place, np.zeros(len(wanted)), as_text(list(markers)), allele)


def _strange(path: str, number: int, words: list[str]) -> InputError:
    return InputError(
        f"{path}, line {number:,}: this is not a line of a map of markers.",
        found=f"{len(words)} columns: {' '.join(words)[:60]}",
        expected=f"3 or 5 columns: {_COLUMNS}",
    )
