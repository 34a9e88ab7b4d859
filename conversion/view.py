"""A source seen through a selection: some of its samples, some of its variants, or the other allele counted."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from conversion.row_set import RowSet
from conversion.source import CallBlock, GenotypeSource, SampleTable, See, VariantTable
from daskgen.kernels.genotype_codes import DOSAGE_MISSING, DOSAGE_SCALE, flip, packed_width, subset_samples

__all__ = ["SourceView"]

_BLOCK_BYTES = 8_000_000  # of the source that are read before samples are chosen
_OTHER = {"A1": "A2", "A2": "A1", "ALT": "REF", "REF": "ALT", "allele 1": "allele 2", "allele 2": "allele 1"}


@dataclass(frozen=True, eq=False)
class SourceView(GenotypeSource):
    """`source` with only the samples at `sample_index` and the variants of `rows` (None: all), flipped if asked.

    with_dosage: False hides the dosages of the source.
    """

    source: GenotypeSource
    sample_index: np.ndarray | None = field(default=None, repr=False)
    rows: RowSet | None = field(default=None, repr=False)
    flipped: bool = False
    with_dosage: bool = True

    @property
    def format(self) -> str:  # type: ignore[override]
        return self.source.format

    @property
    def counted_allele(self) -> str:  # type: ignore[override]
        own = self.source.counted_allele
        return _OTHER.get(own, f"not {own}") if self.flipped else own

    @property
    def path(self) -> str:  # type: ignore[override]
        return self.source.path

    @property
    def n_samples(self) -> int:  # type: ignore[override]
        return self.source.n_samples if self.sample_index is None else len(self.sample_index)

    @property
    def n_variants(self) -> int:  # type: ignore[override]
        return self.source.n_variants if self.rows is None else len(self.rows)

    @property
    def has_dosage(self) -> bool:  # type: ignore[override]
        return self.source.has_dosage and self.with_dosage

    @property
    def has_multiallelic(self) -> bool:  # type: ignore[override]
        return self.source.has_multiallelic

    @property
    def has_info_score(self) -> bool:  # type: ignore[override]
        return self.source.has_info_score

    @property
    def measures_info(self) -> bool:  # type: ignore[override]
        return self.source.measures_info

    @property
    def may_have_half_calls(self) -> bool:  # type: ignore[override]
        return self.source.may_have_half_calls

    @property
    def passes(self) -> int:  # type: ignore[override]
        return self.source.passes

    @property
    def sequential(self) -> bool:  # type: ignore[override]
        return self.source.sequential

    @property
    def files(self) -> tuple[str, ...]:
        return self.source.files

    @property
    def genotype_files(self) -> tuple[str, ...]:
        return self.source.genotype_files

    @property
    def hashed_files(self) -> tuple[str, ...]:
        return self.source.hashed_files

    @property
    def genotype_bytes(self) -> int:
        return self.source.genotype_bytes

    @cached_property
    def selection_id(self) -> bytes:  # type: ignore[override]
        digest = hashlib.sha256(f"{self.counted_allele} {self.has_dosage}".encode())
        digest.update(b"all" if self.sample_index is None else self.sample_index.tobytes())
        digest.update(b"all" if self.rows is None else np.packbits(self.rows.mask()).tobytes())
        return digest.digest()

    @property
    def reader_id(self) -> str:
        return f"{self.source.reader_id}\n{self.selection_id.hex()}"

    @property
    def nbytes(self) -> int:
        samples = 0 if self.sample_index is None else self.sample_index.nbytes
        return self.source.nbytes + samples + (0 if self.rows is None else self.rows.nbytes)

    @property
    def notes(self) -> Sequence[str]:
        return self.source.notes

    def samples(self) -> SampleTable:
        table = self.source.samples()
        return table if self.sample_index is None else table.take(self.sample_index)

    def variant_tables(self) -> Iterator[VariantTable]:
        mask = None if self.rows is None else self.rows.mask()
        first = 0
        for table in self.source.variant_tables():
            end = first + len(table)
            if mask is not None:
                table = table.take(mask[first:end])
            first = end
            if len(table):
                yield table.with_alleles_swapped() if self.flipped else table

    @property
    def file_row_bytes(self) -> int:
        return self.source.file_row_bytes

    @property
    def rows_in_cache(self) -> int | None:
        return self.source.rows_in_cache if self.rows is None and self.sample_index is None else None

    def read(self, start: int, stop: int, out: np.ndarray | None = None) -> np.ndarray:
        if self.rows is None and self.sample_index is None:
            packed = self.source.read(start, stop, out=out)
        else:
            packed = np.empty((stop - start, packed_width(self.n_samples)), np.uint8) if out is None else out
            for place, end, rows in self._blocks(np.arange(start, stop)):
                block = self.source.read_rows(rows)
                if self.sample_index is None:
                    packed[place:end] = block
                else:
                    subset_samples(block, self.sample_index, out=packed[place:end])
        return flip(packed, self.n_samples, out=packed) if self.flipped else packed

    def read_and_show(self, start: int, stop: int, out: np.ndarray, see: See) -> None:
        if self.rows is not None or self.sample_index is not None:
            self.read(start, stop, out=out)
            return
        self.source.read_and_show(start, stop, out, see)
        if self.flipped:
            flip(out, self.n_samples, out=out)

    def read_dosage_rows(self, rows: np.ndarray) -> np.ndarray:
        if not self.has_dosage:
            return super().read_dosage_rows(rows)
        dosage = np.empty((len(rows), self.n_samples), np.uint16)
        for place, end, own in self._blocks(rows):
            block = self.source.read_dosage_rows(own)
            dosage[place:end] = block if self.sample_index is None else block[:, self.sample_index]
        return self._turned_dosage(dosage)

    def read_calls(self, rows: np.ndarray, out: np.ndarray | None = None) -> CallBlock:
        block = self._empty(len(rows), out)
        if block.dosage is None and self.source.has_dosage and not self.measures_info:
            # The source would decode dosages that nobody wants.
            block.packed[...] = self.read_rows(rows)
            return block
        for place, end, own in self._blocks(rows):
            self._choose(self.source.read_calls(own), None, block, place, end)
        return self._turned(block)

    def read_block(self, start: int, stop: int, out: np.ndarray | None = None) -> CallBlock:
        if not self.has_dosage and not self.measures_info:
            return CallBlock(self.read(start, stop, out=out), None)
        if self.rows is None and self.sample_index is None:
            block = self.source.read_block(start, stop, out=out)
            return self._turned(block if self.has_dosage else block._replace(dosage=None))
        return self.read_calls(np.arange(start, stop), out)

    def stream(self, ranges: Iterable[tuple[int, int]]) -> Iterator[CallBlock]:
        # The wanted rows may lie far apart, so the source is asked for short ranges that hold some.
        wanted = [(start, stop, list(self._hulls(start, stop))) for start, stop in ranges]
        blocks = self.source.stream((int(own[0]), int(own[-1]) + 1) for *_, hulls in wanted for own in hulls)
        for start, stop, hulls in wanted:
            result, place = self._empty(stop - start, None), 0
            for own in hulls:
                self._choose(next(blocks), own - own[0], result, place, place + len(own))
                place += len(own)
            yield self._turned(result)

    def _hulls(self, start: int, stop: int) -> Iterator[np.ndarray]:
        """Rows of the source for the view's rows [start, stop), cut so that few lie between the first and the last."""
        rows = np.arange(start, stop) if self.rows is None else self.rows.rows(start, stop)
        while len(rows):
            end = int(np.searchsorted(rows, rows[0] + self._step))
            yield rows[:end]
            rows = rows[end:]

    @property
    def _step(self) -> int:
        """Rows of the source to hold at a time: it may be far wider than the view."""
        return max(1, _BLOCK_BYTES // (2 * self.source.n_samples if self.has_dosage else self.file_row_bytes))

    def _blocks(self, rows: np.ndarray) -> Iterator[tuple[int, int, np.ndarray]]:
        """(place in `rows`, end, rows of the source) of a few rows at a time."""
        for place in range(0, len(rows), self._step):
            own = rows[place : place + self._step]
            if self.rows is not None:
                own = self.rows.rows(int(own[0]), int(own[-1]) + 1)[own - own[0]]
            yield place, place + len(own), own

    # -- blocks with calls and dosages -------------------------------------------------------------------------
    def _empty(self, n: int, out: np.ndarray | None) -> CallBlock:
        packed = np.empty((n, packed_width(self.n_samples)), np.uint8) if out is None else out
        dosage = np.empty((n, self.n_samples), np.uint16) if self.has_dosage else None
        return CallBlock(packed, dosage, np.empty(n, np.float32) if self.measures_info else None)

    def _choose(self, block: CallBlock, rows: np.ndarray | None, into: CallBlock, place: int, end: int) -> None:
        """Copy the chosen samples of `rows` (None: all) of a block of the source."""
        packed, dosage = block.packed, block.dosage
        if rows is not None and len(rows) < len(packed):
            packed, dosage = packed[rows], None if dosage is None or into.dosage is None else dosage[rows]
        if self.sample_index is None:
            into.packed[place:end] = packed
        else:
            subset_samples(packed, self.sample_index, out=into.packed[place:end])
        if into.info is not None and block.info is not None:
            into.info[place:end] = block.info if rows is None else block.info[rows]
        if into.dosage is not None and dosage is not None:
            into.dosage[place:end] = dosage if self.sample_index is None else dosage[:, self.sample_index]

    def _turned(self, block: CallBlock) -> CallBlock:
        """The same block, changed in place to count the other allele where the view is flipped."""
        if self.flipped:
            flip(block.packed, self.n_samples, out=block.packed)
            if block.dosage is not None:
                self._turned_dosage(block.dosage)
        return block

    def _turned_dosage(self, dosage: np.ndarray) -> np.ndarray:
        if self.flipped:
            np.subtract(np.uint16(2 * DOSAGE_SCALE), dosage, out=dosage, where=dosage != DOSAGE_MISSING)
        return dosage
