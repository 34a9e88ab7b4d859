"""The arguments of LD-score regression as users give them, checked: traits, prevalences, contigs."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from daskgen.errors import InputError, examples
from daskgen.inputs.selection import plain_contig

__all__ = ["PerTrait", "check_prevalences", "chosen_traits", "per_trait", "selected_contigs"]

log = logging.getLogger("daskgen.ldsc")

PerTrait = float | Sequence[float | None] | Mapping[str, float | None] | np.ndarray | None
"""A number for each trait: one for all, a list in the order of the traits, or a mapping by name; None: unknown."""


def chosen_traits(traits: str | Sequence[str] | None, known: Sequence[str], source: str) -> list[int]:
    """Positions of `traits` among `known` names, in the order in which they were asked for; all of them for None."""
    if traits is None:
        return list(range(len(known)))
    wanted = [traits] if isinstance(traits, str) else [str(name) for name in traits]
    unknown = [name for name in wanted if name not in known]
    if unknown or not wanted:
        raise InputError(
            f"{source} has no trait {examples(unknown)}." if unknown else "no trait was asked for.",
            found=f"{', '.join(known)} ({source})",
            expected=f"{', '.join(wanted)} (traits)" if wanted else None,
            do="give names as `daskgen info` shows them",
        )
    if repeated := sorted({name for name in wanted if wanted.count(name) > 1}):
        raise InputError("a trait was asked for twice.", found=", ".join(repeated))
    return [list(known).index(name) for name in wanted]


def per_trait(value: PerTrait, traits: Sequence[str], argument: str) -> np.ndarray:
    """The number of each trait, float64 (traits,), NaN where it is None or, in a mapping, not there."""
    if isinstance(value, Mapping):
        unknown = [name for name in value if name not in traits]
        if unknown:
            raise InputError(
                f"{argument} names a trait that is not there: {examples(unknown)}.",
                found=f"{', '.join(map(str, value))} ({argument})",
                expected=f"{', '.join(traits)} (traits)",
            )
        value = [value.get(name) for name in traits]
    elif value is None or np.ndim(value) == 0:  # type: ignore[arg-type]
        value = [value] * len(traits)  # type: ignore[list-item]
    values = list(value)  # type: ignore[arg-type]
    if len(values) != len(traits):
        raise InputError(
            f"{argument} must have one value for each trait.",
            found=f"{len(values)}: {examples(values, 6)}",
            expected=f"{len(traits)}: {', '.join(traits)}",
        )
    try:
        return np.array([np.nan if v is None else float(v) for v in values], np.float64)
    except (TypeError, ValueError) as error:
        raise InputError(f"{argument} must be numbers.", found=str(error)) from None


def check_prevalences(sample: np.ndarray, population: np.ndarray, n_kind: Sequence[str], traits: Sequence[str]) -> None:
    """InputError unless both prevalences of a trait lie in (0, 1) or neither is given, and they agree with N.

    Where N is the effective sample size of a case-control study, the sample prevalence has to be 0.5; where N is the
    total, 0.5 is only right for as many controls as cases, and a warning says so.
    """
    for argument, values in (("sample_prev", sample), ("population_prev", population)):
        outside = [i for i, v in enumerate(values) if not np.isnan(v) and not 0 < v < 1]
        if outside:
            raise InputError(
                f"{argument}: a prevalence lies between 0 and 1.",
                found=", ".join(f"{values[i]:g} for {traits[i]}" for i in outside),
                do="give a share, such as 0.01 for 1 %, and None for a quantitative trait",
            )
    for i, trait in enumerate(traits):
        if np.isnan(sample[i]) != np.isnan(population[i]):
            lacking = "sample_prev" if np.isnan(sample[i]) else "population_prev"
            raise InputError(
                f"{trait} has one prevalence; the liability scale needs both.",
                found=f"sample_prev {sample[i]:g}, population_prev {population[i]:g}",
                do=f"give {lacking} too, or neither for the observed scale",
            )
        effective = "effective" in n_kind[i]
        if effective and not np.isnan(sample[i]) and sample[i] != 0.5:
            raise InputError(
                f"{trait}: its N is the effective sample size, so its sample prevalence is 0.5.",
                found=f"sample_prev {sample[i]:g}",
                expected="0.5",
                do=f"give 0.5 for {trait}, or munge it again with the total N",
            )
        if n_kind[i] == "total" and sample[i] == 0.5:
            log.warning(
                "%s: sample prevalence 0.5 with the total N is right only for as many controls as cases; "
                "with the effective N it always is",
                trait,
            )


def selected_contigs(select: Any, names: Sequence[str], source: str) -> list[int]:
    """Positions of the contigs that `select` means: None or False all, "odd", "even", a name, or several.

    "odd" and "even" are those of contigs whose name is a number. "chr1" and "1" are the same.
    """
    if select is None or select is False:
        return list(range(len(names)))
    plain = [plain_contig(name) for name in names]
    if isinstance(select, str) and select.lower() in ("odd", "even"):
        parity = 1 if select.lower() == "odd" else 0
        return [i for i, name in enumerate(plain) if name.isdecimal() and int(name) % 2 == parity]
    wanted = [select] if isinstance(select, (str, int, np.integer)) else list(select)
    chosen = [plain_contig(_text(item)) for item in wanted]
    unknown = [str(item) for item, name in zip(wanted, chosen, strict=True) if name not in plain]
    if unknown or not chosen:
        raise InputError(
            f"{source} has no contig {examples(unknown)}." if unknown else "select names no contig.",
            found=f"{', '.join(names)} ({source})",
            expected=f"{', '.join(map(str, wanted)) or 'a contig'} (select)",
            do='give "odd", "even", or a list of contigs',
        )
    return [i for i, name in enumerate(plain) if name in chosen]


def _text(item: Any) -> str:
    return str(int(item)) if isinstance(item, (float, np.floating)) and float(item).is_integer() else str(item)
