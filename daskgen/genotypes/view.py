"""What one analysis sees of a genotype source: some samples, some variants, calls or dosages, standardised.

A view is small and picklable (a reader and index arrays). A task asks it for a chunk; the chunk is read, cut to the
analysed samples and variants, and its means and scale factors are computed from those samples. All of that happens
once where the chunk stays in the worker's cache.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from daskgen.errors import UsageError
from daskgen.genotypes import moments
from daskgen.genotypes.reader import GenotypeReader
from daskgen.kernels import genotype_codes as codes
from daskgen.kernels import genotype_products as products
from daskgen.passes import worker_cache

__all__ = ["Chunk", "GenotypeView", "Rows"]

Rows = Callable[[int, int], np.ndarray]
"""(first, last plus one variant of the source) -> codes or dosages in all samples."""


@dataclass(frozen=True)
class Chunk:
    """A chunk as kernels take it: codes (packed uint8, or dosages uint16), and the table of standardised values.

    rows: positions of its variants among the view's variants.
    """

    codes: np.ndarray
    table: np.ndarray
    moments: moments.Moments
    rows: slice

    @property
    def nbytes(self) -> int:
        return self.codes.nbytes + self.table.nbytes + 24 * len(self.table)


@dataclass(frozen=True, eq=False)
class GenotypeView:
    """Samples, variants and scaling of one analysis.

    samples: int64 rows of the source in the order of the analysis (None: all); variants: increasing int64 rows
    (None: all); use_dosage: dosages instead of calls; scale, alpha: see `moments`; fixed: (mean, factor) per variant of
    the view, in place of those of the analysed samples (prediction with training frequencies).
    """

    reader: GenotypeReader
    samples: np.ndarray | None = None
    variants: np.ndarray | None = None
    use_dosage: bool = False
    scale: str = "empirical"
    alpha: float = -1.0
    fixed: tuple[np.ndarray, np.ndarray] | None = None

    def __post_init__(self) -> None:
        try:
            moments.check_scale(self.scale, self.alpha)
        except ValueError as error:
            raise UsageError(str(error)) from None

    # -- shape ---------------------------------------------------------------------------------------------
    @property
    def n_samples(self) -> int:
        return self.reader.n_samples if self.samples is None else len(self.samples)

    @property
    def n_variants(self) -> int:
        return self.reader.n_variants if self.variants is None else len(self.variants)

    @property
    def nbytes(self) -> int:
        """Bytes of the index arrays (what is sent to workers)."""
        return sum(a.nbytes for a in (self.samples, self.variants, *(self.fixed or ())) if a is not None)

    @cached_property
    def chunk_rows(self) -> list[tuple[int, int, slice]]:
        """Per chunk: first and last-plus-one row of the source, and the positions among the view's variants.

        Chunks without a variant of the view are left out.
        """
        step, total = self.reader.rows_per_chunk, self.reader.n_variants
        edges = np.append(np.arange(0, total, step), total)
        if self.variants is None:
            return [(int(a), int(b), slice(int(a), int(b))) for a, b in zip(edges[:-1], edges[1:], strict=True)]
        where = np.searchsorted(self.variants, edges)
        return [
            (int(a), int(b), slice(int(i), int(j)))
            for a, b, i, j in zip(edges[:-1], edges[1:], where[:-1], where[1:], strict=True)
            if j > i
        ]

    @property
    def n_chunks(self) -> int:
        return len(self.chunk_rows)

    @property
    def row_bytes(self) -> int:
        """Bytes of one variant in memory."""
        return 2 * self.n_samples if self.use_dosage else codes.packed_width(self.n_samples)

    @property
    def source_row_bytes(self) -> int:
        """Bytes of one variant in the source."""
        return 2 * self.reader.n_samples if self.use_dosage else codes.packed_width(self.reader.n_samples)

    @cached_property
    def key(self) -> tuple[str, str]:
        """What identifies the view's chunks in a cache: the source's id, and a hash of everything else."""
        digest = hashlib.sha256(f"{self.use_dosage} {self.scale} {self.alpha!r}".encode())
        for array in (self.samples, self.variants, *(self.fixed or ())):
            digest.update(b"all" if array is None else np.ascontiguousarray(array).tobytes())
        return self.reader.reader_id, digest.hexdigest()

    # -- chunks --------------------------------------------------------------------------------------------
    def load(self, index: int, budget: int = 0, rows: Rows | None = None) -> Chunk:
        """Chunk `index`, from this worker's cache if it is there; kept while the cache stays below `budget` bytes.

        rows: where the source's rows come from instead of the reader (views that share what is read).
        """
        if budget <= 0:
            return self._read(index, rows)

        def read() -> tuple[Chunk, int]:
            chunk = self._read(index, rows)
            return chunk, chunk.nbytes

        return worker_cache().get(self.key, index, read, budget=budget)

    def source_rows(self, start: int, stop: int) -> np.ndarray:
        """Codes (or dosages) of the source's variants `start` to `stop` - 1 in all of its samples."""
        return self.reader.read_dosage(start, stop) if self.use_dosage else self.reader.read(start, stop)

    def read_codes(self, index: int, rows_of: Rows | None = None) -> np.ndarray:
        """The codes (or dosages) of chunk `index`, cut to the view's samples and variants."""
        start, stop, rows = self.chunk_rows[index]
        block = (rows_of or self.source_rows)(start, stop)
        if self.variants is not None and rows.stop - rows.start < stop - start:
            block = np.ascontiguousarray(block[self.variants[rows] - start])
        if self.samples is not None:
            if self.use_dosage:
                block = np.ascontiguousarray(block[:, self.samples])
            else:
                block = codes.subset_samples(block, self.samples)
        return block

    def moments_of(self, block: np.ndarray) -> moments.Moments:
        """Moments of a block that `read_codes` gave."""
        if self.use_dosage:
            return moments.from_dosage_sums(*codes.dosage_moments(block))
        return moments.from_counts(codes.count_codes(block, self.n_samples))

    def _read(self, index: int, rows: Rows | None = None) -> Chunk:
        block = self.read_codes(index, rows)
        found = self.moments_of(block)
        if self.fixed is None:
            mean, factor = found.centre(), found.factor(self.scale, self.alpha)
        else:
            mean, factor = (array[self.chunk_rows[index][2]] for array in self.fixed)
        table = products.dosage_table(mean, factor) if self.use_dosage else products.value_table(mean, factor)
        return Chunk(block, table, found, self.chunk_rows[index][2])
