"""The list of variants to which all traits are aligned: ids, alleles, frequency, positions, and finding rows in it.

A row of a file is found by its id through integers: an rs number is its own key, other ids have a hash as key and are
compared as text. Keys are searched in sorted order, which is several times faster than joining each block of a file to
millions of rows.
"""

from __future__ import annotations

import logging
import os
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from conversion.summary.alleles import AlleleCodes
from conversion.summary.columns import Columns, resolve_columns
from conversion.summary.contigs import Contigs
from conversion.summary.numeric import floats
from conversion.summary.tables import Table, open_table
from daskgen.errors import InputError
from daskgen.stores.fingerprint import hash_file

__all__ = ["Reference", "read_reference"]

log = logging.getLogger("daskgen.conversion")

Int64 = npt.NDArray[np.int64]
_NO_KEY = np.iinfo(np.int64).min


@dataclass(eq=False)
class Reference:
    """Variants in order.

    ids: text; effect, other: codes of `alleles` (int32), effect is the reference's A1; frequency: of its MAF column,
    float64; contig: codes of `contigs` (int32), position: int32, 0 = unknown; None where the file has no such column.
    fingerprint: of the file, None where the list was made from the traits themselves.
    """

    path: str | None
    ids: pl.Series
    effect: npt.NDArray[np.int32]
    other: npt.NDArray[np.int32]
    alleles: AlleleCodes
    frequency: npt.NDArray[np.float64] | None = None
    contig: npt.NDArray[np.int32] | None = None
    position: npt.NDArray[np.int32] | None = None
    contigs: Contigs = field(default_factory=Contigs)
    fingerprint: str | None = None

    def __post_init__(self) -> None:
        self._id_keys = _SortedKeys(id_keys(self.ids))
        self._position_keys: _SortedKeys | None = None

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def nbytes(self) -> int:
        """Bytes in memory."""
        arrays: list[Any] = [self.effect, self.other, self.frequency, self.contig, self.position]
        keys = (self._id_keys, self._position_keys)
        return int(
            self.ids.estimated_size()
            + sum(a.nbytes for a in arrays if a is not None)
            + sum(k.nbytes for k in keys if k is not None)
        )

    @property
    def has_positions(self) -> bool:
        """Whether positions are known."""
        return self.position is not None

    def locate_ids(self, ids: pl.Series) -> Int64:
        """The row of each id, -1 where it is not in the list."""
        keys = id_keys(ids)
        rows = self._id_keys.find(keys)
        hashed = np.flatnonzero((rows >= 0) & (keys < 0))
        if len(hashed):  # different texts may have the same hash
            same = (ids.gather(hashed) == self.ids.gather(rows[hashed])).fill_null(False).to_numpy()
            rows[hashed[~same]] = -1
        return rows

    def locate_positions(
        self,
        contig: npt.NDArray[np.int32],
        position: Int64,
        first: npt.NDArray[np.int32],
        second: npt.NDArray[np.int32],
    ) -> tuple[Int64, npt.NDArray[np.bool_]]:
        """The row at each position with these two alleles in either order, and whether any row is at the position.

        contig: codes of `contigs`, -1 unknown. A row is -1 where no variant of the list has the position and alleles.
        """
        assert self.contig is not None
        assert self.position is not None
        if self._position_keys is None:
            known = (self.contig >= 0) & (self.position > 0)
            self._position_keys = _SortedKeys(
                np.where(known, position_keys(self.contig, self.position.astype(np.int64)), _NO_KEY)
            )
        keys = np.where((contig >= 0) & (position > 0), position_keys(contig, position), _NO_KEY)
        rows = np.full(len(keys), -1, np.int64)
        there = np.zeros(len(keys), bool)
        for candidate in self._position_keys.find_each(keys):
            hit = candidate >= 0
            if not hit.any():
                break
            there |= hit
            effect, other = self.effect[candidate], self.other[candidate]
            fits = ((effect == first) & (other == second)) | ((effect == second) & (other == first))
            rows = np.where(hit & fits & (rows < 0), candidate, rows)
        return rows, there


class _SortedKeys:
    """Integers in sorted order with the rows that they came from."""

    def __init__(self, keys: Int64):
        ordered, order = _in_order(keys)
        first = int(np.searchsorted(ordered, _NO_KEY, side="right"))
        self._keys, self._rows = ordered[first:], order[first:].astype(np.int32)

    @property
    def nbytes(self) -> int:
        return self._keys.nbytes + self._rows.nbytes

    def find(self, keys: Int64) -> Int64:
        """The row of each key (the first, where several have it), -1 where none has."""
        return next(self.find_each(keys))

    def find_each(self, keys: Int64) -> Any:
        """Arrays of rows: the first row of each key, then the second, ...; -1 where there are no more."""
        rows = np.full(len(keys), -1, np.int64)
        if not len(self._keys):
            yield rows
            return
        # Searching keys in sorted order keeps the part of the list that is looked at in the processor's cache.
        wanted, order = _in_order(keys)
        where = np.searchsorted(self._keys, wanted)
        wanted_any = True
        while wanted_any:
            inside = np.minimum(where, len(self._keys) - 1)
            hit = (where < len(self._keys)) & (self._keys[inside] == wanted)
            rows = np.full(len(keys), -1, np.int64)
            rows[order[hit]] = self._rows[inside[hit]]
            yield rows
            where = where + 1
            wanted_any = bool(hit.any())

    def repeated(self) -> npt.NDArray[np.bool_]:
        """Whether the row's key is another row's too; for as many rows as have a key, in sorted order."""
        same = self._keys[1:] == self._keys[:-1]
        return np.concatenate([[False], same]) | np.concatenate([same, [False]])

    @property
    def rows(self) -> npt.NDArray[np.int32]:
        """The rows in order of their keys."""
        return self._rows


