"""Names of genes and cells: unique, and the symbols rather than the accession numbers where that is wanted."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from daskgen.errors import UsageError, examples

__all__ = ["make_unique", "with_symbols"]


def make_unique(names: Sequence[str] | np.ndarray) -> tuple[list[str], int]:
    """The names, later ones of the same name with -1, -2, ... after it; and how many were changed.

    A number that makes a name that is there already is passed over. The first of each name keeps it, as with
    `var_names_make_unique` of AnnData.
    """
    given = [str(name) for name in names]
    taken = set(given)
    if len(taken) == len(given):
        return given, 0
    seen: dict[str, int] = {}
    result, changed = [], 0
    for name in given:
        if name not in seen:
            seen[name] = 0
            result.append(name)
            continue
        while True:
            seen[name] += 1
            new = f"{name}-{seen[name]}"
            if new not in taken:
                break
        taken.add(new)
        result.append(new)
        changed += 1
    return result, changed


def with_symbols(var: pd.DataFrame, column: str, path: str) -> pd.DataFrame:
    """The table of genes with the names of `column`; those it had become the column gene_ids.

    Genes without a symbol keep their name. UsageError with the columns there are where it is none of them.
    """
    if column not in var:
        raise UsageError(
            f"{path}: the table of genes has no column {column!r}.", found=examples(var.columns, 12) or "no columns"
        )
    old = var.index.to_numpy(dtype=object)
    texts = var[column].astype(object).to_numpy()
    empty = pd.isna(texts) | (texts == "")
    result = var.drop(columns=column)
    if "gene_ids" not in result:
        result.insert(0, "gene_ids", old)
    result.index = pd.Index(np.where(empty, old, texts).astype(str).astype(object))
    return result
