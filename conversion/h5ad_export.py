"""An AnnData store as an .h5ad file, matrices piece by piece."""

from __future__ import annotations

import logging
import os
from typing import Any

import numpy as np

from conversion.single_cell.hdf5_rows import hdf5
from daskgen.errors import MissingPackageError, StoreError
from daskgen.inputs.arguments import known_arguments
from daskgen.stores import StoreLike
from daskgen.stores.anndata import CHUNK_VALUES, AnnDataStore
from daskgen.stores.anndata_elements import is_group, read_element, sparse_layout
from daskgen.stores.scipy_matrices import with_matrices

__all__ = ["export_h5ad"]

log = logging.getLogger("daskgen.conversion")

_FILE_CHUNK = 1 << 16  # values of a chunk in the file: small, because h5py reads rows through them
_PIECE = 4 * CHUNK_VALUES


@known_arguments()
def export_h5ad(
    store: StoreLike, destination: str | os.PathLike[str], *, compression: str | None = "gzip", force: bool = False
) -> str:
    """Write an AnnData store to an .h5ad file, for scanpy and R; returns its path.

    Everything is written as it is in the store: X (counts), layers, obs, var, obsm, varm, obsp, varp, and uns but for
    the record of daskgen. `Cells.write` makes a store of the kept cells first, `Cells.materialize` one with log values.
    compression: "gzip", "lzf" or None. force: replace the file.

    The file appears under its name when it is complete. Matrices are streamed; memory does not depend on the number of
    cells, but for tables and embeddings. Raises StoreError where something lies at `destination`, MissingPackageError
    without h5py and anndata.
    """
    h5py, write_elem = hdf5(), _write_elem()
    opened = AnnDataStore.open(store)
    path = os.path.abspath(os.path.expanduser(os.fspath(destination)))
    if os.path.exists(path) and not force:
        raise StoreError(f"{os.fspath(destination)} exists.", do="choose another path, or --force to replace it")
    beside = f"{path}.{os.getpid()}.partial"
    try:
        with h5py.File(beside, "w") as file:
            file.attrs.update({"encoding-type": "anndata", "encoding-version": "0.1.0"})
            for name in ("obs", "var"):
                write_elem(file, name, opened.frame(name))
            if "X" in opened.group:
                _matrix(file, "X", opened.group["X"], compression)
            for part in ("layers", "obsm", "varm", "obsp", "varp", "uns"):
                group = file.require_group(part)
                group.attrs.update({"encoding-type": "dict", "encoding-version": "0.1.0"})
                for name in opened.members(part):
                    node = opened.group[f"{part}/{name}"]
                    if part != "uns" and (not is_group(node) or sparse_layout(node) is not None):
                        _matrix(group, name, node, compression)
                    elif (part, name) != ("uns", "daskgen"):
                        write_elem(group, name, with_matrices(read_element(node)))
        os.replace(beside, path)
    finally:
        if os.path.exists(beside):
            os.unlink(beside)
    log.info("%s: %s cells x %s genes", path, f"{opened.n_cells:,}", f"{opened.n_genes:,}")
    return path


def _write_elem() -> Any:
    try:
        from anndata.io import write_elem
    except ImportError:
        raise MissingPackageError(
            "tables of .h5ad files are written with anndata, which is not installed.", do='pip install "daskgen[cells]"'
        ) from None
    return write_elem


def _matrix(parent: Any, name: str, node: Any, compression: str | None) -> None:
    """A dense or sparse matrix, as it is in the store."""
    if not is_group(node):
        made = _array(parent, name, node, compression)
        made.attrs.update({"encoding-type": "array", "encoding-version": "0.2.0"})
        return
    layout = sparse_layout(node)
    assert layout is not None
    group = parent.create_group(name)
    group.attrs.update(
        {"encoding-type": f"{layout[0]}_matrix", "encoding-version": "0.1.0", "shape": np.array(layout[1], np.int64)}
    )
    for part in ("data", "indices", "indptr"):
        _array(group, part, node[part], compression)


def _array(parent: Any, name: str, node: Any, compression: str | None) -> Any:
    """Copy an array, some chunks of the store at a time."""
    n = int(node.shape[0]) if node.shape else 0
    row = max(1, int(np.prod(node.shape[1:], dtype=np.int64)))
    height = max(1, min(n, _FILE_CHUNK // row))
    made = parent.create_dataset(
        name,
        shape=node.shape,
        dtype=node.dtype,
        chunks=(height, *node.shape[1:]) if n and row <= _FILE_CHUNK else (True if n else None),
        compression=compression if n else None,
        maxshape=(None,) if len(node.shape) == 1 and n else None,
    )
    step = node.chunks[0] * max(1, _PIECE // (node.chunks[0] * row))
    for start in range(0, n, step):
        made[start : start + step] = np.asarray(node[start : start + step])
    return made
