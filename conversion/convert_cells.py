"""Single-cell counts of any of the usual formats to an AnnData store."""

from __future__ import annotations

import glob
import logging
import os
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from conversion.single_cell.detecting import open_source
from conversion.single_cell.joining import JoinedCells, join_sources
from conversion.single_cell.names import make_unique
from conversion.single_cell.source import CellSource
from conversion.single_cell.writing import Scan, compressed_bytes, scan_counts, write_counts
from daskgen import limits
from daskgen.errors import StoreError, UsageError
from daskgen.inputs.arguments import known_arguments
from daskgen.inputs.files import is_url
from daskgen.passes import MemoryItem, Plan
from daskgen.passes.executors import current_executor
from daskgen.stores import Location, RunKey
from daskgen.stores.anndata import CHUNK_VALUES
from daskgen.stores.anndata_new import GROUP_VALUES, NewAnnData
from daskgen.stores.fingerprint import describe_source

__all__ = ["CellConversion", "cells"]

log = logging.getLogger("daskgen.conversion")

Source = str | os.PathLike[str]

# What a plan counts with, as measured.
_PROCESS_BYTES = 330_000_000  # interpreter, libraries, compiled kernels
_VALUE_BYTES = 60  # per value of a block: read, put in order, and cut to what is written
_CELL_BYTES = 400  # per cell of its table and of what is known of its row


@dataclass(frozen=True)
class CellConversion:
    """What a conversion made: the store's path, its shape, stored values, their type, where the counts were found in
    each source, what the user should know, and the plan it followed."""

    path: str
    n_cells: int
    n_genes: int
    n_values: int
    dtype: str
    where: dict[str, str]
    notes: tuple[str, ...]
    plan: Plan

    def __fspath__(self) -> str:
        """The store's path: functions take the result where they take a path."""
        return self.path

    def open(self) -> Any:
        """The store as `daskgen.cells.open` gives it."""
        import daskgen

        cells: Any = daskgen.cells
        return cells.open(self.path)

    def __str__(self) -> str:
        share = 100 * self.n_values / max(1, self.n_cells * self.n_genes)
        return (
            f"{self.path}: {self.n_cells:,} cells x {self.n_genes:,} genes, "
            f"{self.n_values:,} counts ({share:.2g} %) as {self.dtype}"
        )


@known_arguments()
def cells(
    source: Source | Sequence[Source] | Mapping[str, Source],
    destination: str | os.PathLike[str],
    *,
    counts: str = "auto",
    join: Literal["outer", "inner"] = "outer",
    batch_key: str = "sample",
    gene_symbols: str | None = None,
    genome: str | None = None,
    gex_only: bool = True,
    memory_limit: str | int | float | None = None,
    dry_run: bool = False,
    force: bool = False,
    resume: bool = False,
) -> CellConversion | Plan:
    """Convert single-cell counts to an AnnData store in Zarr, with X as counts, sparse by cells.

    source: .h5ad, AnnData Zarr, a folder with matrix.mtx (10x, packed or not), 10x .h5 of any version, .loom; a list, a
        glob pattern, or a mapping from label to source. Cells of several sources follow each other.
    destination: path or URL of the store.
    counts: which matrix of an .h5ad, AnnData Zarr or Loom file: "X", "raw.X" or "layers/NAME"; "auto": the first of X,
        raw.X, layers/counts and the other layers that holds whole numbers; it is said which.
    join: genes of several sources: "outer" takes all, "inner" those that every source has. They are joined by name.
    batch_key: column of obs that gets the label of the source, where there are several.
    gene_symbols: column of var whose entries become the names of the genes; those they had become the column gene_ids.
    genome: take the genes of this genome only (10x).
    gex_only: of 10x sources leave out features that are not gene expression (antibodies, guides).
    memory_limit: refuse a plan that needs more; None: the limit of the process.
    dry_run: look at all values, return the plan and write nothing.
    force: replace a store that daskgen made. resume: go on with an interrupted run of the same call.

    Explicit zeros are dropped and duplicate entries added up. Values are stored in the smallest of uint8, uint16 and
    uint32 that holds them all, or as float32 where they are not whole numbers. Duplicate gene names get -1, -2, ... The
    tables obs and var are kept, of a single source also uns, obsm, obsp, varm and varp; other matrices are left out.
    Matrices by genes (CSC) and Matrix Market files go through the scratch folder, which workers on other machines must
    see too.

    Raises InputError (exit code 3) for files that cannot be used or hold no counts (NaN, negative numbers); UsageError
    and PlanError for the call; StoreError for the destination.
    """
    place = Location.of(destination)
    if not (force or resume or dry_run) and place.exists() and not place.is_empty_folder():
        raise StoreError(
            f"{os.fspath(destination)} exists.",
            do="choose another path, --force to replace a store of daskgen, or --resume to finish an interrupted run",
        )
    labelled = _labelled(source)
    with tempfile.TemporaryDirectory(prefix="daskgen-", dir=limits.scratch()) as scratch:
        sources = [
            open_source(path, counts=counts, genome=genome, gex_only=gex_only, scratch=scratch)
            for path in labelled.values()
        ]
        joined = join_sources(sources, list(labelled), join=join, batch_key=batch_key, gene_symbols=gene_symbols)
        notes = [*(note for source in sources for note in source.notes), *joined.notes]
        scan = scan_counts(joined)
        plan = _plan(sources, joined, scan, memory_limit)
        _announce(sources, joined, scan, notes, plan)
        plan.check()
        if dry_run:
            return plan
        descriptions = [describe_source(path) for source in sources for path in source.files]
        run = RunKey(
            "convert cells",
            {
                "counts": counts,
                "join": join,
                "batch_key": batch_key,
                "labels": list(labelled),
                "gene_symbols": gene_symbols,
                "genome": genome,
                "gex_only": gex_only,
            },
            [{key: about[key] for key in ("name", "size", "sample")} for about in descriptions],
        )
        where = {source.path: source.where for source in sources}
        provenance = {
            "sources": descriptions,
            "arguments": run.as_dict()["arguments"],
            "counts_from": list(where.values()),
            "notes": notes,
        }
        with NewAnnData(
            destination,
            indptr=scan.indptr,
            dtype=scan.dtype,
            obs=joined.obs,
            var=joined.var,
            run=run,
            record={"x_holds": "counts", "steps": {}, "whole_numbers": scan.whole},
            others=_others(sources, notes),
            provenance=provenance,
            force=force,
            resume=resume,
        ) as writer:
            if not writer.already_complete:
                write_counts(writer, joined.rows, scan)
            place = writer.finish()
    n_cells, n_genes = joined.rows.n_rows, joined.rows.n_genes
    return CellConversion(
        place.url, n_cells, n_genes, scan.nnz, str(scan.dtype), where, tuple(dict.fromkeys(notes)), plan
    )


