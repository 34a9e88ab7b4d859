"""Genotype files to stores and back: ``conversion.genotypes``, ``conversion.open``, ``conversion.export_bed``.

Also reachable as ``daskgen.convert``. Names are imported when they are first used.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from conversion.bed_export import export_bed
    from conversion.convert_genotypes import ConversionResult, genotypes
    from conversion.open_files import open

__all__ = ["ConversionResult", "export_bed", "genotypes", "open"]

# No module has the name of a function, which it would hide as soon as it is imported.
_HOME = {
    "ConversionResult": "conversion.convert_genotypes",
    "export_bed": "conversion.bed_export",
    "genotypes": "conversion.convert_genotypes",
    "open": "conversion.open_files",
}


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'conversion' has no attribute {name!r}; its names are: {', '.join(__all__)}")
    value = getattr(importlib.import_module(_HOME[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
