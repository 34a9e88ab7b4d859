"""One pass through the variant tables of a source before any genotype is read.

Everything that can be wrong with them is found here, and what the tasks need is kept in little memory: contigs as
runs, the selection as one bit per variant.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from conversion.row_set import RowSet
from conversion.source import GenotypeSource, VariantTable
from daskgen.inputs.selection import VariantSelection

__all__ = ["ContigRuns", "VariantScan", "scan_variants"]


@dataclass(frozen=True, eq=False)
class ContigRuns:
    """The contig of every variant, as runs of equal ones.

    `names`: contigs in order of first appearance; `starts`: int64, first variant of each run; `codes`: int32, its
    contig; `n`: number of variants.
    """

    names: tuple[str, ...]
    starts: np.ndarray
    codes: np.ndarray
    n: int

    def codes_of(self, start: int, stop: int) -> np.ndarray:
        """Contig index of variants [start, stop), int32."""
        first = int(np.searchsorted(self.starts, start, side="right")) - 1
        last = int(np.searchsorted(self.starts, stop, side="left"))
        edges = np.append(self.starts[first:last], stop)
        edges[0] = start
        return np.repeat(self.codes[first:last], np.diff(edges))

    def keep(self, mask: np.ndarray) -> ContigRuns:
        """The runs of the variants where `mask` is True; contigs without any are left out."""
        length = np.add.reduceat(mask, self.starts, dtype=np.int64)
        kept = length > 0
        codes, length = self.codes[kept], length[kept]
        used = list(dict.fromkeys(codes.tolist()))
        new_code = np.zeros(len(self.names), np.int32)
        new_code[used] = np.arange(len(used))
        starts = np.cumsum(length) - length
        return ContigRuns(tuple(self.names[code] for code in used), starts, new_code[codes], int(length.sum()))


@dataclass(frozen=True, eq=False)
class VariantScan:
    """What the scan found. `rows`: the selected variants, None for all; `first`: the first three of them, as text."""

    rows: RowSet | None
    contigs: ContigRuns
    first: Sequence[tuple[str, str, str]]
    dropped: dict[str, int]


def scan_variants(source: GenotypeSource, selection: VariantSelection) -> VariantScan:
    """Read and check all variant tables, and select.

    `first` holds (id, other allele, counted allele). Raises InputError with file and line for a malformed table,
    and where no variant is left.
    """
    known: dict[str, int] = {}
    starts: list[np.ndarray] = []
    codes: list[np.ndarray] = []
    masks: list[np.ndarray] = []
    first: list[tuple[str, str, str]] = []
    ids: list[str] = []
    contigs: dict[str, None] = {}
    n = 0
    for table in source.variant_tables():
        ids = ids or table.variant_id[:4].tolist()
        contigs.update(dict.fromkeys(table.contig_names))
        mask = selection.mask(table)
        masks.append(mask)
        kept = table if mask.all() else table.take(mask)
        if not len(kept):
            continue
        if len(first) < 3:
            some = zip(kept.variant_id[:3].tolist(), kept.allele[:3].tolist(), strict=True)
            first.extend((name, other, counted) for name, (other, counted) in some)
        code = _codes(kept, known)
        change = np.concatenate([np.zeros(1, np.int64), np.flatnonzero(np.diff(code)) + 1])
        starts.append(n + change)
        codes.append(code[change])
        n += len(kept)
    if not n:
        raise selection.nothing_left(source.path, ids, list(contigs))
    mask = np.concatenate(masks)
    runs = ContigRuns(tuple(known), np.concatenate(starts), np.concatenate(codes), n)
    return VariantScan(None if n == len(mask) else RowSet(mask), runs, first[:3], dict(selection.dropped))


def _codes(table: VariantTable, known: dict[str, int]) -> np.ndarray:
    """Contig index of each variant among `known`, to which new names are added in order of appearance."""
    _, appears = np.unique(table.contig, return_index=True)
    code = np.zeros(len(table.contig_names), np.int32)
    for own in table.contig[np.sort(appears)].tolist():
        code[own] = known.setdefault(table.contig_names[own], len(known))
    return code[table.contig]