def _labelled(source: Source | Sequence[Source] | Mapping[str, Source]) -> dict[str, str]:
    """Label -> path of each source."""
    if isinstance(source, Mapping):
        return {str(label): os.fspath(path) for label, path in source.items()}
    given = [source] if isinstance(source, (str, os.PathLike)) else list(source)
    paths: list[str] = []
    for path in [os.fspath(path) for path in given]:
        if is_url(path) or not glob.has_magic(path) or os.path.exists(path):
            paths.append(path)
            continue
        found = sorted(glob.glob(os.path.expanduser(path)))
        if not found:
            raise UsageError(f"no file matches {path}.")
        paths.extend(found)
    if not paths:
        raise UsageError("there is no source.")
    labels, _ = make_unique([_label(path) for path in paths])
    return dict(zip(labels, paths, strict=True))


def _label(path: str) -> str:
    """The name of a source: of its file, without endings; of its folder where the file has the name that all have."""
    folder, name = os.path.split(path.rstrip("/"))
    common = (
        "matrix",
        "counts",
        "filtered_feature_bc_matrix",
        "raw_feature_bc_matrix",
        "filtered_gene_bc_matrices",
        "outs",
    )
    stem = name
    for ending in (".gz", ".mtx", ".h5ad", ".h5", ".loom", ".zarr"):
        stem = stem.removesuffix(ending)
    return _label(folder) if stem in common and folder not in ("", "/") else stem.removesuffix("_matrix")


def _others(sources: Sequence[CellSource], notes: list[str]) -> Any:
    """What copies uns, obsm and so on into the store: of a single source, all of whose genes are taken as they are."""
    if len(sources) > 1 or sources[0].others is None:
        return None
    copy = sources[0].others
    return lambda group: copy(group, notes)


def _plan(
    sources: Sequence[CellSource], joined: JoinedCells, scan: Scan, memory_limit: str | int | float | None
) -> Plan:
    executor = current_executor()
    threads = max(executor.workers.values())
    workers = 1 if executor.in_process else len(executor.workers)
    n_cells = joined.rows.n_rows
    largest = min(GROUP_VALUES, max(1, scan.nnz))
    files = 2 * -(-scan.nnz // CHUNK_VALUES) + 40 + 2 * len(joined.obs.columns) + 2 * len(joined.var.columns)
    return Plan(
        title=f"{n_cells:,} cells x {joined.rows.n_genes:,} genes, {scan.nnz:,} counts as {scan.dtype}",
        bytes_per_pass=sum(Location.of(path).size() for source in sources for path in source.files),
        passes=2,
        bytes_written=compressed_bytes(joined, scan) + 20 * n_cells,
        files_written=files,
        memory=[
            MemoryItem(f"counts being read and written by {threads} threads", threads * largest * _VALUE_BYTES),
            MemoryItem("tables of cells and genes", n_cells * _CELL_BYTES + joined.rows.n_genes * _CELL_BYTES),
            MemoryItem("interpreter, libraries, compiled kernels", _PROCESS_BYTES),
        ],
        memory_limit=limits.memory_limit(memory_limit) // workers,
        workers=f"{executor.n_threads} threads" if executor.in_process else f"{workers} workers",
    )


def _announce(sources: Sequence[CellSource], joined: JoinedCells, scan: Scan, notes: Sequence[str], plan: Plan) -> None:
    """Log what is going to be done."""
    for source in sources:
        log.info("Source     %s", source)
        if source.left_out:
            log.info("           left out: %s", ", ".join(source.left_out))
    for note in dict.fromkeys(notes):
        log.info("Note       %s", note)
    log.info(
        "Counts     %s to %g%s; %s cells and %s genes have none",
        f"{scan.nnz:,} values up" if scan.nnz else "none, up",
        scan.largest,
        "" if scan.whole else ", not whole numbers",
        f"{scan.empty_cells:,}",
        f"{scan.empty_genes:,}",
    )
    for line in plan.lines():
        log.info("%s", line)
