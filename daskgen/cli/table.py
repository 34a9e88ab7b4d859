"""Tables as tab-separated text, written whole or not at all."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from daskgen.errors import StoreError, UsageError

if TYPE_CHECKING:
    import pandas as pd
    import xarray as xr

__all__ = ["check_table_path", "component_table", "p_text", "sample_table", "variant_table", "write_table"]


def check_table_path(path: str, *, force: bool) -> None:
    """Refuse, before any work, a table that could not be written: its folder is missing, or it is there already."""
    folder = os.path.dirname(os.path.abspath(path))
    if not os.path.isdir(folder):
        raise UsageError(f"{path}: its folder does not exist.", found=folder, do=f"mkdir -p {folder}")
    if os.path.lexists(path) and not force:
        raise StoreError(f"{path} exists.", do="choose another path, or --force to replace it")


def p_text(p: float) -> str:
    """A p value in three digits; one that float64 cannot hold is not 0."""
    if p != p:
        return "NA"
    return f"{p:.3g}" if p > 0 else "<1e-300"


def write_table(table: pd.DataFrame, path: str) -> None:
    """Write the table (compressed if the name ends in .gz) beside its place, then move it there. Missing is NA."""
    partial = f"{path}.{os.getpid()}.partial"
    try:
        table.to_csv(
            partial,
            sep="\t",
            index=False,
            na_rep="NA",
            float_format="%.9g",
            compression="gzip" if path.endswith(".gz") else None,
        )
        os.replace(partial, path)
    finally:
        if os.path.exists(partial):
            os.unlink(partial)


def variant_table(dataset: xr.Dataset) -> pd.DataFrame:
    """A row per variant: where it is, its alleles, then every other column, without the prefix ``variant_``."""
    import pandas as pd

    dataset = dataset.compute()
    columns: dict[str, object] = {}
    if {"variant_contig", "contig_id"} <= set(dataset.variables):
        columns["contig"] = dataset["contig_id"].values.astype(object)[dataset["variant_contig"].values]
    if "variant_position" in dataset:
        columns["position"] = dataset["variant_position"].values
    if "variant_id" in dataset.variables:
        columns["variant_id"] = dataset["variant_id"].values.astype(object)
    if "variant_allele" in dataset:
        allele = dataset["variant_allele"].values.astype(object)
        columns["counted_allele"], columns["other_allele"] = allele[:, 1], allele[:, 0]
    for name, variable in dataset.data_vars.items():
        column = str(name).removeprefix("variant_")
        if variable.dims == ("variants",) and column not in ("contig", "id"):
            columns.setdefault(column, variable.values)
    return pd.DataFrame(columns)


def sample_table(dataset: xr.Dataset) -> pd.DataFrame:
    """A row per sample: its id, then every column, without the prefix ``sample_``."""
    import pandas as pd

    dataset = dataset.compute()
    columns: dict[str, object] = {"sample_id": dataset["sample_id"].values.astype(object)}
    for name, variable in dataset.data_vars.items():
        if variable.dims == ("samples",):
            columns.setdefault(str(name).removeprefix("sample_"), variable.values)
    return pd.DataFrame(columns)


def component_table(dataset: xr.Dataset) -> pd.DataFrame:
    """A row per sample: its id and its score on each component, PC1, PC2, ..."""
    import pandas as pd

    scores = dataset["scores"].values
    table = pd.DataFrame(scores, columns=[f"PC{i + 1}" for i in range(scores.shape[1])])
    table.insert(0, "sample_id", dataset["sample_id"].values.astype(object))
    return table
