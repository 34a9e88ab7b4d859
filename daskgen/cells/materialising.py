"""Normalised and log values written into a store, for tools that want them on disk."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import Literal

import numpy as np

from daskgen.cells.opened import Cells
from daskgen.cells.state import LOG_VALUES, OTHER_VALUES, RECORDS, State
from daskgen.cells.transform import Transform
from daskgen.cells.view import current_view, require_counts, require_logs
from daskgen.errors import UsageError
from daskgen.passes import run_map
from daskgen.stores.anndata_rows import CellRows, rows_between
from daskgen.stores.anndata_targets import CsrTarget, MatrixTarget

__all__ = ["materialize"]

log = logging.getLogger("daskgen.cells")

_NEW_X = "daskgen_new_x"  # layer in which a new X is written before it takes the place of the old one


def materialize(cells: Cells, layer: Literal["log1p", "normalized"] = "log1p", into: str | None = None) -> Cells:
    """See `Cells.materialize`."""
    if layer not in ("log1p", "normalized"):
        raise UsageError(f"unknown values {layer!r}.", expected="'log1p' or 'normalized'")
    into = f"layers/{layer}" if into is None else into
    part, _, name = into.partition("/")
    if into != "X" and (part != "layers" or not name or "/" in name):
        raise UsageError(f"into={into!r} is no place for values.", expected="'X' or 'layers/NAME'")
    require_counts(cells, "materialize")
    view = current_view(cells)
    if layer == "log1p":
        require_logs(cells, view, "materialize('log1p')")
    elif view.divisors is None:
        raise UsageError("materialize('normalized') needs normalize_total first.")
    transform = Transform(view.divisors, layer == "log1p", view.base)
    store = cells.store
    if into == "X" and "counts" in store.layers:
        raise UsageError(
            f"{store.location.name} has layers/counts already, where the counts of X would go.",
            do="into='layers/log1p', or remove that layer",
        )
    if into == "X" and not store.location.local:
        raise UsageError("X cannot be replaced on an object store.", do="into='layers/log1p'")
    with store.writing():
        element = f"layers/{_NEW_X}" if into == "X" else into
        rows = store.rows()
        target: CsrTarget | MatrixTarget
        if rows.indptr is not None:
            target = store.csr_target(element, rows.indptr, np.float32, tidy=rows.info.tidy)
            _run(_write_values, range(target.n_groups), target, rows, transform)
        else:
            shape = (rows.n_rows, rows.n_genes)
            height = max(1, min(rows.info.chunk, (1 << 21) // max(1, rows.n_genes)))
            target = store.matrix_target("layers", element.removeprefix("layers/"), shape, np.float32, height)
            _run(_write_rows, range(-(-rows.n_rows // height)), target, rows, transform)
        store.publish(target)
        if into == "X":
            try:
                with store.replacing_x(element, keep_as="layers/counts", new=["uns/log1p"], records=RECORDS):
                    cells.state.x_holds = LOG_VALUES if layer == "log1p" else OTHER_VALUES
                    _record(cells, layer, into, view.base)
            except BaseException:
                cells.state = State.load(store)
                raise
        else:
            _record(cells, layer, into, view.base)
    log.info("%s      %s of %s", into, layer, store.location.name)
    return cells


def _record(cells: Cells, layer: str, into: str, base: float | None) -> None:
    if layer == "log1p":
        cells.store.write_uns("log1p", {"base": base})
    cells.state.record(
        "materialize",
        parameters={"layer": layer, "into": into},
        fields=[into],
        depends_on=["normalize_total", "log1p"],
    )
    cells.state.save()


@dataclass(frozen=True, eq=False)
class _Task:
    target: CsrTarget | MatrixTarget
    rows: CellRows
    transform: Transform

    @property
    def nbytes(self) -> int:
        return self.rows.nbytes + self.transform.nbytes


def _run(task: object, groups: range, target: CsrTarget | MatrixTarget, rows: CellRows, transform: Transform) -> None:
    for _ in run_map(task, groups, _Task(target, rows, transform), label="materialize"):  # type: ignore[arg-type]
        pass


def _write_values(group: int, task: _Task) -> None:
    """One group of stored values: whole chunks; its rows are found in indptr."""
    target, indptr = task.target, task.rows.indptr
    assert isinstance(target, CsrTarget)
    assert indptr is not None
    start, stop = target.values(group)
    data, indices = task.rows.reader().values(start, stop)
    first, last = rows_between(indptr, start, stop)
    within = np.clip(indptr[first : last + 1], start, stop) - start
    target.write(group, task.transform.apply(data, within, indices, first), indices)


def _write_rows(group: int, task: _Task) -> None:
    """One chunk of rows of a dense matrix."""
    target = task.target
    assert isinstance(target, MatrixTarget)
    start = group * target.chunk_rows
    stop = min(start + target.chunk_rows, task.rows.n_rows)
    block = task.rows.reader().read(start, stop)
    dense = np.zeros((stop - start, task.rows.n_genes), np.float32)
    rows = np.repeat(np.arange(stop - start), np.diff(block.indptr))
    dense[rows, block.indices] = task.transform.apply(block.data, block.indptr, block.indices, start)
    target.write(start, dense)
