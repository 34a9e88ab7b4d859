"""Data with known truth, streamed at any size."""

from __future__ import annotations

from daskgen.simulate.genotypes import genotypes
from daskgen.simulate.phenotypes import PhenotypeTruth, phenotypes
from daskgen.simulate.sumstats import sumstats

__all__ = ["PhenotypeTruth", "genotypes", "phenotypes", "sumstats"]
