"""A genotype store of daskgen as a source: what exports read, with the selection of a conversion."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from conversion.source import GenotypeSource, SampleTable, VariantTable
from daskgen import config
from daskgen.kernels.genotype_codes import call_dosages, packed_width
from daskgen.stores import Location, StoreLike, open_group, reopen_array
from daskgen.stores.genotype_layout import reading_rows

__all__ = ["StoreSource"]

_SAMPLE_COLUMNS = ("sample_id", "family_id", "paternal_id", "maternal_id", "sex", "phenotype")


@dataclass(frozen=True, eq=False)
class StoreSource(GenotypeSource):
    """A genotype store. `call_threshold`: None where it has hard calls, else which of its dosages are calls."""

    path: str
    store_id: str
    counted_allele: str
    n_samples: int
    n_variants: int
    has_dosage: bool
    call_threshold: float | None
    chunk_rows: int
    has_info_score: bool = False

    format = "store"

    @classmethod
    def of(cls, store: StoreLike) -> StoreSource:
        """The source of a store. StoreError unless it is a complete store of genotypes."""
        group = open_group(store, "genotypes")
        has_calls, has_dosage = "call_genotype_packed" in group, "call_dosage" in group
        stored = group["call_genotype_packed" if has_calls else "call_dosage"]
        threshold = None if has_calls else float(stored.attrs["hard_call_threshold"])  # type: ignore[arg-type]
        return cls(
            Location.of(store).url,
            str(group.attrs["store_id"]),
            str(group.attrs["counted_allele"]),
            int(group.attrs["n_samples"]),  # type: ignore[call-overload]
            stored.shape[0],  # type: ignore[union-attr]
            has_dosage,
            threshold,
            reading_rows(group),
            "variant_info_score" in group,
        )

    @property
    def files(self) -> tuple[str, ...]:
        return (self.path,)

    @property
    def reader_id(self) -> str:
        return self.store_id

    @property
    def rows_per_chunk(self) -> int:
        return self.chunk_rows

    def samples(self) -> SampleTable:
        group = open_group(self.path, "genotypes")
        names = (f"sample_{name.removeprefix('sample_')}" for name in _SAMPLE_COLUMNS)
        return SampleTable(*(np.asarray(group[name][...]) for name in names))  # type: ignore[index]

    def variant_tables(self) -> Iterator[VariantTable]:
        contigs = tuple(self._part("contig_id").tolist())
        for start in range(0, self.n_variants, config.get("column-rows")):
            part = slice(start, min(start + config.get("column-rows"), self.n_variants))
            yield VariantTable(
                self._part("variant_contig", part),
                contigs,
                self._part("variant_position", part),
                self._part("variant_genetic_position", part),
                self._part("variant_id", part),
                self._part("variant_allele", part),
                self._part("variant_info_score", part) if self.has_info_score else None,
            )

    def _part(self, name: str, part: slice = slice(None)) -> np.ndarray:
        return np.asarray(reopen_array(self.path, self.store_id, name)[part])

    def read(self, start: int, stop: int, out: np.ndarray | None = None) -> np.ndarray:
        if self.call_threshold is None:
            packed = self._part("call_genotype_packed", slice(start, stop))
        else:
            packed = call_dosages(self._part("call_dosage", slice(start, stop)), self.call_threshold)
        if out is None:
            return packed
        out[...] = packed
        return out

    def read_rows(self, rows: np.ndarray) -> np.ndarray:
        out = np.empty((len(rows), packed_width(self.n_samples)), np.uint8)
        for place, end, start, stop in self._stretches(rows):
            out[place:end] = self.read(start, stop)[rows[place:end] - start]
        return out

    def read_dosage_rows(self, rows: np.ndarray) -> np.ndarray:
        if not self.has_dosage:
            return super().read_dosage_rows(rows)
        out = np.empty((len(rows), self.n_samples), np.uint16)
        for place, end, start, stop in self._stretches(rows):
            out[place:end] = self._part("call_dosage", slice(start, stop))[rows[place:end] - start]
        return out

    def _stretches(self, rows: np.ndarray) -> Iterator[tuple[int, int, int, int]]:
        """(place in `rows`, end, first row, end) of the wanted rows of each chunk, which is read once."""
        place = 0
        while place < len(rows):
            first = int(rows[place])
            end = int(np.searchsorted(rows, first - first % self.chunk_rows + self.chunk_rows))
            yield place, end, first, int(rows[end - 1]) + 1
            place = end
