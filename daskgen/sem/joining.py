"""The variants that several sources share, matched by id and alleles."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

__all__ = ["join"]

log = logging.getLogger("daskgen.sem")

_TOGETHER = 1 << 18  # rows whose text is in memory at a time


class Columns(Protocol):
    """What is needed of a source."""

    @property
    def n_variants(self) -> int: ...

    def read(self, name: str, rows: slice) -> np.ndarray:
        """Rows of a column."""


@dataclass(frozen=True)
class _Keys:
    """Of the rows of a source that may be used: `row` int32, and 64-bit hashes.

    key: of the id and the two alleles in any order; check: the same by another hash function, so that two variants are
    taken for one with a probability of 2^-128; first: of the allele that is not the effect allele.
    """

    row: np.ndarray
    key: np.ndarray
    check: np.ndarray
    first: np.ndarray

    def take(self, which: np.ndarray) -> _Keys:
        """The keys at positions `which`."""
        return _Keys(self.row[which], self.key[which], self.check[which], self.first[which])


def join(
    readers: Sequence[Columns], names: Sequence[str], complete: Sequence[np.ndarray | None]
) -> tuple[list[np.ndarray | None], list[np.ndarray | None]]:
    """Rows of the shared variants in each source, in the order of the first, and whether effects are turned.

    complete: of each source, bool (variants,), the rows that may be used, None for all. A variant is the same where id
    and the two alleles are, in either order; one that a source has twice is left out. Returns, of each source, rows
    int32 (shared,), None where they are all rows in order, and bool (shared,), None where nothing is turned.
    """
    if len(readers) == 1:
        mask = complete[0]
        return [None if mask is None else np.flatnonzero(mask).astype(np.int32)], [None]
    sources = [_keys(reader, mask, name) for reader, mask, name in zip(readers, complete, names, strict=True)]
    shared = sources[0]
    places = [np.arange(len(shared.row))]
    for other in sources[1:]:
        order = np.argsort(other.key, kind="stable")
        at = np.searchsorted(other.key[order], shared.key)
        at = order[np.minimum(at, len(order) - 1)] if len(order) else np.zeros(len(shared.key), np.int64)
        same = np.zeros(len(shared.key), bool)
        if len(order):
            same = (other.key[at] == shared.key) & (other.check[at] == shared.check)
        shared = shared.take(same)
        places = [place[same] for place in (*places, at)]
    rows: list[np.ndarray | None] = []
    turned: list[np.ndarray | None] = []
    for reader, source, place, name in zip(readers, sources, places, names, strict=True):
        row, swapped = source.row[place], source.first[place] != shared.first
        whole = len(row) == reader.n_variants and bool((row == np.arange(len(row), dtype=np.int32)).all())
        rows.append(None if whole else row)
        turned.append(swapped if swapped.any() else None)
        if swapped.any():
            log.info("Alleles    %s: swapped at %s variants, whose effects are turned", name, f"{swapped.sum():,}")
    return rows, turned


def _keys(reader: Columns, mask: np.ndarray | None, name: str) -> _Keys:
    """Keys of the usable rows of a source, in its order, without those that occur twice."""
    import polars as pl  # takes a tenth of a second, which a single store does not need

    n = reader.n_variants
    key, check, first = (np.empty(n, np.uint64) for _ in range(3))
    for start in range(0, n, _TOGETHER):
        part = slice(start, min(start + _TOGETHER, n))
        ids = pl.Series(reader.read("variant_id", part).tolist(), dtype=pl.String)
        allele = reader.read("variant_allele", part)
        one, other = (pl.Series(allele[:, i].tolist(), dtype=pl.String) for i in (0, 1))
        first[part] = one.hash(seed=1).to_numpy()
        second = other.hash(seed=1).to_numpy()
        alleles = pl.DataFrame({"a": np.minimum(first[part], second), "b": np.maximum(first[part], second), "id": ids})
        key[part], check[part] = (alleles.hash_rows(seed=seed).to_numpy() for seed in (2, 3))
    row = np.arange(n, dtype=np.int32) if mask is None else np.flatnonzero(mask).astype(np.int32)
    keys = _Keys(row, key[row], check[row], first[row])
    order = np.argsort(keys.key, kind="stable")
    equal = keys.key[order][1:] == keys.key[order][:-1]
    if equal.any():
        once = np.ones(len(row), bool)
        once[order[1:][equal]] = once[order[:-1][equal]] = False
        log.info("Left out   %s: %s rows of variants that it has twice", name, f"{(~once).sum():,}")
        keys = keys.take(once)
    return keys
