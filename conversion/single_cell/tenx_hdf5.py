"""Counts in HDF5 as Cell Ranger writes them: one matrix with features (version 3), or a group per genome (before).

Both are compressed by barcode, so they are sparse by cells as they are.
Source: https://www.10xgenomics.com/support/software/cell-ranger/latest/analysis/outputs/cr-outputs-h5-matrices.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from conversion.single_cell.counts import choose_counts
from conversion.single_cell.hdf5_rows import Hdf5Csr, open_hdf5, reading_hdf5
from conversion.single_cell.source import CellSource
from daskgen.errors import InputError, UsageError, examples
from daskgen.stores.anndata_elements import is_group, read_text
from daskgen.stores.anndata_rows import MatrixInfo, checked_indptr

__all__ = ["GENE_EXPRESSION", "genomes_of", "read_10x_hdf5", "selected_features"]

GENE_EXPRESSION = "Gene Expression"
_PARTS = ("barcodes", "data", "indices", "indptr", "shape")
_COLUMNS = {"id": "gene_ids", "feature_type": "feature_types", "genome": "genome"}


def genomes_of(root: Any) -> list[str]:
    """Names of the groups of a file of Cell Ranger before version 3."""
    return [name for name in root if is_group(root[name]) and all(part in root[name] for part in _PARTS)]


def read_10x_hdf5(path: str, genome: str | None, gex_only: bool) -> CellSource:
    """Filtered or raw counts of Cell Ranger. genome: take its genes only; gex_only: no antibodies, guides and so on.

    UsageError where the file has several genomes in groups of their own and none is named, or not the named one.
    """
    with reading_hdf5(path):
        root = open_hdf5(path)
        new = "matrix" in root
        if new:
            name, var = "matrix", _features(root["matrix/features"])
            keep = selected_features(path, var, genome, gex_only)
        else:
            name = _genome_group(path, root, genome)
            group = root[name]
            ids = pd.Index(read_text(group["gene_names"][()]), dtype=object)
            var, keep = pd.DataFrame({"gene_ids": read_text(group["genes"][()])}, index=ids), None
        group = root[name]
        missing = [part for part in _PARTS if part not in group]
        if missing:
            raise InputError(f"{path}: {name} lacks {', '.join(missing)}.", found=", ".join(group))
        n_genes, n_cells = (int(n) for n in group["shape"][()])
        data = group["data"]
        info = MatrixInfo(name, "csr", (n_cells, n_genes), data.dtype, int(data.shape[0]), 1, False)
        indptr = checked_indptr(np.asarray(group["indptr"][()]), info)
        obs = pd.DataFrame(index=pd.Index(read_text(group["barcodes"][()]), dtype=object))
    if len(var) != n_genes or len(obs) != n_cells:
        raise InputError(
            f"{path}: {name} does not fit its names.",
            found=f"{n_genes:,} genes x {n_cells:,} cells",
            expected=f"{len(var):,} features and {len(obs):,} barcodes",
        )
    rows = Hdf5Csr(path, f"{name}/data", f"{name}/indices", indptr, n_genes)
    form = f"10x HDF5, {'version 3' if new else 'before version 3'}"
    _, _, notes = choose_counts(path, {name: lambda: rows}, name, False)
    return CellSource(path, form, name, obs, var, rows, (path,), notes, keep_genes=keep)


def _features(group: Any) -> pd.DataFrame:
    columns = {ours: read_text(group[theirs][()]) for theirs, ours in _COLUMNS.items() if theirs in group}
    return pd.DataFrame(columns, index=pd.Index(read_text(group["name"][()]), dtype=object))


def selected_features(path: str, var: pd.DataFrame, genome: str | None, gex_only: bool) -> np.ndarray | None:
    """Which features are taken, bool (features,); None: all. UsageError for a genome that the file does not have."""
    keep = np.ones(len(var), bool)
    if genome is not None:
        there = sorted(set(var["genome"])) if "genome" in var else []
        if genome not in there:
            raise UsageError(f"{path} has no genome {genome!r}.", found=examples(there, 8) or "no genomes are named")
        keep &= (var["genome"] == genome).to_numpy()
    if gex_only and "feature_types" in var and (var["feature_types"] == GENE_EXPRESSION).any():
        keep &= (var["feature_types"] == GENE_EXPRESSION).to_numpy()
    return None if keep.all() else keep


def _genome_group(path: str, root: Any, genome: str | None) -> str:
    names = genomes_of(root)
    if not names:
        raise InputError(f"{path} is no file of Cell Ranger.", found=examples(root, 8), expected="matrix, or a genome")
    if genome is None and len(names) > 1:
        raise UsageError(
            f"{path} has several genomes.", found=", ".join(names), do="choose one: genome=... (--genome NAME)"
        )
    if genome is not None and genome not in names:
        raise UsageError(f"{path} has no genome {genome!r}.", found=", ".join(names))
    return genome or names[0]
