"""Genotypes: streamed products, principal components and statistics from packed stores or files opened in place.

Every function takes a store's path or a Dataset, and the same selection:

keep, remove
    samples, by a file (IID, or FID IID), a list of ids, or a boolean mask
extract, exclude
    variants, by a file of ids or a list
contig, region
    names of contigs; "chr:from-to", one or several
maf_min, missing_max
    least minor allele frequency and largest share of missing calls, in the samples that are left
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import xarray as xr

from daskgen.genotypes.operator import GenotypeOperator
from daskgen.genotypes.pca import principal_components, project_components
from daskgen.genotypes.reader import Genotypes
from daskgen.genotypes.selection import Selection, select
from daskgen.genotypes.source import open_source
from daskgen.genotypes.stats import sample_statistics, variant_statistics
from daskgen.inputs.arguments import known_arguments
from daskgen.stores import StoreLike

__all__ = ["GenotypeOperator", "operator", "pca", "sample_stats", "variant_stats"]


@known_arguments(*Selection.__dataclass_fields__)
def operator(
    genotypes: Genotypes,
    *,
    scale: str = "empirical",
    alpha: float = -1.0,
    weights: np.ndarray | None = None,
    components: Mapping[str, Any] | None = None,
    dosage: str | bool = "auto",
    memory_limit: int | str | None = None,
    cache: bool = True,
    **selection: Any,
) -> GenotypeOperator:
    """Streamed products with the standardised genotypes Z (samples x variants) and with K = Z W Z' / c.

    z = (x - mu) v^(alpha / 2), mu the mean of the called genotypes x of the analysed samples, v their variance
    ("empirical", ddof 0) or 2 p (1 - p) ("hwe"); missing calls are at the mean; W = diag(weights), c the number of
    variants with positive variance in these samples.

    Parameters
    ----------
    genotypes
        Path of a store, or a Dataset (`open_store`, `conversion.open`, or any with sgkit's names).
    scale, alpha
        As above; ``alpha=-1`` standardises, ``alpha=0`` leaves allele counts.
    weights
        float (variants,), at least 0; default 1.
    components
        name -> indices or boolean mask of variants (of those selected); products then have a leading component axis.
    dosage
        "auto": dosages where the source has them, else hard calls; True, False.
    memory_limit
        Bytes, or text such as "4GB", for all local processes; what is left after the work space keeps packed chunks.
    cache
        False reads the store again in every pass.
    selection
        keep, remove, extract, exclude, contig, region, maf_min, missing_max (see `daskgen.genotypes`).

    Returns
    -------
    GenotypeOperator
        ``.kv(V)`` (samples, r), ``.ztv(V)`` (variants, r), ``.zs(S)`` (samples, r), ``.diagonal()``, ``.trace()``,
        all float64; ``.plan(r)`` says what a pass reads and needs.
    """
    view = select(
        open_source(genotypes),
        Selection(**selection),
        dosage=dosage,
        scale=scale,
        alpha=alpha,
        memory_limit=memory_limit,
    )
    return GenotypeOperator(view, weights=weights, components=components, memory_limit=memory_limit, cache=cache)


@known_arguments(*Selection.__dataclass_fields__)
def pca(
    genotypes: Genotypes,
    n: int = 20,
    *,
    project: Genotypes | None = None,
    scale: str = "empirical",
    dosage: str | bool = "auto",
    loadings: bool = True,
    tol: float = 1e-5,
    max_passes: int = 200,
    memory_limit: int | str | None = None,
    cache: bool = True,
    seed: int = 0,
    checkpoint: StoreLike | None = None,
    keep_checkpoint: bool = False,
    **selection: Any,
) -> xr.Dataset:
    """Principal components of standardised genotypes, by block Lanczos on K = Z Z' / c.

    One pass over the genotypes per block step, all components together, until the residual norms ||K u - lambda u||
    are below `tol` times the largest eigenvalue; a pass more for the loadings.

    Parameters
    ----------
    genotypes
        Path or Dataset.
    n
        Number of components.
    project
        Other genotypes, whose samples are projected with the means and scale factors of the first; variants are
        matched by contig, position and alleles, flips are handled. The result then also has
        `projected_scores` (projected_sample, component).
    scale
        "empirical" or "hwe" (plink2 and GCTA divide by 2 p (1 - p)).
    loadings
        False leaves out the loadings (variants x components float64 in memory).
    tol, max_passes, seed
        Stopping rule; seed of the random first block (the result does not depend on it beyond `tol`).
    checkpoint
        A file in which the state is kept after passes, so that a killed run goes on.
    keep_checkpoint
        Leave the file when all is done, for who has still to write the result.
    dosage, memory_limit, cache, selection
        As in `operator`.

    Returns
    -------
    xarray.Dataset
        scores (sample, component) = unit eigenvector u times sqrt(lambda), equal to Z v / sqrt(c) with v the unit
        loadings; variances (component,) = eigenvalues of K; variance_share = variances / tr(K); residual;
        loadings, mean, factor (variant). The largest score of each component is positive.

    Raises
    ------
    UsageError, InputError
        n out of range; nothing left to analyse.

    Where `max_passes` did not do, a warning is logged and the result's attribute `converged` is False.
    """
    source = open_source(genotypes)
    view = select(source, Selection(**selection), dosage=dosage, scale=scale, memory_limit=memory_limit)
    products = GenotypeOperator(view, memory_limit=memory_limit, cache=cache)
    other = None if project is None else open_source(project)
    result = principal_components(
        source,
        products,
        n,
        tol=tol,
        max_passes=max_passes,
        loadings=loadings or other is not None,
        seed=seed,
        checkpoint=checkpoint,
        keep_checkpoint=keep_checkpoint,
    )
    if other is None:
        return result
    projected = project_components(source, view, other, result)
    return result.assign(
        projected_scores=(("projected_sample", "component"), projected["scores"].values),
    ).assign_coords(projected_sample_id=("projected_sample", other.sample_id))


@known_arguments(*Selection.__dataclass_fields__)
def variant_stats(genotypes: Genotypes, *, dosage: str | bool = "auto", **selection: Any) -> xr.Dataset:
    """Counts, allele frequency, missingness and Hardy-Weinberg test per variant; lazy (a Dask-backed Dataset).

    variant_n_hom_ref, variant_n_het, variant_n_hom_alt: diploid calls with 0, 1, 2 counted alleles;
    variant_n_hap_ref, variant_n_hap_alt: haploid calls (males on X outside the pseudo-autosomal regions and on Y,
    everybody on MT); variant_n_het_haploid: heterozygous haploid calls, which count as missing; variant_n_missing;
    variant_n_called; variant_allele_number: alleles counted; variant_allele_frequency: of the counted allele, from
    dosages where they are used (autosomes); variant_hwe_p: exact test (Wigginton et al. 2005).
    Conventions are plink2's. `dosage` and selections as in `operator`.
    """
    source = open_source(genotypes)
    return variant_statistics(source, select(source, Selection(**selection), dosage=dosage))


@known_arguments(*Selection.__dataclass_fields__)
def sample_stats(genotypes: Genotypes, **selection: Any) -> xr.Dataset:
    """Calls by code, call rate, heterozygosity and inbreeding coefficient F per sample.

    F = (O - E) / (N - E): O homozygous calls on autosomes, E = sum over the sample's called autosomal variants of
    1 - 2 p (1 - p), N called autosomal variants (plink2 --het). Two passes. Selections as in `operator`.
    """
    source = open_source(genotypes)
    return sample_statistics(source, select(source, Selection(**selection), dosage=False))
