"""Genotype files to a store: plan, one task per chunk group, then the columns of the variants."""

from __future__ import annotations

import hashlib
import logging
import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from conversion.calls import Calls
from conversion.genomes import ROLES
from conversion.groups import convert_groups
from conversion.prepare import Arguments, Prepared, prepare
from conversion.sources import Paths
from conversion.store_size import measured_size
from conversion.variant_columns import StatisticsFile, variant_columns, write_variant_columns
from daskgen import limits
from daskgen.errors import StoreError
from daskgen.inputs.arguments import known_arguments
from daskgen.inputs.selection import Names
from daskgen.inputs.text import as_text
from daskgen.kernels.dosages import HARD_CALL_THRESHOLD
from daskgen.passes import MemoryItem, Plan
from daskgen.passes.executors import current_executor
from daskgen.stores import Location, RunKey, StoreWriter
from daskgen.stores.fingerprint import describe_source, hash_file
from daskgen.stores.genotype_layout import GenotypeLayout, genotype_layout

__all__ = ["ConversionResult", "genotypes"]

log = logging.getLogger("daskgen.conversion")

_TEXT = np.dtypes.StringDType()

# What a plan counts with, as measured.
_PROCESS_BYTES = 260_000_000  # interpreter, libraries, compiled kernels
_BUFFERS = 8_000_000  # per thread: what pgenlib and the hash of a piece read into
_SAMPLE_BYTES = 200  # per sample of its table
_COLUMN_BYTES = 700  # per variant of a chunk of columns: text as Python strings and as it is stored


@dataclass(frozen=True)
class ConversionResult:
    """What a conversion made: the store's path, its shape, what was left out and why, and the plan it followed.

    half_calls: calls with one allele of two missing, which became missing; None where a resumed run does not know.
    """

    path: str
    n_samples: int
    n_variants: int
    dropped: dict[str, int]
    plan: Plan
    half_calls: int | None = 0

    def __fspath__(self) -> str:
        """The store's path: functions take the result where they take a path."""
        return self.path

    def open(self) -> Any:
        """The store as a lazy xarray Dataset, as `daskgen.open_store` gives it."""
        import daskgen

        return daskgen.open_store(self.path)

    def __str__(self) -> str:
        text = f"{self.path}: {self.n_samples:,} samples x {self.n_variants:,} variants"
        return text + "".join(f"\n  left out {n:,} {reason}" for reason, n in self.dropped.items())


