"""Single-cell counts with known structure: types of cells, programmes of genes, batches, mitochondrial genes.

A cell's transcripts are drawn one by one. Each comes from one of the components that the cell is made of:

- the profile of its type: log-normal abundances that all types share, some genes of a type changed,
- programmes: sets of genes that are on together, in some types much, in others little, and varying from cell to cell,
- the profile of its batch, which makes the batches differ,
- the mitochondrial genes, a small share in most cells and a large one in some.

The number of transcripts is log-normal, with the mean at which the expected share of genes with a count, over all
types, is `density`. Given that number the counts are multinomial; over cells of a type they are overdispersed, because
programmes and depth vary. Cell c has its own Philox counters, so it does not depend on blocks or workers.
"""

from __future__ import annotations

import os
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.special import ndtri

from daskgen.errors import UsageError
from daskgen.inputs.arguments import known_arguments
from daskgen.kernels.philox import as_uniform, philox_key, philox_words
from daskgen.kernels.simulated_counts import alias_table, draw_cells
from daskgen.passes import run_map
from daskgen.simulate.architecture import whole
from daskgen.stores import RunKey
from daskgen.stores.anndata_new import NewAnnData, count_dtype
from daskgen.stores.anndata_rows import CsrBlock
from daskgen.stores.value_groups import GroupsOfValues, write_values

__all__ = ["cells"]

_MITOCHONDRIAL = (
    "MT-ND1", "MT-ND2", "MT-CO1", "MT-CO2", "MT-ATP8", "MT-ATP6", "MT-CO3", "MT-ND3", "MT-ND4L", "MT-ND4", "MT-ND5",
    "MT-ND6", "MT-CYB",
)  # fmt: skip
_CELL, _DEPTH_SPREAD = 1, 0.45  # last counter of Philox for what is drawn once a cell; sd of log transcripts
_ABUNDANCE_SPREAD, _TYPE_SPREAD, _BATCH_SPREAD = 2.0, 1.0, 1.0  # sd of log abundances and of their changes
_CHANGED = 0.05  # share of genes that a type changes
_BATCH_SHARE, _MITOCHONDRIAL_SHARE, _OWN_SHARE, _OTHER_SHARE = 0.12, 0.04, 0.07, 0.004
_OWN_PROGRAMMES = 2  # of a type
_BLOCK_CELLS = 1 << 10
_NORMALS = 4  # normal numbers of a cell beside those of its programmes: depth, type, batch, mitochondrial share


