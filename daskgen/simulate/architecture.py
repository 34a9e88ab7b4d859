"""The genetic architecture that was asked for, checked: traits, components, heritabilities, causal variants."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from daskgen.errors import InputError, UsageError, examples

__all__ = ["causal_numbers", "correlation", "heritability", "members", "square_root", "trait_names", "whole"]

_TOLERANCE = 1e-9


def trait_names(traits: int | Sequence[str]) -> list[str]:
    """Names of traits: trait_1, trait_2, ... for a number."""
    if isinstance(traits, str):
        return [traits]
    if isinstance(traits, (int, np.integer)):
        return [f"trait_{number}" for number in range(1, whole("traits", traits, 1) + 1)]
    names = [str(name) for name in traits]
    if not names or len(set(names)) != len(names):
        raise UsageError("traits must have different names.", found=", ".join(names) or "none")
    return names


def members(components: str | Mapping[str, Any] | None, contig: np.ndarray) -> dict[str, np.ndarray]:
    """Component -> int64 positions of its variants, increasing. contig: name of each variant's contig."""
    n = len(contig)
    if components is None:
        return {"genetic": np.arange(n)}
    if isinstance(components, str):
        if components != "contig":
            raise UsageError(
                f"unknown components {components!r}.", expected='"contig", or a mapping from name to variants'
            )
        return {str(name): np.flatnonzero(contig == name) for name in dict.fromkeys(contig.tolist())}
    if not components:
        raise UsageError("components name no set of variants.")
    return {str(name): _positions(str(name), np.asarray(chosen), n) for name, chosen in components.items()}


def _positions(name: str, chosen: np.ndarray, n: int) -> np.ndarray:
    if chosen.dtype == bool:
        if chosen.shape != (n,):
            raise InputError(
                f"component {name!r}: a mask has the wrong length.", found=chosen.shape, expected=f"({n:,},)"
            )
        return np.flatnonzero(chosen)
    if chosen.ndim != 1 or (chosen.size and chosen.dtype.kind not in "iu"):
        raise InputError(f"component {name!r} is neither indices nor a mask.", found=f"{chosen.dtype} {chosen.shape}")
    if chosen.size and (chosen.min() < 0 or chosen.max() >= n):
        raise InputError(
            f"component {name!r}: indices are out of range.",
            found=f"{chosen.min()} to {chosen.max()}",
            expected=f"0 to {n - 1:,}",
        )
    return np.unique(chosen.astype(np.int64))


def correlation(rg: float | np.ndarray | None, n_traits: int) -> np.ndarray:
    """The correlation matrix of effects, float64 (n_traits, n_traits); UsageError unless it is one."""
    given = np.asarray(0.0 if rg is None else rg, dtype=np.float64)
    matrix = np.where(np.eye(n_traits, dtype=bool), 1.0, given) if given.ndim == 0 else given
    if (
        matrix.shape != (n_traits, n_traits)
        or not np.allclose(matrix, matrix.T, atol=_TOLERANCE)
        or not np.allclose(np.diag(matrix), 1.0, atol=_TOLERANCE)
        or np.linalg.eigvalsh(matrix)[0] < -_TOLERANCE
    ):
        raise UsageError(
            "rg is not a correlation matrix of the traits.",
            found=str(rg),
            expected=f"a number, or a symmetric ({n_traits}, {n_traits}) matrix with ones on its diagonal and no "
            "negative eigenvalue",
        )
    return matrix


def square_root(matrix: np.ndarray) -> np.ndarray:
    """F with F'F = `matrix`, which may be singular."""
    values, vectors = np.linalg.eigh(matrix)
    return np.sqrt(np.maximum(values, 0.0))[:, None] * vectors.T


def heritability(
    h2: float | Sequence[float] | Mapping[str, float | Sequence[float]], sizes: Mapping[str, int], n_traits: int
) -> np.ndarray:
    """float64 (components, n_traits): the variance of each component's genetic values.

    sizes: component -> number of polymorphic variants, by which components share what is given for all of them.
    """
    if isinstance(h2, Mapping):
        _same_names("h2", h2, sizes)
        rows = [_per_trait(h2[name], n_traits) for name in sizes]
    else:
        total = sum(sizes.values())
        rows = [_per_trait(h2, n_traits) * size / total for size in sizes.values()]
    found = np.array(rows)
    if not (np.isfinite(found).all() and (found >= 0).all() and (found.sum(axis=0) <= 1 + _TOLERANCE).all()):
        raise UsageError("h2 is out of range.", found=str(h2), expected="0 to 1, and at most 1 over all components")
    return found


def _per_trait(value: float | Sequence[float], n_traits: int) -> np.ndarray:
    array = np.asarray(value, dtype=np.float64)
    if array.ndim > 1 or (array.ndim == 1 and len(array) != n_traits):
        raise UsageError("h2 does not fit the traits.", found=str(value), expected=f"one number, or {n_traits}")
    return np.broadcast_to(array, (n_traits,))


def causal_numbers(n_causal: int | Mapping[str, int] | None, sizes: Mapping[str, int]) -> dict[str, int]:
    """Component -> number of its causal variants, at least 1 and at most its size."""
    if n_causal is None:
        return dict(sizes)
    if isinstance(n_causal, Mapping):
        _same_names("n_causal", n_causal, sizes)
        return {name: whole(f"n_causal of {name!r}", n_causal[name], 1, size) for name, size in sizes.items()}
    total = sum(sizes.values())
    number = whole("n_causal", n_causal, 1, total)
    return {name: max(1, round(number * size / total)) for name, size in sizes.items()}


def _same_names(what: str, given: Mapping[str, Any], components: Mapping[str, int]) -> None:
    if set(given) != set(components):
        raise UsageError(
            f"{what} and components name different things.", found=examples(given), expected=examples(components)
        )


def whole(name: str, value: int, least: int, most: int | None = None) -> int:
    """`value` as int; UsageError unless it is a whole number from `least` to `most`."""
    whole_number = isinstance(value, (int, np.integer)) and not isinstance(value, bool)
    if not whole_number or value < least or (most is not None and value > most):
        between = f"a whole number, at least {least}" + ("" if most is None else f" and at most {most:,}")
        raise UsageError(f"{name} is out of range.", found=repr(value), expected=between)
    return int(value)
