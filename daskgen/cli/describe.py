"""Lines that say in words what a store holds."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from typing import Any

__all__ = [
    "aligned",
    "array_lines",
    "call_line",
    "contig_line",
    "genotype_lines",
    "labelled",
    "length",
    "provenance_lines",
]

LABEL = 11  # width of the first column
MANY_ARRAYS = 24  # more than fit on a screen beside the rest


def labelled(label: str, text: str) -> str:
    """A line with its label in a column of its own."""
    return f"{label:<{LABEL}}{text}"


def length(group: Any, name: str) -> int:
    """Length of the first dimension of an array."""
    return int(group[name].shape[0])


def genotype_lines(group: Any) -> list[str]:
    """Samples, variants by contig, calls and counted allele of a genotype store."""
    n_variants = length(group, "variant_id")
    lines = [
        labelled("Samples", f"{length(group, 'sample_id'):,}{_sexes(group)}"),
        contig_line(group, n_variants),
        call_line(group),
    ]
    if n_variants:
        names, alleles = group["variant_id"][:3].tolist(), group["variant_allele"][:3].tolist()
        first = [f"{name} {pair[1]} (not {pair[0]})" for name, pair in zip(names, alleles, strict=True)]
        lines.append(labelled("Counted", f"{group.attrs.get('counted_allele', 'allele 1')}: {', '.join(first)}"))
    if "call_dosage" in group:
        alone = "call_genotype_packed" not in group
        lines.append(labelled("Dosages", "without hard calls" if alone else "beside the hard calls"))
    return lines


def contig_line(group: Any, n_variants: int) -> str:
    """Variants, and how many are on which contig where that is known."""
    import numpy as np

    from daskgen.stores.reader import read_text

    if "variant_contig" not in group:
        return labelled("Variants", f"{n_variants:,}, positions not known")

    contigs = read_text(group, "contig_id").tolist()
    codes = group["variant_contig"][...]
    per_contig = np.bincount(codes[codes >= 0], minlength=len(contigs))
    named = [f"{name} ({count:,})" for name, count in zip(contigs, per_contig.tolist(), strict=True) if count]
    return labelled("Variants", f"{n_variants:,} on {len(named)} contig{'s' * (len(named) != 1)}: {_few(named, 8)}")


def call_line(group: Any) -> str:
    """Missing calls, and the variants that say nothing."""
    import numpy as np

    n_calls = length(group, "sample_id") * length(group, "variant_id")
    if not n_calls:
        return labelled("Calls", "none")
    called = group["variant_n_called"][...]
    frequency = group["variant_allele_frequency"][...]
    missing = 1 - called.sum(dtype=np.float64) / n_calls
    monomorphic, never = int(np.isin(frequency, (0, 1)).sum()), int((called == 0).sum())
    return labelled(
        "Calls", f"{100 * missing:.3g} % missing; {monomorphic:,} variants monomorphic, {never:,} never called"
    )


def _sexes(group: Any) -> str:
    import numpy as np

    sex = np.asarray(group["sample_sex"][...])
    if not (sex > 0).any():
        return ""
    return f" ({int((sex == 1).sum()):,} male, {int((sex == 2).sum()):,} female, {int((sex == 0).sum()):,} unknown)"


def _few(items: list[str], n: int) -> str:
    return ", ".join(items) if len(items) <= n else f"{', '.join(items[:n])}, ... ({len(items)} in all)"


def provenance_lines(group: Any) -> list[str]:
    """Where the store came from and what was left out on the way."""
    from daskgen.limits import format_bytes

    provenance = group.attrs.get("provenance", {})
    lines = []
    for i, source in enumerate(sources := provenance.get("sources", [])):
        if i == 3:
            lines.append(labelled("", f"... {len(sources)} files in all"))
            break
        size = f", {format_bytes(source['size'])}" if "size" in source else ""
        lines.append(labelled("" if i else "From", f"{source.get('name')}{size}"))
    dropped = {reason: count for reason, count in provenance.get("dropped", {}).items() if count}
    if dropped:
        lines.append(labelled("Left out", ", ".join(f"{count:,} {reason}" for reason, count in dropped.items())))
    if half := provenance.get("half_calls"):
        lines.append(labelled("Half-calls", f"{half:,} with one allele of two missing, made missing"))
    heterozygous = provenance.get("heterozygous_haploid_calls", {})
    if kept := {role: count for role, count in heterozygous.items() if count}:
        places = ", ".join(f"{count:,} on {role}" for role, count in kept.items())
        lines.append(labelled("Haploid", f"heterozygous calls kept as they are: {places}"))
    return lines


def array_lines(group: Any, *, whole: bool = True) -> list[str]:
    """One line per array: name, dimensions, shape, type, chunks. Names only where they are many, unless `whole`."""
    arrays = sorted(group.arrays())
    if len(arrays) > MANY_ARRAYS and not whole:
        names = textwrap.wrap(", ".join(name for name, _ in arrays), 100)
        return [labelled("" if i else "Arrays", line) for i, line in enumerate(names)] + [
            labelled("", "(-v: their dimensions, shapes and types)")
        ]
    rows = [("array", "dimensions", "shape", "type", "chunk", "shard")]
    for name, array in arrays:
        dims = getattr(array.metadata, "dimension_names", None) or ()
        rows.append(
            (
                name,
                ", ".join(map(str, dims)),
                _shape(array.shape),
                "string" if array.dtype.kind in "TOU" else str(array.dtype),
                _shape(array.chunks),
                _shape(array.shards) if array.shards else "",
            )
        )
    return aligned(rows)


def aligned(rows: Sequence[Sequence[str]], indent: str = "") -> list[str]:
    """Rows of words as lines, each column as wide as its widest word."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return [indent + "  ".join(c.ljust(w) for c, w in zip(row, widths, strict=True)).rstrip() for row in rows]


def _shape(shape: tuple[int, ...]) -> str:
    return " x ".join(f"{length:,}" for length in shape)
