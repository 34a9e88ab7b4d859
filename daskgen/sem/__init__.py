"""Structural equation models of genetic covariances, and one fit per SNP.

`usermodel` fits a model in lavaan's language to the covariance structure of `daskgen.ldsc`, `commonfactor` one factor
of all traits; both return a `Fit`. `commonfactor_gwas` fits the common factor with a SNP at every SNP, `user_gwas` any
model. `rgmodel`, `efa`, `write_model`, `index_s`, `sub_sv`, `local_srmd` and `effective_n` are what surrounds them.
"""

from __future__ import annotations

from daskgen.sem.common_factor_gwas import commonfactor_gwas
from daskgen.sem.covariance_subset import index_s, sub_sv
from daskgen.sem.factor_analysis import efa
from daskgen.sem.factor_sample_size import effective_n
from daskgen.sem.fit import Fit
from daskgen.sem.genetic_correlations import rgmodel
from daskgen.sem.gwas import user_gwas
from daskgen.sem.loadings_model import write_model
from daskgen.sem.root_mean_difference import local_srmd
from daskgen.sem.user_model import commonfactor, usermodel

__all__ = [
    "Fit",
    "commonfactor",
    "commonfactor_gwas",
    "efa",
    "effective_n",
    "index_s",
    "local_srmd",
    "rgmodel",
    "sub_sv",
    "user_gwas",
    "usermodel",
    "write_model",
]
