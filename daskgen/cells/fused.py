"""All steps with as few passes over the counts as they need.

What a step reads is asked for once, before it: the sums of quality control, normalisation, variable genes and gene sets
come from one pass, and the steps then find them kept. So the results are those of the steps one after the other.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any

import numpy as np

from daskgen.cells.first_pass import Request, first_pass
from daskgen.cells.gene_sets import GeneSets, Source
from daskgen.cells.normalisation import check_target
from daskgen.cells.opened import Cells, as_cells
from daskgen.cells.steps_components import check_components, pca
from daskgen.cells.steps_components import scale as scale_values
from daskgen.cells.steps_filter import filter_cells, filter_genes
from daskgen.cells.steps_normalise import log1p, normalize_total
from daskgen.cells.steps_ora import (
    begin_enrichment,
    end_enrichment,
    enrichment_parameters,
    number_of_largest,
    sets_of,
)
from daskgen.cells.steps_quality import TOPS, check_tops, gene_masks, write_quality
from daskgen.cells.steps_variable import Groups, check_flavor, highly_variable_genes
from daskgen.cells.view import require_counts
from daskgen.inputs.arguments import known_arguments
from daskgen.stores import StoreLike

__all__ = ["pipeline"]

log = logging.getLogger("daskgen.cells")


@known_arguments()
def pipeline(
    path: StoreLike | Cells,
    *,
    qc_vars: str | Sequence[str] = ("mt",),
    percent_top: Sequence[int] | None = TOPS,
    min_genes: int | None = None,
    max_genes: int | None = None,
    min_counts: float | None = None,
    max_counts: float | None = None,
    min_cells: int | None = None,
    max_pct_mt: float | None = None,
    target_sum: float | None = 1e4,
    exclude_highly_expressed: bool = False,
    n_top_genes: int | None = 2000,
    flavor: str = "seurat",
    batch_key: str | None = None,
    scale: bool = False,
    max_value: float | None = None,
    n_comps: int | None = 50,
    svd_solver: str | None = None,
    gene_sets: Source | None = None,
    n_up: int | None = None,
    tmin: int = 1,
    random_state: int = 0,
    resume: bool = False,
    memory_limit: int | str | None = None,
) -> Cells:
    """Quality control, filters, normalisation, logarithms, variable genes, (scaling,) components, gene sets: in place.

    The arguments are those of the steps: `calculate_qc_metrics` (qc_vars, percent_top), `filter_cells` (min_genes,
    max_genes, min_counts, max_counts, max_pct_mt), `filter_genes` (min_cells), `normalize_total` (target_sum,
    exclude_highly_expressed), `highly_variable_genes` (n_top_genes, None for the cut-offs; flavor, batch_key), `scale`
    (where `scale` is True; max_value), `pca` (n_comps, svd_solver, random_state), `ora` (where gene_sets are given;
    n_up, tmin). The results are those of the steps, in this order.

    Without filters the counts are read twice (once for all sums and gene sets, once for the variable genes); filters of
    cells and of genes each add a pass. resume: gene sets that were scored by an interrupted run of the same call are
    not scored again; sums that were kept are used in any case. memory_limit: of all local processes.

    Raises UsageError and InputError before the first pass where arguments and store don't fit, PlanError over the
    limit.
    """
    cells = as_cells(path)
    require_counts(cells, "pipeline")
    check_flavor(flavor, n_top_genes)
    check_target(target_sum)
    tops = check_tops(percent_top, int(cells.gene_mask.sum()))
    if n_comps is not None:
        n_genes = int(cells.gene_mask.sum())
        check_components(n_comps, int(cells.cell_mask.sum()), min(n_genes, n_top_genes or n_genes))
    masks = gene_masks(cells, qc_vars)
    Groups.of(cells, batch_key)
    sets = None if gene_sets is None else sets_of(cells, gene_sets, tmin)
    of_cells = _given(
        min_genes=min_genes, max_genes=max_genes, min_counts=min_counts, max_counts=max_counts, max_pct_mt=max_pct_mt
    )
    with cells.store.writing():
        if of_cells or min_cells is not None:
            write_quality(cells, tops, masks)
            if of_cells:
                filter_cells(cells, **of_cells)
            if min_cells is not None:
                filter_genes(cells, min_cells=min_cells)
            tops, masks = (), {}
        logs = (flavor == "cell_ranger" or scale) and target_sum is not None and not exclude_highly_expressed
        groups = Groups.of(cells, batch_key)
        request = Request(
            tops=tops,
            masks=masks,
            groups=groups.codes,
            n_groups=len(groups.names),
            scaled=True,
            target=target_sum if logs and target_sum is not None else 1.0,
            logs=logs,
        )
        if gene_sets is not None and min_cells is not None:
            sets = sets_of(cells, gene_sets, tmin, report=False)  # of the genes that are left
        _first_pass(cells, request, sets, n_up, resume=resume, memory_limit=memory_limit)
        if tops or masks:
            write_quality(cells, tops, masks)
        normalize_total(cells, target_sum=target_sum, exclude_highly_expressed=exclude_highly_expressed)
        log1p(cells)
        highly_variable_genes(cells, n_top_genes=n_top_genes, flavor=flavor, batch_key=batch_key)
        if scale:
            scale_values(cells, max_value=max_value)
        elif "scale" in cells.state.steps:
            cells.state.forget("scale")
        pca(cells, n_comps, svd_solver=svd_solver, random_state=random_state, memory_limit=memory_limit)
    return cells


def _given(**bounds: float | None) -> dict[str, Any]:
    return {name: bound for name, bound in bounds.items() if bound is not None}


def _first_pass(
    cells: Cells,
    request: Request,
    sets: GeneSets | None,
    n_up: int | None,
    *,
    resume: bool,
    memory_limit: int | str | None,
) -> None:
    """The sums that all steps need, and the scores of gene sets, in one pass."""
    if sets is None:
        first_pass(cells, request, memory_limit=memory_limit)
        return
    n_genes = int(np.count_nonzero(cells.gene_mask))
    largest = number_of_largest(n_up, n_genes)
    done = cells.state.steps.get("ora")
    if resume and done is not None and not done.stale:
        if done.parameters == enrichment_parameters(sets, largest, n_genes, adjust=True):
            log.info("Gene sets  scored already")
            first_pass(cells, request, memory_limit=memory_limit)
            return
    enrichment = begin_enrichment(cells, sets, largest, n_genes, adjust=True)
    first_pass(cells, request, enrichment=enrichment, memory_limit=memory_limit)
    end_enrichment(cells, enrichment)
