"""Rows of a store for variants with several alternate alleles: one for each of these."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

__all__ = ["SplitVariants"]


@dataclass(frozen=True, eq=False)
class SplitVariants:
    """Rows of a file whose variants with several ALT alleles are split.

    `n_variants`: variants of the file; `index`, `n_alt`: int64, the variants with several ALT alleles and how many.
    """

    n_variants: int
    index: np.ndarray
    n_alt: np.ndarray

    @property
    def n_rows(self) -> int:
        return self.n_variants + int((self.n_alt - 1).sum())

    def locate(self, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """(variant in the file, its allele: 1 = first ALT) of each row, int64."""
        if not len(self.index):
            return rows, np.ones_like(rows)
        extra = np.cumsum(self.n_alt - 1)
        first_row = self.index + extra - (self.n_alt - 1)
        before = np.searchsorted(first_row, rows, side="right") - 1
        offset = rows - first_row[before]
        inside = (before >= 0) & (offset < self.n_alt[before])
        variant = np.where(inside, self.index[before], rows - np.where(before >= 0, extra[before], 0))
        return variant, np.where(inside, offset + 1, 1)

    def allele_offsets(self) -> np.ndarray | None:
        """Index of each variant's first allele among all alleles, as pgenlib wants it; None if all have two."""
        if not len(self.index):
            return None
        n_alleles = np.full(self.n_variants, 2, np.uintp)
        n_alleles[self.index] = self.n_alt + 1
        return np.concatenate([np.zeros(1, np.uintp), np.cumsum(n_alleles, dtype=np.uintp)])
