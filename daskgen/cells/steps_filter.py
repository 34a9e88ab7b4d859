"""The steps `filter_cells` and `filter_genes`: masks of what counts, that all later steps honour."""

from __future__ import annotations

import logging
from typing import Any

import numpy as np
import numpy.typing as npt

from daskgen.cells.first_pass import Request, first_pass
from daskgen.cells.opened import KEEP, Cells, as_cells
from daskgen.errors import InputError, UsageError
from daskgen.inputs.arguments import known_arguments
from daskgen.stores import StoreLike

__all__ = ["filter_cells", "filter_genes"]

log = logging.getLogger("daskgen.cells")

_GIVEN = "daskgen_keep_given"  # the column of a mask that the user gave


@known_arguments()
def filter_cells(
    cells: StoreLike | Cells,
    *,
    min_counts: float | None = None,
    min_genes: int | None = None,
    max_counts: float | None = None,
    max_genes: int | None = None,
    max_pct_mt: float | None = None,
    keep: npt.ArrayLike | None = None,
) -> Cells:
    """Leave cells out whose counts or numbers of genes are outside these bounds (inclusive), as
    `scanpy.pp.filter_cells`.

    max_pct_mt: largest pct_counts_mt, after `calculate_qc_metrics`; keep: bool (cells,), cells that may stay. Bounds of
    earlier calls hold too; a bound that is given again is replaced. Genes that `filter_genes` left out do not count.

    Nothing is removed from the store: obs['daskgen_keep'] says which cells count, and `Cells.write` makes the smaller
    copy. obs: n_genes or n_counts, as scanpy's. Raises UsageError where no bound is given, InputError where no cell
    is left.
    """
    opened = as_cells(cells)
    bounds = {
        "min_counts": min_counts, "min_genes": min_genes, "max_counts": max_counts, "max_genes": max_genes,
        "max_pct_mt": max_pct_mt,
    }  # fmt: skip
    given = {name: bound for name, bound in bounds.items() if bound is not None}
    if not given and keep is None:
        raise UsageError("filter_cells needs a bound.", expected=", ".join([*bounds, "keep"]))
    columns: dict[str, np.ndarray] = {}
    if any(name.endswith(("counts", "genes")) for name in given):
        summary = first_pass(opened, Request())
        if any(name.endswith("genes") for name in given):
            columns["n_genes"] = summary.n_genes.astype(np.int32)
        if any(name.endswith("counts") for name in given):
            columns["n_counts"] = summary.totals
    if keep is not None:
        columns[_GIVEN] = _given_mask(keep, opened.n_obs)
    before = opened.state.steps.get("filter_cells")
    all_bounds = {**(before.parameters if before else {}), **given}
    mask = np.ones(opened.n_obs, bool)
    for name, bound in all_bounds.items():
        of = {"max_pct_mt": "pct_counts_mt"}.get(name, "n_" + name.split("_")[1])
        values = columns[of] if of in columns else _column(opened, of)
        mask &= values >= bound if name.startswith("min") else ~(values > bound)
    if _GIVEN in columns or _GIVEN in opened.store.columns("obs"):
        mask &= columns[_GIVEN] if _GIVEN in columns else np.asarray(opened.store.column("obs", _GIVEN))
    _write(opened, "filter_cells", "obs", mask, columns, all_bounds)
    return opened


@known_arguments()
def filter_genes(
    cells: StoreLike | Cells,
    *,
    min_counts: float | None = None,
    min_cells: int | None = None,
    max_counts: float | None = None,
    max_cells: int | None = None,
) -> Cells:
    """Leave genes out by their counts or by how many cells have them, as `scanpy.pp.filter_genes`.

    Cells that `filter_cells` left out do not count. Bounds of earlier calls hold too; a bound that is given again is
    replaced. var['daskgen_keep'] says which genes count; var: n_cells or n_counts, as scanpy's. Raises UsageError where
    no bound is given, InputError where no gene is left.
    """
    opened = as_cells(cells)
    bounds = {"min_counts": min_counts, "min_cells": min_cells, "max_counts": max_counts, "max_cells": max_cells}
    given = {name: bound for name, bound in bounds.items() if bound is not None}
    if not given:
        raise UsageError("filter_genes needs a bound.", expected=", ".join(bounds))
    summary = first_pass(opened, Request())
    counted, total = summary.counts()
    columns: dict[str, np.ndarray] = {}
    if any(name.endswith("cells") for name in given):
        columns["n_cells"] = _of_all_genes(opened, "n_cells", counted.astype(np.int64))
    if any(name.endswith("counts") for name in given):
        columns["n_counts"] = _of_all_genes(opened, "n_counts", total)
    before = opened.state.steps.get("filter_genes")
    all_bounds = {**(before.parameters if before else {}), **given}
    mask = np.ones(opened.n_vars, bool)
    for name, bound in all_bounds.items():
        of = "n_" + name.split("_")[1]
        values = columns[of] if of in columns else np.asarray(opened.store.column("var", of))
        mask &= values >= bound if name.startswith("min") else values <= bound
    _write(opened, "filter_genes", "var", mask, columns, all_bounds)
    return opened


def _of_all_genes(cells: Cells, name: str, values: np.ndarray) -> np.ndarray:
    """The sums of genes that count, and what is known of the others from the filter that left them out."""
    mask = cells.gene_mask
    if mask.all() or name not in cells.store.columns("var"):
        return values
    return np.where(mask, values, np.asarray(cells.store.column("var", name))).astype(values.dtype)


def _given_mask(keep: npt.ArrayLike, n: int) -> np.ndarray:
    mask = np.asarray(keep)
    if mask.dtype != bool or mask.shape != (n,):
        raise UsageError(
            "keep is a mask of cells.", found=f"{mask.dtype} of shape {mask.shape}", expected=f"bool of shape ({n},)"
        )
    return mask


def _column(cells: Cells, name: str) -> np.ndarray:
    if name not in cells.store.columns("obs"):
        raise UsageError(f"obs has no column {name!r} yet.", do="first calculate_qc_metrics(cells)")
    return np.asarray(cells.store.column("obs", name))


def _write(
    cells: Cells, step: str, frame: str, mask: np.ndarray, columns: dict[str, np.ndarray], bounds: dict[str, Any]
) -> None:
    what = "cells" if frame == "obs" else "genes"
    if not mask.any():
        raise InputError(
            f"{step}: no {what[:-1]} is within all bounds.", found=", ".join(f"{k} = {v}" for k, v in bounds.items())
        )
    log.info("%-10s %s of %s kept", what.capitalize(), f"{int(mask.sum()):,}", f"{len(mask):,}")
    with cells.store.writing():
        cells.store.write_columns(frame, {**columns, KEEP: mask})
        before = cells.state.steps.get(step)
        fields = dict.fromkeys([*(before.fields if before else []), *(f"{frame}/{name}" for name in [*columns, KEEP])])
        cells.state.record(step, parameters=bounds, fields=fields)
        cells.state.save()
