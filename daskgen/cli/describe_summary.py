"""Lines that say in words what stores of summary statistics, LD scores and covariance structures hold."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from daskgen.cli.describe import aligned, contig_line, labelled, length

__all__ = ["covstruct_lines", "ld_score_lines", "sumstats_lines"]

_TRAITS = 12  # shown; the others are counted


def sumstats_lines(group: Any) -> list[str]:
    """Purpose, reference, variants; per trait the sample size and its kind, scale, prevalences, rows by fate."""
    from daskgen.stores.reader import read_text

    attrs = group.attrs.asdict()
    what = {"ldsc": "z and n, for LD-score regression", "gwas": "beta and se, for models with SNPs"}
    purpose = str(attrs.get("purpose"))
    lines = [labelled("Purpose", f"{purpose}: {what.get(purpose, '')}")]
    lines.append(contig_line(group, length(group, "variant_id")))
    reference = attrs.get("reference", {})
    if reference.get("name"):
        lines.append(labelled("Reference", str(reference["name"])))
    if "simulation" in attrs:
        lines.append(labelled("Simulated", f"with seed {attrs['simulation'].get('seed')}; its truth is an attribute"))
    names = read_text(group, "trait").tolist()
    columns = _Columns(group, len(names))
    inputs = [source.get("name", "") for source in attrs.get("run", {}).get("inputs", []) if isinstance(source, dict)]
    rows = [("trait", "N", "taken from", "scale", "prevalence", "read", "kept", "turned", "file")]
    for t, name in enumerate(names):
        rows.append(
            (
                name,
                f"{_count(columns.number('trait_n', t))} {columns.text('n_kind', t)}".strip(),
                columns.text("n_source", t),
                columns.text("scale", t),
                _prevalence(columns.number("sample_prev", t), columns.number("population_prev", t)),
                *(_count(columns.number(f"rows_{what}", t)) for what in ("read", "kept", "turned")),
                inputs[t] if len(inputs) == len(names) else "",
            )
        )
    lines += _traits_table(rows)
    return lines + _left_out(group, names)


def _left_out(group: Any, names: Sequence[str]) -> list[str]:
    """Rows of each trait's file that are not there, by reason."""
    from daskgen.stores.reader import read_text

    if "dropped" not in group:
        return []
    reasons = read_text(group, "reason").tolist()
    lines: list[str] = []
    for name, counts in zip(names[:_TRAITS], group["dropped"][:_TRAITS].tolist(), strict=True):
        parts = [f"{n:,} {reason}" for reason, n in zip(reasons, counts, strict=True) if n]
        if parts:
            lines.append(labelled("" if lines else "Left out", f"{name}: {', '.join(parts)}"))
    return lines


def ld_score_lines(group: Any) -> list[str]:
    """Variants, scores by annotation, M, weights."""
    import numpy as np

    from daskgen.stores.reader import read_text

    names = read_text(group, "annotation").tolist()
    scores = group["ld_score"][...]
    lines = [contig_line(group, length(group, "variant_id"))]
    if "M" not in group and "M_5_50" not in group:
        lines.append(labelled("M", "not known"))
    scope = "by contig" if group.attrs.get("M_scope") == "contig" else "of all contigs together"
    rows = [("annotation", "mean score", "least", "largest", *(m for m in ("M", "M_5_50") if m in group))]
    with np.errstate(invalid="ignore"):
        for a, name in enumerate(names):
            column = scores[:, a]
            totals = [f"{group[m][...][:, a].sum():,.0f}" for m in ("M", "M_5_50") if m in group]
            rows.append((name, f"{np.mean(column):.4g}", f"{column.min():.4g}", f"{column.max():.4g}", *totals))
    lines += _traits_table(rows, what="annotations")
    lines.append(labelled("M", f"known {scope}"))
    if "weight" in group:
        weight = group["weight"][...]
        known = int(np.isfinite(weight).sum())
        lines.append(labelled("Weights", f"of {known:,} variants, mean {np.nanmean(weight):.4g}" if known else "none"))
    else:
        lines.append(labelled("Weights", "none of their own: the scores serve"))
    return lines


