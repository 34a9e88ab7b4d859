"""How chains are run and what the priors are: the arguments of `fit` that do not hold data, checked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from daskgen.bayes.blocks import Blocks
from daskgen.bayes.methods import METHODS
from daskgen.errors import UsageError

__all__ = ["Settings", "iterations_of"]


@dataclass(frozen=True)
class Settings:
    """The arguments of `fit` that say how chains are run and what the priors are; `fit` describes them."""

    method: str
    pi: Any
    estimate_pi: bool
    chain_length: int
    burn_in: int
    thin: int
    chains: int
    blocks: Any
    schedule: str
    gamma: Any
    marker_variance: Any
    residual_variance: Any
    genetic_variance: Any
    estimate_marker_variance: bool
    estimate_residual_variance: bool
    df: float
    residual_df: float
    center: bool
    maf_min: float
    keep_effects: bool | None
    seed: int
    sampler: str
    constraint: bool
    memory_limit: Any
    keep_checkpoint: bool = False

    def check(self) -> None:
        """UsageError for lengths and names that cannot be."""
        for name, value, least in (
            ("chain_length", self.chain_length, 1),
            ("burn_in", self.burn_in, 0),
            ("thin", self.thin, 1),
            ("chains", self.chains, 1),
        ):
            if not isinstance(value, (int, np.integer)) or isinstance(value, bool) or value < least:
                raise UsageError(f"{name} must be a whole number of at least {least}.", found=repr(value))
        if self.burn_in >= self.chain_length:
            raise UsageError(
                "the chain is not longer than its burn-in, so nothing would be saved.",
                found=f"chain_length {self.chain_length:,}, burn_in {self.burn_in:,}",
            )
        if self.schedule not in ("exact", "jwas", "independent"):
            raise UsageError(f"there is no schedule {self.schedule!r}.", expected="exact, jwas, independent")
        for name, df in (("df", self.df), ("residual_df", self.residual_df)):
            if not (np.isfinite(df) and df > 2):
                raise UsageError(f"{name} must be above 2: the prior of a variance has no mean otherwise.", found=df)
        if not 0 <= self.maf_min < 0.5:
            raise UsageError("maf_min is out of range.", found=self.maf_min, expected="0 to 0.5")
        if self.method not in METHODS:
            raise UsageError(f"there is no method {self.method!r}.", expected=", ".join(METHODS))
        pi = np.asarray(list(self.pi.values()) if isinstance(self.pi, Mapping) else self.pi, np.float64)
        if not np.isfinite(pi).all() or (pi < 0).any() or (pi > 1).any():
            raise UsageError(
                "pi must lie in [0, 1]: it is the probability that a marker has no effect.", found=str(self.pi)[:80]
            )

    def check_one_trait(self) -> None:
        """UsageError for what only several traits have, and for variances that are not above 0."""
        if isinstance(self.pi, Mapping):
            raise UsageError("states of several traits are given as pi, but there is one trait.", found=str(self.pi))
        if self.constraint:
            raise UsageError("constraint is for several traits, but there is one.")
        for name in ("marker_variance", "residual_variance", "genetic_variance"):
            value = getattr(self, name)
            if value is not None and (np.ndim(value) > 0 or not np.isfinite(value) or value <= 0):
                raise UsageError(f"{name} must be a number above 0.", found=str(value))


def iterations_of(settings: Settings, blocks: Blocks) -> int:
    """Outer iterations: the chain's length, divided by the size of a block for the schedule of JWAS with equal blocks.

    Raises UsageError where the burn-in would leave nothing, with the arithmetic.
    """
    explicit = not isinstance(settings.blocks, (str, int, np.integer, type(None)))
    if settings.schedule != "jwas" or explicit:
        return settings.chain_length
    if len(blocks.owner) < 2:
        raise UsageError("the schedule jwas needs at least two blocks.", do="choose smaller blocks")
    size = int(blocks.sizes.max())
    outer = settings.chain_length // size
    if outer <= settings.burn_in:
        raise UsageError(
            "with the schedule jwas this burn-in would save nothing.",
            found=f"{settings.chain_length:,} iterations in blocks of {size} are {outer:,} outer iterations, "
            f"the burn-in is {settings.burn_in:,} outer iterations",
            do=f"burn_in below {outer:,}, or schedule='exact'",
        )
    return outer
