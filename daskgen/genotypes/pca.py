"""Principal components of genotypes by block Lanczos on K = Z Z' / c: one pass over the genotypes per block step."""

from __future__ import annotations

import logging

import numpy as np
import xarray as xr

from daskgen.errors import InputError, UsageError
from daskgen.genotypes.matching import match_variants
from daskgen.genotypes.operator import GenotypeOperator
from daskgen.genotypes.source import GenotypeSource
from daskgen.genotypes.view import GenotypeView
from daskgen.linalg.lanczos import Eigenpairs, LanczosState, largest_eigenpairs
from daskgen.passes import Checkpoint, MemoryItem, Plan
from daskgen.stores import RunKey, StoreLike

__all__ = ["principal_components", "project_components"]

log = logging.getLogger("daskgen.genotypes")


def principal_components(
    source: GenotypeSource,
    operator: GenotypeOperator,
    n: int,
    *,
    oversampling: int = 10,
    tol: float = 1e-5,
    max_passes: int = 200,
    loadings: bool = True,
    seed: int = 0,
    checkpoint: StoreLike | None = None,
    keep_checkpoint: bool = False,
) -> xr.Dataset:
    """Scores, loadings and variances of the `n` largest components of the operator's view.

    Raises UsageError for n outside 1 to the number of samples. Where `max_passes` did not do, the result has the
    attribute `converged` False and the checkpoint is kept.
    """
    view = operator.view
    if not 1 <= n <= view.n_samples:
        raise UsageError(
            f"n = {n} components cannot be had of {view.n_samples:,} samples.", expected=f"1 to {view.n_samples:,}"
        )
    if not operator.counted:
        raise InputError("no variant varies in these samples, so there are no components.")
    width = min(n + oversampling, view.n_samples)
    columns = max(6 * width, n + 2 * width)
    pca_plan(operator, n, width, columns).check()
    run = RunKey("pca", {"n": n, "width": width, "seed": seed, "columns": columns}, [view.key])
    saved = Checkpoint(checkpoint, run)
    state = saved.load()
    generator = np.random.Generator(np.random.Philox(key=np.array([seed, 0x504341], dtype=np.uint64)))

    reached: list[LanczosState] = []

    def after(state: LanczosState, distance: float) -> None:
        reached[:] = [state]
        saved.save(state.as_arrays())
        log.info("pass %d: largest residual %.1f times the tolerance", state.passes, distance)

    resumed = None if state is None else LanczosState.from_arrays(state)
    found = largest_eigenpairs(
        lambda block: operator.kv(block, label=f"components of {n}"),
        view.n_samples,
        n,
        start=generator.standard_normal((view.n_samples, width)),
        tol=tol,
        max_passes=max_passes,
        max_basis=columns,
        state=resumed,
        after_pass=after,
    )
    result = _dataset(source, operator, found, loadings)
    if not found.converged:
        # The result is kept and flagged; the state too, so that more passes can be added.
        log.warning(
            "%d components did not converge in %d passes: residual %.2g of the largest eigenvalue, tolerance %g",
            n,
            found.passes,
            float(result["residual"].max()),
            tol,
        )
        return result
    if not keep_checkpoint:
        saved.remove()
    elif reached:
        saved.save(reached[0].as_arrays(), force=True)
    return result


def pca_plan(operator: GenotypeOperator, n: int, width: int, columns: int) -> Plan:
    """The operator's plan with what the iteration itself needs."""
    plan = operator.plan(width, passes=None)
    # Basis, its copy with one block more, and three blocks.
    needed = 8 * operator.n_samples * (2 * columns + 3 * width)
    plan.memory.insert(0, MemoryItem(f"Lanczos basis of {columns} vectors", needed, lower="fewer components (--n)"))
    return plan


def _dataset(source: GenotypeSource, operator: GenotypeOperator, found: Eigenpairs, loadings: bool) -> xr.Dataset:
    view = operator.view
    # The sign is free: the largest score of a component is made positive.
    rows = np.abs(found.vectors).argmax(axis=0)
    vectors = found.vectors * np.sign(found.vectors[rows, np.arange(len(rows))])
    values = np.maximum(found.values, 0)
    ids = source.sample_id if view.samples is None else source.sample_id[view.samples]
    dataset = xr.Dataset(
        {
            "scores": (("sample", "component"), vectors * np.sqrt(values)),
            "variances": ("component", values),
            "variance_share": ("component", values / operator.trace()),
            "residual": ("component", found.residuals / found.values[0]),
        },
        coords={"sample_id": ("sample", ids), "component": np.arange(1, len(values) + 1)},
        attrs={
            "n_variants": int(operator.counted),
            "n_samples": view.n_samples,
            "scale": view.scale,
            "alpha": view.alpha,
            "passes": found.passes,
            "converged": found.converged,
        },
    )
    if loadings:
        with np.errstate(divide="ignore"):
            unit = np.where(values > 0, 1 / np.sqrt(values * float(operator.counted)), 0.0)
        moments = operator.moments
        variant_ids = source.variant_id if view.variants is None else source.variant_id[view.variants]
        dataset["loadings"] = (("variant", "component"), operator.ztv(vectors, label="loadings") * unit)
        dataset = dataset.assign_coords(variant_id=("variant", variant_ids))
        # What a projection of other samples needs.
        dataset["mean"] = ("variant", moments.centre())
        dataset["factor"] = ("variant", moments.factor(view.scale, view.alpha))
    return dataset


def project_components(
    source: GenotypeSource, view: GenotypeView, other: GenotypeSource, fitted: xr.Dataset, *, least_share: float = 0.5
) -> xr.Dataset:
    """Scores of the samples of `other` on fitted components, with the training means and scale factors.

    Score = Z_new v / sqrt(c), v the unit-length loadings; for the training samples this gives their own scores.
    Variants are matched by contig, position and alleles (`matching`); missing ones count as the training mean.
    """
    keys = source.keys()
    if view.variants is not None:
        keys = type(keys)(*(getattr(keys, f)[view.variants] for f in ("contig", "position", "variant_id", "allele")))
    match = match_variants(keys, other.keys(), least_share=least_share)
    mean = fitted["mean"].values[match.reference]
    factor = fitted["factor"].values[match.reference]
    # With the other allele counted, x becomes 2 - x: (2 - x - mean) f = (x - (2 - mean)) (-f).
    mean = np.where(match.flipped, 2 - mean, mean)
    factor = np.where(match.flipped, -factor, factor)
    fixed = GenotypeView(
        other.reader, variants=match.other, use_dosage=view.use_dosage and other.reader.has_dosage, fixed=(mean, factor)
    )
    loadings = fitted["loadings"].values[match.reference]
    scores = GenotypeOperator(fixed).zs(loadings, label="projection") / np.sqrt(fitted.attrs["n_variants"])
    return xr.Dataset(
        {"scores": (("sample", "component"), scores)},
        coords={"sample_id": ("sample", other.sample_id), "component": fitted["component"].values},
        attrs={"share_matched": match.share, "n_matched": len(match.reference)},
    )
