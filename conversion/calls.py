"""Calls of a source together with what they say about each variant: the unit of work of every task."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from conversion.allele_statistics import HaploidSamples, allele_statistics
from conversion.scan import ContigRuns
from conversion.source import GenotypeSource

__all__ = ["CallBlock", "Calls"]


class CallBlock(NamedTuple):
    """Consecutive variants: packed codes uint8, dosages uint16 or None."""

    packed: np.ndarray
    dosage: np.ndarray | None


@dataclass(frozen=True, eq=False)
class Calls:
    """A source, with the ploidy of its variants and samples. What tasks get, so it is small when pickled.

    `contigs`: of the variants, as runs; `roles`: role code of each contig; `haploid`: samples with one X.
    """

    source: GenotypeSource
    contigs: ContigRuns
    roles: np.ndarray
    haploid: HaploidSamples

    @property
    def n_variants(self) -> int:
        return self.source.n_variants

    @property
    def nbytes(self) -> int:
        """Size when pickled, roughly."""
        arrays = (self.contigs.starts, self.contigs.codes, self.haploid.index, self.haploid.mask)
        return self.source.nbytes + sum(array.nbytes for array in arrays)

    def ploidy_class(self, start: int, stop: int) -> np.ndarray:
        """Role code of each of the variants [start, stop), uint8."""
        return self.roles[self.contigs.codes_of(start, stop)]

    def read(self, start: int, stop: int, out: np.ndarray | None = None) -> CallBlock:
        """The variants [start, stop); the codes in `out` if it is given."""
        dosage = self.source.read_dosage(start, stop) if self.source.has_dosage else None
        return CallBlock(self.source.read(start, stop, out=out), dosage)

    def statistics(self, start: int, block: CallBlock) -> tuple[np.ndarray, np.ndarray]:
        """`allele_statistics` of a block whose first variant is `start`."""
        classes = self.ploidy_class(start, start + len(block.packed))
        return allele_statistics(block.packed, block.dosage, self.source.n_samples, classes, self.haploid)