def covstruct_lines(group: Any) -> list[str]:
    """Heritabilities with what belongs to them, genetic correlations, and whether V can be inverted."""
    import numpy as np

    from daskgen.ldsc import covstruct
    from daskgen.stores.reader import read_text

    names = read_text(group, "trait").tolist()
    k = len(names)
    s, v = group["S"][...], group["V"][...]
    columns = _Columns(group, k)
    # What was estimated elsewhere has S and V only.
    made = covstruct(s, v, traits=names)
    s_se, rg = (group[name][...] if name in group else made[name].values for name in ("S_se", "rg"))
    intercept = group["I"][...] if "I" in group else np.full((k, k), np.nan)
    intercept_se = group["I_se"][...] if "I_se" in group else np.full((k, k), np.nan)
    heads = [("trait", "h2", "intercept", "mean chi2", "lambda GC", "prevalence")]
    for t, name in enumerate(names):
        heads.append(
            (
                name,
                _with_error(s[t, t], s_se[t, t]),
                _with_error(intercept[t, t], intercept_se[t, t]),
                *(_decimals(columns.number(what, t)) for what in ("mean_chisq", "lambda_gc")),
                _prevalence(columns.number("sample_prev", t), columns.number("population_prev", t)),
            )
        )
    eigenvalue = float(np.linalg.eigvalsh(v)[0])
    sign = "positive definite" if eigenvalue > 0 else "not positive definite: models smooth it"
    q = len(v)
    facts = [f"{k} traits", f"V {q} x {q}, {sign} (smallest eigenvalue {eigenvalue:.3g})"]
    if "n_blocks" in group.attrs:
        facts.append(f"{group.attrs['n_blocks']} blocks")
    if "m" in group:
        facts.append(f"M {float(group['m'][...]):,.0f}")
    lines = [labelled("Structure", "; ".join(facts)), *_traits_table(heads)]
    if 1 < k <= _TRAITS:
        rows = [("rg", *names[:-1])]
        rows += [
            (names[i], *(_decimals(rg[i, j], 3) or "NA" for j in range(i)), *[""] * (k - 1 - i)) for i in range(1, k)
        ]
        lines += aligned(rows, "  ")
    return lines


class _Columns:
    """Values per trait of arrays that a store may lack."""

    def __init__(self, group: Any, n_traits: int):
        self.group, self.n_traits = group, n_traits
        self.read: dict[str, list[Any]] = {}

    def _values(self, name: str) -> list[Any]:
        if name not in self.read:
            there = name in self.group
            self.read[name] = self.group[name][...].tolist() if there else [None] * self.n_traits
        return self.read[name]

    def number(self, name: str, trait: int) -> float | None:
        value = self._values(name)[trait]
        return None if value is None or value != value else float(value)

    def text(self, name: str, trait: int) -> str:
        return str(self._values(name)[trait] or "")


def _traits_table(rows: Sequence[Sequence[str]], what: str = "traits") -> list[str]:
    """A row per trait under a header; the first ones, and no column that is empty for all of them."""
    header, *body = rows
    kept = [c for c in range(len(header)) if any(row[c] for row in body)]
    shown = [[row[c] for c in kept] for row in (header, *body[:_TRAITS])]
    more = [f"  ... {len(body):,} {what} in all"] if len(body) > _TRAITS else []
    return [*aligned(shown, "  "), *more]


def _count(value: float | None) -> str:
    return "" if value is None else f"{value:,.0f}"


def _decimals(value: float | None, places: int = 4) -> str:
    return "" if value is None or value != value else f"{value:.{places}f}"


def _with_error(value: float, error: float) -> str:
    if value != value:
        return ""
    return f"{value:.4f} ({error:.4f})" if error == error else f"{value:.4f}"


def _prevalence(sample: float | None, population: float | None) -> str:
    return "" if sample is None or population is None else f"{sample:g} in {population:g}"
