"""The store of summary statistics: the union of the traits' variants in the order of the reference, a trait a row."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl
import zarr

from conversion.summary.drops import REASONS, DropReport
from conversion.summary.reference import Reference
from conversion.summary.spool import Spool
from conversion.summary.study import TraitArguments
from conversion.summary.trait import TraitRows
from daskgen.errors import StoreError, UsageError
from daskgen.stores import ArrayPlan, Location, PackedText, RunKey, StoreWriter, column_layout, open_group

__all__ = ["ExistingStore", "SumstatsResult", "check_destination", "existing_store", "write_store"]

_TEXT = np.dtypes.StringDType()
VALUES = {"ldsc": ("z", "n"), "gwas": ("beta", "se")}
NO_REFERENCE = "none: the variants of the traits, in order of appearance"


@dataclass(frozen=True)
class SumstatsResult:
    """What a conversion made: the store's path, traits, variants, and what became of each file's rows.

    reports: of the traits that this call added.
    """

    path: str
    traits: tuple[str, ...]
    n_variants: int
    reports: tuple[DropReport, ...]

    def __fspath__(self) -> str:
        """The store's path: functions take the result where they take a path."""
        return self.path

    def open(self) -> Any:
        """The store as a lazy xarray Dataset, as `daskgen.open_store` gives it."""
        import daskgen

        return daskgen.open_store(self.path)

    @property
    def dropped(self) -> dict[str, dict[str, int]]:
        """Trait -> reason -> rows dropped."""
        return {report.trait: {name: n for name, n in report.dropped.items() if n} for report in self.reports}

    def __str__(self) -> str:
        head = f"{self.path}: {len(self.traits)} trait{'s' * (len(self.traits) != 1)} x {self.n_variants:,} variants"
        return "\n".join([head, *(line for report in self.reports for line in report.lines())])


@dataclass(frozen=True, eq=False)
class ExistingStore:
    """A store to which traits are appended."""

    group: zarr.Group
    purpose: str

    @property
    def traits(self) -> list[str]:
        """Names of the traits that are there."""
        return self.column("trait", "").tolist()

    def column(self, name: str, missing: Any) -> np.ndarray:
        """A small array of the store; `missing` for every trait where the store has none."""
        if name in self.group:
            return np.asarray(self.group[name][...])  # type: ignore[index]
        return np.array([missing] * len(self.traits), dtype=_TEXT if missing == "" else np.float64)

    def values(self, trait: int, name: str) -> npt.NDArray[np.float64]:
        """Values of one trait."""
        return np.asarray(self.group[name][trait])  # type: ignore[index]

    def check_reference(self, fingerprint: str | None, path: str | None) -> None:
        """StoreError unless the store was made with the same reference."""
        made_with: Mapping[str, Any] = self.group.attrs.asdict()["reference"]
        if made_with.get("fingerprint") != fingerprint:
            raise StoreError(
                "traits can be appended only with the reference that the store was made with.",
                found=f"{path or NO_REFERENCE} ({(fingerprint or '')[:12]})",
                expected=f"{made_with.get('name')} ({(made_with.get('fingerprint') or '')[:12]})",
                do="use that reference, or make a new store of all traits",
            )


def check_destination(destination: str | os.PathLike[str], *, append: bool, force: bool) -> None:
    """Refuse, before any work, a destination that lies there already and may be neither replaced nor appended to."""
    if append and force:
        raise UsageError("append and force exclude each other.", do="choose one")
    place = Location.of(destination)
    there = place.exists() and not place.is_empty_folder()
    if there and force:
        open_group(destination, "sumstats", allow_incomplete=True)  # what is replaced is a store of daskgen
    if there and not (append or force):
        raise StoreError(
            f"{os.fspath(destination)} exists.",
            do="choose another path, --append to add traits to it, or --force to replace it",
        )


def existing_store(destination: str | os.PathLike[str], purpose: str, names: Sequence[str]) -> ExistingStore | None:
    """The store to append to; None if there is none yet. StoreError where its purpose or its traits forbid it."""
    place = Location.of(destination)
    if not place.exists() or place.is_empty_folder():
        return None
    group = open_group(destination, "sumstats")
    here = group.attrs.asdict().get("purpose")
    if here != purpose:
        raise StoreError(f"{os.fspath(destination)} has another purpose.", found=str(here), expected=purpose)
    store = ExistingStore(group, purpose)
    if both := sorted(set(store.traits) & set(names)):
        raise StoreError(
            f"{os.fspath(destination)} has these traits already.",
            found=", ".join(both),
            do="give the new ones other names, or make the store again with --force",
        )
    return store


