"""AnnData stores in place: what is in one, its matrices by rows, and new columns and matrices beside them.

    store = AnnDataStore.open("pbmc.zarr", "a")
    rows = store.rows("X")                                # goes to tasks
    with store.writing():
        store.write_columns("obs", {"total_counts": totals})

Any AnnData group in Zarr format 2 or 3 will do, whoever wrote it. What is written becomes visible in a fixed order:
arrays, then the order of columns, then the consolidated metadata that readers go by. A run that is cut leaves a store
that AnnData reads as it was before.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import zarr
from zarr.errors import GroupNotFoundError

from daskgen.errors import InputError, LockedStoreError, StoreError, UsageError
from daskgen.stores.anndata_elements import is_group
from daskgen.stores.anndata_fingerprint import content_fingerprint, content_stamp
from daskgen.stores.anndata_reading import OWN, TIDY, AnnDataReader
from daskgen.stores.anndata_targets import PENDING, CsrTarget, MatrixTarget, is_pending
from daskgen.stores.anndata_writing import (
    new_array,
    new_csr,
    new_plain_array,
    require_group,
    write_column,
    write_element,
)
from daskgen.stores.location import Location, StoreLike
from daskgen.stores.lock import StoreLock
from daskgen.stores.quiet import quietly

__all__ = ["CHUNK_VALUES", "TIDY", "AnnDataStore", "open_anndata_tree"]

CHUNK_VALUES = 1 << 20
"""Stored values of a chunk of a sparse matrix."""

_REPLACING = "replacing_x"  # attribute of daskgen's part of uns while X is being replaced

_AXES = {"obs": 0, "var": 1, "obsm": 0, "varm": 1}


def open_anndata_tree(path: StoreLike | Location) -> zarr.Group:
    """The root group, of whatever version of AnnData. InputError where no Zarr group can be read at `path`."""
    location = Location.of(path)
    try:
        with quietly():
            group = zarr.open_group(location.zarr_store(read_only=True), mode="r")
    except Exception as error:  # whatever zarr and file systems raise about metadata
        raise InputError(f"{location} is not a Zarr group that can be read.", found=str(error)[:200]) from error
    kind = group.attrs.get("kind")
    if "daskgen_format" in group.attrs and (kind != "cells" or not group.attrs.get("complete")):
        state = "" if kind != "cells" else ", not complete"
        raise InputError(f"{location} is a store of daskgen that holds no counts to convert.", found=f"{kind}{state}")
    return group


class AnnDataStore(AnnDataReader):
    """An AnnData group in Zarr; made by `open`. One process writes at a time; tasks get `rows` and targets."""

    def __init__(self, location: Location, group: zarr.Group, mode: str):
        super().__init__(location, group, mode)
        self._lock = StoreLock(location)
        self._depth = 0

    @classmethod
    def open(cls, path: StoreLike | Location, mode: str = "r") -> AnnDataStore:
        """Open the store at `path`. mode: "r" to read, "a" to add to it as well.

        Raises StoreError where nothing lies there, where it is no AnnData group (an .h5ad file, another kind of store,
        a form that is older than AnnData 0.7) or one whose conversion has not finished.
        """
        if mode not in ("r", "a"):
            raise UsageError("mode must be 'r' or 'a'.", found=repr(mode))
        location = Location.of(path)
        if not location.exists():
            raise StoreError(
                f"{location}: there is nothing at this path.",
                do="check the path; workers must see it under the same name",
            )
        convert = f"daskgen convert cells {location.name} --out STORE"
        try:
            group = zarr.open_group(
                location.zarr_store(read_only=mode == "r"),
                mode="r" if mode == "r" else "r+",
                use_consolidated=None if mode == "r" else False,
            )
        except (GroupNotFoundError, FileNotFoundError, NotADirectoryError, FileExistsError):
            raise StoreError(
                f"{location} is not a Zarr group.", expected="an AnnData store", do=f"convert the file: {convert}"
            ) from None
        except (ValueError, KeyError, TypeError) as error:
            raise StoreError(
                f"{location}: its metadata cannot be read.", found=f"{type(error).__name__}: {error}"
            ) from error
        kind = group.attrs.get("kind")
        if kind is not None and kind != "cells":
            raise StoreError(f"{location} is a store of another kind.", found=kind, expected="cells (AnnData)")
        if "daskgen_format" in group.attrs and not group.attrs.get("complete"):
            raise StoreError(
                f"{location} is not complete: its run was interrupted or is still going on.",
                do="finish it with the same command and --resume, or make it again with --force",
            )
        if "obs" not in group or "var" not in group:
            raise StoreError(
                f"{location} is a Zarr group that is no AnnData store.",
                found=", ".join(sorted(group)) or "nothing",
                expected="obs, var and X",
            )
        if any(not is_group(group[name]) for name in ("obs", "var")):
            raise StoreError(
                f"{location} was written by AnnData before 0.7, which kept obs and var as arrays of records.",
                do=f"convert it: {convert}",
            )
        store = cls(location, group, mode)
        if mode == "a":
            store._recover()
        return store

    # -- writing ---------------------------------------------------------------------------------------------------
    @contextmanager
    def writing(self) -> Iterator[AnnDataStore]:
        """Within the block this process holds the store's lock; what was written is visible at its end.

        Blocks may be nested; the outermost one counts. Raises UsageError for a store that was opened for reading,
        LockedStoreError where another run writes it, StoreError where X was replaced since the store was opened.
        """
        if self.mode != "a":
            raise UsageError(f"{self.location.name} was opened for reading.", do='open it with mode "a"')
        if self._depth:
            self._depth += 1
            try:
                yield self
            finally:
                self._depth -= 1
            return
        self._lock.acquire()
        self._depth = 1
        try:
            if self._fingerprint is not None and content_stamp(self.location, "X") != self._stamp:
                if content_fingerprint(self.location, "X") != self._fingerprint:
                    raise StoreError(
                        f"X of {self.location.name} was changed by another process.",
                        do="open the store again; what was computed from the old X is then marked stale",
                    )
            self._remove_pending()
            if self.group.metadata.consolidated_metadata is None and not self._is_consolidated():
                self._consolidate()  # so that readers don't see what is not finished
            yield self
            if not self._lock.held():
                raise LockedStoreError(f"another run took over {self.location.name} while this one was silent.")
            self._consolidate()
        finally:
            self._depth = 0
            self._lock.release()

    def _is_consolidated(self) -> bool:
        group = zarr.open_group(self.location.zarr_store(read_only=True), mode="r")
        return group.metadata.consolidated_metadata is not None

    def _consolidate(self) -> None:
        with quietly(), warnings.catch_warnings():
            # What is being removed has no metadata any more.
            warnings.filterwarnings("ignore", message="Object at .* is not recognized")
            zarr.consolidate_metadata(self.location.zarr_store(read_only=False), zarr_format=self.zarr_format)  # type: ignore[arg-type]

    def _remove_pending(self) -> None:
        """Remove what an interrupted run was writing."""
        for part in ("obsm", "varm", "layers"):
            if part in self.group:
                group = self.group[part]
                assert isinstance(group, zarr.Group)
                for name in [name for name, node in group.members() if is_pending(node)]:
                    del group[name]

    def write_columns(self, frame: str, columns: Mapping[str, Any]) -> None:
        """Add columns to "obs" or "var", or replace those of the same name.

        Values: one per cell or gene; bool, numbers, text, pandas Categorical, nullable arrays or Series. StoreError for
        another length.
        """
        group = self._frame_group(frame)
        n = self.n_cells if frame == "obs" else self.n_genes
        for name, values in columns.items():
            if len(values) != n:
                raise StoreError(f"{frame}/{name} has the wrong length.", found=len(values), expected=n)
            if "/" in name or name == "_index":
                raise UsageError(f"{name!r} cannot be the name of a column.")
        with self.writing():
            order = list(self.columns(frame))
            changed = [name for name, values in columns.items() if name in order and _another_form(group[name], values)]
            if changed:  # readers must not meet codes of one column with the categories of another
                group.attrs["column-order"] = [name for name in order if name not in changed]
                self._consolidate()
                for name in changed:
                    del group[name]
            for name, values in columns.items():
                write_column(group, name, values)
            group.attrs["column-order"] = [*order, *(name for name in columns if name not in order)]

    def write_matrix(self, part: str, name: str, values: npt.NDArray[Any]) -> None:
        """Add a matrix to "obsm" or "varm", or replace the one of that name."""
        array = np.asarray(values)
        with self.writing():
            target = self.matrix_target(part, name, array.shape, array.dtype)
            target.write(0, array)
            self.publish(target)

    def matrix_target(
        self, part: str, name: str, shape: tuple[int, ...], dtype: Any, chunk_rows: int = 4096
    ) -> MatrixTarget:
        """A matrix of "obsm", "varm" or "layers" that tasks are going to write by rows; `publish` ends it.

        chunk_rows: rows of a chunk; a task writes whole chunks.
        """
        self._must_write()
        axis = _AXES.get(part, 0)
        if shape[0] != (self.n_cells, self.n_genes)[axis]:
            raise StoreError(
                f"{part}/{name} has the wrong number of rows.",
                found=shape[0],
                expected=(self.n_cells, self.n_genes)[axis],
            )
        self.remove(f"{part}/{name}")
        group = require_group(self.group, part)
        chunks = (chunk_rows, *shape[1:])
        plain = new_plain_array(group, name, shape, dtype, chunks, attributes={PENDING: True})
        if plain is None:
            new_array(group, name, shape, dtype, chunks).attrs[PENDING] = True
        return MatrixTarget(self.url, f"{part}/{name}", shape, chunk_rows, plain)

    def csr_target(self, element: str, indptr: npt.NDArray[np.int64], dtype: Any, *, tidy: bool = False) -> CsrTarget:
        """A sparse layer ("layers/NAME") that tasks are going to write by values; `publish` ends it."""
        self._must_write()
        part, _, name = element.partition("/")
        if part != "layers" or not name:
            raise UsageError(f"{element!r} cannot be written.", expected="layers/NAME")
        self.remove(element)
        shape, nnz = (self.n_cells, self.n_genes), int(indptr[-1])
        group = new_csr(require_group(self.group, part), name, shape, nnz, dtype, CHUNK_VALUES)
        group.attrs.update({PENDING: True, **({TIDY: True} if tidy else {})})
        group["indptr"][...] = indptr
        return CsrTarget(self.url, element, indptr, CHUNK_VALUES)

    def publish(self, target: MatrixTarget | CsrTarget) -> None:
        """Make what the tasks have written visible."""
        self._must_write()
        node = self.group[target.element]
        attrs = {key: value for key, value in node.attrs.asdict().items() if key != PENDING}
        node.attrs.put(attrs)
        self._infos.pop(target.element, None)
        self._indptr.pop(target.element, None)

    @contextmanager
    def replacing_x(
        self, element: str, *, keep_as: str, new: Sequence[str] = (), records: Sequence[str] = ()
    ) -> Iterator[None]:
        """Put the layer `element` in the place of X, which becomes the layer `keep_as`; within the block the records
        are made that belong to the new X. Where that does not come to its end, X is what it was, the elements `new` are
        not there and the texts `records` of uns are what they were: at once, or, after a kill, when the store is next
        opened for writing.

        UsageError on an object store, which cannot rename.
        """
        self._must_write()
        if not self.location.local:
            raise UsageError("X cannot be replaced on an object store.", do="write a layer: into='layers/log1p'")
        self.remove("uns/daskgen/checksums")  # they were of the old X
        own = require_group(require_group(self.group, "uns"), OWN)
        made = [name for name in new if name not in self.group]
        before = {name: self.uns(name) for name in records}
        own.attrs[_REPLACING] = {"element": element, "keep_as": keep_as, "new": made, "records": before}
        try:
            self.location.join("X").move_to(self.location.join(keep_as))
            self.location.join(element).move_to(self.location.join("X"))
            self._forget_matrices()
            yield
        except BaseException:
            self._undo_replacement(own)
            raise
        del own.attrs[_REPLACING]
        self._consolidate()

    def _undo_replacement(self, own: zarr.Group) -> None:
        """Put X back where a replacement of it has got stuck between any two of its steps."""
        about: Any = own.attrs[_REPLACING]
        x, element, kept = (self.location.join(path) for path in ("X", about["element"], about["keep_as"]))
        if kept.exists():
            if x.exists():
                x.move_to(element)
            kept.move_to(x)
        for place in (element, *(self.location.join(name) for name in about["new"])):
            if place.exists():
                place.remove_tree()
        for name, text in about.get("records", {}).items():
            if text is None:
                self.remove(f"uns/{name}")
            else:
                self.write_uns(name, text)
        del own.attrs[_REPLACING]
        self._forget_matrices()
        self._consolidate()

    def _recover(self) -> None:
        """Undo what a killed run has left halfway, unless another run holds the store."""
        own = self.group.get(f"uns/{OWN}")
        if own is None or _REPLACING not in own.attrs:
            return
        with suppress(LockedStoreError), self.writing():
            self._undo_replacement(own)  # type: ignore[arg-type]

    def _forget_matrices(self) -> None:
        self._infos.clear()
        self._indptr.clear()
        self._fingerprint = None

    def write_uns(self, name: str, value: Any) -> None:
        """Add or replace an unstructured element: dicts of arrays, numbers, text, bool and None."""
        with self.writing():
            parent = require_group(self.group, "uns")
            *folders, last = name.split("/")
            for folder in folders:
                parent = require_group(parent, folder)
            write_element(parent, last, value)

    def keep_fingerprint(self) -> None:
        """Take X as it is now for the one that results belong to."""
        fingerprint = self.x_fingerprint()
        if self.kept_fingerprint() == (self._stamp, fingerprint):
            return
        with self.writing():
            require_group(require_group(self.group, "uns"), OWN)
            write_element(self.group["uns"], f"{OWN}/x_fingerprint", f"{self._stamp} {fingerprint}")  # type: ignore[arg-type]

    def remove(self, *elements: str) -> None:
        """Remove elements ("obs/score", "obsm/X_pca", "uns/pca", "layers/log1p"); those that are not there are not
        missed."""
        there = [element for element in elements if element in self.group]
        if not there:
            return
        with self.writing():
            for element in there:
                part, _, name = element.partition("/")
                if part in ("X", "raw") or not name:
                    raise UsageError(f"{element} is not removed by daskgen.")
                if part in ("obs", "var"):
                    group = self._frame_group(part)
                    group.attrs["column-order"] = [column for column in self.columns(part) if column != name]
                else:
                    self._hide(element)
                self._infos.pop(element, None)
                self._indptr.pop(element, None)
            self._consolidate()
            for element in there:
                self.location.join(element).remove_tree()

    def _hide(self, element: str) -> None:
        """Remove the metadata of an element, so that the next consolidation leaves it out, and not its chunks, which
        readers of the present consolidated metadata still find."""
        for file in ("zarr.json", ".zarray", ".zgroup", ".zattrs"):
            self.location.join(element, file).remove_file()

    def _frame_group(self, frame: str) -> zarr.Group:
        if frame not in ("obs", "var"):
            raise UsageError(f"{frame!r} has no columns.", expected="obs or var")
        group = self.group[frame]
        assert isinstance(group, zarr.Group)
        return group

    def _must_write(self) -> None:
        if not self._depth:
            raise UsageError("the store must be held while it is written.", do="with store.writing(): ...")


def _another_form(node: Any, values: Any) -> bool:
    """Whether writing `values` over the column `node` would need other arrays than it has."""
    kind = getattr(values, "dtype", None)
    if is_group(node) or isinstance(kind, pd.CategoricalDtype):
        return True
    array = np.asarray(values)
    if array.dtype.kind in "OUTS":
        return node.dtype.kind not in "TOU"
    return node.dtype != array.dtype
