"""Sections of reports on results per variant: how the fits ended, inflation, hits, Manhattan and QQ."""

from __future__ import annotations

import pandas as pd
import xarray as xr

from daskgen.gwas.layout import snp_effects
from daskgen.gwas.summaries import lambda_gc, n_hits, status_counts, top
from daskgen.reporting.page import Section, facts, figure, note, paragraph, preformatted, table

__all__ = ["gwas"]

_EFFECTS = 8  # drawn; what more there is, is counted
_TOP = 20
_LEVEL = 5e-8


def gwas(dataset: xr.Dataset) -> list[Section]:
    """The scan as a whole, then a section for each effect of the variant."""
    body = []
    if dataset.attrs.get("model"):
        body.append(preformatted(str(dataset.attrs["model"]).replace(";", "\n").strip()))
    body.append(facts({"Variants": dataset.sizes["variant"]}))
    counts = status_counts(dataset)
    names = dataset["status"].attrs.get("table", {})
    body.append(
        table(
            pd.DataFrame({"fits": list(counts.values()), "ended": [names.get(str(c), f"status {c}") for c in counts]})
        )
    )
    effects = snp_effects(dataset)
    if len(effects) > _EFFECTS:
        body.append(paragraph(f"the first {_EFFECTS} of {len(effects)} effects are shown"))
    return [Section("Results per variant", body, [_effect(dataset, label) for label in effects[:_EFFECTS]])]


def _effect(dataset: xr.Dataset, label: str) -> Section:
    from daskgen.plotting import manhattan, qq

    if n_hits(dataset, label, p=1.0) == 0:
        return Section(label, [note("no variant has a p value")])
    hits = n_hits(dataset, label, p=_LEVEL)
    body = [facts({"lambda GC": lambda_gc(dataset, label), f"Variants with p <= {_LEVEL:g}": hits})]
    if {"variant_position", "variant_contig"} <= set(dataset.variables):
        body.append(figure(manhattan(dataset, label), f"Manhattan plot of {label}"))
    body.append(figure(qq(dataset, label), f"QQ plot of {label}"))
    strongest = top(dataset, label, p=_LEVEL) if hits else None
    if strongest is not None:
        body.append(table(strongest, most=_TOP))
    return Section(label, body)