def _in_order(keys: Int64) -> tuple[Int64, Int64]:
    """The keys in order, and the place that each comes from."""
    bits = len(keys).bit_length()
    if len(keys) and keys.min() >= 0 and keys.max() < 1 << (63 - bits):
        # Numbers with their places in their last bits: sorting numbers is fifteen times faster than sorting places.
        together = np.sort((keys << bits) | np.arange(len(keys)))
        return together >> bits, together & ((1 << bits) - 1)
    order = pl.Series(keys).arg_sort().to_numpy().astype(np.int64)
    return keys[order], order


def id_keys(ids: pl.Series) -> Int64:
    """A key per id: the number of an rs number (>= 0), else a hash (< 0); the smallest integer where there is no id."""
    number = ids.str.strip_prefix("rs").cast(pl.Int64, strict=False)
    keys = number.fill_null(-1).to_numpy()
    # "rs0123" and "rs+123" are other texts than "rs123".
    plain = ids.str.starts_with("rs") & ~ids.str.starts_with("rs0") & ~ids.str.starts_with("rs+")
    is_rs = (plain & (number >= 0)).fill_null(False).to_numpy()
    if is_rs.all():
        return keys
    hashed = -1 - (ids.hash(seed=0).to_numpy() >> np.uint64(2)).astype(np.int64)
    keys = np.where(is_rs, keys, hashed)
    keys[ids.is_null().to_numpy()] = _NO_KEY
    return keys


def position_keys(contig: npt.NDArray[np.int32], position: Int64) -> Int64:
    """A key per contig and position (below 2^40)."""
    return (contig.astype(np.int64) << 40) | position


def read_reference(path: str | os.PathLike[str], *, needs_frequency: bool = False) -> Reference:
    """Read a list of variants (SNP, A1, A2, and where it has them MAF, CHR, BP) from text or Parquet.

    Ids that occur more than once are left out, every copy, and counted in the log. Raises InputError for a list that
    cannot be used.
    """
    path = os.fspath(path)
    table = open_table(path)
    columns = _reference_columns(table)
    if needs_frequency and columns.get("frequency") is None:
        raise InputError(
            f"the reference {path} has no allele frequencies, which the scaling of effects needs.",
            found=" ".join(table.names),
            expected="SNP A1 A2 MAF CHR BP, as reference.1000G.maf.0.005.txt has",
        )
    fields = ("variant_id", "effect_allele", "other_allele", "frequency", "contig", "position")
    used = {key: name for key in fields if (name := columns.get(key)) is not None}
    if "contig" not in used or "position" not in used:
        used.pop("contig", None)
        used.pop("position", None)
    alleles, contigs = AlleleCodes(), Contigs()
    parts: dict[str, list[Any]] = {key: [] for key in used}
    for block in table.blocks(list(dict.fromkeys(used.values()))):
        parts["variant_id"].append(block[used["variant_id"]].cast(pl.String))
        for key in ("effect_allele", "other_allele"):
            parts[key].append(alleles.learn(block[used[key]]))
        if "frequency" in used:
            parts["frequency"].append(floats(block[used["frequency"]]))
        if "contig" in used:
            parts["contig"].append(contigs.learn(block[used["contig"]]))
            position = np.nan_to_num(floats(block[used["position"]]), nan=0.0)
            parts["position"].append(np.clip(position, 0, 2**31 - 1).astype(np.int32))
    ids = pl.concat(parts.pop("variant_id")).rechunk()
    arrays = {key: np.concatenate(values) for key, values in parts.items()}
    reference = Reference(
        path,
        ids,
        arrays["effect_allele"],
        arrays["other_allele"],
        alleles,
        arrays.get("frequency"),
        arrays.get("contig"),
        arrays.get("position"),
        contigs,
        hash_file(path),
    )
    return _without_repeats(reference)


def _reference_columns(table: Table) -> Columns:
    columns = resolve_columns(table.path, table.names)
    if "effect_allele" not in columns.of and {"REF", "ALT"} <= set(table.names):
        # Which of the two stands first only fixes the sign that all traits share.
        columns = resolve_columns(table.path, table.names, {"effect_allele": "ALT", "other_allele": "REF"})
    if "frequency" not in columns.of and "minor_frequency" in columns.of:
        columns = resolve_columns(table.path, table.names, {"frequency": columns.of["minor_frequency"]})
    missing = [key for key in ("variant_id", "effect_allele", "other_allele") if columns.get(key) is None]
    if missing:
        raise InputError(
            f"{table.path} cannot be the reference: it has no column with the {missing[0].replace('_', ' ')}.",
            found=" ".join(table.names)[:200],
            expected="SNP A1 A2 (MAF CHR BP), as w_hm3.snplist or reference.1000G.maf.0.005.txt",
        )
    return columns


def _without_repeats(reference: Reference) -> Reference:
    """The list without ids that occur more than once (every copy) or are missing."""
    keys = reference._id_keys
    keep = np.zeros(len(reference), bool)
    keep[keys.rows[~keys.repeated()]] = True
    dropped = len(reference) - int(keep.sum())
    if not dropped:
        return reference
    log.warning(
        "%s: %s rows with a repeated or missing id are left out of the reference", reference.path, f"{dropped:,}"
    )
    if not keep.any():
        raise InputError(f"the reference {reference.path} has no variant with an id of its own.")

    def kept(values: Any) -> Any:
        return None if values is None else values[keep]

    return Reference(
        reference.path,
        reference.ids.filter(pl.Series(keep)),
        reference.effect[keep],
        reference.other[keep],
        reference.alleles,
        kept(reference.frequency),
        kept(reference.contig),
        kept(reference.position),
        reference.contigs,
        reference.fingerprint,
    )
