"""Genetic values of other samples from SNP effects, with the training means and scale factors."""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
import xarray as xr

from daskgen.errors import InputError, UsageError, examples
from daskgen.genotypes.matching import VariantKeys, match_variants
from daskgen.genotypes.operator import GenotypeOperator
from daskgen.genotypes.reader import Genotypes
from daskgen.genotypes.source import open_source
from daskgen.genotypes.view import GenotypeView
from daskgen.reml.graph import standardised_sums

__all__ = ["predict_from"]

log = logging.getLogger("daskgen.reml")


def predict_from(
    effects: xr.Dataset,
    genotypes: Genotypes | Sequence[Genotypes] | Mapping[str, Genotypes],
    least_share: float,
) -> xr.DataArray:
    """Sum over variants of (x - mean) factor effect, by phenotype and sample.

    effects: snp_effect (phenotype, component, variant), variant_mean, variant_factor (groups, variant), group
    (phenotype), variant_set and what identifies the variants; genotypes: as many sources as the fit had.
    """
    if not 0 <= least_share <= 1:
        raise UsageError(f"least_share = {least_share!r} is out of range.", expected="a share between 0 and 1")
    if isinstance(genotypes, (str, os.PathLike, xr.Dataset)):
        given = [genotypes]
    else:
        given = list(genotypes.values() if isinstance(genotypes, Mapping) else genotypes)
    sources = [open_source(g) for g in given]
    sets = effects["variant_set"].values
    if len(sources) != sets.max(initial=0) + 1:
        raise UsageError(
            "the fit and the prediction have different numbers of genotype sources.",
            found=len(sources),
            expected=int(sets.max(initial=0)) + 1,
        )
    coefficients = effects["snp_effect"].values.sum(axis=1)  # (T, variants)
    groups = effects["group"].values
    ids = sources[0].sample_id
    values = np.zeros((len(groups), len(ids)))
    for number, source in enumerate(sources):
        # Variants that do not vary in the analysed samples have no effect and are not looked for.
        mine = np.flatnonzero((sets == number) & (effects["variant_factor"].values[groups] != 0).any(axis=0))
        keys = VariantKeys(
            effects["variant_contig"].values[mine].astype(object),
            effects["variant_position"].values[mine],
            effects["variant_id"].values[mine].astype(object),
            effects["variant_allele"].values[mine].astype(object),
        )
        match = match_variants(keys, source.keys(), least_share=least_share)
        log.info(
            "Prediction %.1f %% of %s variants matched, %s of them turned",
            100 * match.share,
            f"{len(mine):,}",
            f"{int(match.flipped.sum()):,}",
        )
        rows = mine[match.reference]
        order = pd.Index(source.sample_id).get_indexer(pd.Index(ids))
        if (order < 0).any():
            raise InputError(
                "the genotype sources have different samples.",
                found=f"{examples(ids[order < 0])} in the first, not in the other",
                expected="all samples of the first in each of them",
            )
        for group in dict.fromkeys(groups.tolist()):
            traits = np.flatnonzero(groups == group)
            mean = effects["variant_mean"].values[group, rows]
            factor = effects["variant_factor"].values[group, rows]
            # With the other allele counted, x becomes 2 - x: (2 - x - mean) f = (x - (2 - mean)) (-f).
            mean = np.where(match.flipped, 2 - mean, mean)
            factor = np.where(match.flipped, -factor, factor)
            view = GenotypeView(
                source.reader, variants=match.other, use_dosage=source.reader.has_dosage, fixed=(mean, factor)
            )
            sums = standardised_sums(GenotypeOperator(view), coefficients[np.ix_(traits, rows)].T).T
            values[traits] += sums[:, order]
    return xr.DataArray(
        values,
        dims=("phenotype", "sample"),
        coords={"phenotype": effects["phenotype"].values, "sample_id": ("sample", ids)},
        name="genetic_value",
    )
