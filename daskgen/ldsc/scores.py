"""`ld_scores`: LD scores from genotypes."""

from __future__ import annotations

import hashlib
import logging
from typing import Any

import numpy as np
import xarray as xr

from daskgen.errors import InputError
from daskgen.genotypes.operator import GenotypeOperator
from daskgen.genotypes.reader import Genotypes
from daskgen.genotypes.selection import Selection, select
from daskgen.genotypes.source import GenotypeSource, open_source
from daskgen.genotypes.view import GenotypeView
from daskgen.inputs.arguments import known_arguments
from daskgen.ldsc.annotations import Annotations, annotation_matrix
from daskgen.ldsc.scores_graph import ScorePass
from daskgen.ldsc.windows import Window, window_stops

__all__ = ["ld_scores"]

log = logging.getLogger("daskgen.ldsc")

_COMMON = 0.05


@known_arguments(*Selection.__dataclass_fields__)
def ld_scores(
    genotypes: Genotypes,
    *,
    window: str = "1cM",
    annotations: Annotations = None,
    dosage: str | bool = "auto",
    memory_limit: int | str | None = None,
    **selection: Any,
) -> xr.Dataset:
    """LD scores of variants: sums of adjusted squared correlations with the variants in their windows.

        l_j = sum over k in the window of j of a_k (r_jk^2 - (1 - r_jk^2) / (n - 2)),        j itself included with a_j

    r is the correlation of genotypes in the n samples, missing calls at the mean of their variant; a = 1, or one
    annotation after the other. The exact window of each variant, as ldsc.py --l2 gives it with --chunk-size 1.

    Parameters
    ----------
    genotypes
        Path of a store, or a Dataset (`open_store`, `conversion.open`, or any with sgkit's names), in the order of
        contigs and positions.
    window
        Largest distance: "1cM", "1000kb", "500snp" (to each side). Windows end with their contig.
    annotations
        None for the univariate score; else name -> values (variants,) or boolean masks, an array (variants,
        annotations), a DataFrame with a column for each annotation, in the order of the variants of `genotypes` or with
        their ids as its index, or the path of an .annot file with a column SNP.
    dosage, memory_limit
        As in `daskgen.genotypes.operator`.
    selection
        keep, remove, extract, exclude, contig, region, maf_min, missing_max (see `daskgen.genotypes`). Variants that do
        not vary in the samples are left out.

    Returns
    -------
    xarray.Dataset
        ld_score (variants, annotations) float64; M and M_5_50 (contigs, annotations), sums of the annotations over all
        variants and over those of minor allele frequency above 0.05; annotation, variant_id, variant_contig,
        variant_position, variant_allele, contig_id. A Dataset for `ldsc`, and for `to_store`.

    Raises
    ------
    UsageError, InputError
        A window that is not understood, genotypes without the positions that it needs or not sorted, fewer than three
        samples, annotations that don't fit the variants.
    """
    wanted = Window.of(window)
    source = open_source(genotypes)
    view = select(source, Selection(**selection), dosage=dosage, memory_limit=memory_limit)
    if view.n_samples < 3:
        raise InputError("LD scores take at least three samples.", found=f"{view.n_samples}")
    names, values = annotation_matrix(annotations, source.variant_id)
    view, frequency = _varying(view, memory_limit)
    rows = np.arange(source.reader.n_variants) if view.variants is None else view.variants
    contig, contig_names = _contigs(source, rows)
    stops = window_stops(contig, _coordinate(source, rows, contig, wanted), wanted.width)
    values = values[rows]
    score_pass = ScorePass.of(view, stops, values, memory_limit)
    scores = score_pass.run()
    common = np.minimum(frequency, 1 - frequency) > _COMMON
    totals = np.zeros((2, len(contig_names), len(names)))
    for total, counted in zip(totals, (np.ones(len(rows), bool), common), strict=True):
        np.add.at(total, contig[counted], values[counted])
    data: dict[str, Any] = {
        "ld_score": (("variants", "annotations"), scores),
        "annotation": ("annotations", np.array(names, dtype=object)),
        "M": (("contigs", "annotations"), totals[0]),
        "M_5_50": (("contigs", "annotations"), totals[1]),
        "variant_id": ("variants", source.variant_id[rows]),
        "variant_contig": ("variants", contig.astype(np.int32)),
        "variant_position": ("variants", _column(source, "variant_position", rows).astype(np.int32)),
        "contig_id": ("contigs", np.array(contig_names, dtype=object)),
    }
    allele = source.column("variant_allele")
    if allele is not None:
        data["variant_allele"] = (("variants", "alleles"), allele[rows])
    return xr.Dataset(
        data,
        attrs={
            "kind": "ld_scores",
            "M_scope": "contig",
            "n_samples": view.n_samples,
            "command": "ld-scores",
            "arguments": {"window": window, "annotations": names, "dosage": dosage}
            | {name: value for name, value in selection.items() if value is not None},
            "inputs": [source.reader.reader_id, hashlib.sha256(values.tobytes()).hexdigest()],
            "sources": [{"name": str(source.dataset.encoding.get("source", "Dataset")).rsplit("/", 1)[-1]}],
        },
    )


