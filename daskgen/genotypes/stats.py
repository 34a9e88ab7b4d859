"""Counts, frequencies, missingness and Hardy-Weinberg tests per variant; call rate and heterozygosity per sample."""

from __future__ import annotations

from typing import Any

import dask.array as da
import numpy as np
import xarray as xr
from dask.tokenize import tokenize

from daskgen.genotypes.operator import GenotypeOperator
from daskgen.genotypes.source import AUTOSOME, MT, UNPLACED, GenotypeSource, X, Y
from daskgen.genotypes.view import GenotypeView
from daskgen.kernels import genotype_codes as codes
from daskgen.kernels import genotype_products as products
from daskgen.kernels.hardy_weinberg import exact_p
from daskgen.passes import leaf_bounds, n_leaves

__all__ = ["sample_statistics", "variant_counts", "variant_statistics"]

MALE = 1

COLUMNS = (
    "n_hom_ref",
    "n_het",
    "n_hom_alt",
    "n_hap_ref",
    "n_hap_alt",
    "n_missing",
    "n_het_haploid",
    "allele_number",
    "allele_frequency",
    "hwe_p",
)


def variant_counts(counts: np.ndarray, male_counts: np.ndarray, ploidy_class: np.ndarray) -> dict[str, np.ndarray]:
    """The columns of `COLUMNS` (without allele_frequency of dosages) from counts of codes.

    counts, male_counts: (variants, 4) samples with code 0, 1, 2, 3, of all samples and of males; ploidy_class:
    uint8 (variants,). The conventions are plink2's: on X outside the pseudo-autosomal regions males are haploid,
    on Y only males count, mitochondria are haploid in everybody; a heterozygous haploid call counts as missing.
    The Hardy-Weinberg test uses the diploid calls of autosomes, on X those of females, else it is NaN.
    """
    c, male = counts.astype(np.int64), male_counts.astype(np.int64)
    is_x, is_y, is_mt = (ploidy_class == k for k in (X, Y, MT))
    haploid = np.where(is_x[:, None] | is_y[:, None], male, np.where(is_mt[:, None], c, 0))
    diploid = np.where(is_x[:, None], c - male, np.where((is_y | is_mt)[:, None], 0, c))
    hap_ref, hap_het, hap_alt = haploid[:, 0], haploid[:, 1], haploid[:, 2]
    number = 2 * diploid[:, :3].sum(axis=1) + hap_ref + hap_alt
    with np.errstate(invalid="ignore", divide="ignore"):
        frequency = (diploid[:, 1] + 2 * diploid[:, 2] + hap_alt) / number
    tested = ~(is_y | is_mt)
    p = np.full(len(c), np.nan)
    p[tested] = exact_p(diploid[tested, 0], diploid[tested, 1], diploid[tested, 2])
    p[diploid[:, :3].sum(axis=1) == 0] = np.nan
    return {
        "n_hom_ref": diploid[:, 0],
        "n_het": diploid[:, 1],
        "n_hom_alt": diploid[:, 2],
        "n_hap_ref": hap_ref,
        "n_hap_alt": hap_alt,
        "n_missing": diploid[:, 3] + haploid[:, 3] + hap_het,
        "n_het_haploid": hap_het,
        "allele_number": number,
        "allele_frequency": frequency,
        "hwe_p": p,
    }


def _leaf_table(
    leaf: np.ndarray, view: GenotypeView, bounds: list[tuple[int, int]], classes: np.ndarray, male: np.ndarray | None
) -> np.ndarray:
    """float64 (variants of the leaf, columns): one task of `variant_statistics`."""
    calls = GenotypeView(view.reader, view.samples, view.variants)
    parts = []
    for index in range(*bounds[int(leaf[0])]):
        block = calls.read_codes(index)
        rows = view.chunk_rows[index][2]
        counts = codes.count_codes(block, view.n_samples)
        males = np.zeros_like(counts)
        if male is not None and ((classes[rows] == X) | (classes[rows] == Y)).any():
            males = codes.count_codes(block, view.n_samples, mask=codes.sample_mask(male, view.n_samples))
        table = variant_counts(counts, males, classes[rows])
        if view.use_dosage:
            sums = view.moments_of(view.read_codes(index))
            plain = (classes[rows] == AUTOSOME) | (classes[rows] == UNPLACED)
            table["allele_frequency"] = np.where(plain, sums.allele_frequency, table["allele_frequency"])
        parts.append(np.stack([table[name].astype(np.float64) for name in COLUMNS], axis=1))
    return np.concatenate(parts)


