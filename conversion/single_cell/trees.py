"""AnnData as a source of counts: .h5ad files and AnnData groups in Zarr, of any version of AnnData."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from conversion.single_cell.counts import choose_counts
from conversion.single_cell.hdf5_rows import Hdf5Csr, Hdf5Dense, open_hdf5, reading_hdf5
from conversion.single_cell.source import CellSource, Rows
from conversion.single_cell.spool import Entries, spool_entries
from daskgen.errors import InputError
from daskgen.stores.anndata import open_anndata_tree
from daskgen.stores.anndata_elements import encoding, is_group, read_frame, sparse_layout
from daskgen.stores.anndata_rows import CellRows, MatrixInfo, checked_indptr
from daskgen.stores.anndata_writing import copy_element, write_element
from daskgen.stores.location import Location

__all__ = ["read_h5ad", "read_zarr"]

_COLUMN_VALUES = 1 << 22  # values of a CSC matrix that are read at a time
_PREFERRED_LAYERS = ("counts", "raw_counts", "count", "raw")


def read_h5ad(path: str, counts: str, scratch: str) -> CellSource:
    """An .h5ad file. InputError where it cannot be read, holds no counts, or is another kind of HDF5 file."""
    with reading_hdf5(path):
        return _source(path, "h5ad", open_hdf5(path), counts, scratch)


def read_zarr(path: str, counts: str, scratch: str) -> CellSource:
    """An AnnData group in Zarr, format 2 or 3."""
    root = open_anndata_tree(path)
    return _source(path, f"AnnData Zarr, format {root.metadata.zarr_format}", root, counts, scratch)


def _source(path: str, form: str, root: Any, counts: str, scratch: str) -> CellSource:
    if "obs" not in root or "var" not in root:
        raise InputError(f"{path} is no AnnData file.", found=", ".join(root) or "nothing", expected="obs, var and X")
    uns = root.get("uns")
    tree = _Tree(path, form, root, scratch)
    candidates: dict[str, Callable[[], Rows]] = {}
    layers = list(root["layers"]) if "layers" in root and is_group(root["layers"]) else []
    ordered = [name for name in _PREFERRED_LAYERS if name in layers] + [
        name for name in sorted(layers) if name not in _PREFERRED_LAYERS
    ]
    raw = "raw/X" if "raw" in root and "X" in root["raw"] else "raw.X"
    for name, element in {"X": "X", "raw.X": raw, **{f"layers/{name}": f"layers/{name}" for name in ordered}}.items():
        if element in root and encoding(root[element]) != "null":
            candidates[name] = _opener(tree, element)
    logged = uns is not None and "log1p" in uns
    where, rows, notes = choose_counts(path, candidates, counts, logged)
    obs, var = read_frame(root["obs"], uns), read_frame(root["var"], uns)
    same_genes = True
    if where == "raw.X":
        raw_var = read_frame(root["raw/var" if raw == "raw/X" else "raw.var"], uns)
        same_genes = raw_var.index.equals(var.index)
        more = [column for column in var if column not in raw_var]
        joins = not same_genes and var.index.is_unique
        var = var if same_genes else raw_var.join(var[more], how="left") if joins else raw_var
    if (rows.n_rows, rows.n_genes) != (len(obs), len(var)):
        raise InputError(
            f"{path}: {where} does not fit the tables.",
            found=f"{rows.n_rows:,} x {rows.n_genes:,}",
            expected=f"{len(obs):,} cells x {len(var):,} genes",
        )
    left = [name for name in candidates if name != where]
    others = _Others(path, form == "h5ad", same_genes)
    return CellSource(path, form, where, obs, var, rows, (path,), notes, left, others)


def _opener(tree: _Tree, element: str) -> Callable[[], Rows]:
    return lambda: tree.rows(element)


@dataclass
class _Tree:
    """A file's root and how its matrices are opened by rows."""

    path: str
    form: str
    root: Any
    scratch: str

    def rows(self, element: str) -> Rows:
        node = self.root[element]
        if not is_group(node):
            if len(node.shape) != 2:
                raise InputError(f"{self.path}: {element} is not a matrix.", found=f"shape {node.shape}")
            height = int(node.chunks[0]) if node.chunks else 1
            if self.form == "h5ad":
                return Hdf5Dense(self.path, element, tuple(node.shape), height)
            return CellRows(self._url, MatrixInfo(element, "dense", node.shape, node.dtype, None, height, False), None)
        layout = sparse_layout(node)
        if layout is None:
            raise InputError(f"{self.path}: {element} is not a matrix.", found=encoding(node) or "a group")
        if layout[0] == "csc":
            return self._spooled(element, node, layout[1])
        data = node["data"]
        info = MatrixInfo(
            element, "csr", layout[1], data.dtype, int(data.shape[0]), int(data.chunks[0]) if data.chunks else 1, False
        )
        indptr = checked_indptr(np.asarray(node["indptr"][()]), info)
        if self.form == "h5ad":
            return Hdf5Csr(self.path, f"{element}/data", f"{element}/indices", indptr, layout[1][1])
        return CellRows(self._url, info, indptr)

    @property
    def _url(self) -> str:
        return Location.of(self.path).url

    def _spooled(self, element: str, node: Any, shape: tuple[int, int]) -> Rows:
        """A matrix that is stored by genes, brought into the order of cells in a scratch file."""
        by_column = MatrixInfo(
            element, "csr", (shape[1], shape[0]), node["data"].dtype, int(node["data"].shape[0]), 1, False
        )
        indptr = checked_indptr(np.asarray(node["indptr"][()]), by_column)
        return spool_entries(_entries(node, indptr), self.scratch, shape, int(indptr[-1]))


def _entries(node: Any, indptr: np.ndarray) -> Any:
    """Entries of a CSC matrix: a piece of the stored values at a time."""
    data, indices = node["data"], node["indices"]
    for start in range(0, int(indptr[-1]), _COLUMN_VALUES):
        stop = min(start + _COLUMN_VALUES, int(indptr[-1]))
        columns = np.searchsorted(indptr, np.arange(start, stop), side="right") - 1
        entries: Entries = (np.asarray(indices[start:stop]), columns, np.asarray(data[start:stop]))
        yield entries


@dataclass(frozen=True)
class _Others:
    """Copies what else the file holds: uns and, where cells and genes are those of the store, obsm, varm and so on."""

    path: str
    is_hdf5: bool
    same_genes: bool

    def __call__(self, group: Any, notes: list[str]) -> None:
        root = open_hdf5(self.path) if self.is_hdf5 else open_anndata_tree(self.path)
        parts = ("uns", "obsm", "obsp", *(("varm", "varp") if self.same_genes else ()))
        for part in parts:
            if part not in root:
                continue
            node = root[part]
            if not is_group(node):  # AnnData before 0.7: an array of records, a field each
                records = np.asarray(node[()])
                for field in records.dtype.names or ():
                    write_element(group[part], field, records[field])
                continue
            for name in node:
                if part == "uns" and (name in ("log1p", "daskgen") or _is_category_list(name, root)):
                    continue  # X holds counts; and categories are with their columns
                notes.extend(copy_element(node[name], group[part], name, part))


def _is_category_list(name: str, root: Any) -> bool:
    """Whether an unstructured element holds the categories of a column, as in AnnData before 0.7."""
    if not name.endswith("_categories"):
        return False
    column = name.removesuffix("_categories")
    tables = [root[frame] for frame in ("obs", "var")]
    return any(not is_group(table) and column in (table.dtype.names or ()) for table in tables)
