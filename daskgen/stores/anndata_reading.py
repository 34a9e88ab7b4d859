"""AnnData stores for reading: what is in one, its tables, and its matrices by rows."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import zarr

from daskgen.errors import StoreError, examples
from daskgen.stores.anndata_elements import (
    encoding,
    index_length,
    is_group,
    read_column,
    read_element,
    read_frame,
    read_index,
    sparse_layout,
)
from daskgen.stores.anndata_fingerprint import content_fingerprint, content_stamp
from daskgen.stores.anndata_rows import CellRows, CsrBlock, MatrixInfo, checked_indptr
from daskgen.stores.anndata_targets import is_pending
from daskgen.stores.location import Location

__all__ = ["OWN", "TIDY", "AnnDataReader"]

TIDY = "daskgen_tidy"
"""Attribute of a sparse matrix that daskgen wrote: no explicit zeros, columns ascending within a row."""

OWN = "daskgen"
"""Name of daskgen's part of the unstructured elements."""


class AnnDataReader:
    """The reading half of `daskgen.stores.anndata.AnnDataStore`. mode: "r" or "a"; group: the root."""

    def __init__(self, location: Location, group: zarr.Group, mode: str):
        self.location = location
        self.url = location.url
        self.mode = mode
        self.group = group
        self._fingerprint: str | None = None
        self._stamp = ""
        self._names: dict[str, np.ndarray] = {}
        self._lengths: dict[str, int] = {}
        self._infos: dict[str, MatrixInfo] = {}
        self._indptr: dict[str, npt.NDArray[np.int64]] = {}

    # -- what is there ---------------------------------------------------------------------------------------------
    @property
    def zarr_format(self) -> int:
        return int(self.group.metadata.zarr_format)

    @property
    def n_cells(self) -> int:
        return self._length("obs")

    @property
    def n_genes(self) -> int:
        return self._length("var")

    def _length(self, frame: str) -> int:
        if frame not in self._lengths:
            self._lengths[frame] = index_length(self.group[frame])
        return self._lengths[frame]

    def names(self, frame: str) -> np.ndarray:
        """The index of "obs" or "var": object array of str."""
        if frame not in self._names:
            self._names[frame] = read_index(self.group[frame])
        return self._names[frame]

    @property
    def obs_names(self) -> np.ndarray:
        """Names of the cells, object array of str."""
        return self.names("obs")

    @property
    def var_names(self) -> np.ndarray:
        """Names of the genes, object array of str."""
        return self.names("var")

    def columns(self, frame: str) -> tuple[str, ...]:
        """Names of the columns of "obs" or "var", in order."""
        return tuple(str(name) for name in self.group[frame].attrs.get("column-order", []))

    def column(self, frame: str, name: str) -> Any:
        """A column: array (text as an object array of str) or pandas Categorical or nullable array.

        StoreError with the columns that there are where it is none of them.
        """
        there = self.columns(frame)
        if name not in there:
            raise StoreError(
                f"{self.location.name}: {frame} has no column {name!r}.", found=examples(there, 12) or "no columns"
            )
        return read_column(self.group[frame], name)

    def frame(self, frame: str) -> pd.DataFrame:
        """All of "obs" or "var"."""
        return read_frame(self.group[frame])

    def members(self, part: str) -> tuple[str, ...]:
        """Names in "obsm", "varm", "layers", "obsp", "varp" or "uns"."""
        if part not in self.group:
            return ()
        return tuple(sorted(name for name, node in self.group[part].members() if not is_pending(node)))  # type: ignore[union-attr]

    @property
    def layers(self) -> tuple[str, ...]:
        return self.members("layers")

    @property
    def has_raw(self) -> bool:
        return "raw" in self.group

    def matrix(self, part: str, name: str) -> Any:
        """A member of "obsm", "varm" and the like, whole."""
        if name not in self.members(part):
            raise StoreError(
                f"{self.location.name}: there is no {part}/{name}.", found=examples(self.members(part), 12) or "nothing"
            )
        return read_element(self.group[f"{part}/{name}"])

    def uns(self, name: str) -> Any:
        """An unstructured element ("pca", "daskgen/state"); None where there is none."""
        path = f"uns/{name}"
        return read_element(self.group[path]) if path in self.group else None

    # -- matrices by rows ------------------------------------------------------------------------------------------
    def info(self, element: str = "X") -> MatrixInfo:
        """What the matrix is. StoreError where there is none, or it is stored by columns (CSC)."""
        if element not in self._infos:
            self._infos[element] = self._look(element)
        return self._infos[element]

    @property
    def x_info(self) -> MatrixInfo:
        return self.info("X")

    def _look(self, element: str) -> MatrixInfo:
        if element not in self.group:
            have = [name for name in ("X", *(f"layers/{n}" for n in self.layers)) if name in self.group]
            raise StoreError(f"{self.location.name} has no {element}.", found=examples(have) or "no matrix at all")
        node = self.group[element]
        if not is_group(node):
            assert isinstance(node, zarr.Array)
            if node.ndim != 2:
                raise StoreError(f"{element} is not a matrix.", found=f"shape {node.shape}")
            return MatrixInfo(element, "dense", node.shape, node.dtype, None, node.chunks[0], False)  # type: ignore[arg-type]
        assert isinstance(node, zarr.Group)
        layout = sparse_layout(node)
        if layout is None:
            raise StoreError(f"{element} is not a matrix.", found=encoding(node) or "a group")
        if layout[0] == "csc":
            raise StoreError(
                f"{element} of {self.location.name} is stored by genes (CSC); daskgen reads it by cells.",
                do=f"convert it once, which also sorts it by cells: daskgen convert cells {self.location.name} "
                "--out STORE",
            )
        data = node["data"]
        assert isinstance(data, zarr.Array)
        tidy = bool(node.attrs.get(TIDY, False))
        return MatrixInfo(element, "csr", layout[1], data.dtype, int(data.shape[0]), int(data.chunks[0]), tidy)

    def rows(self, element: str = "X") -> CellRows:
        """The matrix by rows, for tasks. StoreError for a matrix whose parts don't fit each other."""
        info = self.info(element)
        if info.layout == "dense":
            return CellRows(self.url, info, None)
        if element not in self._indptr:
            indptr = np.asarray(self.group[f"{element}/indptr"][...])  # type: ignore[index]
            self._indptr[element] = checked_indptr(indptr, info)
        return CellRows(self.url, info, self._indptr[element])

    def row_blocks(self, values: int = 1 << 22, element: str = "X") -> list[tuple[int, int]]:
        """`CellRows.blocks` of a matrix."""
        return self.rows(element).blocks(values)

    def read_rows(self, start: int, stop: int, *, element: str = "X", dtype: Any = None) -> CsrBlock:
        """One block of rows; tasks that read several take a `CellRows.reader`."""
        return self.rows(element).reader().read(start, stop, dtype)

    # -- has X changed? --------------------------------------------------------------------------------------------
    def x_fingerprint(self) -> str:
        """The fingerprint of X's content; reads X unless the one that is kept still holds."""
        if self._fingerprint is None:
            stamp = content_stamp(self.location, "X")
            kept = self.kept_fingerprint()
            same = kept is not None and kept[0] == stamp
            self._fingerprint = kept[1] if kept is not None and same else content_fingerprint(self.location, "X")
            self._stamp = stamp
        return self._fingerprint

    def kept_fingerprint(self) -> tuple[str, str] | None:
        """(stamp, fingerprint) of X when daskgen last worked on the store; None if it never did."""
        kept = self.uns(f"{OWN}/x_fingerprint")
        if not isinstance(kept, str) or kept.count(" ") != 1:
            return None
        stamp, fingerprint = kept.split()
        return stamp, fingerprint

    def x_changed(self) -> bool:
        """Whether X is another one than when daskgen last worked on the store."""
        kept = self.kept_fingerprint()
        return kept is not None and kept[1] != self.x_fingerprint()