@known_arguments()
def genotypes(
    source: Paths,
    destination: str | os.PathLike[str],
    *,
    format: str | None = None,
    sample_file: str | os.PathLike[str] | None = None,
    ref: Literal["last", "first"] | None = None,
    keep: Names | None = None,
    remove: Names | None = None,
    extract: Names | None = None,
    exclude: Names | None = None,
    contig: str | int | Sequence[str | int] | None = None,
    region: str | Sequence[str] | None = None,
    maf_min: float | None = None,
    missing_max: float | None = None,
    id_style: Literal["iid", "fid_iid"] = "iid",
    split_multiallelic: bool = True,
    dosages: Literal["auto"] | bool = "auto",
    half_calls: Literal["missing", "refuse"] = "missing",
    genome: str | os.PathLike[str] = "human",
    hard_call_threshold: float = HARD_CALL_THRESHOLD,
    dosage_bits: Literal[16, 8] = 16,
    hard_calls: bool = True,
    default_contig: str | None = None,
    variant_file: str | os.PathLike[str] | None = None,
    chunk_mb: float | None = None,
    compression: Literal["auto", "none", "zstd", "lz4"] = "auto",
    memory_limit: str | int | float | None = None,
    dry_run: bool = False,
    force: bool = False,
    resume: bool = False,
) -> ConversionResult | Plan:
    """Convert genotype files to a store of kind "genotypes".

    source: .bed or .pgen (its companions lie beside it), their common prefix, VCF, BCF, VCF Zarr, BGEN, GEN, a text
        matrix (a line per sample: id, then 0, 1, 2, or 9 or NA), a list, a glob, or a pattern such as
        "ukb_chr{1:22}.bgen". Several files must have the same samples; their variants follow each other as given.
    destination: path or URL of the store.
    format: "plink1", "pgen", "bgen", "vcf", "vcf_zarr", "gen" or "text"; None: by name and content.
    sample_file: .fam, .psam or .sample that lies elsewhere.
    ref: which allele of the file's order is the reference; the other one is counted. .bed lists A1, A2, .pvar and VCF
        REF, ALT. None: "last" for .bed (A1 is counted), "first" for all others (ALT, or the second allele, is counted).
    keep, remove: samples, as a file (IID, or FID IID), a list of ids, or a boolean mask.
    extract, exclude: variants, as a file of ids (first column) or a list.
    contig, region: contigs ("22", or several) and positions "chr:from-to", both ends included, 1-based.
    maf_min, missing_max: leave out variants below this minor allele frequency, above this share of missing calls, both
        in the selected samples. One more pass over the genotypes.
    id_style: "iid", or "fid_iid" for ids FID_IID.
    split_multiallelic: a row for each ALT allele, which counts it against all others; False refuses such variants.
    dosages: "auto": where the source has them; True: required; False: hard calls only.
    half_calls: what becomes of calls with one allele of two missing (./1) in VCF, BCF and VCF Zarr: "missing", since a
        store has no half of a call, and counted in the result's `half_calls`; "refuse": InputError that names the
        first.
    genome: which contigs are autosomes, X, Y, MT (`conversion.genomes`): a species, or a file with contig and role.
    hard_call_threshold: how far from 0, 1 or 2 a dosage may be and still be a hard call, of formats that hold
        probabilities or dosages and no calls (BGEN, GEN, VCF with DS or GP); beyond it the call is missing.
    dosage_bits: 16 keeps dosages in steps of 1/16384; 8 rounds them to 1/256, so that they are off by at most 1/512 of
        an allele and take less room.
    hard_calls: False stores dosages without hard calls; readers then take the calls from the dosages.
    default_contig: contig of variants whose source names none (BGEN with an empty chromosome, GEN, text); None: "0".
    variant_file: map of a text matrix: columns id, contig, position and, where there are, the two alleles.
    chunk_mb: size of a chunk of packed calls in 10**6 bytes; None: 8 (setting chunk-mb).
    compression: "auto": calls uncompressed (reading them is faster than decompressing), dosages zstd level 1.
    memory_limit: refuse a plan that needs more; None: the limit of the process.
    dry_run: return the plan and write nothing.
    force: replace a store that daskgen made. resume: go on with an interrupted run of the same call.

    Raises InputError (exit code 3) for files that cannot be used, before anything is written; UsageError and PlanError
    for the call; StoreError for the destination. A run that fails on its input leaves no store; a run that is stopped
    leaves one that says it is incomplete and can be resumed.
    """
    place = Location.of(destination)
    if not (force or resume or dry_run) and place.exists() and not place.is_empty_folder():
        raise StoreError(
            f"{os.fspath(destination)} exists.",
            do="choose another path, --force to replace a store of daskgen, or --resume to finish an interrupted run",
        )
    keep, remove, extract, exclude = (_named(names) for names in (keep, remove, extract, exclude))
    arguments: dict[str, Any] = {
        "format": format,
        "sample_file": None if sample_file is None else os.fspath(sample_file),
        "ref": ref,
        "keep": keep,
        "remove": remove,
        "extract": extract,
        "exclude": exclude,
        "contig": contig,
        "region": region,
        "maf_min": maf_min,
        "missing_max": missing_max,
        "id_style": id_style,
        "split_multiallelic": split_multiallelic,
        "dosages": dosages,
        "half_calls": half_calls,
        "genome": os.fspath(genome),
        "hard_call_threshold": hard_call_threshold,
        "dosage_bits": dosage_bits,
        "hard_calls": hard_calls,
        "default_contig": default_contig,
        "variant_file": None if variant_file is None else os.fspath(variant_file),
    }
    prepared = prepare(source, Arguments(**arguments))
    layout = _layout(prepared, chunk_mb, compression)
    plan = conversion_plan(prepared, layout, memory_limit)
    _announce(prepared, plan)
    plan.check()
    if dry_run:
        return plan
    descriptions = [describe_source(path) for path in prepared.source.files]
    # A file that was copied or touched is the same file: its content decides.
    inputs = [{key: about[key] for key in ("name", "size", "sample")} for about in descriptions]
    # Files of ids and roles may change between two runs, so what they say belongs to the run too.
    selected = hashlib.sha256(prepared.source.selection_id + prepared.calls.roles.tobytes()).hexdigest()
    run = RunKey(
        "convert genotypes",
        arguments | {"chunk_mb": chunk_mb, "compression": compression, "selected": selected},
        inputs,
    )
    provenance = {
        "sources": descriptions,
        "arguments": run.as_dict()["arguments"],
        "counted_allele": f"{prepared.source.counted_allele} is variant_allele[:, 1]",
        "genome": prepared.genome.name,
        "dropped": prepared.dropped,
        "notes": list(prepared.source.notes),
    }
    with StoreWriter(
        destination,
        kind="genotypes",
        arrays=layout.arrays,
        run=run,
        provenance=provenance,
        attrs={"n_samples": layout.n_samples, "counted_allele": prepared.source.counted_allele},
        force=force,
        resume=resume,
    ) as writer:
        if not writer.already_complete:
            _write(writer, prepared, layout)
        place = writer.finish()
        made_missing = writer.provenance.get("half_calls")
    return ConversionResult(place.url, layout.n_samples, layout.n_variants, prepared.dropped, plan, made_missing)


