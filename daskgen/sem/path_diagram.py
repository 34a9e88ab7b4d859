"""A drawing of a model as SVG: factors as ellipses, traits as boxes, paths with their estimates.

Rows from below: indicators, their factors, factors of factors; predictors stand above what they explain. A straight
arrow is a loading or regression, a curved one a covariance; residual variances are written beside the variable. Fixed
paths are dashed, covariances fixed at zero left out.
"""

from __future__ import annotations

import html
import os
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from daskgen.errors import StoreError

__all__ = ["Diagram", "draw"]

_WIDE, _HIGH = 120.0, 130.0
_BOX = (84.0, 30.0)
_DEEPEST = 70.0
Point = tuple[float, float]

_STYLE = (
    "text{font:13px sans-serif;text-anchor:middle;dominant-baseline:central;fill:#1b2733}"
    ".number{font-size:11px;fill:#3b4c5c}.number.halo{stroke:#fff;stroke-width:4px;paint-order:stroke}"
    ".box{fill:#eef3f8;stroke:#3f6184;stroke-width:1.4}.factor{fill:#fdf3e3;stroke:#b07a2a;stroke-width:1.4}"
    "path{fill:none;stroke:#5a6b7b;stroke-width:1.3}.fixed{stroke-dasharray:5 4}"
)


