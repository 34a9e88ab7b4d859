"""Lines that say in words what a result per variant holds."""

from __future__ import annotations

from typing import Any

from daskgen.cli.describe import contig_line, labelled, length

__all__ = ["gwas_lines"]

_PARAMETERS = 12  # shown; the others are counted


def gwas_lines(group: Any) -> list[str]:
    """Model and traits, variants, how the fits ended, parameters and degrees of freedom."""
    import numpy as np

    from daskgen.stores.reader import read_text

    attrs = group.attrs.asdict()
    lines = []
    for number, line in enumerate(str(attrs.get("model", "")).replace(";", "\n").split("\n")):
        if line.strip():
            lines.append(labelled("" if number else "Model", line.strip()))
    if attrs.get("traits"):
        lines.append(labelled("Traits", ", ".join(map(str, attrs["traits"]))))
    n = length(group, "variant_id")
    known = "variant_contig" in group
    lines.append(contig_line(group, n) if known else labelled("Variants", f"{n:,}, positions not known"))
    status = group["status"]
    table = status.attrs.asdict().get("table", {})
    codes, counts = np.unique(status[...], return_counts=True)
    for number, (code, count) in enumerate(zip(codes.tolist(), counts.tolist(), strict=True)):
        lines.append(labelled("" if number else "Fits", f"{count:,} {table.get(str(code), f'status {code}')}"))
    if "parameter" in group:
        names = [str(name) for name in np.atleast_1d(read_text(group, "parameter")).tolist()]
        more = f", ... ({len(names)} in all)" if len(names) > _PARAMETERS else ""
        lines.append(labelled("Estimates", ", ".join(names[:_PARAMETERS]) + more))
    for name, text in (("chisq_df", "chi-square of the model"), ("q_df", "Q")):
        if name in group:
            lines.append(labelled("", f"{text} on {int(group[name][...])} degrees of freedom"))
    if "q_snp_df" in group:
        factors = read_text(group, "factor").tolist()
        df = group["q_snp_df"][...].tolist()
        lines.append(labelled("", ", ".join(f"Q_SNP of {f} on {d}" for f, d in zip(factors, df, strict=True))))
    return lines
