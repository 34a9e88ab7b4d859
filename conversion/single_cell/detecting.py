"""Which format a source of counts has: told by what lies there, not by its name."""

from __future__ import annotations

import os
from typing import Any

from conversion.single_cell.hdf5_rows import open_hdf5, reading_hdf5
from conversion.single_cell.loom import read_loom
from conversion.single_cell.source import CellSource
from conversion.single_cell.tenx_hdf5 import genomes_of, read_10x_hdf5
from conversion.single_cell.tenx_mtx import matrix_files, read_10x_mtx
from conversion.single_cell.trees import read_h5ad, read_zarr
from daskgen.errors import InputError, examples
from daskgen.inputs.files import is_url, open_binary
from daskgen.stores.anndata_elements import is_group

__all__ = ["open_source"]

_HDF5 = b"\x89HDF\r\n\x1a\n"
_ZARR = ("zarr.json", ".zgroup", ".zmetadata", ".zattrs")
_EXPECTED = (
    ".h5ad, AnnData Zarr, a folder with matrix.mtx (10x), .h5 (10x), or .loom",
    "R: zellkonverter::writeH5AD(sce, 'x.h5ad') or SeuratDisk; tables of text: scanpy.read_csv(...).write('x.h5ad')",
)


def open_source(path: str, *, counts: str, genome: str | None, gex_only: bool, scratch: str) -> CellSource:
    """The source at `path`. scratch: a folder for what must be brought into the order of cells first."""
    if is_url(path):
        if path.endswith((".h5ad", ".h5", ".loom")):
            return _open_hdf5(path, counts, genome, gex_only, scratch)
        return read_zarr(path, counts, scratch)
    path = os.path.expanduser(path)
    if os.path.isdir(path):
        if any(os.path.exists(os.path.join(path, name)) for name in _ZARR):
            return read_zarr(path, counts, scratch)
        if matrix_files(path):
            return read_10x_mtx(path, genome, gex_only, scratch)
        inner = next(
            (
                d
                for d in ("filtered_feature_bc_matrix", "outs/filtered_feature_bc_matrix")
                if os.path.isdir(os.path.join(path, d))
            ),
            None,
        )
        raise InputError(
            f"{path} is a folder without counts.",
            found=examples(sorted(os.listdir(path)), 6) or "nothing",
            expected=_EXPECTED[0],
            do=f"give {os.path.join(path, inner)}" if inner else "",
        )
    with open_binary(path) as file:
        first = file.read(8)
    if first == _HDF5:
        return _open_hdf5(path, counts, genome, gex_only, scratch)
    if matrix_files(path):
        return read_10x_mtx(path, genome, gex_only, scratch)
    raise InputError(
        f"{path} is not in a format of counts that is read.",
        found="an empty file" if not first else f"a file that begins with {first!r}",
        expected=_EXPECTED[0],
        do=_EXPECTED[1],
    )


def _open_hdf5(path: str, counts: str, genome: str | None, gex_only: bool, scratch: str) -> CellSource:
    with reading_hdf5(path):
        root: Any = open_hdf5(path)
        names = list(root)
        matrix = root.get("matrix")
    if "obs" in names and "var" in names:
        return read_h5ad(path, counts, scratch)
    if matrix is not None and not is_group(matrix) and "row_attrs" in names:
        return read_loom(path, counts)
    if matrix is not None or genomes_of(root):
        return read_10x_hdf5(path, genome, gex_only)
    raise InputError(
        f"{path} is an HDF5 file, but not one with counts that is read.",
        found=examples(names, 8) or "nothing",
        expected=_EXPECTED[0],
    )
