"""Counts in Loom files: a dense matrix of genes x cells, with attributes of rows and columns.

Source: http://linnarssonlab.org/loompy/format/index.html.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from conversion.single_cell.counts import choose_counts
from conversion.single_cell.hdf5_rows import Hdf5Dense, open_hdf5, reading_hdf5
from conversion.single_cell.source import CellSource
from daskgen.errors import InputError, examples
from daskgen.stores.anndata_elements import read_text

__all__ = ["read_loom"]

_GENES = ("Gene", "gene_names", "var_names", "gene_symbols", "Accession")
_CELLS = ("CellID", "obs_names", "cell_names", "barcode", "barcodes")


def read_loom(path: str, counts: str) -> CellSource:
    """A Loom file; counts: "X" is its main matrix, "layers/NAME" one of its layers."""
    with reading_hdf5(path):
        root = open_hdf5(path)
        n_genes, n_cells = (int(n) for n in root["matrix"].shape)
        var = _table(path, root["row_attrs"], _GENES, n_genes, "genes")
        obs = _table(path, root["col_attrs"], _CELLS, n_cells, "cells")
        names = {"X": "matrix", **{f"layers/{name}": f"layers/{name}" for name in root.get("layers", {}) if name}}
        width = {name: int(root[place].chunks[1]) if root[place].chunks else 1 for name, place in names.items()}
    matrices = {
        name: Hdf5Dense(path, place, (n_cells, n_genes), width[name], by_genes=True) for name, place in names.items()
    }
    where, rows, notes = choose_counts(path, {n: (lambda m=m: m) for n, m in matrices.items()}, counts, False)  # type: ignore[misc]
    left = [name for name in matrices if name != where]
    return CellSource(path, "Loom", where, obs, var, rows, (path,), notes, left)


def _table(path: str, group: Any, names: tuple[str, ...], n: int, what: str) -> pd.DataFrame:
    index = next((name for name in names if name in group), None)
    if index is None:
        raise InputError(f"{path} has no names of {what}.", found=examples(group, 8), expected=" or ".join(names))
    columns: dict[str, Any] = {}
    for name in group:
        values = np.asarray(group[name][()])
        if name != index and values.shape == (n,):
            columns[name] = read_text(values) if values.dtype.kind in "SOU" else values
    return pd.DataFrame(columns, index=pd.Index(read_text(group[index][()]), dtype=object))
