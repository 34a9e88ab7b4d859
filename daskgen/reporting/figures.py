"""Small figures that only reports show."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from daskgen.plotting.style import COLOURS, GREY, new_figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["bars", "histogram", "scatter", "traces"]


def histogram(values: np.ndarray, label: str, *, bins: int = 50, counted: str = "variants") -> Figure:
    """How often which values occur; what is not finite is left out."""
    values = np.asarray(values)
    drawn = new_figure(4.6, 2.6)
    axes = drawn.subplots()
    axes.hist(values[np.isfinite(values)], bins=bins, color=COLOURS[0])
    axes.set_xlabel(label)
    axes.set_ylabel(counted)
    return drawn


def scatter(x: np.ndarray, y: np.ndarray, labels: tuple[str, str]) -> Figure:
    """A point for each pair; from 5,000 points on they are drawn smaller and translucent."""
    many = len(x) > 5_000
    drawn = new_figure(4.2, 3.8)
    axes = drawn.subplots()
    axes.scatter(x, y, s=2 if many else 7, alpha=0.35 if many else 0.8, color=COLOURS[0], linewidths=0, rasterized=many)
    axes.set_xlabel(labels[0])
    axes.set_ylabel(labels[1])
    return drawn


def bars(names: Sequence[str], values: np.ndarray, errors: np.ndarray | None, label: str) -> Figure:
    """Values with their standard errors, one bar a name."""
    drawn = new_figure(max(2.6, min(9.0, 0.45 * len(names) + 1.6)), 2.8)
    axes = drawn.subplots()
    axes.bar(range(len(names)), values, yerr=errors, color=COLOURS[0], ecolor=GREY, capsize=3)
    turned = max(map(len, names), default=0) * len(names) > 60
    axes.set_xticks(range(len(names)), names, rotation=60 if turned else 0, ha="right" if turned else "center")
    axes.set_ylabel(label)
    axes.axhline(0, color="black", linewidth=0.8)
    return drawn


def traces(draws: np.ndarray, label: str) -> Figure:
    """Draws (chain, draw) of one quantity: every chain over its draws, and how they are distributed."""
    drawn = new_figure(7.4, 1.9)
    left, right = drawn.subplots(1, 2, width_ratios=(3, 1))
    step = max(1, draws.shape[1] // 2_000)
    low, high = float(draws.min()), float(draws.max())
    edges = np.linspace(low, high if high > low else low + 1, 41)
    for chain, values in enumerate(draws):
        colour = COLOURS[chain % len(COLOURS)]
        left.plot(np.arange(1, len(values) + 1)[::step], values[::step], color=colour, linewidth=0.6, alpha=0.8)
        right.hist(values, bins=edges, histtype="step", color=colour)
    left.set_xlabel("draw")
    left.set_ylabel(label)
    right.set_yticks([])
    return drawn
