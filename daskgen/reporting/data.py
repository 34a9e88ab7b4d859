"""Sections of reports on data: genotypes, summary statistics, LD scores, components."""

from __future__ import annotations

import numpy as np
import pandas as pd
import xarray as xr

from daskgen.reporting import figures
from daskgen.reporting.page import Section, facts, figure, paragraph, table

__all__ = ["genotypes", "ld_scores", "pca", "sumstats"]

_SHOWN_COMPONENTS = 20


def text(dataset: xr.Dataset, name: str) -> np.ndarray:
    """A column of text as objects."""
    return np.asarray(dataset[name].values).astype(object)


def genotypes(dataset: xr.Dataset) -> list[Section]:
    """Samples, variants by contig, calls, and how frequent the minor alleles are."""
    n_samples, n_variants = dataset.sizes["samples"], dataset.sizes["variants"]
    called = np.asarray(dataset["variant_n_called"].values, np.float64)
    frequency = np.asarray(dataset["variant_allele_frequency"].values, np.float64)
    missing = 1 - called / n_samples if n_samples else np.zeros(n_variants)
    contigs = text(dataset, "contig_id")
    count = np.bincount(np.asarray(dataset["variant_contig"].values, np.int64), minlength=len(contigs))
    sex = np.asarray(dataset["sample_sex"].values)
    overview = facts(
        {
            "Samples": n_samples,
            "of these male, female, unknown": ", ".join(f"{int((sex == code).sum()):,}" for code in (1, 2, 0)),
            "Variants": n_variants,
            "Counted allele": dataset.attrs.get("counted_allele"),
            "Missing calls": f"{100 * missing.mean():.3g} %" if n_variants and n_samples else None,
            "Monomorphic variants": int(np.isin(frequency, (0, 1)).sum()),
            "Variants never called": int((called == 0).sum()),
            "Dosages": "call_dosage" in dataset.variables and "variant_info_score" in dataset.variables,
        }
    )
    body = [overview]
    if n_variants:
        maf = np.minimum(frequency, 1 - frequency)
        body.append(figure(figures.histogram(maf, "minor allele frequency"), "histogram of minor allele frequencies"))
        body.append(figure(figures.histogram(missing, "share of missing calls"), "histogram of missing calls"))
    by_contig = pd.DataFrame({"contig": contigs, "variants": count})
    return [Section("Genotypes", body, [Section("Variants by contig", [table(by_contig)])])]


def sumstats(dataset: xr.Dataset) -> list[Section]:
    """Per trait: size, prevalences, rows kept and why others were not."""
    columns = ["trait", "trait_n", "n_kind", "scale", "sample_prev", "population_prev"]
    columns += ["rows_read", "rows_kept", "rows_turned"]
    rows = {name: _column(dataset, name) for name in columns if name in dataset.variables}
    frame = pd.DataFrame(rows)
    parts = []
    if "dropped" in dataset.variables:
        dropped = pd.DataFrame(dataset["dropped"].values, columns=list(text(dataset, "reason")))
        dropped = dropped.loc[:, (dropped > 0).any()]
        dropped.insert(0, "trait", text(dataset, "trait"))
        parts.append(Section("Rows left out, by reason", [table(dropped)]))
    overview = facts({"Variants": dataset.sizes["variants"], "Purpose": dataset.attrs.get("purpose")})
    return [Section("Summary statistics", [overview, table(frame)], parts)]


def _column(dataset: xr.Dataset, name: str) -> np.ndarray:
    values = np.asarray(dataset[name].values)
    return values.astype(object) if values.dtype.kind in "OTU" else values


def ld_scores(dataset: xr.Dataset) -> list[Section]:
    """Annotations with the number of variants that their scores sum over."""
    frame = pd.DataFrame({"annotation": text(dataset, "annotation")})
    for name in ("M", "M_5_50"):
        if name in dataset.variables:
            frame[name] = np.nansum(dataset[name].values, axis=0)
    score = dataset["ld_score"]
    frame["mean score"] = np.asarray(score.mean("variants").values)
    return [Section("LD scores", [facts({"Variants": dataset.sizes["variants"]}), table(frame, most=200)])]


def pca(dataset: xr.Dataset) -> list[Section]:
    """Eigenvalues, their shares, and the samples on the first components."""
    variances, share = dataset["variances"].values, dataset["variance_share"].values
    n = len(variances)
    names = [f"PC{i + 1}" for i in range(n)]
    frame = pd.DataFrame({"component": names, "eigenvalue": variances, "share of tr(K)": share})
    body = [facts({"Samples": dataset.sizes["sample"], "Components": n, "Passes": dataset.attrs.get("passes")})]
    shown = min(n, _SHOWN_COMPONENTS)
    body.append(figure(figures.bars(names[:shown], variances[:shown], None, "eigenvalue"), "eigenvalues"))
    scores = dataset["scores"].values
    for first in range(0, min(n - 1, 4), 2):
        labels = (names[first], names[first + 1])
        drawn = figures.scatter(scores[:, first], scores[:, first + 1], labels)
        body.append(figure(drawn, f"samples on {labels[0]} and {labels[1]}"))
    if not n:
        body.append(paragraph("no component was computed"))
    return [Section("Principal components", [*body, table(frame)])]
