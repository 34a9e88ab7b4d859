"""What munge and sumstats have in common: say what is going to be done, read every file, write the store."""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping, Sequence
from typing import Any

from conversion.summary.reading import read_traits
from conversion.summary.reference import Reference
from conversion.summary.spool import Spool
from conversion.summary.streams import BLOCK_BYTES
from conversion.summary.study import TraitArguments
from conversion.summary.tables import StoredTable
from conversion.summary.trait import TraitPlan, TraitRows
from conversion.summary.writing import ExistingStore, SumstatsResult, write_store
from daskgen import config, limits
from daskgen.inputs.files import size_of
from daskgen.passes import MemoryItem, Plan
from daskgen.passes.executors import current_executor
from daskgen.stores import RunKey
from daskgen.stores.fingerprint import describe_source, hash_file

__all__ = ["conversion_plan", "convert_traits", "describe_file", "report_trait"]

log = logging.getLogger("daskgen.conversion")

_ROW_BYTES = 64  # of a variant that a trait has: row, reason and values, in blocks, joined, sorted, and as written


def convert_traits(
    command: str,
    destination: str | os.PathLike[str],
    *,
    purpose: str,
    reference: Reference,
    plans: Sequence[TraitPlan],
    arguments: Sequence[TraitArguments],
    options: Mapping[str, Any],
    existing: ExistingStore | None = None,
    force: bool = False,
) -> SumstatsResult:
    """Read the files of `plans`, align them to `reference` and write (or append to) the store."""
    where = reference.path or "the traits themselves, by first appearance"
    log.info("Reference  %s: %s variants", where, f"{len(reference):,}")
    for plan in plans:
        log.info("%-10s %s: %s", plan.name, plan.table.path, plan.describe())
    if existing is not None:
        reference_path = None if reference.path is None else os.path.basename(reference.path)
        existing.check_reference(reference.fingerprint, reference_path)
    cost = conversion_plan(reference, plans)
    for line in cost.lines():
        log.info("%s", line)
    cost.check()
    sources = [describe_file(plan.table) for plan in plans]
    read: list[TraitRows | None] = [None] * len(plans)
    with Spool() as spool:
        for index, rows in read_traits(plans, reference, label=command, needs_frequency=purpose == "gwas"):
            spool.put(index, rows)
            read[index] = rows
            report_trait(rows)
        results = [rows for rows in read if rows is not None]
        for source, plan in zip(sources, plans, strict=True):
            source["columns"] = dict(plan.columns.of)
            source["tool"] = plan.columns.tool
            if not isinstance(plan.table, StoredTable):
                source["fingerprint"] = hash_file(plan.table.path)
        provenance = _provenance(command, reference, sources, arguments, options, existing)
        return write_store(
            destination,
            purpose=purpose,
            reference=reference,
            spool=spool,
            read=results,
            arguments=arguments,
            run=RunKey(command, {**options, "traits": [trait.as_dict() for trait in arguments]}, sources),
            provenance=provenance,
            existing=existing,
            force=force,
        )


def conversion_plan(reference: Reference, plans: Sequence[TraitPlan]) -> Plan:
    """Bytes read, and memory of the process that reads a file: one at a time."""
    executor = current_executor()
    workers = 1 if executor.in_process or reference.path is None else len(executor.workers)
    return Plan(
        title=f"{len(plans)} file{'s' * (len(plans) != 1)}, one after the other{' on each worker' * (workers > 1)}",
        bytes_per_pass=sum(size_of(plan.table.path) for plan in plans if not isinstance(plan.table, StoredTable)),
        memory=[
            MemoryItem("the reference", reference.nbytes, "a reference of fewer variants"),
            MemoryItem("rows of a trait", _ROW_BYTES * len(reference)),
            MemoryItem("blocks of text and what is parsed of them", 16 * BLOCK_BYTES),
            MemoryItem("interpreter and libraries", config.get("cache-reserve")),
        ],
        memory_limit=limits.memory_limit(None) // workers,
    )


def report_trait(rows: TraitRows) -> None:
    """Log what became of a file's rows."""
    for note in rows.notes:
        log.info("%-10s note: %s", rows.name, note)
    for line in rows.report.lines():
        log.info("%s", line)
    for warning in rows.warnings:
        log.warning("%s", warning)


def describe_file(table: Any) -> dict[str, Any]:
    """What the store records of a source before it is read."""
    if isinstance(table, StoredTable):
        return {"name": os.path.basename(table.path), "store_id": table.store_id, "trait": table.trait}
    return describe_source(table.path)


def _provenance(
    command: str,
    reference: Reference,
    sources: Sequence[dict[str, Any]],
    arguments: Sequence[TraitArguments],
    options: Mapping[str, Any],
    existing: ExistingStore | None,
) -> dict[str, Any]:
    calls: list[Any] = []
    if existing is not None:
        before = existing.group.attrs.asdict().get("provenance", {})
        calls = list(before.get("calls", [])) if isinstance(before, Mapping) else []
    call = {
        "command": command,
        "arguments": dict(options),
        "study": [trait.as_dict() for trait in arguments],
        "sources": list(sources),
    }
    return {
        "effect_allele": "the second of variant_allele; z and beta count its copies",
        "reference": {"name": reference.path, "fingerprint": reference.fingerprint, "variants": len(reference)},
        "calls": [*calls, call],
    }
