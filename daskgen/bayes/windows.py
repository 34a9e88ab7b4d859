"""Windows of neighbouring markers: their share of the genetic variance, draw by draw.

In a draw with effects a, the window w has the variance a_w' S_w a_w, S_w the covariance matrix of its markers over the
samples with records, and the share of it in the genetic variance of the draw. WPPA is the share of draws in which the
window's share is above a threshold; the mean WPPA of the windows above one is the posterior probability of association
of that list (Fernando et al. 2017).
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pandas as pd

from daskgen.errors import UsageError

__all__ = ["EffectDraws", "Windows", "make_windows", "window_correlations", "window_table"]


@dataclass(frozen=True, eq=False)
class EffectDraws:
    """Effects that are not 0, by draw: draw, marker int (entries,), value (entries,); genetic_variance (draws,)."""

    draw: np.ndarray
    marker: np.ndarray
    value: np.ndarray
    genetic_variance: np.ndarray


@dataclass(frozen=True, eq=False)
class Windows:
    """Runs of markers, first to last - 1, of one contig; start and end: positions, or numbers of markers."""

    contig: np.ndarray
    first: np.ndarray
    last: np.ndarray
    start: np.ndarray
    end: np.ndarray


def make_windows(contig: np.ndarray, position: np.ndarray, size: str | int, *, sliding: bool = False) -> Windows:
    """Windows of `size`: "1Mb", "500kb", base pairs as a number, or "20snp".

    contig (text), position (base pairs): of the markers, in the order of the genotypes. Not sliding: [k size, (k + 1)
    size) of each contig, without empty ones. Sliding: one that begins at every marker. Raises UsageError for a size
    that is not understood and for markers whose positions are not sorted.
    """
    length, by_marker = _parse(size)
    starts = np.flatnonzero(np.concatenate([[True], contig[1:] != contig[:-1]]))
    if len(set(contig[starts].tolist())) < len(starts):
        raise UsageError("the markers of a contig do not follow each other, so there are no windows.")
    rows: list[tuple[object, int, int, int, int]] = []
    for first, last in zip(starts.tolist(), [*starts[1:].tolist(), len(contig)], strict=True):
        place = np.arange(last - first) if by_marker else position[first:last].astype(np.int64)
        if (np.diff(place) < 0).any():
            raise UsageError(f"the positions of contig {contig[first]} are not sorted.")
        if sliding:
            ends = np.searchsorted(place, place + length, side="left")
            rows += [
                (contig[first], first + i, first + int(e), int(place[i]), int(place[i]) + length)
                for i, e in enumerate(ends)
            ]
            continue
        number = place // length
        edges = np.flatnonzero(np.concatenate([[True], number[1:] != number[:-1], [True]]))
        rows += [
            (contig[first], first + a, first + b, int(number[a]) * length, (int(number[a]) + 1) * length)
            for a, b in zip(edges[:-1].tolist(), edges[1:].tolist(), strict=True)
        ]
    names, *numbers = zip(*rows, strict=True)
    return Windows(np.array(names, dtype=object), *(np.asarray(column, np.int64) for column in numbers))


def _parse(size: str | int) -> tuple[int, bool]:
    match = re.fullmatch(r"\s*([\d_.,]+)\s*(bp|kb|mb|snps?)?\s*", str(size).lower())
    if match is None:
        raise UsageError(f"the window size {size!r} is not understood.", expected='such as "1Mb", "500kb" or "20snp"')
    unit = match[2] or "bp"
    length = float(re.sub("[_,]", "", match[1])) * {"kb": 1e3, "mb": 1e6}.get(unit, 1.0)
    if length < 1 or length != int(length):
        raise UsageError(f"the window size {size!r} is not a whole number of base pairs or markers, 1 or more.")
    return int(length), unit.startswith("snp")


def _by_window(draws: EffectDraws) -> Callable[[int, int], np.ndarray | None]:
    """(first, last) -> effects of a window's markers (draws, markers), None where all are 0."""
    order = np.argsort(draws.marker, kind="stable")
    marker, draw, value = draws.marker[order], draws.draw[order], draws.value[order].astype(np.float64)

    def of_window(first: int, last: int) -> np.ndarray | None:
        a, b = np.searchsorted(marker, [first, last])
        if a == b:
            return None
        effects = np.zeros((len(draws.genetic_variance), last - first))
        effects[draw[a:b], marker[a:b] - first] = value[a:b]
        return effects

    return of_window


