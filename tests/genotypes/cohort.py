"""Small cohorts that the tests make, as stores and as Datasets."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import dask.array as da
import numpy as np
import xarray as xr

from daskgen.kernels import genotype_codes as codes
from daskgen.stores import ArrayPlan, RunKey, StoreWriter


def random_calls(n_variants: int, n_samples: int, *, missing: float = 0.03, seed: int = 0) -> np.ndarray:
    """int8 (variants, samples), -1 missing; with a monomorphic, an all-heterozygous and an all-missing variant."""
    generator = np.random.default_rng(seed)
    p = generator.uniform(0.05, 0.95, n_variants)
    calls = generator.binomial(2, p[:, None], (n_variants, n_samples)).astype(np.int8)
    calls[generator.random(calls.shape) < missing] = -1
    for row, value in ((3, 0), (5, 1), (7, -1)):
        if n_variants > row:
            calls[row] = value
    return calls


def structured_calls(n_variants: int, n_samples: int, *, populations: int = 3, seed: int = 0) -> np.ndarray:
    """Calls of samples from populations whose allele frequencies differ: a few large components."""
    generator = np.random.default_rng(seed)
    ancestral = generator.uniform(0.1, 0.9, n_variants)
    drift = generator.normal(0, 0.12, (n_variants, populations))
    p = np.clip(ancestral[:, None] + drift, 0.02, 0.98)
    return generator.binomial(2, p[:, np.arange(n_samples) % populations]).astype(np.int8)


def ids(prefix: str, n: int) -> np.ndarray:
    return np.array([f"{prefix}{i}" for i in range(n)], dtype=object)


def store(
    path: Path | str,
    calls: np.ndarray,
    *,
    rows: int = 64,
    dosage: np.ndarray | None = None,
    sex: np.ndarray | None = None,
    ploidy_class: np.ndarray | None = None,
    contig: np.ndarray | None = None,
    position: np.ndarray | None = None,
    allele: np.ndarray | None = None,
) -> str:
    """A genotypes store of these calls; chunks of `rows` variants."""
    m, n = calls.shape
    packed = codes.pack(calls)
    contig = np.zeros(m, np.int32) if contig is None else contig.astype(np.int32)
    x = np.where(calls < 0, np.nan, calls).astype(float)
    called = (calls >= 0).sum(axis=1)
    columns: dict[str, np.ndarray] = {
        "variant_contig": contig,
        "variant_position": (np.arange(1, m + 1) if position is None else position).astype(np.int32),
        "variant_genetic_position": np.zeros(m),
        "variant_id": ids("rs", m),
        "variant_allele": np.array([["A", "G"]] * m, dtype=object).reshape(m, 2) if allele is None else allele,
        "variant_ploidy_class": np.zeros(m, np.uint8) if ploidy_class is None else ploidy_class.astype(np.uint8),
        "variant_allele_frequency": np.where(
            called > 0, np.nansum(x, axis=1) / np.maximum(2 * called, 1), np.nan
        ).astype(np.float32),
        "variant_n_called": called.astype(np.int32),
        "variant_n_het": (calls == 1).sum(axis=1).astype(np.int32),
        "sample_id": ids("s", n),
        "sample_family_id": ids("f", n),
        "sample_paternal_id": np.full(n, "0", dtype=object),
        "sample_maternal_id": np.full(n, "0", dtype=object),
        "sample_sex": np.zeros(n, np.int8) if sex is None else sex.astype(np.int8),
        "sample_phenotype": np.full(n, np.nan),
        "contig_id": np.array([str(i + 1) for i in range(int(contig.max()) + 1)], dtype=object),
        "contig_role": np.zeros(int(contig.max()) + 1, np.uint8),
    }
    plans = [
        ArrayPlan(
            "call_genotype_packed",
            packed.shape,
            "uint8",
            ("variants", "packed_samples"),
            (min(rows, m), packed.shape[1]),
            fill_value=255,
            compression=None,
        )
    ]
    dims = {"variant": "variants", "sample": "samples", "contig": "contigs"}
    for name, column in columns.items():
        shape = (dims[name.split("_")[0]],) + (("alleles",) if column.ndim == 2 else ())
        dtype: Any = "string" if column.dtype == object else column.dtype
        plans.append(ArrayPlan(name, column.shape, dtype, shape, column.shape))
    stages = ["call_genotype_packed"]
    if dosage is not None:
        plans.append(
            ArrayPlan(
                "call_dosage", calls.shape, "uint16", ("variants", "samples"), (min(rows, m), n), fill_value=65535
            )
        )
        stages.append("call_dosage")
    run = RunKey("test", {"calls": calls})
    with StoreWriter(
        path, kind="genotypes", arrays=plans, run=run, attrs={"n_samples": n, "counted_allele": "A1"}
    ) as writer:
        stage = writer.stage("calls", arrays=stages, blocks={"variants": min(rows, m)})
        for i in stage.pending:
            part = stage.target.ranges(i)["variants"]
            blocks = {"call_genotype_packed": packed[part]}
            if dosage is not None:
                blocks["call_dosage"] = codes.quantise_dosage(dosage[part].astype(np.float32))
            stage.target.write(i, blocks)
        writer.write("columns", **columns)
        writer.finish()
    return str(path)


def dataset(calls: np.ndarray, chunks: int = 50) -> xr.Dataset:
    """A Dataset as sgkit would make it."""
    both = np.stack([np.where(calls < 0, -1, calls > 1), np.where(calls < 0, -1, calls > 0)], axis=2).astype(np.int8)
    return xr.Dataset(
        {
            "call_genotype": (("variants", "samples", "ploidy"), da.from_array(both, chunks=(chunks, chunks, 2))),
            "sample_id": ("samples", ids("s", calls.shape[1])),
            "variant_id": ("variants", ids("rs", calls.shape[0])),
        }
    )
