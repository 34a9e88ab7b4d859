"""Structural equation models of genetic covariances, and one fit per SNP.

`usermodel` fits a model in lavaan's language to the covariance structure of `daskgen.ldsc`, `commonfactor` one factor
of all traits; both return a `Fit`. `commonfactor_gwas` fits the common factor with a SNP at every SNP, `user_gwas` any
model. `rgmodel`, `efa`, `write_model`, `index_s`, `sub_sv`, `local_srmd` and `effective_n` are what surrounds them.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

# name -> module. They are imported when they are first used: optimisers are not loaded for a pass over SNPs.
_LAZY = {
    "Fit": "fit",
    "commonfactor": "user_model",
    "commonfactor_gwas": "common_factor_gwas",
    "efa": "factor_analysis",
    "effective_n": "factor_sample_size",
    "index_s": "covariance_subset",
    "local_srmd": "root_mean_difference",
    "rgmodel": "genetic_correlations",
    "sub_sv": "covariance_subset",
    "user_gwas": "gwas",
    "usermodel": "user_model",
    "write_model": "loadings_model",
}

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

if TYPE_CHECKING:
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


def __getattr__(name: str) -> object:
    if name not in _LAZY:
        # R's commonfactorGWAS is our commonfactor_gwas.
        plain = {known.replace("_", "").lower(): known for known in __all__}
        same = plain.get(name.replace("_", "").replace(".", "").lower())
        hint = f" Did you mean {same!r}?" if same else ""
        raise AttributeError(
            f"module 'daskgen.sem' has no attribute {name!r}.{hint} Its names are: {', '.join(__all__)}."
        )
    value = getattr(importlib.import_module(f"daskgen.sem.{_LAZY[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return list(__all__)
