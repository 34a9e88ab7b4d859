"""What sgkit computes from a cohort: run in any environment that has sgkit, and nothing of daskgen.

``python sgkit_numbers.py GROUP.vcz OUT.npz DOSAGE`` opens a VCF Zarr group with that environment's sgkit and xarray;
the tests call `numbers` on a Dataset of daskgen.
"""

from __future__ import annotations

import sys

import numpy as np


def numbers(ds, dosage):
    """Results by name, NumPy arrays. `ds`: a Dataset with calls; `dosage`: name of its array of dosages."""
    import sgkit

    if dosage not in ds:  # hard calls only: the dosage is the number of alternate alleles, NaN where missing
        calls = ds["call_genotype"]
        ds = ds.assign({dosage: calls.sum("ploidy").where((calls >= 0).all("ploidy")).astype("float32")})
    found = {}
    variants = sgkit.variant_stats(ds).compute()
    for name in ("n_called", "call_rate", "n_het", "n_hom_ref", "n_hom_alt", "allele_count", "allele_frequency"):
        found[f"variant_{name}"] = variants[f"variant_{name}"].values
    samples = sgkit.sample_stats(ds).compute()
    for name in ("n_called", "call_rate", "n_het", "n_hom_ref", "n_hom_alt"):
        found[f"sample_{name}"] = samples[f"sample_{name}"].values
    found["hwe"] = sgkit.hardy_weinberg_test(ds)["variant_hwe_p_value"].values

    # The others take no missing value and no variant that is the same in everybody.
    good = (found["variant_n_called"] == ds.sizes["samples"]) & (found["variant_n_het"] > 0)
    full = ds.isel(variants=np.flatnonzero(good))
    rng = np.random.default_rng(8)
    frequency = found["variant_allele_frequency"][good, 1]
    full = full.assign(
        frequency=("variants", frequency),
        trait=("samples", rng.standard_normal(ds.sizes["samples"])),
        covariate=("samples", rng.standard_normal(ds.sizes["samples"])),
    )
    related = sgkit.genomic_relationship(full, call_dosage=dosage, ancestral_frequency="frequency")
    found["relationship"] = related["stat_genomic_relationship"].values
    # One chunk of samples: the regression solves for all of them at once.
    whole = full.chunk({"samples": -1})
    scan = sgkit.gwas_linear_regression(
        whole, dosage=dosage, covariates=["covariate"], traits=["trait"], add_intercept=True
    )
    for name in ("beta", "t_value", "p_value"):
        found[f"linreg_{name}"] = scan[f"variant_linreg_{name}"].values
    counted = sgkit.stats.pca.count_call_alternate_alleles(whole)
    components = sgkit.pca(counted.chunk({"variants": -1, "samples": -1}), n_components=3)
    found["pca_variance"] = components["sample_pca_explained_variance"].values
    found["pca_projection"] = np.abs(components["sample_pca_projection"].values)  # the sign is nobody's
    windows = sgkit.window_by_variant(whole, size=10)
    ld = sgkit.ld_matrix(windows, dosage=dosage).compute()
    for name in ("i", "j", "value"):
        found[f"ld_{name}"] = ld[name].to_numpy()
    return found


if __name__ == "__main__":
    import sgkit

    group, out, name = sys.argv[1:]
    np.savez(out, sgkit=sgkit.__version__, **numbers(sgkit.load_dataset(group), name))
