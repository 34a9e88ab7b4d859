"""Lines that say in words what a store of a fitted model or of components holds."""

from __future__ import annotations

from typing import Any

from daskgen.cli.describe import labelled, length

__all__ = ["pca_lines", "posterior_lines", "reml_lines", "sem_fit_lines"]

_SHOWN = 6  # phenotypes, components, quantities; the others are counted


def _shortened(parts: list[str]) -> str:
    more = f", ... ({len(parts)} in all)" if len(parts) > _SHOWN else ""
    return ", ".join(parts[:_SHOWN]) + more


def _texts(group: Any, name: str) -> list[str]:
    from daskgen.stores.reader import read_text

    return [str(value) for value in read_text(group, name).tolist()]


def pca_lines(group: Any) -> list[str]:
    """Samples, and the share of each component."""
    share = group["variance_share"][...].tolist()
    return [
        labelled("Samples", f"{length(group, 'sample_id'):,}"),
        labelled("Shares", _shortened([f"PC{i} {100 * s:.2f} %" for i, s in enumerate(share, start=1)])),
        labelled("Loadings", "of every variant" if "loadings" in group else "none"),
    ]


def reml_lines(group: Any) -> list[str]:
    """A line per phenotype: heritability with its error, samples, why the fit ended; then the components."""
    from daskgen.reml.inference import heritability

    names = ("variance_component", "covariance", "mean_diagonal", "monte_carlo_covariance")
    arrays = [group[name][...] for name in names]
    n_samples, reason = group["n_samples"][...].tolist(), _texts(group, "reason")
    lines = []
    phenotypes = _texts(group, "phenotype")
    for row, phenotype in enumerate(phenotypes[:_SHOWN]):
        found = heritability(*(array[row] for array in arrays))
        text = f"{phenotype}: h2 {found.estimate[-1]:.4f} (SE {found.se[-1]:.4f}), {n_samples[row]:,} samples"
        lines.append(labelled("" if row else "Phenotypes", f"{text}; {reason[row]}"))
    if len(phenotypes) > _SHOWN:
        lines.append(labelled("", f"... ({len(phenotypes)} in all)"))
    lines.append(labelled("Components", _shortened(_texts(group, "component"))))
    return lines


def posterior_lines(group: Any) -> list[str]:
    """Method, size of the problem, chains, and the mean of every traced quantity."""
    attrs = group.attrs.asdict()
    trace = group["trace"][...]
    means = trace.reshape(-1, trace.shape[-1]).mean(axis=0).tolist()
    named = [f"{name} {mean:.4g}" for name, mean in zip(_texts(group, "quantity"), means, strict=True)]
    return [
        labelled("Model", f"{attrs.get('method')}, schedule {attrs.get('schedule')}"),
        labelled("Size", f"{length(group, 'effect_mean'):,} markers, {length(group, 'sample_id'):,} samples"),
        labelled("Draws", f"{trace.shape[0]} chains of {trace.shape[1]:,}"),
        labelled("Means", _shortened(named)),
    ]


def sem_fit_lines(group: Any) -> list[str]:
    """The model, its size, whether it converged, and how well it fits."""
    attrs = group.attrs.asdict()
    lines = [
        labelled("" if number else "Model", line.strip())
        for number, line in enumerate(str(attrs.get("model", "")).strip().replace(";", "\n").split("\n"))
        if line.strip()
    ]
    state = "converged" if attrs.get("converged", 1) else "NOT CONVERGED"
    lines.append(labelled("Traits", _shortened(_texts(group, "trait"))))
    lines.append(labelled("Fit", f"{attrs.get('estimation')}, {attrs.get('npar')} free parameters, {state}"))
    indices = {"chisq": "chi-square", "df": "df", "p_chisq": "p", "cfi": "CFI", "srmr": "SRMR"}
    shown = [f"{label} {float(group[name][...]):.4g}" for name, label in indices.items() if name in group]
    lines.append(labelled("", ", ".join(shown)))
    return lines
