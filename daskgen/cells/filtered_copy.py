"""A copy of a store with the cells and genes that the filters kept."""

from __future__ import annotations

import logging
import os
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from daskgen.cells.leaves import BLOCK_VALUES
from daskgen.cells.opened import KEEP, Cells, as_cells
from daskgen.cells.state import LOG_VALUES
from daskgen.errors import InputError, UsageError
from daskgen.passes import run_map
from daskgen.stores import Location, RunKey
from daskgen.stores.anndata_new import NewAnnData
from daskgen.stores.anndata_rows import CellRows, CsrBlock
from daskgen.stores.anndata_writing import copy_element, copy_rows
from daskgen.stores.value_groups import GroupsOfValues, write_values

__all__ = ["write_filtered"]

log = logging.getLogger("daskgen.cells")

_LEFT_BEHIND = ("filter_cells", "filter_genes", "materialize")  # the copy has kept cells alone, and no layers


def write_filtered(cells: Cells, path: str | os.PathLike[str], force: bool = False, resume: bool = False) -> Cells:
    """See `Cells.write`."""
    if Location.of(path) == cells.store.location:
        raise UsageError("a store cannot be written over itself.", do="choose another path")
    kept = _Kept(cells.store.rows(), np.flatnonzero(cells.cell_mask), cells.gene_mask)
    if not len(kept.cells) or not kept.genes.any():
        raise InputError("the filters kept nothing.", found=f"{len(kept.cells)} cells, {int(kept.genes.sum())} genes")
    cuts = kept.cuts()
    lengths = np.zeros(len(kept.cells) + 1, np.int64)
    for index, counts in run_map(_count, range(len(cuts)), kept, cuts, label="count"):
        lengths[cuts[index][0] + 1 : cuts[index][1] + 1] = counts
    indptr = np.cumsum(lengths)
    run = RunKey(
        "cells.write",
        {"cells": kept.cells, "genes": kept.genes},
        [cells.store.x_fingerprint(), cells.store.location.name],
    )
    dtype = kept.rows.info.dtype
    with NewAnnData(
        path,
        indptr=indptr,
        dtype=dtype,
        obs=cells.obs.drop(columns=KEEP, errors="ignore").iloc[kept.cells],
        var=cells.var.drop(columns=KEEP, errors="ignore").loc[kept.genes],
        run=run,
        record=_record(cells),
        others=lambda group: _copy_others(group, cells, kept),
        force=force,
        resume=resume,
    ) as writer:
        if not writer.already_complete:
            stage = writer.values_stage()
            task = GroupsOfValues(kept, stage.target, indptr, dtype)
            for _ in run_map(write_values, stage.pending, task, label="write"):
                pass
        place = writer.finish()
    return as_cells(place.url)


@dataclass(frozen=True, eq=False)
class _Kept:
    """The rows of X, the positions of the kept cells, and which genes are kept."""

    rows: CellRows
    cells: npt.NDArray[np.int64]
    genes: npt.NDArray[np.bool_]

    @property
    def nbytes(self) -> int:
        return self.rows.nbytes + int(self.cells.nbytes)

    def cuts(self) -> list[tuple[int, int]]:
        """Ranges of the kept cells, those of one block of rows together."""
        edges = [a for a, _ in self.rows.blocks(BLOCK_VALUES)] + [self.rows.n_rows]
        bounds = np.unique(np.searchsorted(self.cells, edges))
        return [(int(a), int(b)) for a, b in zip(bounds[:-1], bounds[1:], strict=True)]

    def reader(self) -> _Kept:
        return self

    def read(self, first: int, last: int) -> CsrBlock:
        """Kept cells `first` to `last` - 1 with the kept genes, numbered as in the copy."""
        start, stop = int(self.cells[first]), int(self.cells[last - 1]) + 1
        block = self.rows.reader().read(start, stop)
        wanted = np.zeros(block.n_rows, bool)
        wanted[self.cells[first:last] - start] = True
        lengths = np.diff(block.indptr)
        taken = np.repeat(wanted, lengths) & self.genes[block.indices]
        before = np.concatenate([[0], np.cumsum(taken)]).astype(np.int64)
        of_rows = (before[block.indptr[1:]] - before[block.indptr[:-1]])[wanted]
        number = np.cumsum(self.genes) - 1
        indptr = np.concatenate([[0], np.cumsum(of_rows)]).astype(np.int64)
        indices = number[block.indices[taken]].astype(np.int32)
        return CsrBlock(block.data[taken], indices, indptr, int(self.genes.sum()), first)


def _count(index: int, kept: _Kept, cuts: list[tuple[int, int]]) -> npt.NDArray[np.int64]:
    return np.diff(kept.read(*cuts[index]).indptr)


def _record(cells: Cells) -> dict[str, Any]:
    """What X holds and the steps that were done, that are true of the copy."""
    steps = {name: asdict(step) for name, step in cells.state.steps.items() if name not in _LEFT_BEHIND}
    for step in steps.values():
        step["depends_on"] = [name for name in step["depends_on"] if name not in _LEFT_BEHIND]
    return {"x_holds": cells.state.x_holds, "steps": steps}


def _copy_others(group: Any, cells: Cells, kept: _Kept) -> None:
    """obsm and varm of what was kept, and uns."""
    store = cells.store
    for part, rows in (("obsm", kept.cells), ("varm", np.flatnonzero(kept.genes))):
        for name in store.members(part):
            if not copy_rows(store.group[f"{part}/{name}"], group[part], name, rows):
                log.warning("%s/%s is left out: it is no array and no table", part, name)
    for name in store.members("uns"):
        if name != "daskgen" and (name != "log1p" or cells.state.x_holds == LOG_VALUES):
            for note in copy_element(store.group[f"uns/{name}"], group["uns"], name, "uns"):
                log.info("Note       %s", note)
