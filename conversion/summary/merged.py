"""Tables of standardised effects that were merged before: SNP CHR BP MAF A1 A2, then beta.T and se.T of each trait."""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Sequence
from typing import Any

import numpy as np

from conversion.summary.convert import describe_file, report_trait
from conversion.summary.drops import REASONS, DropReport
from conversion.summary.fields import canonical
from conversion.summary.numeric import floats
from conversion.summary.reference import Reference, read_reference
from conversion.summary.spool import Spool
from conversion.summary.study import TraitArguments, file_paths, study
from conversion.summary.tables import Table, open_table
from conversion.summary.trait import TraitRows
from conversion.summary.writing import SumstatsResult, existing_store, write_store
from daskgen.errors import InputError, UsageError
from daskgen.stores import RunKey
from daskgen.stores.fingerprint import hash_file

__all__ = ["convert_merged", "merged_tables", "merged_traits"]

log = logging.getLogger("daskgen.conversion")

_VARIANT = {"SNP", "A1", "A2", "MAF"}


def merged_traits(names: Sequence[str]) -> list[str]:
    """The traits of a header beta.T, se.T; none where it is not that of a merged table."""
    if not {canonical(name) for name in names} >= _VARIANT:
        return []
    traits = [match[1] for name in names if (match := re.match(r"beta\.(.+)$", name))]
    return traits if traits and all(f"se.{trait}" in names for trait in traits) else []


def merged_tables(files: Any) -> list[Table]:
    """The tables of a call if they are merged ones, none if none of them is. UsageError where only some are."""
    if files is None:
        return []
    tables = [open_table(path) for path in file_paths(files)]
    merged = [bool(merged_traits(table.names)) for table in tables]
    if any(merged) and not all(merged):
        raise UsageError(
            "some of the files are merged tables and some are not.",
            found=", ".join(table.path for table, yes in zip(tables, merged, strict=True) if yes),
            do="convert them in two calls, the second with append",
        )
    return tables if all(merged) else []


def convert_merged(
    tables: Sequence[Table],
    reference: str | os.PathLike[str] | None,
    destination: str | os.PathLike[str],
    *,
    trait_names: Sequence[str] | str | None,
    append: bool,
    force: bool,
    **per_trait: Any,
) -> SumstatsResult:
    """Store a merged table as it is. Without a reference its own variants, in its order, are the reference."""
    if len(tables) != 1:
        raise UsageError("merged tables are converted one at a time.", found=f"{len(tables)} files", do="use append")
    table = tables[0]
    columns = merged_traits(table.names)
    names = columns if trait_names is None else [trait_names] if isinstance(trait_names, str) else list(trait_names)
    if len(names) != len(columns):
        raise UsageError(
            f"{table.path} has {len(columns)} traits, trait_names has {len(names)}.", found=", ".join(columns)
        )
    arguments = study([table.path] * len(names), trait_names=names, **per_trait)
    existing = existing_store(destination, "gwas", names) if append else None
    variants = read_reference(table.path if reference is None else reference, needs_frequency=True)
    log.info("Merged     %s: %s", table.path, ", ".join(columns))
    if existing is not None:
        existing.check_reference(variants.fingerprint, variants.path)
    sources = [describe_file(table) | {"fingerprint": hash_file(table.path)}]
    with Spool() as spool:
        results = []
        for index, rows in enumerate(_read(table, variants, columns, arguments)):
            report_trait(rows)
            spool.put(index, rows)
            results.append(rows)
        call = {"command": "convert sumstats", "sources": sources, "study": [a.as_dict() for a in arguments]}
        return write_store(
            destination,
            purpose="gwas",
            reference=variants,
            spool=spool,
            read=results,
            arguments=arguments,
            run=RunKey("convert sumstats", {"merged": True, "traits": names}, sources),
            provenance={"effect_allele": "the second of variant_allele; beta counts its copies", "calls": [call]},
            existing=existing,
            force=force,
        )


def _read(
    table: Table, reference: Reference, columns: Sequence[str], arguments: Sequence[TraitArguments]
) -> list[TraitRows]:
    by_name = {canonical(name): name for name in reversed(table.names)}
    used = [by_name["SNP"], by_name["A1"], by_name["A2"], *(f"{what}.{c}" for c in columns for what in ("beta", "se"))]
    codes = reference.alleles
    found: list[Any] = []
    n_read = outside = 0
    for frame in table.blocks(used):
        row = reference.locate_ids(frame[used[0]])
        hit = row >= 0
        n_read, outside = n_read + len(row), outside + int((~hit).sum())
        effect, other = (codes.encode(frame[name])[hit] for name in used[1:3])
        row = row[hit]
        same = (effect == reference.effect[row]) & (other == reference.other[row])
        turned = (effect == reference.other[row]) & (other == reference.effect[row])
        values = np.stack([floats(frame[name])[hit] for name in used[3:]])
        found.append((row, same | turned, turned, values))
    if not found or not sum(len(part[0]) for part in found):
        raise InputError(f"{table.path}: none of its {n_read:,} rows is in the reference {reference.path}.")
    row, fits, turned = (np.concatenate([part[i] for part in found]) for i in range(3))
    values = np.concatenate([part[3] for part in found], axis=1)
    once = np.bincount(row, minlength=len(reference))[row] == 1
    results = []
    for i, trait in enumerate(arguments):
        beta, se = values[2 * i], values[2 * i + 1]
        there = np.isfinite(beta) & np.isfinite(se) & (se > 0)
        keep = once & fits & there
        dropped = dict.fromkeys(REASONS, 0) | {
            "not_in_reference": outside,
            "duplicated": int((~once).sum()),
            "alleles_differ": int((once & ~fits).sum()),
            "missing_values": int((once & fits & ~there).sum()),
        }
        report = DropReport(trait.name, table.path, n_read, int(keep.sum()), int(turned[keep].sum()), 0, dropped)
        if not keep.any():
            raise InputError(f"{table.path}: no row is left of {trait.name}.", found=str(report))
        order = np.argsort(row[keep])
        signed = np.where(turned, -beta, beta)[keep][order]
        results.append(
            TraitRows(
                trait.name,
                row[keep][order].astype(np.int32),
                {"beta": signed, "se": se[keep][order]},
                report,
                "" if trait.n is None else trait.n_kind or "given",
                "" if trait.n is None else "given by the caller",
                np.nan if trait.n is None else trait.n,
            )
        )
    return results
