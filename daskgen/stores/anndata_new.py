"""A new AnnData store, in Zarr format 3: X sparse by cells (CSR), tables of cells and genes, and what else there is.

X is written by the one writer (`daskgen.stores.writer`) in groups of whole chunks of values, with marks, so that a run
can be resumed. Until it is complete the store holds the group of marks, with which AnnData refuses to open it; at the
end the marks move to ``uns/daskgen/checksums``, where `daskgen verify` finds them.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import zarr

from daskgen.stores.anndata import CHUNK_VALUES, TIDY
from daskgen.stores.anndata_writing import new_array, require_group, write_element, write_frame
from daskgen.stores.location import Location, StoreLike
from daskgen.stores.run_key import RunKey
from daskgen.stores.target import MARKS
from daskgen.stores.writer import Stage, StoreWriter

__all__ = ["CHECKSUMS", "GROUP_VALUES", "NewAnnData", "count_dtype"]

CHECKSUMS = "uns/daskgen/checksums"
"""Where a finished store keeps the checksums of X: an array per stage of the writer."""

GROUP_VALUES = 2 * CHUNK_VALUES
"""Values that a task writes."""

_PARTS = ("layers", "obsm", "obsp", "varm", "varp", "uns")


def count_dtype(largest: float, whole: bool) -> np.dtype[Any]:
    """The smallest type that holds counts up to `largest`: uint8, uint16, uint32; float32 where they are not whole."""
    if not whole:
        return np.dtype(np.float32)
    return next((np.dtype(t) for t in (np.uint8, np.uint16, np.uint32) if largest <= np.iinfo(t).max), np.dtype(float))


@dataclass(frozen=True)
class _Part:
    """An array of X as the writer plans arrays."""

    name: str
    shape: tuple[int, ...]
    dims: tuple[str, ...]
    dtype: Any
    chunk: int
    matrix_shape: tuple[int, int]

    def create(self, group: zarr.Group) -> None:
        attrs = {"shape": list(self.matrix_shape), TIDY: True}
        parent = require_group(group, "X", "csr_matrix", "0.1.0", **attrs)
        new_array(parent, self.name.removeprefix("X/"), self.shape, self.dtype, (self.chunk,), kind=None)


class NewAnnData(StoreWriter):
    """Makes, resumes or replaces an AnnData store; a context manager, as `StoreWriter` is.

    indptr: int64 (cells + 1,), where each cell's values begin; dtype: of the values. Tasks write the groups of
    `values_stage`: arrays "X/data" and "X/indices", without zeros, each cell's genes ascending.
    obs, var: the tables; their index has the names. record: what X holds and which steps were done, as `daskgen.cells`
    keeps it; None: counts, and none. uns: unstructured elements. others: called with the root group before the end, to
    add what else there is.
    """

    def __init__(
        self,
        path: StoreLike | Location,
        *,
        indptr: npt.NDArray[np.int64],
        dtype: Any,
        obs: pd.DataFrame,
        var: pd.DataFrame,
        run: RunKey,
        record: Mapping[str, Any] | None = None,
        uns: Mapping[str, Any] | None = None,
        others: Callable[[zarr.Group], None] | None = None,
        provenance: Mapping[str, Any] | None = None,
        force: bool = False,
        resume: bool = False,
    ):
        self.indptr = indptr
        self._obs, self._var, self._uns, self._others = obs, var, dict(uns or {}), others
        self._record = dict(record or {"x_holds": "counts", "steps": {}})
        nnz, shape = int(indptr[-1]), (len(obs), len(var))
        width = np.int32 if nnz < 2**31 else np.int64
        self._indptr_dtype = np.dtype(width)
        chunk = max(1, min(CHUNK_VALUES, nnz))
        super().__init__(
            path,
            kind="cells",
            arrays=[
                _Part("X/data", (nnz,), ("values",), np.dtype(dtype), chunk, shape),
                _Part("X/indices", (nnz,), ("values",), width, chunk, shape),
                _Part("X/indptr", (len(indptr),), ("starts",), width, min(CHUNK_VALUES, len(indptr)), shape),
            ],
            run=run,
            provenance=provenance,
            attrs={"encoding-type": "anndata", "encoding-version": "0.1.0"},
            force=force,
            resume=resume,
        )

    def values_stage(self) -> Stage:
        """The stage of X's values and their genes, in groups of whole chunks; `indptr` is written too."""
        self.write("X starts", **{"X/indptr": self.indptr.astype(self._indptr_dtype)})
        return self.stage("X values", arrays=["X/data", "X/indices"], blocks={"values": GROUP_VALUES})

    def before_consolidation(self) -> None:
        root = self.group
        for name in ("obs", "var", *_PARTS):
            if name in root:  # of a run that was cut here
                del root[name]
        write_frame(root, "obs", self._obs)
        write_frame(root, "var", self._var)
        for name in _PARTS:
            require_group(root, name)
        if self._others is not None:
            self._others(root)
        for name, value in self._uns.items():
            write_element(root["uns"], name, value)  # type: ignore[arg-type]
        own = require_group(root["uns"], "daskgen")  # type: ignore[arg-type]
        write_element(own, "state", json.dumps(self._record))
        if MARKS in root:
            checksums = require_group(own, "checksums")
            for name, stage in self._stages.items():
                write_element(checksums, name, stage.marks())
                checksums[name].attrs["grid"] = stage.target.grid.as_attrs()
            del root[MARKS]