def _named(names: Names | None) -> Any:
    """Ids as a path, or as an array, which is hashed where arguments are recorded; pairs as "FID IID"."""
    if names is None or isinstance(names, (str, os.PathLike)):
        return None if names is None else os.fspath(names)
    if isinstance(names, np.ndarray) and names.dtype == bool:
        return names
    words = (item if isinstance(item, (tuple, list)) else [item] for item in names)
    return np.array([" ".join(map(str, item)) for item in words], _TEXT)


def _layout(prepared: Prepared, chunk_mb: float | None, compression: str) -> GenotypeLayout:
    roles: dict[str, Any] = {"roles": {str(code): role for code, role in enumerate(ROLES)}}
    if prepared.genome.haploid_sex == 2:
        roles["heterogametic_sex"] = "female"  # Z has the role of X, W that of Y
    counted = f"{prepared.source.counted_allele} is the second allele"
    return genotype_layout(
        prepared.source.n_samples,
        prepared.source.n_variants,
        len(prepared.calls.contigs.names),
        has_dosage=prepared.source.has_dosage,
        has_hard_calls=prepared.calls.call_threshold is None,
        has_info_score=prepared.source.has_info_score,
        measures_info=prepared.source.measures_info,
        chunk_mb=chunk_mb,
        compression=compression,
        most_rows=prepared.source.most_rows_per_task,
        attrs={
            "call_genotype_packed": {"counted_allele": counted},
            "call_dosage": _dosage_attributes(prepared.calls),
            "variant_allele": {"counted_allele": counted},
            "variant_ploidy_class": roles,
            "contig_role": roles,
            "sample_sex": {"codes": {"0": "unknown", "1": "male", "2": "female"}},
        },
    )


def _dosage_attributes(calls: Calls) -> dict[str, Any]:
    """How the dosages were rounded, and, where they are stored alone, which of them are calls."""
    attributes: dict[str, Any] = {"dosage_bits": calls.dosage_bits}
    if calls.call_threshold is not None:
        attributes["hard_call_threshold"] = calls.call_threshold
    return attributes