def write_store(
    destination: str | os.PathLike[str],
    *,
    purpose: str,
    reference: Reference,
    spool: Spool,
    read: Sequence[TraitRows],
    arguments: Sequence[TraitArguments],
    run: RunKey,
    provenance: Mapping[str, Any],
    existing: ExistingStore | None = None,
    force: bool = False,
) -> SumstatsResult:
    """Write the traits in `spool`, after those of `existing`; the variants are those that any trait has."""
    old_rows = np.empty(0, np.int64) if existing is None else _rows_of(existing, reference)
    union = np.zeros(len(reference), bool)
    union[old_rows] = True
    for index in range(len(read)):
        union[spool.row(index)] = True
    place_of = np.cumsum(union) - 1
    n_old = 0 if existing is None else len(existing.traits)
    rows = np.flatnonzero(union)
    tables = _trait_columns(read, arguments, existing)
    plans = _array_plans(purpose, reference, len(rows), tables)
    made_with = {
        "name": NO_REFERENCE if reference.path is None else os.path.basename(reference.path),
        "fingerprint": reference.fingerprint,
        "variants": len(reference),
    }
    with StoreWriter(
        destination,
        kind="sumstats",
        arrays=plans,
        run=run,
        provenance=provenance,
        attrs={"purpose": purpose, "reference": made_with},
        force=force or existing is not None,
    ) as writer:
        writer.write("traits", **tables)
        if reference.has_positions:
            writer.write("contigs", contig_id=_contig_names(reference))
        names = [plan.name for plan in plans if plan.dims[0] == "variants"]
        step = column_layout(len(rows)).chunks[0]
        stage = writer.stage("variants", arrays=names, blocks={"variants": step})
        for index in stage.pending:
            part = rows[stage.target.ranges(index)["variants"]]
            stage.target.write(index, {name: _variant_column(reference, name, part) for name in names})
        values = writer.stage("values", arrays=VALUES[purpose], blocks={"traits": 1, "variants": step})

        def whole(trait: int) -> Iterator[tuple[str, npt.NDArray[np.float64]]]:
            there = place_of[old_rows if trait < n_old else spool.row(trait - n_old)]
            for name in VALUES[purpose]:
                column = np.full(len(rows), np.nan)
                if trait < n_old:
                    assert existing is not None
                    column[there] = existing.values(trait, name)
                else:
                    column[there] = spool.values(trait - n_old, name)
                yield name, column

        groups = -(-len(rows) // step)
        for trait in range(n_old + len(read)):
            columns = dict(whole(trait))
            for group in range(groups):
                index = trait * groups + group
                covered = values.target.ranges(index)["variants"]
                values.target.write(index, {name: column[None, covered] for name, column in columns.items()})
        place = writer.finish()
    traits = tuple(tables["trait"].tolist())
    return SumstatsResult(place.url, traits, len(rows), tuple(result.report for result in read))


def _rows_of(existing: ExistingStore, reference: Reference) -> npt.NDArray[np.int64]:
    ids = pl.Series(np.asarray(existing.group["variant_id"][...]).tolist(), dtype=pl.String)  # type: ignore[index]
    rows = reference.locate_ids(ids)
    if (rows < 0).any():
        raise StoreError(
            "the store that is appended to has variants that its reference has not.",
            found=", ".join(ids.filter(pl.Series(rows < 0))[:3].to_list()),
            do="make the store again from all traits",
        )
    return rows


def _contig_names(reference: Reference) -> np.ndarray:
    return np.array([*reference.contigs.names, "0"], dtype=_TEXT)  # the last one: unknown


def _variant_column(reference: Reference, name: str, rows: npt.NDArray[np.int64]) -> np.ndarray | PackedText:
    if name == "variant_id":
        return PackedText.of(reference.ids.gather(rows).str.join("\0", ignore_nulls=False).item(), (len(rows),))
    if name == "variant_allele":
        codes = np.stack([reference.other[rows], reference.effect[rows]], axis=1)
        return PackedText.of("\0".join(reference.alleles.texts(codes.ravel()).tolist()), codes.shape)
    if name == "maf":
        assert reference.frequency is not None
        frequency = reference.frequency[rows]
        return np.minimum(frequency, 1 - frequency)
    if name == "variant_contig":
        assert reference.contig is not None
        contig = reference.contig[rows]
        return np.where(contig >= 0, contig, len(reference.contigs.names)).astype(np.int32)
    assert reference.position is not None
    return reference.position[rows]


def _trait_columns(
    read: Sequence[TraitRows], arguments: Sequence[TraitArguments], existing: ExistingStore | None
) -> dict[str, np.ndarray]:
    """The arrays that have a value per trait, old traits first."""

    def numbers(values: Sequence[float | None]) -> np.ndarray:
        return np.array([np.nan if value is None else value for value in values], np.float64)

    def texts(values: Sequence[str | None]) -> np.ndarray:
        return np.array([value or "" for value in values], dtype=_TEXT)

    reports = [result.report for result in read]
    columns = {
        "trait": texts([result.name for result in read]),
        "trait_n": numbers([result.trait_n for result in read]),
        "n_kind": texts([result.n_kind for result in read]),
        "n_source": texts([result.n_source for result in read]),
        "scale": texts([trait.scale for trait in arguments]),
        "sample_prev": numbers([trait.sample_prev for trait in arguments]),
        "population_prev": numbers([trait.population_prev for trait in arguments]),
        "rows_read": np.array([report.read for report in reports], np.int64),
        "rows_kept": np.array([report.kept for report in reports], np.int64),
        "rows_turned": np.array([report.flipped for report in reports], np.int64),
    }
    dropped = np.array([report.counts for report in reports], np.int64).reshape(-1, len(REASONS))
    if existing is not None:
        for name, new in columns.items():
            old = existing.column(name, "" if new.dtype.kind == "T" else np.nan)
            columns[name] = np.concatenate([old.astype(new.dtype), new])
        known = existing.column("reason", "").tolist()
        before = np.zeros((len(existing.traits), len(REASONS)), np.int64)
        for position, name in enumerate(REASONS):
            if name in known:
                before[:, position] = np.asarray(existing.group["dropped"][:, known.index(name)])  # type: ignore[index]
        dropped = np.concatenate([before, dropped])
    return {**columns, "dropped": dropped, "reason": np.array(list(REASONS), dtype=_TEXT)}


def _array_plans(
    purpose: str, reference: Reference, n_variants: int, tables: Mapping[str, np.ndarray]
) -> list[ArrayPlan]:
    n_traits = len(tables["trait"])
    step = column_layout(n_variants).chunks[0]
    plans = []
    of_reasons = {"dropped": ("traits", "reasons"), "reason": ("reasons",)}
    for name, table in tables.items():
        dtype = "string" if table.dtype.kind == "T" else table.dtype
        plans.append(ArrayPlan(name, table.shape, dtype, of_reasons.get(name, ("traits",)), table.shape))
    columns: list[tuple[str, Any, tuple[str, ...], dict[str, Any]]] = [("variant_id", "string", ("variants",), {})]
    convention = {"effect_allele": "the second of the two"}
    columns.append(("variant_allele", "string", ("variants", "alleles"), convention))
    if reference.has_positions:
        shape = (len(_contig_names(reference)),)
        plans.append(ArrayPlan("contig_id", shape, "string", ("contigs",), shape))
        columns += [("variant_contig", "int32", ("variants",), {}), ("variant_position", "int32", ("variants",), {})]
    if purpose == "gwas":
        columns.append(("maf", "float64", ("variants",), {}))
    for name, dtype, axes, attrs in columns:
        further = (2,) * (len(axes) - 1)
        plans.append(ArrayPlan(name, (n_variants, *further), dtype, axes, (step, *further), attrs=attrs))
    for name in VALUES[purpose]:
        plans.append(
            ArrayPlan(
                name, (n_traits, n_variants), "float64", ("traits", "variants"), (1, step), fill_value=float("nan")
            )
        )
    return plans
