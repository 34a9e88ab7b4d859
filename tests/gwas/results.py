"""Results per variant with known content."""

from __future__ import annotations

from typing import Any

import numpy as np
import xarray as xr

import daskgen.gwas.accessor  # noqa: F401  (these Datasets are not made by daskgen, which would register it)

STATUS = {"valid": [0, 1], "table": {"0": "converged", "1": "smoothed", "2": "did not converge", "5": "bad input"}}


def result(n: int = 5_000, *, seed: int = 0, chunk: int | None = None, positions: bool = True) -> xr.Dataset:
    """Two effects per variant; some strong ones, some fits that failed; lazy in chunks of `chunk` variants if given."""
    generator = np.random.default_rng(seed)
    z = generator.normal(size=(2, n)) * 1.1
    z[0, generator.choice(n, min(n, 12), replace=False)] += 9.0
    z[0, n // 3] = 60.0  # p is no floating-point number any more
    se = generator.uniform(0.01, 0.02, (2, n))
    estimate = z * se
    status = np.zeros(n, np.int16)
    status[5::501] = 1
    status[7::501] = 2
    status[9::501] = 5
    estimate[:, status == 5] = se[:, status == 5] = np.nan
    contig = np.sort(generator.integers(0, 3, n)).astype(np.int32)
    data: dict[str, Any] = {
        "estimate": (("parameter", "variant"), estimate),
        "se": (("parameter", "variant"), se),
        "chisq": ("variant", generator.chisquare(5, n)),
        "chisq_df": ((), np.int32(5)),
        "aic": ("variant", generator.normal(size=n)),
        "q_snp": (("factor", "variant"), generator.chisquare(2, (2, n))),
        "q_snp_df": ("factor", np.array([2, 3], np.int32)),
        "status": ("variant", status, STATUS),
        "parameter": ("parameter", ["F1~SNP", "T2~SNP"]),
        "factor": ("factor", ["F2", "F1"]),
        "variant_id": ("variant", np.array([f"rs{i}" for i in range(n)], dtype=object)),
        "variant_allele": (("variant", "allele"), np.array([["A", "G"]] * n, dtype=object)),
        "maf": ("variant", generator.uniform(0.01, 0.5, n)),
    }
    if positions:
        data["variant_contig"] = ("variant", contig)
        data["variant_position"] = ("variant", (1_000 + 300 * np.arange(n)).astype(np.int32))
        data["contig_id"] = ("contig", np.array(["1", "2", "X", "Y"], dtype=object))
    dataset = xr.Dataset(data, attrs={"kind": "gwas", "arguments": {"model": "F1 =~ A"}}).set_coords("variant_id")
    return dataset if chunk is None else dataset.chunk({"variant": chunk})
