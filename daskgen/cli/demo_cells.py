"""The demo's part on single cells: types of cells and programmes of genes that the simulation has put in."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from daskgen.cli.demo import Demo

__all__ = ["cells"]

_N_CELLS, _N_GENES, _N_SETS = 3_000, 5_000, 8


def cells(demo: Demo) -> list[str]:
    """Components tell the types apart, and the programme that a cell scores highest is one of its type."""
    import numpy as np

    import daskgen.cells
    from daskgen import simulate

    path = demo.path("cells.zarr")
    simulate.cells(path, n_cells=_N_CELLS, n_genes=_N_GENES, n_types=_N_SETS, seed=demo.seed, force=True)
    opened = daskgen.cells.open(path)
    genes = opened.var
    sets = {
        kind: genes.index[(genes["marker_of"] == kind).to_numpy()].tolist()
        for kind in opened.obs["cell_type"].cat.categories
        if (genes["marker_of"] == kind).any()
    }
    with _quiet():
        daskgen.cells.pipeline(opened, gene_sets=sets, min_cells=1)
    kind = opened.obs["cell_type"].to_numpy().astype(str)
    scores = opened.store.matrix("obsm", "X_pca").astype(np.float64)
    names = np.unique(kind)
    centres = np.stack([scores[kind == name].mean(axis=0) for name in names])
    distance = ((scores[:, None, :] - centres) ** 2).sum(axis=2)
    nearest = float((names[distance.argmin(axis=1)] == kind).mean())
    known = opened.uns("ora")["set_names"].astype(str)
    best = known[opened.store.matrix("obsm", "ora_estimate").argmax(axis=1)]
    right = float((best == kind)[np.isin(kind, known)].mean())
    demo.facts["cells"] = {"nearest_type": nearest, "best_set": right, "n_sets": len(known)}
    return [
        f"{_N_CELLS:,} cells x {_N_GENES:,} genes: {scores.shape[1]} components, {len(known)} gene sets",
        f"nearest to the mean of their own type {100 * nearest:.1f} % of cells; best set that of their type "
        f"{100 * right:.1f} % (truth: {len(names)} types)",
    ]


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """The demo says in its own lines what came out."""
    logger = logging.getLogger("daskgen.cells")
    before = logger.level
    logger.setLevel(logging.WARNING)
    try:
        yield
    finally:
        logger.setLevel(before)
