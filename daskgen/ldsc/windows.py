"""Which variants are in the window of a variant: a distance in base pairs, centimorgans or variants, on a contig."""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np

from daskgen.errors import InputError, UsageError

__all__ = ["Window", "window_stops"]

_UNITS = {"bp": ("bp", 1.0), "kb": ("bp", 1e3), "mb": ("bp", 1e6), "cm": ("cM", 1.0), "snp": ("snp", 1.0)}


@dataclass(frozen=True)
class Window:
    """A largest distance: width in `unit` ("bp", "cM" or "snp"); variants exactly that far apart are inside."""

    width: float
    unit: str

    @classmethod
    def of(cls, text: str) -> Window:
        """From "1cM", "1000kb", "1Mb", "250000bp" or "500snp". UsageError for anything else."""
        match = re.fullmatch(r"\s*([0-9][0-9_,]*\.?[0-9]*|\.[0-9]+)\s*([A-Za-z]+?)s?\s*", str(text))
        unit = _UNITS.get(match[2].lower()) if match else None
        width = float(re.sub("[_,]", "", match[1])) if match else 0.0
        if unit is None or width <= 0:
            raise UsageError(
                f"window {text!r} is not understood.", expected='a distance with its unit: "1cM", "1000kb", "500snp"'
            )
        return cls(width * unit[1], unit[0])

    def __str__(self) -> str:
        return f"{self.width:,.10g} {self.unit}"


def window_stops(contig: np.ndarray, coordinate: np.ndarray, width: float) -> np.ndarray:
    """Number after the last variant in the window of each variant: int64 (variants,).

    contig: of each variant, equal ones next to each other; coordinate: not decreasing within a contig; width: largest
    distance. Windows end with their contig and are symmetric: j is in the window of i if i is in that of j.
    Raises InputError where contigs are torn apart or coordinates decrease.
    """
    m = len(contig)
    stops = np.empty(m, np.int64)
    edges = np.concatenate([[0], np.flatnonzero(contig[1:] != contig[:-1]) + 1, [m]]) if m else np.zeros(1, np.int64)
    if len(np.unique(contig[edges[:-1]])) < len(edges) - 1:
        raise InputError(
            "the variants of a contig are not next to each other.", do="sort the genotypes by contig and position"
        )
    for start, end in zip(edges[:-1], edges[1:], strict=True):
        x = np.asarray(coordinate[start:end], np.float64)
        if (np.diff(x) < 0).any():
            at = int(start + np.flatnonzero(np.diff(x) < 0)[0])
            raise InputError(
                "the variants are not in the order of their positions.",
                found=f"variant {at + 2:,} at {coordinate[at + 1]:g} after {coordinate[at]:g}",
                do="sort the genotypes by contig and position",
            )
        stops[start:end] = start + np.searchsorted(x, x + width, side="right")
    return stops