def _varying(view: GenotypeView, memory_limit: int | str | None) -> tuple[GenotypeView, np.ndarray]:
    """The view without variants of one genotype, and the allele frequencies of the others."""
    moments = GenotypeOperator(view, memory_limit=memory_limit, cache=False).moments
    varies = moments.polymorphic
    if not varies.any():
        raise InputError("no variant varies in these samples.", found=f"{view.n_variants:,} variants")
    if varies.all():
        return view, moments.allele_frequency
    log.info("left out: %s variants that do not vary in these samples", f"{int((~varies).sum()):,}")
    rows = np.flatnonzero(varies).astype(np.int64)
    kept = GenotypeView(
        view.reader,
        view.samples,
        rows if view.variants is None else view.variants[rows],
        view.use_dosage,
    )
    return kept, moments.allele_frequency[varies]


def _column(source: GenotypeSource, name: str, rows: np.ndarray) -> np.ndarray:
    found = source.column(name)
    return np.zeros(len(rows)) if found is None else np.asarray(found[rows])


def _contigs(source: GenotypeSource, rows: np.ndarray) -> tuple[np.ndarray, list[str]]:
    """Index of each variant's contig among those that have variants, int64, and their names in order of appearance."""
    index, names = source.column("variant_contig"), source.column("contig_id")
    if index is None or names is None:
        return np.zeros(len(rows), np.int64), [""]
    used, first, inverse = np.unique(index[rows], return_index=True, return_inverse=True)
    order = np.argsort(first)
    return np.argsort(order)[inverse].astype(np.int64), [str(names[used[i]]) for i in order]


def _coordinate(source: GenotypeSource, rows: np.ndarray, contig: np.ndarray, window: Window) -> np.ndarray:
    """What the window's width is compared with."""
    if window.unit == "snp":
        return np.arange(len(rows), dtype=np.float64)
    if window.unit == "bp":
        name, what, other = "variant_position", "positions", '"500snp"'
    else:
        name, what, other = "variant_genetic_position", "a map (column 3 of a .bim file)", '"1000kb" or "500snp"'
    coordinate = _column(source, name, rows)
    for c in np.unique(contig):
        on = coordinate[contig == c]
        if len(on) > 1 and on.min() == on.max():
            raise InputError(
                f"the genotypes have no {'positions' if window.unit == 'bp' else 'genetic positions'}, so a window of "
                f"{window} means nothing.",
                found=f"{name} is {on[0]:g} for all {len(on):,} variants of a contig",
                do=f"give genotypes with {what}, or a window such as {other}",
            )
    return coordinate
