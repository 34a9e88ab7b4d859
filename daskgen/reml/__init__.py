"""REML: variance components, heritability and predictions from genotypes that are streamed, or from dense matrices."""

from __future__ import annotations

from daskgen.reml.fitting import fit
from daskgen.reml.genetic_correlation import rg
from daskgen.reml.haseman_elston import he_regression
from daskgen.reml.operators import fit_operator
from daskgen.reml.result import RemlFit
from daskgen.reml.scanning import gwas

__all__ = ["RemlFit", "fit", "fit_operator", "gwas", "he_regression", "rg"]
