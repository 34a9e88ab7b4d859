"""Columns that the tables of several formats share, from text to the types of a store."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import repeat

import numpy as np

from daskgen.errors import InputError
from daskgen.inputs.text import decimals, integers

__all__ = ["MISSING", "contig_codes", "genetic_positions", "parse_phenotype", "parse_sex", "positions"]

MISSING = frozenset({"NA", "na", "NaN", "nan", ".", "-9"})
"""Words for a missing number."""

_SEX = {"1": 1, "2": 2, "M": 1, "F": 2, "m": 1, "f": 2, "male": 1, "female": 2}


def parse_sex(column: Sequence[str]) -> np.ndarray:
    """Sex as int8: 1 male, 2 female; every other text is 0, unknown, as PLINK takes it."""
    return np.fromiter(map(_SEX.get, column, repeat(0)), np.int8, len(column))


def parse_phenotype(column: Sequence[str]) -> np.ndarray:
    """Phenotype as float64, NaN where missing (-9, NA, .). A column with other words is NaN throughout."""
    if MISSING.issuperset(column):
        return np.full(len(column), np.nan)
    try:
        values = (np.nan if text in MISSING else float(text) for text in column)
        result = np.fromiter(values, np.float64, len(column))
    except ValueError:
        return np.full(len(column), np.nan)
    result[result == -9] = np.nan
    return result


def contig_codes(column: Sequence[str]) -> tuple[tuple[str, ...], np.ndarray]:
    """(names in order of first appearance, int32 index of each element)."""
    known = {name: code for code, name in enumerate(dict.fromkeys(column))}
    return tuple(known), np.fromiter(map(known.__getitem__, column), np.int32, len(column))


def positions(path: str, first: int, column: Sequence[str]) -> np.ndarray:
    """Base-pair positions as int32. InputError with the line of a text or of a number beyond 2^31 - 1."""
    values = integers(path, first, column, "the position")
    if values.size and max(values.max(), -values.min()) > np.iinfo(np.int32).max:
        worst = int(np.argmax(np.abs(values)))
        raise InputError(
            f"{path}, line {first + worst:,}: the position is too large.",
            found=values[worst],
            expected=f"at most {np.iinfo(np.int32).max:,}",
        )
    return values.astype(np.int32)


def genetic_positions(path: str, first: int, column: Sequence[str]) -> np.ndarray:
    """Centimorgans as float64; 0, "." and NA are all 0, unknown."""
    if not MISSING.isdisjoint(column):
        column = ["0" if text in MISSING else text for text in column]
    return decimals(path, first, column, "the genetic position")
