"""Groups of cells from a column of obs: batches, clusters."""

from __future__ import annotations

import numpy as np
import pandas as pd

from daskgen.cells.opened import Cells
from daskgen.errors import InputError, examples

__all__ = ["groups_of"]


def groups_of(cells: Cells, column: str, argument: str) -> tuple[np.ndarray, list[str]]:
    """Codes int32 (cells,), -1 for cells that do not count, and the names of the groups, of which none is empty.

    argument: how the message calls it. Raises InputError for a column that is not there or has no value for a cell.
    """
    have = cells.store.columns("obs")
    if column not in have:
        raise InputError(
            f"{argument}: obs has no column {column!r}.",
            found=examples(have, 10) or "no columns",
            do="names of columns are written as in obs",
        )
    values = pd.Categorical(cells.store.column("obs", column))
    mask = cells.cell_mask
    codes = np.where(mask, values.codes, -1)
    absent = int((mask & (values.codes < 0)).sum())
    if absent:
        raise InputError(
            f"{argument}: obs[{column!r}] has no value for {absent:,} cells.",
            do="give every cell a value, or leave these out: filter_cells(cells, keep=...)",
        )
    used = np.unique(codes[codes >= 0])
    new = np.full(len(values.categories) + 1, -1, np.int32)
    new[used] = np.arange(len(used))
    return new[codes], [str(values.categories[code]) for code in used]
