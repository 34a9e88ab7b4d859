"""LD scores without genotypes: `ld_scores` draws the variants that simulated summary statistics are about."""

from __future__ import annotations

import os
from collections.abc import Mapping

import numpy as np
import xarray as xr

from daskgen.errors import UsageError
from daskgen.inputs.arguments import known_arguments
from daskgen.kernels.philox import as_uniform, philox_key, philox_words
from daskgen.simulate.architecture import whole
from daskgen.simulate.genome import genome_of
from daskgen.stores import RunKey, write_result

__all__ = ["ld_scores"]

_PAIRS = np.array([["A", "C"], ["A", "G"], ["C", "A"], ["C", "T"], ["G", "A"], ["G", "T"], ["T", "C"], ["T", "G"]])
"""Alleles of a variant, on strands that cannot be confused."""

_TEXT = np.dtypes.StringDType()


@known_arguments()
def ld_scores(
    path: str | os.PathLike[str],
    *,
    n_variants: int,
    mean: float = 25.0,
    variants_per_score: float = 5.0,
    contigs: int | Mapping[str, int] | None = None,
    seed: int = 0,
    force: bool = False,
) -> str:
    """Draw univariate LD scores and write them to a store (kind ld_scores); returns its path.

    Parameters
    ----------
    path
        Where the store goes.
    n_variants
        Number of variants with a score.
    mean
        Of the scores, above 1: they are 1 plus an exponential variable, with a tail like that of European LD scores
        (mean 23, largest 305 of 1.3 million).
    variants_per_score
        M_5_50 of a contig is so many times its number of variants, as the variants of a regression are some of those
        that the scores sum over.
    contigs
        None: the 22 human autosomes; a number: so many of 100 Mb; a mapping: name to length in base pairs.
    seed
        Whole number, at least 0.
    force
        Replace a store that daskgen made.

    For statistics with known truth (`simulate.sumstats`); LD scores of genotypes are `dg.ldsc.ld_scores`.

    Raises UsageError for numbers out of range, StoreError for what lies at `path`.
    """
    m = whole("n_variants", n_variants, 1)
    if not mean > 1 or not variants_per_score > 0:
        raise UsageError(
            "LD scores are at least 1, and their variants some.", found=f"mean {mean}, {variants_per_score} a score"
        )
    genome = genome_of(contigs, m)
    counters = np.zeros((m, 4), np.uint32)
    counters[:, 0] = np.arange(m)
    words = philox_words(philox_key(whole("seed", seed, 0), "ld scores"), counters)
    score = 1.0 - (mean - 1.0) * np.log(as_uniform(words[:, 0], words[:, 1]))
    variants = np.diff(genome.edges)
    arguments = {
        "n_variants": m,
        "mean": float(mean),
        "variants_per_score": float(variants_per_score),
        "contigs": dict(zip(genome.names, genome.lengths, strict=True)),
        "seed": int(seed),
    }
    dataset = xr.Dataset(
        {
            "ld_score": (("variants", "annotations"), score[:, None]),
            "annotation": ("annotations", np.array(["L2"], dtype=_TEXT)),
            "variant_id": ("variants", np.array([f"rs{i + 1}" for i in range(m)], dtype=_TEXT)),
            "variant_allele": (("variants", "alleles"), _PAIRS[words[:, 2] % len(_PAIRS)].astype(_TEXT)),
            "variant_contig": ("variants", genome.contig(0, m).astype(np.int32)),
            "variant_position": ("variants", genome.position(0, m, as_uniform(words[:, 3]))),
            "contig_id": ("contigs", np.array(genome.names, dtype=_TEXT)),
            "M_5_50": (("contigs", "annotations"), np.round(np.float64(variants_per_score) * variants)[:, None]),
        },
        attrs={"M_scope": "contig"},
    )
    run = RunKey("simulate ld-scores", arguments, [])
    provenance = {"sources": [], "arguments": arguments}
    return write_result(path, dataset, kind="ld_scores", run=run, provenance=provenance, force=force).url
