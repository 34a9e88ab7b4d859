"""Calls of a source together with what they say about each variant: the unit of work of every task."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from conversion.allele_statistics import HaploidSamples, allele_statistics
from conversion.scan import ContigRuns
from conversion.source import CallBlock, GenotypeSource, See
from daskgen.kernels.genotype_codes import call_dosages, count_codes, round_dosage
from daskgen.stores.checksum import SummedBlock, block_checksum

__all__ = ["Calls", "SummedCalls"]


class SummedCalls(NamedTuple):
    """Calls, and what was summed over the packed ones while they were read: `count_codes` of each, and the checksum."""

    calls: CallBlock
    counts: np.ndarray | None = None
    checksum: int | None = None

    def arrays(self) -> dict[str, np.ndarray | SummedBlock]:
        """The blocks as they are stored, by the names of their arrays."""
        packed, dosage, info = self.calls
        found: dict[str, np.ndarray | SummedBlock] = {
            "call_genotype_packed": packed if self.checksum is None else SummedBlock(packed, self.checksum)
        }
        if dosage is not None:
            found["call_dosage"] = dosage
        if info is not None:
            found["variant_info_score"] = info
        return found


@dataclass(frozen=True, eq=False)
class Calls:
    """A source, with the ploidy of its variants and samples. What tasks get, so it is small when pickled.

    `contigs`: of the variants, as runs; `roles`: role code of each contig; `haploid`: samples with one X;
    `dosage_bits`: to which dosages are rounded; `call_threshold`: None for the hard calls of the source, else calls are
    the (rounded) dosages that are so near to a whole number.
    """

    source: GenotypeSource
    contigs: ContigRuns
    roles: np.ndarray
    haploid: HaploidSamples
    dosage_bits: int = 16
    call_threshold: float | None = None

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
        return self._as_stored(self.source.read_block(start, stop, out=out))

    def read_and_sum(self, start: int, stop: int, out: np.ndarray, see: See) -> SummedCalls:
        """The variants [start, stop), their codes in `out`; and their sums, where codes can be read bit by bit.

        A few rows are read, shown (`GenotypeSource.read_and_show`), recoded, counted and checksummed while they are in
        the processor's cache.
        """
        step = self.source.rows_in_cache
        if step is None or self.source.has_dosage:
            return SummedCalls(self.read(start, stop, out=out))
        counts = np.empty((len(out), 4), np.int32)
        checksum = 0
        for place in range(0, len(out), step):
            rows = out[place : place + step]
            self.source.read_and_show(start + place, start + place + len(rows), rows, see)
            counts[place : place + step] = count_codes(rows, self.source.n_samples)
            checksum = block_checksum(rows, checksum)
        return SummedCalls(CallBlock(out, None), counts, checksum)

    def stream(self, ranges: Iterable[tuple[int, int]]) -> Iterator[CallBlock]:
        """The blocks of increasing ranges, in one pass; the way to read a sequential source."""
        return map(self._as_stored, self.source.stream(ranges))

    def of_arrays(self, packed: np.ndarray | None, dosage: np.ndarray | None) -> CallBlock:
        """The block that was stored as these arrays; without hard calls, those that its dosages make."""
        if packed is None:
            assert dosage is not None, "a block has calls or dosages"
            assert self.call_threshold is not None
            packed = call_dosages(dosage, self.call_threshold)
        return CallBlock(packed, dosage)

    def _as_stored(self, block: CallBlock) -> CallBlock:
        if block.dosage is None:
            return block
        dosage = round_dosage(np.ascontiguousarray(block.dosage), self.dosage_bits)
        if self.call_threshold is not None:
            call_dosages(dosage, self.call_threshold, out=block.packed)
        return block._replace(dosage=dosage)

    def statistics(
        self, start: int, block: CallBlock, counts: np.ndarray | None = None
    ) -> tuple[np.ndarray, np.ndarray]:
        """`allele_statistics` of a block whose first variant is `start`; counts: of its codes, if they are known."""
        classes = self.ploidy_class(start, start + len(block.packed))
        return allele_statistics(block.packed, block.dosage, self.source.n_samples, classes, self.haploid, counts)
