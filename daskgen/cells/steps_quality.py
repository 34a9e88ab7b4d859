"""The step `calculate_qc_metrics`."""

from __future__ import annotations

import logging
from collections.abc import Sequence

import numpy as np

from daskgen.cells.first_pass import Request, first_pass
from daskgen.cells.opened import Cells, as_cells
from daskgen.cells.quality import cell_columns, gene_columns
from daskgen.errors import InputError, UsageError, examples
from daskgen.inputs.arguments import known_arguments
from daskgen.stores import StoreLike

__all__ = ["TOPS", "calculate_qc_metrics", "check_tops", "gene_masks", "write_quality"]

log = logging.getLogger("daskgen.cells")

TOPS = (50, 100, 200, 500)
"""The default of percent_top, scanpy's."""

_SYMBOLS = ("gene_symbols", "gene_symbol", "gene_name", "gene_names", "feature_name", "symbol")


@known_arguments()
def calculate_qc_metrics(
    cells: StoreLike | Cells,
    *,
    qc_vars: str | Sequence[str] = ("mt",),
    percent_top: Sequence[int] | None = TOPS,
    log1p: bool = True,
) -> Cells:
    """Quality of cells and genes, as `scanpy.pp.calculate_qc_metrics`, written to obs and var.

    qc_vars: names of boolean columns of var, whose share of a cell's counts is computed; "mt" is made from the prefix
    MT- (in any capitals) where there is no such column. percent_top: for each N the share of a cell's counts that its
    N largest have; of the default ones those up to the number of genes. log1p: also ln(1 + .) of the numbers.

    obs: n_genes_by_counts, total_counts, pct_counts_in_top_N_genes, total_counts_MASK, pct_counts_MASK (NaN for cells
    without counts); var: n_cells_by_counts, mean_counts, pct_dropout_by_counts, total_counts; log1p_* of most. Cells
    and genes that filters left out do not count. Reads X once, and keeps what later steps need of it. Raises
    InputError for a column that is not there, UsageError where an N is above the number of genes.
    """
    opened = as_cells(cells)
    tops = check_tops(percent_top, int(opened.gene_mask.sum()))
    write_quality(opened, tops, gene_masks(opened, qc_vars), log1p=log1p)
    return opened


def write_quality(cells: Cells, tops: Sequence[int], masks: dict[str, np.ndarray], *, log1p: bool = True) -> None:
    """Write the columns and record the step; X is read where its sums are not kept."""
    summary = first_pass(cells, Request(tops=tuple(tops), masks=masks))
    of_cells = cell_columns(summary.of_cells(), tops, list(masks), log1p=log1p)
    of_genes = gene_columns(*summary.counts(), int(summary.group_sizes.sum()), log1p=log1p)
    made = {name: mask for name, mask in masks.items() if name not in cells.store.columns("var")}
    with cells.store.writing():
        _replace(cells, "calculate_qc_metrics", of_cells, of_genes)
        cells.store.write_columns("obs", of_cells)
        cells.store.write_columns("var", {**made, **of_genes})
        cells.state.record(
            "calculate_qc_metrics",
            parameters={"qc_vars": list(masks), "percent_top": list(tops), "log1p": log1p},
            fields=[*(f"obs/{name}" for name in of_cells), *(f"var/{name}" for name in [*made, *of_genes])],
            depends_on=["filter_cells", "filter_genes"],
        )
        cells.state.save()


def _replace(cells: Cells, step: str, of_cells: dict[str, np.ndarray], of_genes: dict[str, np.ndarray]) -> None:
    """Remove what an earlier run of the step wrote and this one does not."""
    before = cells.state.steps.get(step)
    if before is not None:
        now = {*(f"obs/{name}" for name in of_cells), *(f"var/{name}" for name in of_genes)}
        masks = {f"var/{name}" for name in before.parameters.get("qc_vars", [])}
        cells.store.remove(*(written for written in before.fields if written not in now | masks))


def check_tops(percent_top: Sequence[int] | None, n_genes: int) -> tuple[int, ...]:
    """The numbers N in increasing order; of the default ones those that a small panel of genes has."""
    tops = tuple(sorted({int(top) for top in percent_top or ()}))
    if tops == TOPS:
        tops = tuple(top for top in tops if top <= n_genes)
    if tops and not (tops[0] > 0 and tops[-1] <= n_genes):
        raise UsageError(
            f"percent_top: a cell has no {tops[-1] if tops[0] > 0 else tops[0]} largest counts.",
            found=f"percent_top = {list(tops)}, {n_genes:,} genes",
            expected=f"numbers from 1 to {n_genes:,}",
            do=f"percent_top={[top for top in tops if 0 < top <= n_genes]}",
        )
    return tops


def gene_masks(cells: Cells, qc_vars: str | Sequence[str]) -> dict[str, np.ndarray]:
    """Name -> bool (genes,)."""
    names = [qc_vars] if isinstance(qc_vars, str) else list(qc_vars)
    have = cells.store.columns("var")
    masks = {}
    for name in names:
        if name in have:
            column = np.asarray(cells.store.column("var", name))
            if column.dtype != bool:
                raise InputError(
                    f"var[{name!r}] is not a mask of genes.", found=f"type {column.dtype}", expected="bool"
                )
            masks[name] = column
        elif name == "mt":
            masks[name] = np.array([str(gene)[:3].upper() == "MT-" for gene in gene_symbols(cells)], bool)
            if not masks[name].any():
                log.warning("no gene's name begins with MT-: counts of mitochondrial genes are 0")
        else:
            raise InputError(
                f"qc_vars: var has no column {name!r}.",
                found=examples(have, 10),
                do=f"write a boolean column {name!r} to var, or leave it out",
            )
    return masks


def gene_symbols(cells: Cells) -> np.ndarray:
    """Names of the genes; the column of symbols where the names are Ensembl ids."""
    names = cells.var_names
    if len(names) and all(str(name).upper().startswith("ENS") for name in names[:20]):
        for column in _SYMBOLS:
            if column in cells.store.columns("var"):
                return np.asarray(cells.store.column("var", column)).astype(object)
    return names
