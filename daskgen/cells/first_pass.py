"""The sums of the first pass over the counts, taken from the store where they are kept there.

They are kept under a digest of what they all depend on: X, and which cells and genes count. A request is answered
from them if they hold all that it asks for (sums by groups of cells add up to those of all cells); otherwise X is read.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from weakref import WeakKeyDictionary

import numpy as np

from daskgen.cells.graph import Enrichment, RowSums, SummaryPass
from daskgen.cells.memory import check_plan
from daskgen.cells.moments import Moments
from daskgen.cells.opened import Cells
from daskgen.cells.view import View
from daskgen.errors import InputError, UsageError
from daskgen.kernels.cells_rows import GENE_SUMS, KEPT
from daskgen.passes import PassRunner

__all__ = ["Request", "Summary", "first_pass"]

_MOST_MASKS = 31
# The sums that were kept last, so that the next step does not read them from the store: their key names X and masks.
_recent: WeakKeyDictionary[Cells, tuple[str, dict[str, np.ndarray]]] = WeakKeyDictionary()


@dataclass(frozen=True, eq=False)
class Request:
    """What is wanted: sums of the largest `tops` counts, over gene `masks` (bool (genes,) each), gene sums by `groups`
    (int32 (cells,), -1 for none), whether `scaled` by `factors` too (float64 (cells,), None for `target` over the
    total) and in logarithms, flags of genes above `max_fraction` of a cell's total (negative: none)."""

    tops: Sequence[int] = ()
    masks: Mapping[str, np.ndarray] = field(default_factory=dict)
    groups: np.ndarray | None = None
    n_groups: int = 1
    scaled: bool = False
    factors: np.ndarray | None = None
    target: float = 1.0
    logs: bool = False
    max_fraction: float = -1.0


@dataclass(frozen=True, eq=False)
class Summary:
    """n_genes, totals: float64 (cells,), of the genes that count; tops, masks: sums by N and by name; genes: float64
    (groups, genes, sums), of the cells that count; high: bool (genes,); fractions: whether a count is not whole;
    target: of the factors, where they are target over total."""

    n_genes: np.ndarray
    totals: np.ndarray
    tops: dict[int, np.ndarray]
    masks: dict[str, np.ndarray]
    genes: np.ndarray
    group_sizes: np.ndarray
    high: np.ndarray
    fractions: bool
    target: float

    def counts(self) -> tuple[np.ndarray, np.ndarray]:
        """Cells with a count, and sum of the counts, of each gene over all groups."""
        return self.genes[:, :, 0].sum(axis=0), self.genes[:, :, 1].sum(axis=0)

    def moments(self, kind: str) -> list[Moments]:
        """Moments of each group; kind: "counts", "scaled" (times the factors), "logs"."""
        column = {"counts": 1, "scaled": 3, "logs": 5}[kind]
        return [
            Moments.of_sums(int(size), sums[:, 0], sums[:, column], sums[:, column + 1])
            for sums, size in zip(self.genes, self.group_sizes, strict=True)
        ]

    def moments_of(self, flavor: str, view: View) -> list[Moments]:
        """Moments of each group that a flavour of dispersion compares: of normalised values, or of their logarithms."""
        if flavor == "cell_ranger":
            scale = 1.0 if view.base is None else 1 / np.log(view.base)
            return [moments.scaled(scale) for moments in self.moments("logs")]
        if view.divisors is None:
            return self.moments("counts")
        scale = 1.0 if view.target is None else view.target / self.target
        return [moments.scaled(scale) for moments in self.moments("scaled")]

    def of_cells(self) -> list[np.ndarray]:
        """float64 (cells,) each: genes with a count, total, sums of tops, of masks, as `quality` takes them."""
        return [self.n_genes, self.totals, *self.tops.values(), *self.masks.values()]


def first_pass(
    cells: Cells,
    request: Request,
    *,
    runner: PassRunner | None = None,
    enrichment: Enrichment | None = None,
    label: str = "counts",
    memory_limit: int | str | None = None,
    keep: bool = True,
) -> Summary:
    """The sums that `request` asks for, of the cells and genes that the filters kept.

    enrichment: gene sets that are scored meanwhile; X is then read in any case. keep: whether the sums are kept in the
    store, in the place of those that were there. Raises InputError, naming a cell and a gene, for values that are NaN
    or negative.
    """
    if len(request.masks) > _MOST_MASKS:
        raise UsageError(f"at most {_MOST_MASKS} gene masks can be summed up in one pass, not {len(request.masks)}.")
    cell_mask, gene_mask = cells.cell_mask, cells.gene_mask
    groups = np.where(cell_mask, 0, -1).astype(np.int32)
    if request.groups is not None:
        groups = np.where(cell_mask, request.groups, -1).astype(np.int32)
    key = _digest(cells.store.x_fingerprint(), cell_mask, gene_mask)
    tags = _tags(request, groups)
    if enrichment is None:
        kept = _kept(cells, key, request, tags, groups)
        if kept is not None:
            return kept
    runner = runner or PassRunner()
    width = request.n_groups * cells.n_vars * (7 if request.logs else GENE_SUMS)
    check_plan(
        cells, runner, {f"sums of {cells.n_vars:,} genes, {request.n_groups} groups": 8 * width * 3}, memory_limit
    )
    roles = np.where(gene_mask, KEPT, 0).astype(np.uint32)
    for bit, mask in enumerate(request.masks.values(), 1):
        roles |= np.where(gene_mask & mask, np.uint32(1) << np.uint32(bit), 0).astype(np.uint32)
    found = SummaryPass(
        cells.store.rows(),
        roles,
        groups,
        request.n_groups,
        request.factors,
        request.target,
        tuple(request.tops),
        len(request.masks),
        request.max_fraction,
        request.logs,
        enrichment,
    ).run(runner, label)
    _check_counts(cells, found)
    summary = _summary(found, request, groups)
    if keep:
        _keep(cells, key, summary, request.masks, tags)
    return summary


