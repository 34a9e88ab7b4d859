"""LD scores and LD-score regression: heritabilities, genetic covariances and correlations from summary statistics.

`ldsc` gives the covariance structure (S, V, I, N, m) of any number of traits, `covstruct` makes one from matrices that
were estimated elsewhere, `ld_scores` computes LD scores from genotypes; `to_store` writes what they return.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

# name -> module. They are imported when they are first used: matrices need no genotypes.
_LAZY = {"covstruct": "covariance_structure", "ld_scores": "scores", "ldsc": "multivariate", "to_store": "storing"}

__all__ = ["covstruct", "ld_scores", "ldsc", "to_store"]

if TYPE_CHECKING:
    from daskgen.ldsc.covariance_structure import covstruct
    from daskgen.ldsc.multivariate import ldsc
    from daskgen.ldsc.scores import ld_scores
    from daskgen.ldsc.storing import to_store


def __getattr__(name: str) -> object:
    if name not in _LAZY:
        raise AttributeError(f"module 'daskgen.ldsc' has no attribute {name!r}. Its names are: {', '.join(__all__)}.")
    value = getattr(importlib.import_module(f"daskgen.ldsc.{_LAZY[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return list(__all__)
