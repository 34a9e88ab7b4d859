"""The steps `normalize_total` and `log1p`: they are recorded, and X stays what it is."""

from __future__ import annotations

import logging

import numpy as np

from daskgen.cells.first_pass import Request, first_pass
from daskgen.cells.normalisation import check_target, size_factors
from daskgen.cells.opened import Cells, as_cells
from daskgen.cells.view import FACTORS, require_counts
from daskgen.errors import UsageError, examples
from daskgen.inputs.arguments import known_arguments
from daskgen.stores import StoreLike

__all__ = ["log1p", "normalize_total"]

log = logging.getLogger("daskgen.cells")


@known_arguments()
def normalize_total(
    cells: StoreLike | Cells,
    *,
    target_sum: float | None = None,
    exclude_highly_expressed: bool = False,
    max_fraction: float = 0.05,
    key_added: str | None = None,
) -> Cells:
    """Divide the counts of each cell so that all have the same total, as `scanpy.pp.normalize_total`.

    target_sum: the total; None: the median of the totals that are not 0. exclude_highly_expressed: genes that have more
    than max_fraction of the counts of any cell are left out of the totals (and divided like the others); that takes two
    passes. key_added: name of a column of obs for the factors too.

    The divisors go to obs['daskgen_size_factor'] and the step is recorded: X keeps its counts, and later steps,
    `Cells.to_anndata` and `Cells.materialize` divide. Raises UsageError where X holds log values.
    """
    opened = as_cells(cells)
    require_counts(opened, "normalize_total")
    check_target(target_sum)
    if not 0 < max_fraction <= 1:
        raise UsageError(f"max_fraction is a share of a cell's counts, it is {max_fraction}.", expected="0 to 1")
    if exclude_highly_expressed:
        flagged = first_pass(opened, Request(max_fraction=max_fraction), keep=False).high
        log.info(
            "Genes      %d above %g of a cell's counts: %s",
            flagged.sum(),
            max_fraction,
            examples(opened.var_names[flagged], 5) or "none",
        )
        sums = first_pass(opened, Request(masks={"others": ~flagged}), keep=False)
        totals = sums.masks["others"]
    else:
        totals = first_pass(opened, Request()).totals
    factors, target = size_factors(totals, opened.cell_mask, target_sum)
    columns = {FACTORS: factors}
    if key_added is not None:
        columns[key_added] = totals / target
    with opened.store.writing():
        opened.store.write_columns("obs", columns)
        opened.state.record(
            "normalize_total",
            parameters={
                "target_sum": target_sum,
                "target": target,
                "exclude_highly_expressed": exclude_highly_expressed,
                "max_fraction": max_fraction,
                "factors": FACTORS,
            },
            fields=[f"obs/{name}" for name in columns],
            depends_on=["filter_cells", "filter_genes"],
        )
        opened.state.save()
    return opened


@known_arguments()
def log1p(cells: StoreLike | Cells, *, base: float | None = None) -> Cells:
    """Take ln(1 + x), over ln(base) where a base is given, as `scanpy.pp.log1p`.

    The step is recorded: X keeps its counts, and uns['log1p'] appears only with data that are log values
    (`Cells.materialize`, `Cells.to_anndata`). Raises UsageError where X holds log values already.
    """
    opened = as_cells(cells)
    require_counts(opened, "log1p")
    if base is not None and not (np.isfinite(base) and base > 0 and base != 1):
        raise UsageError(f"base = {base} is no base of logarithms.", expected="a positive number other than 1")
    with opened.store.writing():
        opened.state.record("log1p", parameters={"base": base}, depends_on=["normalize_total"])
        opened.state.save()
    return opened
