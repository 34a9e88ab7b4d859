"""What a store of cells holds, in lines."""

from __future__ import annotations

import json

import numpy as np

from daskgen.errors import StoreError, examples
from daskgen.stores.anndata import AnnDataStore

__all__ = ["cells_lines"]

_LABEL = 11  # width of the first column


def cells_lines(store: AnnDataStore) -> list[str]:
    """Shape, X, columns, embeddings and the steps that were done, one fact a line."""
    lines = [
        _line("Cells", f"{store.n_cells:,}{_kept(store, 'obs')}"),
        _line("Genes", f"{store.n_genes:,}{_kept(store, 'var')}"),
    ]
    text = store.uns("daskgen/state")
    record = json.loads(text) if isinstance(text, str) else {}
    if "X" in store.group:
        lines.append(_line("X", _matrix(store, str(record.get("x_holds", "")))))
    else:
        lines.append(_line("X", "none"))
    for label, names in (
        ("obs", store.columns("obs")),
        ("var", store.columns("var")),
        *((part, store.members(part)) for part in ("layers", "obsm", "varm", "uns")),
    ):
        shown = [name for name in names if not name.startswith("daskgen")]
        if shown:
            lines.append(_line(label, examples(shown, 10)))
    steps = record.get("steps", {})
    if steps:
        words = [f"{name}{' (stale)' if about.get('stale') else ''}" for name, about in steps.items()]
        lines.append(_line("Steps", ", ".join(words)))
    return lines


def _line(label: str, text: str) -> str:
    return f"{label:<{_LABEL}}{text}"


def _kept(store: AnnDataStore, frame: str) -> str:
    if "daskgen_keep" not in store.columns(frame):
        return ""
    kept = int(np.asarray(store.column(frame, "daskgen_keep")).astype(bool).sum())
    return f", {kept:,} of them kept by the filters"


def _matrix(store: AnnDataStore, holds: str) -> str:
    try:
        info = store.x_info
    except StoreError as error:  # a form that is not read by cells is described all the same
        return error.summary
    text = f"{holds + ', ' if holds else ''}{info.layout}, {info.dtype}"
    if info.nnz is None:
        return text
    share = 100 * info.nnz / max(1, info.shape[0] * info.shape[1])
    return f"{text}, {info.nnz:,} values ({share:.2g} %) in {-(-info.nnz // info.chunk):,} chunks"