@dataclass(frozen=True, eq=False)
class _Model:
    """Alias tables (components, genes) and what says how cells are made of them. Picklable; goes to tasks once."""

    thresholds: npt.NDArray[np.uint32]
    aliases: npt.NDArray[np.int32]
    activity: npt.NDArray[np.float64]  # (types, programmes): mean share of a type's transcripts
    type_edges: npt.NDArray[np.float64]  # (types,): cumulated probabilities
    n_batches: int
    mean_transcripts: float
    seed: int

    @property
    def nbytes(self) -> int:
        return int(self.thresholds.nbytes + self.aliases.nbytes)

    def describe(self, first: int, n: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """Type, batch, transcripts (cells,), cumulated shares and components (cells, k) of cells from `first` on."""
        n_types, n_programmes = self.activity.shape
        draws = -(-(_NORMALS + n_programmes) // 4)
        counters = np.zeros((n * draws, 4), np.uint32)
        counters[:, 0] = np.repeat(np.arange(first, first + n), draws)
        counters[:, 1] = np.tile(np.arange(draws), n)
        counters[:, 3] = _CELL
        uniform = as_uniform(philox_words(philox_key(self.seed, "cells"), counters)).reshape(n, -1)
        kind = np.minimum(np.searchsorted(self.type_edges, uniform[:, 0], side="right"), n_types - 1)
        batch = np.minimum((uniform[:, 1] * self.n_batches).astype(np.int64), self.n_batches - 1)
        depth = _DEPTH_SPREAD * ndtri(uniform[:, 2])
        # The mean of a log-normal number is exp(mu + sigma^2 / 2).
        total = np.maximum(1, np.rint(self.mean_transcripts * np.exp(depth - _DEPTH_SPREAD**2 / 2))).astype(np.int64)
        mitochondrial = _MITOCHONDRIAL_SHARE * np.exp(0.6 * ndtri(uniform[:, 3]))
        on = self.activity[kind] * np.exp(0.5 * ndtri(uniform[:, 4 : 4 + n_programmes]))
        shares = np.column_stack([on, np.full(n, _BATCH_SHARE), mitochondrial])
        shares *= np.minimum(1.0, 0.8 / shares.sum(axis=1))[:, None]
        own = 1.0 - shares.sum(axis=1)  # the profile of the type comes first: it is what most transcripts are of
        cumulated = np.cumsum(np.column_stack([own, shares]), axis=1)
        bounds = np.minimum(cumulated * 2.0**32, 2.0**32 - 1).astype(np.uint32)
        components = np.empty(bounds.shape, np.int64)
        components[:, 0] = kind
        components[:, 1 : 1 + n_programmes] = n_types + np.arange(n_programmes)
        components[:, -2] = n_types + n_programmes + batch
        components[:, -1] = len(self.thresholds) - 1
        return kind, batch, total, bounds, components

    def draw(self, first: int, n: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Counts of `n` cells from `first` on: data uint32, indices int32, indptr int64."""
        _, _, total, bounds, components = self.describe(first, n)
        key = philox_key(self.seed, "cells")
        return draw_cells(key, first, total, bounds, components, self.thresholds, self.aliases)

    def reader(self) -> _Model:
        return self

    def read(self, first: int, last: int) -> CsrBlock:
        """The cells [first, last), drawn a block at a time."""
        drawn = [self.draw(a, min(_BLOCK_CELLS, last - a)) for a in range(first, last, _BLOCK_CELLS)]
        data, indices = (np.concatenate([block[k] for block in drawn]) for k in (0, 1))
        lengths = np.concatenate([np.diff(block[2]) for block in drawn])
        indptr = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
        return CsrBlock(data, indices, indptr, self.thresholds.shape[-1], first)


@known_arguments()
def cells(
    path: str | os.PathLike[str],
    *,
    n_cells: int,
    n_genes: int = 35_000,
    density: float = 0.068,
    n_types: int = 12,
    n_programmes: int = 20,
    n_batches: int = 3,
    seed: int = 0,
    force: bool = False,
    resume: bool = False,
) -> str:
    """Simulate counts of single cells and write them to an AnnData store; returns its path.

    Parameters
    ----------
    path
        Where the store goes.
    n_cells, n_genes
        Shape of X. The last 13 genes are mitochondrial (MT-ND1, ...), where there are more than 100.
    density
        Expected share of genes with a count in a cell, in (0, 0.9].
    n_types, n_programmes, n_batches
        Types of cells, of falling frequency; programmes of genes; batches of equal size.
    seed
        Whole number, at least 0. The content depends on it and on the arguments above, not on workers.
    force, resume
        Replace a store that daskgen made; go on with an interrupted run of the same call.

    obs has the truth as `cell_type` and `batch`; var has `programme`, the programme that a gene is in, and
    `marker_of`, the type that expresses that programme most; `uns['simulation']` has the arguments and the mean number
    of transcripts. Counts are drawn twice: to know how many there are, and to write them.

    Raises UsageError for numbers out of range, StoreError for what lies at `path`.
    """
    sizes = {
        "n_cells": whole("n_cells", n_cells, 1),
        "n_genes": whole("n_genes", n_genes, 20),
        "n_types": whole("n_types", n_types, 1),
        "n_programmes": whole("n_programmes", n_programmes, 1),
        "n_batches": whole("n_batches", n_batches, 1),
        "seed": whole("seed", seed, 0),
    }
    if not 0 < density <= 0.9:
        raise UsageError("density is out of range.", found=density, expected="above 0, up to 0.9")
    truth = {**sizes, "density": float(density)}
    model, var = _make_model(**truth)  # type: ignore[arg-type]
    starts = list(range(0, n_cells, _BLOCK_CELLS))
    lengths = np.zeros(n_cells + 1, np.int64)
    largest = 0
    for block, (counts, top) in run_map(_count, range(len(starts)), model, n_cells, label="count"):
        lengths[starts[block] + 1 : starts[block] + 1 + len(counts)] = counts
        largest = max(largest, top)
    indptr, dtype = np.cumsum(lengths), count_dtype(largest, True)
    with NewAnnData(
        path,
        indptr=indptr,
        dtype=dtype,
        obs=_cells_table(model, n_cells),
        var=var,
        run=RunKey("simulate cells", truth),
        uns={"simulation": {**truth, "mean_transcripts": model.mean_transcripts}},
        force=force,
        resume=resume,
    ) as writer:
        if not writer.already_complete:
            stage = writer.values_stage()
            task = GroupsOfValues(model, stage.target, indptr, dtype)
            for _ in run_map(write_values, stage.pending, task, label="simulate"):
                pass
        place = writer.finish()
    return place.url


def _count(block: int, model: _Model, n_cells: int) -> tuple[np.ndarray, int]:
    """Genes with a count in each cell of a block, and the largest count."""
    first = block * _BLOCK_CELLS
    data, _, indptr = model.draw(first, min(_BLOCK_CELLS, n_cells - first))
    return np.diff(indptr), int(data.max(initial=0))


# The model ----------------------------------------------------------------------------------------------------------


def _make_model(
    *, n_cells: int, n_genes: int, n_types: int, n_programmes: int, n_batches: int, seed: int, density: float
) -> tuple[_Model, pd.DataFrame]:
    random = np.random.Generator(np.random.Philox(key=philox_key(seed, "cells model").astype(np.uint64)))
    n_mt = len(_MITOCHONDRIAL) if n_genes > 100 else 0
    nuclear = n_genes - n_mt
    shared = np.zeros(n_genes)
    shared[:nuclear] = np.exp(_ABUNDANCE_SPREAD * random.standard_normal(nuclear))
    programme = _programmes(random, nuclear, n_genes, n_programmes)
    tables = []
    for _ in range(n_types):
        changed = random.random(n_genes) < _CHANGED
        tables.append(shared * np.exp(np.where(changed, _TYPE_SPREAD * random.standard_normal(n_genes), 0.0)))
    for number in range(n_programmes):
        weights = np.exp(0.5 * random.standard_normal(n_genes))
        tables.append(np.where(programme == number, weights, 0.0))
    tables.extend(shared * np.exp(_BATCH_SPREAD * random.standard_normal(n_genes)) for _ in range(n_batches))
    mitochondrial = np.zeros(n_genes)
    mitochondrial[nuclear:] = np.exp(0.5 * random.standard_normal(n_mt))
    tables.append(mitochondrial if n_mt else shared)
    activity = np.full((n_types, n_programmes), _OTHER_SHARE)
    for kind in range(n_types):
        activity[kind, [(kind + 7 * k) % n_programmes for k in range(_OWN_PROGRAMMES)]] = _OWN_SHARE
    frequency = 1.0 / np.sqrt(np.arange(1, n_types + 1))
    profiles = np.array([weights / weights.sum() for weights in tables])
    mean = _transcripts(profiles, activity, frequency / frequency.sum(), n_batches, density)
    alias = [alias_table(profile) for profile in profiles]
    thresholds, aliases = np.array([a for a, _ in alias]), np.array([b for _, b in alias])
    edges = np.cumsum(frequency / frequency.sum())
    names = [f"GENE{number:05d}" for number in range(1, nuclear + 1)] + list(_MITOCHONDRIAL[:n_mt])
    in_programme = pd.Categorical.from_codes(programme, [f"P{number + 1}" for number in range(n_programmes)])
    strongest = activity.argmax(axis=0)
    marker = np.where(programme < 0, -1, np.append(strongest, -1)[programme])
    var = pd.DataFrame(
        {"programme": in_programme, "marker_of": pd.Categorical.from_codes(marker, _type_names(n_types))},
        index=pd.Index(names, dtype=object),
    )
    return _Model(thresholds, aliases, activity, edges, n_batches, mean, seed), var


def _programmes(random: np.random.Generator, nuclear: int, n_genes: int, n_programmes: int) -> npt.NDArray[np.int64]:
    """The programme of each gene, -1 for most: at most 60 genes each, and a quarter of all genes together."""
    each = max(1, min(60, nuclear // (4 * n_programmes)))
    members = random.permutation(nuclear)[: each * n_programmes]
    programme = np.full(n_genes, -1, np.int64)
    programme[members] = np.arange(len(members)) % n_programmes
    return programme


def _transcripts(
    profiles: np.ndarray, activity: np.ndarray, frequency: np.ndarray, n_batches: int, density: float
) -> float:
    """Mean number of transcripts with which the expected share of genes with a count is `density`."""
    n_types, n_programmes = activity.shape
    batch = profiles[n_types + n_programmes : n_types + n_programmes + n_batches].mean(axis=0)
    shares = activity @ profiles[n_types : n_types + n_programmes]
    shares += _BATCH_SHARE * batch + _MITOCHONDRIAL_SHARE * profiles[-1]
    own = 1.0 - activity.sum(axis=1) - _BATCH_SHARE - _MITOCHONDRIAL_SHARE
    mixed = own[:, None] * profiles[:n_types] + shares
    depths = np.exp(_DEPTH_SPREAD * ndtri((np.arange(4) + 0.5) / 4) - _DEPTH_SPREAD**2 / 2)

    def expected(mean: float) -> float:
        return float(np.mean([frequency @ (1 - np.exp(-mean * d * mixed)).mean(axis=1) for d in depths]))

    low, high = 1.0, 10.0
    while expected(high) < density:
        if high > 1e8:
            raise UsageError("density cannot be reached with so few genes.", found=density)
        high *= 4
    for _ in range(24):
        middle = np.sqrt(low * high)
        low, high = (middle, high) if expected(middle) < density else (low, middle)
    return float(high)


def _cells_table(model: _Model, n_cells: int) -> pd.DataFrame:
    kinds, batches = np.empty(n_cells, np.int64), np.empty(n_cells, np.int64)
    for start in range(0, n_cells, _BLOCK_CELLS):
        stop = min(start + _BLOCK_CELLS, n_cells)
        kinds[start:stop], batches[start:stop] = model.describe(start, stop - start)[:2]
    batch_names = [f"batch{number + 1}" for number in range(model.n_batches)]
    return pd.DataFrame(
        {
            "cell_type": pd.Categorical.from_codes(kinds, _type_names(len(model.type_edges))),
            "batch": pd.Categorical.from_codes(batches, batch_names),
        },
        index=pd.Index([f"CELL{number:07d}" for number in range(1, n_cells + 1)], dtype=object),
    )


def _type_names(n_types: int) -> list[str]:
    return [f"type{number + 1}" for number in range(n_types)]