def window_table(
    windows: Windows,
    draws: EffectDraws,
    covariance: Callable[[int, int], np.ndarray],
    *,
    threshold: float = 0.001,
) -> pd.DataFrame:
    """A row per window: contig, start, end, n_markers, share, variance, variance_sd, wppa, ppa.

    covariance(first, last): S_w of the markers first to last - 1. ppa: mean WPPA of this window and all with a higher
    one.
    """
    n_draws = len(draws.genetic_variance)
    of_window = _by_window(draws)
    share, mean, spread, wppa = (np.zeros(len(windows.first)) for _ in range(4))
    for w, (first, last) in enumerate(zip(windows.first, windows.last, strict=True)):
        effects = of_window(int(first), int(last))
        if effects is None:
            continue
        variance = np.einsum("dj,dj->d", effects @ covariance(int(first), int(last)), effects)
        total = draws.genetic_variance
        part = np.where(total > 0, variance / np.where(total > 0, total, 1.0), 0.0)
        share[w], mean[w], spread[w] = part.mean(), variance.mean(), variance.std(ddof=1) if n_draws > 1 else np.nan
        wppa[w] = (part > threshold).mean()
    table = pd.DataFrame(
        {
            "contig": windows.contig,
            "start": windows.start,
            "end": windows.end,
            "n_markers": windows.last - windows.first,
            "share": share,
            "variance": mean,
            "variance_sd": spread,
            "wppa": wppa,
        }
    )
    ranked = np.argsort(-wppa, kind="stable")
    ppa = np.empty(len(wppa))
    ppa[ranked] = np.cumsum(wppa[ranked]) / np.arange(1, len(wppa) + 1)
    return table.assign(ppa=ppa)


def window_correlations(
    windows: Windows, one: EffectDraws, other: EffectDraws, covariance: Callable[[int, int], np.ndarray]
) -> pd.DataFrame:
    """A row per window: contig, start, end, n_markers, covariance, covariance_sd, correlation, correlation_sd, both.

    In a draw with effects a and b of two traits the window has the covariance a_w' S_w b_w, and the correlation that
    follows. Correlations are over the draws in which both traits have variance in the window, whose share is `both`.
    """
    n, count = len(windows.first), len(one.genetic_variance)
    columns = {name: np.full(n, np.nan) for name in ("correlation", "correlation_sd")}
    columns = {"covariance": np.zeros(n), "covariance_sd": np.zeros(n)} | columns | {"both": np.zeros(n)}
    of_one, of_other = _by_window(one), _by_window(other)
    for w, (first, last) in enumerate(zip(windows.first.tolist(), windows.last.tolist(), strict=True)):
        a, b = of_one(first, last), of_other(first, last)
        if a is None or b is None:
            continue
        s = covariance(first, last)
        left = a @ s
        between, var_a, var_b = (np.einsum("dj,dj->d", x, y) for x, y in ((left, b), (left, a), (b @ s, b)))
        columns["covariance"][w] = between.mean()
        columns["covariance_sd"][w] = between.std(ddof=1) if count > 1 else np.nan
        there = (var_a > 0) & (var_b > 0)
        columns["both"][w] = there.mean()
        if there.any():
            r = between[there] / np.sqrt(var_a[there] * var_b[there])
            columns["correlation"][w] = r.mean()
            columns["correlation_sd"][w] = r.std(ddof=1) if len(r) > 1 else np.nan
    place = {
        "contig": windows.contig, "start": windows.start, "end": windows.end, "n_markers": windows.last - windows.first
    }  # fmt: skip
    return pd.DataFrame(place | columns)
