"""What VCF, BCF and VCF Zarr have in common: records of several alleles, whose calls and dosages are read together."""

from __future__ import annotations

from abc import abstractmethod

import numpy as np

from conversion.source import CallBlock, GenotypeSource
from daskgen.kernels.genotype_codes import packed_width

__all__ = ["RecordSource"]


class RecordSource(GenotypeSource):
    """A source whose rows are the ALT alleles of records, each of which counts it against all others. Counts ALT."""

    sample_file: str | None

    counted_allele = "ALT"
    may_have_half_calls = True

    @property
    def files(self) -> tuple[str, ...]:
        return (self.path,) if self.sample_file is None else (self.path, self.sample_file)

    @abstractmethod
    def _read(self, rows: np.ndarray, out: np.ndarray | None, with_dosage: bool = True) -> CallBlock:
        """The variants at `rows` (int64, increasing); dosages where there are any, unless told otherwise."""

    def _empty(self, n: int, out: np.ndarray | None, with_dosage: bool) -> CallBlock:
        """A block of `n` rows to be filled; with dosages where there are any, unless told otherwise."""
        packed = np.empty((n, packed_width(self.n_samples)), np.uint8) if out is None else out
        with_dosage = with_dosage and self.has_dosage
        return CallBlock(packed, np.empty((n, self.n_samples), np.uint16) if with_dosage else None)

    def read(self, start: int, stop: int, out: np.ndarray | None = None) -> np.ndarray:
        return self._read(np.arange(start, stop), out, with_dosage=False).packed

    def read_rows(self, rows: np.ndarray) -> np.ndarray:
        return self._read(rows, None, with_dosage=False).packed

    def read_dosage_rows(self, rows: np.ndarray) -> np.ndarray:
        if not self.has_dosage:
            return super().read_dosage_rows(rows)
        dosage = self._read(rows, None).dosage
        assert dosage is not None
        return dosage

    def read_calls(self, rows: np.ndarray, out: np.ndarray | None = None) -> CallBlock:
        return self._read(rows, out)

    def read_block(self, start: int, stop: int, out: np.ndarray | None = None) -> CallBlock:
        return self._read(np.arange(start, stop), out)
