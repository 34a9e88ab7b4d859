"""Statistical genomics on data that does not fit in memory, on one laptop or on a cluster, with the same call.

The public names are imported when they are first used, so that ``import daskgen`` costs next to nothing::

    import daskgen as dg

    dg.convert.genotypes("cohort.bed", "cohort.zarr")
    ds = dg.open_store("cohort.zarr")            # an xarray.Dataset, lazy
    components = dg.genotypes.pca("cohort.zarr", n=10)
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

__version__ = "0.1.0.dev0"

# name -> "module" (the module itself) or "module:object"
_LAZY = {
    "bayes": "daskgen.bayes",
    "cells": "daskgen.cells",
    "cluster": "daskgen.cluster",
    "convert": "conversion",
    "errors": "daskgen.errors",
    "genotypes": "daskgen.genotypes",
    "ldsc": "daskgen.ldsc",
    "open_store": "daskgen.opening:open_store",
    "plotting": "daskgen.plotting",
    "reml": "daskgen.reml",
    "report": "daskgen.reporting:make_report",
    "sem": "daskgen.sem",
    "simulate": "daskgen.simulate",
    "validate": "daskgen.validation:validate",
    "verify": "daskgen.stores.verify:verify",
}

__all__ = [
    "__version__",
    "bayes",
    "cells",
    "cluster",
    "convert",
    "errors",
    "genotypes",
    "ldsc",
    "open_store",
    "plotting",
    "reml",
    "report",
    "sem",
    "simulate",
    "validate",
    "verify",
]

if TYPE_CHECKING:
    import conversion as convert
    from daskgen import bayes, cells, cluster, errors, genotypes, ldsc, plotting, reml, sem, simulate
    from daskgen.opening import open_store
    from daskgen.reporting import make_report as report
    from daskgen.stores.verify import verify
    from daskgen.validation import validate


def __getattr__(name: str) -> object:
    try:
        target = _LAZY[name]
    except KeyError:
        raise AttributeError(_unknown(name)) from None
    module, _, attribute = target.partition(":")
    value = importlib.import_module(module)
    if attribute:
        value = getattr(value, attribute)
    globals()[name] = value
    return value


def _unknown(name: str) -> str:
    """What to say about a name that is not there, with the nearest one that is."""
    import difflib

    near = difflib.get_close_matches(name, __all__, n=1)
    hint = f" Did you mean {near[0]!r}?" if near else ""
    return f"module 'daskgen' has no attribute {name!r}.{hint} Its names are: {', '.join(sorted(_LAZY))}."


def __dir__() -> list[str]:
    return list(__all__)
