"""Data with known truth, streamed at any size."""

from __future__ import annotations

from daskgen.simulate.count_matrix import cells
from daskgen.simulate.genotypes import genotypes
from daskgen.simulate.phenotypes import PhenotypeTruth, phenotypes
from daskgen.simulate.raw_files import GwasFiles, gwas_files
from daskgen.simulate.scores import ld_scores
from daskgen.simulate.sumstats import sumstats

__all__ = ["GwasFiles", "PhenotypeTruth", "cells", "genotypes", "gwas_files", "ld_scores", "phenotypes", "sumstats"]