@dataclass(frozen=True)
class Diagram:
    """A picture. svg: its text; a notebook shows it."""

    svg: str

    def _repr_svg_(self) -> str:
        return self.svg

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the SVG file."""
        try:
            with open(path, "w", encoding="utf-8") as file:
                file.write(self.svg)
        except OSError as error:
            raise StoreError(f"{os.fspath(path)} cannot be written.", found=str(error)) from error


def draw(estimates: pd.DataFrame, observed: Sequence[str], column: str) -> Diagram:
    """Draw the rows of `Fit.estimates` with the numbers of `column`, or of est where that is missing throughout.

    observed: names of the traits; every other variable is a factor.
    """
    table = estimates[estimates["op"] != ":="]
    column = column if table[column].notna().any() else "est"
    place = _places(table, observed)
    parts = [_marker()]
    labels: list[str] = []
    for row in table.itertuples():
        number, fixed = float(getattr(row, column)), not np.isfinite(row.se)
        text = f"{number:.2f}" if np.isfinite(number) else ""
        if row.op == "~~" and row.lhs == row.rhs:
            labels.append(_number(*_beside(place[row.lhs], row.lhs in observed), text, halo=False))
            continue
        if row.op == "~~" and fixed and number == 0.0:
            continue
        cause, effect = (row.lhs, row.rhs) if row.op in ("=~", "~~") else (row.rhs, row.lhs)
        path, at = (_curve if row.op == "~~" else _arrow)(place[cause], place[effect])
        both = ' marker-start="url(#tip)"' if row.op == "~~" else ""
        parts.append(f'<path class="{"fixed" if fixed else "free"}" d="{path}" marker-end="url(#tip)"{both}/>')
        labels.append(_number(*at, text, halo=True))
    for name, (x, y) in place.items():
        parts.append(_shape(x, y, name in observed))
        parts.append(
            f'<text x="{x:.1f}" y="{y:.1f}">{html.escape(_short(name))}<title>{html.escape(name)}</title></text>'
        )
    xs, ys = zip(*place.values(), strict=True)
    left, top = min(xs) - 70, min(ys) - _DEEPEST - 40
    width, height = max(xs) + 70 - left, max(ys) + _DEEPEST + 40 - top
    body = "".join(parts + labels)
    return Diagram(
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="{left:.0f} {top:.0f} {width:.0f} {height:.0f}" '
        f'width="{width:.0f}" height="{height:.0f}" role="img"><style>{_STYLE}</style>{body}</svg>\n'
    )


def _places(table: pd.DataFrame, observed: Sequence[str]) -> dict[str, Point]:
    """Centre of every variable: a row per level, each variable above the middle of what it explains."""
    names = list(dict.fromkeys([*table["lhs"], *table["rhs"]]))
    below: dict[str, list[str]] = {name: [] for name in names}
    for row in table.itertuples():
        if row.op == "=~":
            below[row.lhs].append(row.rhs)
        elif row.op == "~":
            below[row.rhs].append(row.lhs)
    level = dict.fromkeys(names, 0)
    for _ in names:  # as many rounds as a chain is long; a loop of regressions ends there
        for name in names:
            level[name] = max([level[other] + 1 for other in below[name]], default=0)
    level = {name: min(height, 6) for name, height in level.items()}
    place: dict[str, Point] = {}
    for height in sorted(set(level.values())):
        row = [name for name in names if level[name] == height]
        wanted = {
            name: float(np.mean([place[o][0] for o in below[name] if o in place] or [i * _WIDE]))
            for i, name in enumerate(row)
        }
        x = -np.inf
        for name in sorted(row, key=lambda name: (wanted[name], names.index(name))):
            x = max(x + _WIDE, wanted[name])
            place[name] = (x, -_HIGH * height)
    return place


def _beside(at: Point, is_observed: bool) -> Point:
    """Where a variance is written: under the lowest traits, left of others, over factors."""
    if not is_observed:
        return at[0], at[1] - 33
    return (at[0], at[1] + 31) if at[1] == 0 else (at[0] - _BOX[0] / 2 - 20, at[1])


def _arrow(start: Point, end: Point) -> tuple[str, Point]:
    """A straight line, or a bent one where it would run through the rows between."""
    a, b = _edge(start, end), _edge(end, start)
    share = 0.45 if round(start[0] / _WIDE) % 2 else 0.62  # numbers of neighbours are not side by side
    at = (a[0] + share * (b[0] - a[0]), a[1] + share * (b[1] - a[1]))
    if abs(end[1] - start[1]) < 1.5 * _HIGH or abs(end[0] - start[0]) > _BOX[0]:
        return f"M{a[0]:.1f},{a[1]:.1f}L{b[0]:.1f},{b[1]:.1f}", at
    side = start[0] + _BOX[0]
    return f"M{a[0]:.1f},{a[1]:.1f}Q{side:.1f},{(a[1] + b[1]) / 2:.1f} {b[0]:.1f},{b[1]:.1f}", (
        (a[0] + 2 * side + b[0]) / 4,
        (a[1] + b[1]) / 2,
    )


def _curve(start: Point, end: Point) -> tuple[str, Point]:
    """An arc over factors, under traits, both of which are drawn from the edges that face it."""
    side = -1.0 if start[1] < 0 or end[1] < 0 else 1.0
    a, b = ((x, y + side * _BOX[1] / 2) for x, y in (start, end))
    depth = side * min(30 + 0.1 * abs(b[0] - a[0]), _DEEPEST)
    middle = ((a[0] + b[0]) / 2, (a[1] + b[1]) / 2)
    path = f"M{a[0]:.1f},{a[1]:.1f}Q{middle[0]:.1f},{middle[1] + 2 * depth:.1f} {b[0]:.1f},{b[1]:.1f}"
    return path, (middle[0], middle[1] + depth)


def _edge(start: Point, end: Point) -> Point:
    """Where the line from start to end leaves the box around start."""
    dx, dy = end[0] - start[0], end[1] - start[1]
    scale = 1.0 / max(abs(dx) / (_BOX[0] / 2 + 3), abs(dy) / (_BOX[1] / 2 + 3), 1e-9)
    return start[0] + dx * min(scale, 1.0), start[1] + dy * min(scale, 1.0)


def _shape(x: float, y: float, is_observed: bool) -> str:
    wide, high = _BOX
    if is_observed:
        corner = f'x="{x - wide / 2:.1f}" y="{y - high / 2:.1f}" width="{wide}" height="{high}"'
        return f'<rect class="box" {corner} rx="3"/>'
    return f'<ellipse class="factor" cx="{x:.1f}" cy="{y:.1f}" rx="{wide / 2}" ry="{high / 2 + 3}"/>'


def _number(x: float, y: float, text: str, *, halo: bool) -> str:
    return f'<text class="number{" halo" if halo else ""}" x="{x:.1f}" y="{y:.1f}">{text}</text>'


def _marker() -> str:
    return (
        '<defs><marker id="tip" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" '
        'orient="auto-start-reverse"><path d="M0,0L8,4L0,8z" style="fill:#5a6b7b;stroke:none"/></marker></defs>'
    )


def _short(name: str) -> str:
    return name if len(name) <= 11 else name[:10] + "…"
