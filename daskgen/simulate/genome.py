"""The contigs of a simulated genome, and where its variants lie on them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from daskgen.errors import UsageError

__all__ = ["Genome", "genome_of"]

# Lengths of the human autosomes in base pairs, GRCh38 (Genome Reference Consortium).
_HUMAN = (
    248_956_422, 242_193_529, 198_295_559, 190_214_555, 181_538_259, 170_805_979, 159_345_973, 145_138_636,
    138_394_717, 133_797_422, 135_086_622, 133_275_309, 114_364_328, 107_043_718, 101_991_189, 90_338_345,
    83_257_441, 80_373_285, 58_617_616, 64_444_167, 46_709_983, 50_818_468,
)  # fmt: skip
_EQUAL = 100_000_000
_CENTIMORGAN_PER_BASE = 1e-6


@dataclass(frozen=True)
class Genome:
    """Contigs and the number of variants that they share in proportion to their lengths."""

    names: tuple[str, ...]
    lengths: tuple[int, ...]
    n_variants: int

    @cached_property
    def edges(self) -> np.ndarray:
        """int64 (contigs + 1,): contig c has the variants from edges[c] to edges[c + 1] - 1."""
        cumulated = np.cumsum([0, *self.lengths], dtype=np.float64)
        return np.rint(cumulated / cumulated[-1] * self.n_variants).astype(np.int64)

    def contig(self, start: int, stop: int) -> np.ndarray:
        """int64 (stop - start,): the contig of each variant."""
        return np.searchsorted(self.edges, np.arange(start, stop), side="right") - 1

    def position(self, start: int, stop: int, jitter: np.ndarray) -> np.ndarray:
        """int32 (stop - start,): base pairs, 1-based, evenly spaced and moved forward by up to one step.

        jitter: uniform numbers in (0, 1). Positions differ and increase within a contig, as long as it has no more
        variants than base pairs.
        """
        contig = self.contig(start, stop)
        first, number = self.edges[contig], np.diff(self.edges)[contig]
        step = np.asarray(self.lengths, np.float64)[contig] / np.maximum(number, 1)
        moved = (np.arange(start, stop) - first) * step + jitter * np.maximum(step - 1, 0)
        return np.asarray(moved + 1, np.int64).astype(np.int32)

    @staticmethod
    def centimorgan(position: np.ndarray) -> np.ndarray:
        """float64: genetic positions, one centimorgan per million base pairs."""
        return position * _CENTIMORGAN_PER_BASE


def genome_of(contigs: int | Mapping[str, int] | None, n_variants: int) -> Genome:
    """None: the 22 human autosomes; a number: so many contigs of 100 Mb; a mapping: name to length in base pairs."""
    if contigs is None:
        lengths = {str(number): length for number, length in enumerate(_HUMAN, start=1)}
    elif isinstance(contigs, Mapping):
        lengths = {str(name): length for name, length in contigs.items()}
    else:
        lengths = {str(number): _EQUAL for number in range(1, contigs + 1)}
    if not lengths or not all(isinstance(n, (int, np.integer)) and 0 < n < 2**31 for n in lengths.values()):
        raise UsageError(
            "contigs are not as expected.",
            found=repr(contigs),
            expected="a positive number of contigs, or a mapping from names to lengths below 2^31 base pairs",
        )
    return Genome(tuple(lengths), tuple(int(length) for length in lengths.values()), n_variants)