def conversion_plan(prepared: Prepared, layout: GenotypeLayout, memory_limit: str | int | float | None = None) -> Plan:
    """Bytes read and written, files, and memory of the largest worker."""
    executor = current_executor()
    threads = max(executor.workers.values())
    limit = limits.memory_limit(memory_limit) // (1 if executor.in_process else len(executor.workers))
    lower = "a smaller --chunk-mb"
    task = layout.group_bytes + layout.writing_bytes + _BUFFERS
    size = measured_size(prepared.calls, layout)
    column_rows = min(layout.n_variants, layout.column_rows)
    return Plan(
        title=f"{layout.n_variants:,} variants x {layout.n_samples:,} samples, "
        f"{min(layout.group_rows, layout.n_variants):,} variants a task",
        bytes_per_pass=prepared.source.genotype_bytes,
        passes=prepared.passes,
        bytes_written=size.bytes,
        files_written=layout.files,
        memory=[
            MemoryItem(f"genotypes being read and written by {threads} threads", threads * task, lower),
            MemoryItem("columns of the variants", column_rows * _COLUMN_BYTES),
            MemoryItem("table of the samples", len(prepared.samples) * _SAMPLE_BYTES),
            MemoryItem("interpreter, libraries, compiled kernels", _PROCESS_BYTES),
        ],
        memory_limit=limit,
        workers=f"{executor.n_threads} threads" if executor.in_process else f"{len(executor.workers)} workers",
        notes=size.lines() if size.shares else [],
    )


def _announce(prepared: Prepared, plan: Plan) -> None:
    """Log what is going to be done, and the counted allele of the first variants."""
    source = prepared.source
    log.info("Source     %s (%s)", source.path, source.format)
    log.info("Samples    %s", f"{source.n_samples:,}")
    log.info("Variants   %s on %d contigs", f"{source.n_variants:,}", len(prepared.calls.contigs.names))
    for reason, n in prepared.dropped.items():
        log.info("           %s left out: %s", f"{n:,}", reason)
    shown = ", ".join(f"{name} {counted} (not {other})" for name, other, counted in prepared.first)
    log.info("Counted    %s: %s", source.counted_allele, shown)
    for note in source.notes:
        log.info("Note       %s", note)
    for line in plan.lines():
        log.info("%s", line)


def _write(writer: StoreWriter, prepared: Prepared, layout: GenotypeLayout) -> None:
    """All stages: samples and contigs, genotypes, variants."""
    samples, calls = prepared.samples, prepared.calls
    writer.write("samples", **samples.stored())
    writer.write("contigs", contig_id=as_text(calls.contigs.names), contig_role=calls.roles)
    groups = writer.stage("genotypes", arrays=layout.group_arrays, blocks={"variants": layout.group_rows})
    columns = writer.stage("variants", arrays=variant_columns(prepared.source), blocks={"variants": layout.column_rows})
    with StatisticsFile() as statistics:
        converted = convert_groups(groups, prepared, layout.held_rows, statistics)
        if n := int(converted.heterozygous.sum()):
            log.warning("%s heterozygous haploid calls were kept as they are", f"{n:,}")
        if converted.half_calls:
            log.warning("%s half-calls (one allele of two missing) became missing", f"{converted.half_calls:,}")
        write_variant_columns(columns, calls, statistics)
    writer.provenance["heterozygous_haploid_calls"] = {
        role: int(n) for role, n in zip(ROLES[1:4], converted.heterozygous, strict=True)
    }
    writer.provenance["half_calls"] = converted.half_calls if prepared.source.may_have_half_calls else 0
    fingerprints = converted.fingerprints
    for about, path in zip(writer.provenance["sources"], prepared.source.files, strict=True):
        about["fingerprint"] = fingerprints[path] if path in fingerprints else _companion_fingerprint(prepared, path)


def _companion_fingerprint(prepared: Prepared, path: str) -> str | None:
    # Genotypes of which only a part was read have no fingerprint; size, time and samples stand for them.
    return None if path in prepared.source.genotype_files else hash_file(path)
