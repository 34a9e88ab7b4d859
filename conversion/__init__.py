"""Files to stores and back: ``conversion.genotypes``, ``conversion.munge``, ``conversion.cells`` and the others.

Also reachable as ``daskgen.convert``. Names are imported when they are first used.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from conversion.bed_export import export_bed
    from conversion.convert_cells import CellConversion, cells
    from conversion.convert_covstruct import CovstructConversion, covstruct, export_covstruct
    from conversion.convert_genotypes import ConversionResult, genotypes
    from conversion.convert_ld_scores import LdScoreConversion, ld_scores
    from conversion.convert_munge import munge
    from conversion.convert_sumstats import sumstats
    from conversion.h5ad_export import export_h5ad
    from conversion.open_files import open
    from conversion.store_size import plan_genotypes
    from conversion.summary.writing import SumstatsResult
    from conversion.vcf_zarr_export import export_vcf_zarr

__all__ = [
    "CellConversion",
    "ConversionResult",
    "CovstructConversion",
    "LdScoreConversion",
    "SumstatsResult",
    "cells",
    "covstruct",
    "export_bed",
    "export_covstruct",
    "export_h5ad",
    "export_vcf_zarr",
    "genotypes",
    "ld_scores",
    "munge",
    "open",
    "plan_genotypes",
    "sumstats",
]

# No module has the name of a function, which it would hide as soon as it is imported.
_HOME = {
    "CellConversion": "conversion.convert_cells",
    "ConversionResult": "conversion.convert_genotypes",
    "CovstructConversion": "conversion.convert_covstruct",
    "LdScoreConversion": "conversion.convert_ld_scores",
    "SumstatsResult": "conversion.summary.writing",
    "cells": "conversion.convert_cells",
    "covstruct": "conversion.convert_covstruct",
    "export_bed": "conversion.bed_export",
    "export_covstruct": "conversion.convert_covstruct",
    "export_h5ad": "conversion.h5ad_export",
    "export_vcf_zarr": "conversion.vcf_zarr_export",
    "genotypes": "conversion.convert_genotypes",
    "ld_scores": "conversion.convert_ld_scores",
    "munge": "conversion.convert_munge",
    "open": "conversion.open_files",
    "plan_genotypes": "conversion.store_size",
    "sumstats": "conversion.convert_sumstats",
}


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'conversion' has no attribute {name!r}; its names are: {', '.join(__all__)}")
    value = getattr(importlib.import_module(_HOME[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