def variant_statistics(source: GenotypeSource, view: GenotypeView) -> xr.Dataset:
    """Per variant of the view, lazy (one Dask block per leaf of a pass)."""
    bounds = leaf_bounds(view.n_chunks, n_leaves(view.n_chunks, view.n_variants * view.row_bytes, 0))
    rows = view.chunk_rows
    lengths = tuple(rows[b - 1][2].stop - rows[a][2].start for a, b in bounds)
    classes = source.ploidy_class if view.variants is None else source.ploidy_class[view.variants]
    sex = source.column("sample_sex")
    if sex is not None and view.samples is not None:
        sex = sex[view.samples]
    male = None if sex is None else np.flatnonzero(sex == MALE).astype(np.int64)
    table = da.map_blocks(
        _leaf_table,
        da.arange(len(bounds), chunks=1),
        view,
        bounds,
        classes,
        male,
        new_axis=1,
        chunks=(lengths, (len(COLUMNS),)),
        dtype=np.float64,
        meta=np.empty((0, 0)),
        name="variant-stats-" + tokenize(view.key, lengths),
    )
    variables: dict[str, Any] = {}
    for column, name in enumerate(COLUMNS):
        values = table[:, column]
        if name.startswith("n_") or name == "allele_number":
            values = values.astype(np.int32)
        variables[f"variant_{name}"] = ("variants", values)
    counted = sum(
        variables[f"variant_{name}"][1] for name in ("n_hom_ref", "n_het", "n_hom_alt", "n_hap_ref", "n_hap_alt")
    )
    variables["variant_n_called"] = ("variants", counted.astype(np.int32))
    dataset = xr.Dataset(variables, attrs={"n_samples": view.n_samples})
    keep = ("variant_id", "variant_contig", "variant_position", "variant_allele", "contig_id")
    known = source.dataset[[name for name in keep if name in source.dataset]]
    if view.variants is not None:
        known = known.isel(variants=view.variants)
    return dataset.merge(known).set_coords("variant_id" if "variant_id" in known else [])


def sample_statistics(source: GenotypeSource, view: GenotypeView) -> xr.Dataset:
    """Per sample of the view, over its variants (one pass over calls; F needs the allele frequencies before).

    sample_n_hom_ref, sample_n_het, sample_n_hom_alt, sample_n_missing: calls by code; sample_call_rate;
    sample_heterozygosity: het / called on autosomes; sample_inbreeding: F = (O - E) / (N - E), with O homozygous
    calls and E = sum over the sample's called autosomal variants of 1 - 2 p q (plink2 --het), p in these samples.
    """
    calls = GenotypeView(view.reader, view.samples, view.variants)
    operator = GenotypeOperator(calls)
    classes = source.ploidy_class if view.variants is None else source.ploidy_class[view.variants]
    autosomal = classes == AUTOSOME
    p = np.nan_to_num(operator.moments.allele_frequency)
    expected = np.where(autosomal, 1 - 2 * p * (1 - p), 0.0)
    # plink2 leaves monomorphic variants in: O and E grow by the same 1.
    every, on_autosomes, homozygous = operator.runner.run_sum(
        _sample_leaf, len(operator.bounds), calls, operator.bounds, autosomal, expected, label="samples"
    )
    n_auto = on_autosomes[:, :3].sum(axis=1)
    observed = on_autosomes[:, 0] + on_autosomes[:, 2]
    called = every[:, :3].sum(axis=1)
    with np.errstate(invalid="ignore", divide="ignore"):
        variables = {
            "sample_n_hom_ref": every[:, 0],
            "sample_n_het": every[:, 1],
            "sample_n_hom_alt": every[:, 2],
            "sample_n_missing": every[:, 3],
            "sample_n_called": called,
            "sample_call_rate": called / calls.n_variants,
            "sample_heterozygosity": on_autosomes[:, 1] / n_auto,
            "sample_observed_hom": observed,
            "sample_expected_hom": homozygous,
            "sample_inbreeding": (observed - homozygous) / (n_auto - homozygous),
        }
    ids = source.sample_id if view.samples is None else source.sample_id[view.samples]
    return xr.Dataset(
        {name: ("samples", values) for name, values in variables.items()},
        coords={"sample_id": ("samples", ids)},
        attrs={"n_variants": calls.n_variants, "n_autosomal": int(autosomal.sum())},
    )


def _sample_leaf(
    leaf: int, view: GenotypeView, bounds: list[tuple[int, int]], autosomal: np.ndarray, expected: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    n = view.n_samples
    every, on_autosomes = np.zeros((n, 4), np.int64), np.zeros((n, 4), np.int64)
    order = products.plane_order(n, 4 * codes.packed_width(n))
    homozygous = np.zeros((len(order), 1))
    for index in range(*bounds[leaf]):
        block = view.read_codes(index)
        rows = view.chunk_rows[index][2]
        codes.count_codes_per_sample(block, n, every)
        chosen = autosomal[rows]
        if chosen.all():
            part = block
        elif chosen.any():
            part = np.ascontiguousarray(block[chosen])
        else:
            continue
        codes.count_codes_per_sample(part, n, on_autosomes)
        # A table that is 1 where a call is there, 0 where it is missing: sums of `expected` over called variants.
        table = np.broadcast_to(np.array([1, 1, 1, 0], np.float32), (len(part), 4))
        weight = np.ascontiguousarray(expected[rows][chosen][:, None])
        products.zs(part, np.ascontiguousarray(table), weight, homozygous, 4 * codes.packed_width(n), 256)
    return every, on_autosomes, products.from_planes(homozygous, order, n)[:, 0]
