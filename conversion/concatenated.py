"""Several sources with the same samples as one: the variants of the first, then those of the second, ..."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from conversion.source import CallBlock, GenotypeSource, SampleTable, See, VariantTable
from daskgen.errors import InputError
from daskgen.kernels.genotype_codes import packed_width

__all__ = ["ConcatenatedSource", "concatenate"]


def concatenate(sources: Sequence[GenotypeSource], *, need_same_dosage: bool = True) -> GenotypeSource:
    """The sources one after the other, in the given order.

    Raises InputError unless all have the same samples in the same order and count the same allele, and (unless told
    that it does not matter) all or none have dosages.
    """
    first, *others = sources
    if not others:
        return first
    ids = first.samples().sample_id
    for other in others:
        _check_same_samples(first.path, ids, other.path, other.samples().sample_id)
        if other.counted_allele != first.counted_allele:
            raise InputError(
                f"{first.path} and {other.path} count different alleles.",
                found=f"{first.counted_allele} and {other.counted_allele}",
                do="convert files of one format at a time",
            )
        if other.has_dosage != first.has_dosage and need_same_dosage:
            with_dosage, without = (first, other) if first.has_dosage else (other, first)
            raise InputError(
                f"{with_dosage.path} has dosages and {without.path} has none.",
                do="dosages=False (--dosages no) takes the hard calls of both",
            )
    return ConcatenatedSource(tuple(sources))


def _check_same_samples(path: str, ids: np.ndarray, other_path: str, other: np.ndarray) -> None:
    if len(ids) != len(other):
        raise InputError(
            f"{path} and {other_path} have different samples.",
            found=f"{len(ids):,} and {len(other):,} samples",
            do="convert them one at a time, or make files of the samples that both have: plink2 --keep",
        )
    different = np.flatnonzero(ids != other)
    if len(different):
        at = int(different[0])
        same_set = set(ids.tolist()) == set(other.tolist())
        raise InputError(
            f"{path} and {other_path} have {'their samples in another order' if same_set else 'different samples'}.",
            found=f"sample {at + 1:,} is {ids[at]} in the first and {other[at]} in the second",
            do="plink2 --indiv-sort file brings a file into the order of another" if same_set else "",
        )


def _joined(blocks: Sequence[CallBlock], out: np.ndarray | None) -> CallBlock:
    """The blocks under each other; dosages and info scores only where all have them."""
    dosages = [block.dosage for block in blocks if block.dosage is not None]
    scores = [block.info for block in blocks if block.info is not None]
    return CallBlock(
        np.concatenate([block.packed for block in blocks], out=out),
        np.concatenate(dosages) if len(dosages) == len(blocks) else None,
        np.concatenate(scores) if len(scores) == len(blocks) else None,
    )


@dataclass(frozen=True, eq=False)
class ConcatenatedSource(GenotypeSource):
    """Sources with the same samples, one after the other."""

    parts: tuple[GenotypeSource, ...]

    @cached_property
    def _starts(self) -> np.ndarray:
        return np.cumsum([0, *(part.n_variants for part in self.parts)])

    @property
    def format(self) -> str:  # type: ignore[override]
        return self.parts[0].format

    @property
    def counted_allele(self) -> str:  # type: ignore[override]
        return self.parts[0].counted_allele

    @property
    def path(self) -> str:  # type: ignore[override]
        return f"{self.parts[0].path} and {len(self.parts) - 1} more"

    @property
    def n_samples(self) -> int:  # type: ignore[override]
        return self.parts[0].n_samples

    @property
    def n_variants(self) -> int:  # type: ignore[override]
        return int(self._starts[-1])

    @property
    def has_dosage(self) -> bool:  # type: ignore[override]
        return all(part.has_dosage for part in self.parts)

    @property
    def has_multiallelic(self) -> bool:  # type: ignore[override]
        return any(part.has_multiallelic for part in self.parts)

    @property
    def has_info_score(self) -> bool:  # type: ignore[override]
        return any(part.has_info_score for part in self.parts)

    @property
    def measures_info(self) -> bool:  # type: ignore[override]
        return all(part.measures_info for part in self.parts)

    @property
    def may_have_half_calls(self) -> bool:  # type: ignore[override]
        return any(part.may_have_half_calls for part in self.parts)

    @property
    def passes(self) -> int:  # type: ignore[override]
        return max(part.passes for part in self.parts)

    @property
    def sequential(self) -> bool:  # type: ignore[override]
        return any(part.sequential for part in self.parts)

    @property
    def reference_is_first(self) -> bool:  # type: ignore[override]
        return self.parts[0].reference_is_first

    @property
    def files(self) -> tuple[str, ...]:
        return tuple(file for part in self.parts for file in part.files)

    @property
    def genotype_files(self) -> tuple[str, ...]:
        return tuple(file for part in self.parts for file in part.genotype_files)

    @property
    def hashed_files(self) -> tuple[str, ...]:
        return tuple(file for part in self.parts for file in part.hashed_files)

    @property
    def genotype_bytes(self) -> int:
        return sum(part.genotype_bytes for part in self.parts)

    @property
    def reader_id(self) -> str:
        return "\n".join(part.reader_id for part in self.parts)

    @property
    def nbytes(self) -> int:
        return sum(part.nbytes for part in self.parts)

    @property
    def notes(self) -> Sequence[str]:
        return [note for part in self.parts for note in part.notes]

    def samples(self) -> SampleTable:
        return self.parts[0].samples()

    def variant_tables(self) -> Iterator[VariantTable]:
        for part in self.parts:
            for table in part.variant_tables():
                if self.has_info_score and table.info_score is None:
                    table = replace(table, info_score=np.full(len(table), np.nan, np.float32))
                yield table

    @property
    def rows_in_cache(self) -> int | None:
        steps = [part.rows_in_cache for part in self.parts]
        return None if None in steps else min(filter(None, steps))

    def read(self, start: int, stop: int, out: np.ndarray | None = None) -> np.ndarray:
        out = np.empty((stop - start, packed_width(self.n_samples)), np.uint8) if out is None else out
        for part, first, end, place in self._pieces(start, stop):
            part.read(first, end, out=out[place : place + end - first])
        return out

    def read_and_show(self, start: int, stop: int, out: np.ndarray, see: See) -> None:
        for part, first, end, place in self._pieces(start, stop):
            part.read_and_show(first, end, out[place : place + end - first], see)

    def read_rows(self, rows: np.ndarray) -> np.ndarray:
        return np.concatenate([part.read_rows(own) for part, own in self._shares(rows)])

    def read_dosage_rows(self, rows: np.ndarray) -> np.ndarray:
        return np.concatenate([part.read_dosage_rows(own) for part, own in self._shares(rows)])

    def read_calls(self, rows: np.ndarray, out: np.ndarray | None = None) -> CallBlock:
        return _joined([part.read_calls(own) for part, own in self._shares(rows)], out)

    def read_block(self, start: int, stop: int, out: np.ndarray | None = None) -> CallBlock:
        return _joined([part.read_block(first, end) for part, first, end, _ in self._pieces(start, stop)], out)

    def stream(self, ranges: Iterable[tuple[int, int]]) -> Iterator[CallBlock]:
        wanted = [list(self._pieces(start, stop)) for start, stop in ranges]
        streams = {
            id(part): part.stream([(a, b) for pieces in wanted for own, a, b, _ in pieces if own is part])
            for part in self.parts
        }
        for pieces in wanted:
            yield _joined([next(streams[id(part)]) for part, *_ in pieces], None)

    def _pieces(self, start: int, stop: int) -> Iterator[tuple[GenotypeSource, int, int, int]]:
        """(part, first row, end, place in the result) of the parts that [start, stop) touches."""
        for part, offset in zip(self.parts, self._starts[:-1].tolist(), strict=True):
            first, end = max(start, offset), min(stop, offset + part.n_variants)
            if first < end:
                yield part, first - offset, end - offset, first - start

    def _shares(self, rows: np.ndarray) -> Iterator[tuple[GenotypeSource, np.ndarray]]:
        """(part, its own row numbers) of increasing rows."""
        edges = np.searchsorted(rows, self._starts)
        for part, offset, a, b in zip(self.parts, self._starts[:-1], edges[:-1], edges[1:], strict=True):
            if a < b:
                yield part, rows[a:b] - offset
