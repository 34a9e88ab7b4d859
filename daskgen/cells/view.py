"""What the values of a store are now: counts, or counts divided and in logarithms, as steps have recorded it."""

from __future__ import annotations

import logging
from dataclasses import dataclass

import numpy as np

from daskgen.cells.opened import Cells
from daskgen.cells.state import LOG_VALUES
from daskgen.cells.transform import Transform
from daskgen.errors import UsageError

__all__ = ["FACTORS", "View", "current_view", "require_counts", "require_logs"]

log = logging.getLogger("daskgen.cells")

FACTORS = "daskgen_size_factor"
"""Column of obs with the divisors of `normalize_total`."""


@dataclass(frozen=True, eq=False)
class View:
    """divisors: float64 (cells,) or None; target: the total after division, where divisors are total / target; log,
    base: whether logarithms are taken (None for natural ones)."""

    divisors: np.ndarray | None
    target: float | None
    log: bool
    base: float | None

    @property
    def transform(self) -> Transform:
        """The same for a pass."""
        return Transform(self.divisors, self.log, self.base)


def current_view(cells: Cells) -> View:
    """What the recorded steps make of X."""
    steps = cells.state.steps
    normalised, logged = steps.get("normalize_total"), steps.get("log1p")
    for name, step in (("normalize_total", normalised), ("log1p", logged)):
        if step is not None and step.stale:
            log.warning("%s was done before the filters were changed: run it again", name)
    divisors = target = None
    if normalised is not None:
        divisors = np.asarray(cells.store.column("obs", normalised.parameters["factors"]), np.float64)
        if not normalised.parameters.get("exclude_highly_expressed"):
            target = float(normalised.parameters["target"])
    base = None if logged is None else logged.parameters.get("base")
    return View(divisors, target, logged is not None, base)


def require_counts(cells: Cells, step: str) -> None:
    """UsageError where X holds log values already."""
    if cells.state.x_holds == LOG_VALUES:
        raise UsageError(
            f"{step} needs counts, but X of {cells.store.location.name} holds log values (uns['log1p'] is there).",
            do="make a store of the counts, from raw.X or a layer: daskgen convert cells --counts raw.X",
        )


def require_logs(cells: Cells, view: View, step: str) -> None:
    """UsageError where no step has taken logarithms."""
    if not view.log:
        raise UsageError(
            f"{step} needs logarithms of normalised counts.",
            found="steps so far: " + (", ".join(cells.state.steps) or "none"),
            do="first normalize_total(cells, target_sum=1e4) and log1p(cells)",
        )
