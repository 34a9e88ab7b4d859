"""The step `ora`: over-representation of gene sets among the largest counts of each cell, or of each group of cells."""

from __future__ import annotations

import hashlib
import logging
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from daskgen.cells.batches import groups_of
from daskgen.cells.first_pass import Request, first_pass
from daskgen.cells.gene_sets import GeneSets, Source, match_gene_sets, read_gene_sets
from daskgen.cells.graph import Enrichment
from daskgen.cells.opened import Cells, as_cells
from daskgen.cells.over_representation import SetTargets, adjusted, estimate_of
from daskgen.cells.steps_quality import gene_symbols
from daskgen.errors import InputError, UsageError, examples
from daskgen.inputs.arguments import known_arguments
from daskgen.kernels.cells_enrichment import upper_tails
from daskgen.stores import StoreLike

__all__ = [
    "begin_enrichment",
    "end_enrichment",
    "enrichment_parameters",
    "number_of_largest",
    "ora",
    "ora_lists",
    "sets_of",
]

log = logging.getLogger("daskgen.cells")


@known_arguments()
def ora(
    cells: StoreLike | Cells,
    gene_sets: Source,
    *,
    n_up: int | None = None,
    n_background: int | None = None,
    tmin: int = 1,
    groupby: str | None = None,
    adjust: bool = True,
    set_column: str | None = None,
    gene_column: str | None = None,
    memory_limit: int | str | None = None,
) -> Cells | pd.DataFrame:
    """Over-representation of gene sets among the `n_up` largest counts of each cell: one-sided hypergeometric tests.

    gene_sets: a .gmt file, a table of sets and genes, a DataFrame or a mapping (set_column and gene_column name
    columns); sets with fewer than `tmin` genes in the store are left out. n_up: None for 5 % of the genes, rounded
    up; ties go to the gene that comes first. n_background: genes in all, None for those that count. adjust:
    Benjamini-Hochberg over the sets of a cell.

    obsm: ora_estimate (-log10 p, float32), ora_pvals, ora_overlap and ora_padj, cells x sets; uns['ora'] with set_names
    and set_sizes. NaN for cells that filters left out. The order of counts within a cell is that of normalised values
    and of logarithms, so no other step is needed before. Reads X once.

    groupby: a column of obs; then the genes of largest mean share of the counts in each group are tested instead, and
    the table of groups x sets is returned (and kept as uns['ora_GROUPBY']).
    """
    opened = as_cells(cells)
    sets = sets_of(opened, gene_sets, tmin, set_column, gene_column)
    n_genes = int(opened.gene_mask.sum())
    n_up = number_of_largest(n_up, n_genes)
    population = _population(n_background, n_genes)
    if groupby is not None:
        return _of_groups(opened, sets, groupby, n_up, population)
    with opened.store.writing():
        enrichment = begin_enrichment(opened, sets, n_up, population, adjust=adjust)
        first_pass(opened, Request(), enrichment=enrichment, label="gene sets", memory_limit=memory_limit)
        end_enrichment(opened, enrichment)
    return opened


@known_arguments()
def ora_lists(
    lists: Mapping[str, Sequence[str]],
    gene_sets: Source,
    background: Sequence[str] | np.ndarray,
    *,
    tmin: int = 1,
    set_column: str | None = None,
    gene_column: str | None = None,
) -> pd.DataFrame:
    """The same test for lists of genes of any origin, such as the markers of clusters.

    lists: name -> genes; background: all genes that could have been listed. Columns: list, set, overlap, set_size,
    draws, p, padj (Benjamini-Hochberg over the sets of a list), score (-log10 p).
    """
    genes = np.asarray(background, object)
    sets = match_gene_sets(
        read_gene_sets(gene_sets, set_column=set_column, gene_column=gene_column),
        genes,
        np.ones(len(genes), bool),
        tmin=tmin,
    )
    position = {str(gene): i for i, gene in reversed(list(enumerate(genes)))}
    drawn = np.zeros((len(lists), len(genes)), bool)
    for row, (name, listed) in enumerate(lists.items()):
        found = [position[str(gene)] for gene in listed if str(gene) in position]
        if not found:
            raise InputError(
                f"list {name!r}: none of its genes is in the background.",
                found=examples(listed),
                expected=examples(genes),
            )
        drawn[row, found] = True
    return _table(list(lists), "list", sets, drawn, len(position))


def sets_of(
    cells: Cells,
    gene_sets: Source,
    tmin: int,
    set_column: str | None = None,
    gene_column: str | None = None,
    *,
    report: bool = True,
) -> GeneSets:
    """Sets with enough genes in the store; InputError, with examples, where there are none."""
    read = read_gene_sets(gene_sets, set_column=set_column, gene_column=gene_column)
    sets = match_gene_sets(read, gene_symbols(cells), cells.gene_mask, tmin=tmin)
    if report:
        log.info("Gene sets  %s of %s with %d or more genes here", f"{len(sets):,}", f"{len(read):,}", tmin)
    return sets