def _check_counts(cells: Cells, found: RowSums) -> None:
    if not found.first_flaw:
        return
    cell, gene, _ = found.first_flaw[0]
    value = cells.store.read_rows(cell, cell + 1)
    shown = value.data[value.indices == gene]
    raise InputError(
        f"{found.n_flaws:,} values of X are NaN or negative: these are no counts.",
        found=f"{shown[0] if len(shown) else 'NaN'} in cell {cells.obs_names[cell]}, gene {cells.var_names[gene]}",
        expected="counts from 0 on",
        do="give the counts: X may hold scaled or corrected values, with the counts in raw.X or a layer "
        "(daskgen convert cells --counts)",
    )


def _summary(found: RowSums, request: Request, groups: np.ndarray) -> Summary:
    columns = found.cells
    first_mask = 4 + len(request.tops)
    return Summary(
        columns[:, 0],
        columns[:, 1],
        {top: columns[:, 4 + i] for i, top in enumerate(request.tops)},
        {name: columns[:, first_mask + i] for i, name in enumerate(request.masks)},
        found.genes,
        np.bincount(groups[groups >= 0], minlength=request.n_groups),
        found.high,
        found.fractions,
        request.target,
    )


# -- what is kept ----------------------------------------------------------------------------------------------------
def _digest(*parts: object) -> str:
    digest = hashlib.sha256()
    for part in parts:
        data = part.tobytes() if isinstance(part, np.ndarray) else repr(part).encode()
        digest.update(len(data).to_bytes(8, "little") + data)
    return digest.hexdigest()[:24]


def _mask_key(name: str, mask: np.ndarray) -> str:
    return f"mask_{_digest(name, mask)}"


def _tags(request: Request, groups: np.ndarray) -> dict[str, object]:
    """What distinguishes sums that are kept under one key."""
    return {
        "groups": _digest(groups),
        "factors": _digest(request.factors),
        "target": float(request.target),
        "max_fraction": float(request.max_fraction),
    }


def _keep(
    cells: Cells, key: str, summary: Summary, masks: Mapping[str, np.ndarray], tags: Mapping[str, object]
) -> None:
    arrays = {
        "n_genes": summary.n_genes,
        "totals": summary.totals,
        "genes": summary.genes,
        "high": summary.high,
        "fractions": np.array([summary.fractions]),
        "tags": np.frombuffer(json.dumps(tags).encode(), np.uint8),
        **{f"top_{top}": values for top, values in summary.tops.items()},
        **{_mask_key(name, mask): summary.masks[name] for name, mask in masks.items()},
    }
    with cells.store.writing():
        cells.state.keep_statistics(key, arrays)
    _recent[cells] = key, arrays


def _kept(cells: Cells, key: str, request: Request, tags: Mapping[str, object], groups: np.ndarray) -> Summary | None:
    known, kept = _recent.get(cells, ("", None))
    if known != key:
        kept = cells.state.statistics(key)
    if kept is None:
        return None
    _recent[cells] = key, kept
    mask_keys = {name: _mask_key(name, mask) for name, mask in request.masks.items()}
    wanted = ["n_genes", "totals", "genes", "high", "fractions", "tags", *(f"top_{top}" for top in request.tops)]
    if any(name not in kept for name in [*wanted, *mask_keys.values()]):
        return None
    theirs = json.loads(kept["tags"].tobytes())
    genes = kept["genes"]
    needed = ["groups"] if request.groups is not None else []
    needed += ["factors"] * (request.scaled or request.logs) + ["target"] * request.logs
    needed += ["max_fraction"] * (request.max_fraction >= 0)
    if any(theirs[name] != tags[name] for name in needed) or (request.logs and genes.shape[2] == GENE_SUMS):
        return None
    return Summary(
        kept["n_genes"],
        kept["totals"],
        {top: kept[f"top_{top}"] for top in request.tops},
        {name: kept[mask_key] for name, mask_key in mask_keys.items()},
        genes if request.groups is not None else genes.sum(axis=0, keepdims=True),
        np.bincount(groups[groups >= 0], minlength=request.n_groups),
        kept["high"],
        bool(kept["fractions"][0]),
        float(theirs["target"]),
    )
