"""LD scores and LD-score regression: heritabilities, genetic covariances and correlations from summary statistics.

`ldsc` gives the covariance structure (S, V, I, N, m) of any number of traits, `covstruct` makes one from matrices that
were estimated elsewhere, `ld_scores` computes LD scores from genotypes; `to_store` writes what they return.
"""

from __future__ import annotations

from daskgen.ldsc.covariance_structure import covstruct
from daskgen.ldsc.multivariate import ldsc
from daskgen.ldsc.scores import ld_scores
from daskgen.ldsc.storing import to_store

__all__ = ["covstruct", "ld_scores", "ldsc", "to_store"]
