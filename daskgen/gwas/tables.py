"""A result as a table: variant columns, estimates, and what is derived from them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from daskgen.gwas.layout import Effect, effect, labels
from daskgen.gwas.p_values import chisq_p, minus_log10_p, normal_scores, two_sided_p, z_scores

__all__ = ["result_table", "tested_factor"]


def result_table(dataset: xr.Dataset, parameter: str | None = None) -> pd.DataFrame:
    """A row per variant of one parameter, or of every parameter (then with the column `parameter` or `trait`).

    variant_id, contig, position, effect_allele, other_allele, maf (those that there are), [parameter,] estimate, se, z,
    p, minus_log10_p (exact where p is 0), chisq, chisq_df, chisq_p, aic, q_snp, q_snp_df, q_snp_p (of the factor that
    the parameter is an effect on), and every other number per variant, status last. Of a scan by linear models z is the
    normal score of the t statistic's p value, and t, n_called and allele_frequency are there. In memory: take a part of
    a large result first (`dataset.isel(variant=slice(...))`), or use `.dg.top`.
    """
    known = labels(dataset)
    several = parameter is None and len(known) > 1
    wanted = known if several else [effect(dataset, parameter).label]
    values = dataset.compute()
    variant = _variant_columns(values)
    shared = _shared_columns(values)
    tables = []
    for label in wanted:
        columns: dict[str, Any] = dict(variant)
        if several:
            columns["trait" if "trait" in values.variables else "parameter"] = label
        found = effect(values, label)
        columns |= _effect_columns(values, found) | shared
        if found.status is not None:
            columns["status"] = found.status.values
        tables.append(pd.DataFrame(columns))
    if not several:
        return tables[0]
    return pd.concat(tables).sort_index(kind="stable").reset_index(drop=True)


def _variant_columns(values: xr.Dataset) -> dict[str, np.ndarray]:
    columns: dict[str, np.ndarray] = {"variant_id": values["variant_id"].values.astype(object)}
    if {"variant_contig", "contig_id"} <= set(values.variables):
        columns["contig"] = values["contig_id"].values.astype(object)[values["variant_contig"].values]
    if "variant_position" in values.variables:
        columns["position"] = values["variant_position"].values
    if "variant_allele" in values.variables:
        allele = values["variant_allele"].values.astype(object)
        columns["effect_allele"], columns["other_allele"] = allele[:, 1], allele[:, 0]
    for name in ("maf", "hsq"):
        if name in values.variables:
            columns[name] = values[name].values
    return columns


def _effect_columns(values: xr.Dataset, found: Effect) -> dict[str, Any]:
    estimate, se = found.estimate.values, found.se.values
    z = z_scores(estimate, se)
    columns: dict[str, Any] = {
        name: found.of(values[name]).values for name in ("n_called", "allele_frequency") if name in values.variables
    }
    columns |= {"estimate": estimate, "se": se}
    if found.df is not None:
        columns["t"] = z
        z = normal_scores(z, found.df.values)
    columns |= {"z": z, "p": two_sided_p(z), "minus_log10_p": minus_log10_p(z)}
    factor = tested_factor(values, found.label)
    if factor is not None:
        q, df = values["q_snp"].values[factor], int(values["q_snp_df"].values[factor])
        columns |= {"q_snp": q, "q_snp_df": df, "q_snp_p": chisq_p(q, df)}
    return columns


def tested_factor(dataset: xr.Dataset, label: str) -> int | None:
    """Which factor's Q_SNP belongs to the parameter `label`, the effect of the variant on it; None for others."""
    if "q_snp" not in dataset.variables:
        return None
    for number, name in enumerate(dataset["factor"].values):
        if label in (f"{name}~SNP", f"{name}~Gene"):
            return number
    return None


def _shared_columns(values: xr.Dataset) -> dict[str, Any]:
    """Numbers per variant that do not belong to a parameter, with the p value of those that are chi-squares."""
    columns: dict[str, Any] = {}
    special = {"estimate", "beta", "se", "t", "p", "n_called", "allele_frequency", "status", "maf", "hsq"}
    special |= {"variant_contig", "variant_position"}
    first = ["chisq", "aic", "q"]
    for name in [*first, *sorted({str(key) for key in values.variables} - {*first})]:
        variable = values.variables.get(name)
        if variable is None:
            continue
        if variable.dims != ("variant",) or name in special or variable.dtype.kind not in "fiu":
            continue
        columns[name] = variable.values
        if f"{name}_df" in values.variables:
            df = int(values[f"{name}_df"].values)
            columns |= {f"{name}_df": df, f"{name}_p": chisq_p(variable.values, df)}
    return columns