def number_of_largest(n_up: int | None, n_genes: int) -> int:
    """How many counts of a cell are drawn; UsageError outside 1 to the number of genes."""
    if n_up is None:
        return math.ceil(0.05 * n_genes)
    if not 1 <= n_up <= n_genes:
        raise UsageError(f"n_up = {n_up} of {n_genes:,} genes cannot be drawn.", expected=f"1 to {n_genes:,}")
    return int(n_up)


def _population(n_background: int | None, n_genes: int) -> int:
    if n_background is not None and n_background < n_genes:
        raise UsageError(
            f"n_background = {n_background:,} is less than the {n_genes:,} genes that are drawn from.",
            expected=f"{n_genes:,} or more, or None",
        )
    return n_background or n_genes


def begin_enrichment(cells: Cells, sets: GeneSets, n_up: int, population: int, *, adjust: bool) -> Enrichment:
    """What the first pass is given, with the matrices that its tasks write. Within `store.writing()`."""
    shape = (cells.n_obs, len(sets))

    def target(name: str, dtype: type) -> Any:
        return cells.store.matrix_target("obsm", f"ora_{name}", shape, np.dtype(dtype))

    targets = SetTargets(
        target("estimate", np.float32),
        target("pvals", np.float64),
        target("overlap", np.int32),
        target("padj", np.float64) if adjust else None,
    )
    return Enrichment(sets, n_up, population, targets, adjust)


def end_enrichment(cells: Cells, enrichment: Enrichment) -> None:
    """Publish what the tasks have written, and record the step. Within `store.writing()`."""
    targets = enrichment.targets
    written = [target for target in (targets.estimate, targets.p_values, targets.overlap, targets.adjusted) if target]
    for target in written:
        cells.store.publish(target)
    if targets.adjusted is None:
        cells.store.remove("obsm/ora_padj")
    sets = enrichment.sets
    parameters = enrichment_parameters(
        enrichment.sets, enrichment.n_up, enrichment.population, adjust=enrichment.adjust
    )
    cells.store.write_uns(
        "ora", {"set_names": np.array(sets.names, object), "set_sizes": sets.sizes, "params": dict(parameters)}
    )
    cells.state.record(
        "ora",
        parameters=parameters,
        fields=[*(target.element for target in written), "uns/ora"],
        depends_on=["filter_cells", "filter_genes"],
    )
    cells.state.save()


def enrichment_parameters(sets: GeneSets, n_up: int, population: int, *, adjust: bool) -> dict[str, Any]:
    """What the results of `ora` depend on, besides the counts."""
    digest = hashlib.sha256(repr(sets.names).encode() + sets.start.tobytes() + sets.member.tobytes()).hexdigest()
    return {"n_up": n_up, "n_background": population, "adjust": adjust, "sets": digest[:16]}


def _of_groups(cells: Cells, sets: GeneSets, groupby: str, n_up: int, population: int) -> pd.DataFrame:
    codes, names = groups_of(cells, groupby, "groupby")
    summary = first_pass(cells, Request(groups=codes, n_groups=len(names), scaled=True), keep=False)
    share = np.where(cells.gene_mask, summary.genes[:, :, 3], 0.0)
    drawn = np.zeros(share.shape, bool)
    for row, values in enumerate(share):
        largest = np.argsort(-values, kind="stable")[:n_up]
        drawn[row, largest[values[largest] > 0]] = True
    table = _table(names, groupby, sets, drawn, population)
    with cells.store.writing():
        cells.store.write_uns(f"ora_{groupby}", {name: _plain(table[name]) for name in table})
        cells.state.record(
            f"ora:{groupby}",
            parameters={"groupby": groupby, "n_up": n_up, "n_background": population},
            fields=[f"uns/ora_{groupby}"],
            depends_on=["filter_cells", "filter_genes"],
        )
        cells.state.save()
    return table


def _plain(column: pd.Series) -> np.ndarray:
    return column.to_numpy(object) if column.dtype.kind not in "fiu" else column.to_numpy()


def _table(names: list[str], first: str, sets: GeneSets, drawn: np.ndarray, population: int) -> pd.DataFrame:
    """drawn: bool (lists, genes). A row for each list and set."""
    gene = np.repeat(np.arange(len(sets.start) - 1), np.diff(sets.start))
    overlaps = np.zeros((len(names), len(sets)), np.int32)
    for row in range(len(names)):
        overlaps[row] = np.bincount(sets.member[drawn[row, gene]], minlength=len(sets))
    draws = drawn.sum(axis=1).astype(np.int64)
    p_values = upper_tails(overlaps, draws, sets.sizes, population)
    return pd.DataFrame(
        {
            first: np.repeat(names, len(sets)),
            "set": np.tile(sets.names, len(names)),
            "overlap": overlaps.ravel(),
            "set_size": np.tile(sets.sizes, len(names)),
            "draws": np.repeat(draws, len(sets)),
            "p": p_values.ravel(),
            "padj": adjusted(p_values).ravel(),
            "score": estimate_of(p_values).ravel(),
        }
    )
