"""Alleles as small integers, so that aligning a trait to the reference is comparing integers."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import polars as pl

from conversion.summary.coding import codes_of
from conversion.summary.numeric import MISSING_TEXT

__all__ = ["MISSING", "AlleleCodes", "is_base", "strand_ambiguous"]

Codes = npt.NDArray[np.int32]

MISSING, INDEL = -1, 0
BASES = {"A": 1, "C": 2, "G": 3, "T": 4}


class AlleleCodes:
    """Codes of alleles: 1 to 4 for A, C, G, T; higher ones for longer alleles that the reference has.

    -1 stands for a missing allele, 0 for one that has no code: in a trait's file an allele longer than a base that is
    not in the reference, or text that is no allele.
    """

    def __init__(self) -> None:
        self._code: dict[str, int] = dict(BASES)

    def __len__(self) -> int:
        return len(self._code)

    def learn(self, column: pl.Series) -> Codes:
        """Codes of a column of the reference; new alleles get new codes."""
        codes = self.encode(column)
        unknown = codes == INDEL
        if not unknown.any():
            return codes
        text = column.cast(pl.String).filter(pl.Series(unknown)).str.to_uppercase()
        for allele in text.unique(maintain_order=True).to_list():
            self._code[allele] = len(self._code) + 1
        return self.encode(column)

    def encode(self, column: pl.Series) -> Codes:
        """Codes of a column, in capitals or not."""
        text = column if column.dtype == pl.String else column.cast(pl.String)
        if len(self._code) > len(BASES):
            text, table = text.str.to_uppercase(), dict(self._code)
        else:
            table = {**BASES, **{base.lower(): code for base, code in BASES.items()}}
        table.update(dict.fromkeys(MISSING_TEXT, MISSING))
        return codes_of(text, table, missing=MISSING, unknown=INDEL)

    def texts(self, codes: npt.NDArray[np.integer]) -> np.ndarray:
        """The alleles of codes, as Python strings; "" where there is none."""
        return np.array(["", *self._code], dtype=object)[np.maximum(codes, 0)]


def is_base(codes: Codes) -> npt.NDArray[np.bool_]:
    """Whether an allele is one of A, C, G, T."""
    return (codes > 0) & (codes <= len(BASES))


def strand_ambiguous(effect: Codes, other: Codes) -> npt.NDArray[np.bool_]:
    """Whether two alleles are each other's complement (A and T, C and G), so that their strand cannot be told."""
    return is_base(effect) & is_base(other) & (effect + other == 5)
