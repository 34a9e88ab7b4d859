"""A per-SNP model that is simple enough to be checked by eye, and stores of summary statistics to run it on."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from daskgen.sem.per_snp import SnpFits, Status
from daskgen.stores import ArrayPlan, RunKey, StoreWriter

TEXT = np.dtypes.StringDType()


@dataclass(frozen=True)
class WeightedLeastSquares:
    """b_i = loading_i theta + e_i with Var(e_i) = se_i^2, independently: theta, its error, and the residual chi-square.

    fail_above: SNPs of a variance above it did not converge; from `singular_above` on they are not identified.
    """

    traits: tuple[str, ...] = ("A", "B", "C")
    loadings: tuple[float, ...] = (0.5, 0.4, 0.7)
    fail_above: float = np.inf
    singular_above: float = np.inf
    smooth: bool = False
    parameters: tuple[str, ...] = ("F1~SNP",)
    factors: tuple[str, ...] = ("F1",)
    bytes_per_snp: int = 500

    fixed = {"F1=~A": 0.5, "F1=~B": 0.4, "F1=~C": 0.7}  # noqa: RUF012  (not a field)
    chisq_df = 2
    q_snp_df = (2,)
    n_parameters = 5

    def fit(self, beta: np.ndarray, se: np.ndarray, variance: np.ndarray) -> SnpFits:
        assert all(array.flags.c_contiguous for array in (beta, se, variance))
        n = beta.shape[1]
        assert (beta.shape, se.shape, variance.shape) == ((len(self.traits), n), (len(self.traits), n), (n,))
        top, bottom, squares = np.zeros(n), np.zeros(n), np.zeros(n)
        with np.errstate(all="ignore"):
            for b, s, loading in zip(beta, se, self.loadings, strict=True):
                top += loading * b / s**2
                bottom += loading**2 / s**2
            theta = top / bottom
            for b, s, loading in zip(beta, se, self.loadings, strict=True):
                squares += ((b - loading * theta) / s) ** 2
            error = 1 / np.sqrt(bottom)
        status = np.full(n, Status.CONVERGED, np.int16)
        status[variance > self.fail_above] = Status.NO_CONVERGENCE
        status[variance > self.singular_above] = Status.NOT_IDENTIFIED
        bad = ~(np.isfinite(theta) & np.isfinite(squares) & (variance > 0) & (se > 0).all(axis=0))
        status[bad] = Status.BAD_INPUT
        out = [np.where(status > Status.NO_CONVERGENCE, np.nan, value) for value in (theta, error, squares)]
        p, f = len(self.parameters), len(self.factors)
        return SnpFits(
            np.stack([(i + 1) * out[0] for i in range(p)]),
            np.stack([out[1]] * p),
            out[2],
            out[2] + 2 * self.n_parameters,
            np.stack([out[2]] * f) if f else np.empty((0, n)),
            np.abs(out[0]) if self.smooth else None,
            status,
        )


def effects(n: int, k: int = 3, *, seed: int = 0, missing: float = 0.0) -> dict[str, np.ndarray]:
    """Columns of n variants on three contigs, and beta, se (k, n) of a common factor at a few of them."""
    generator = np.random.default_rng(seed)
    maf = np.round(generator.uniform(0.05, 0.5, n), 4)
    se = np.sqrt(1 / (20_000.0 * np.arange(1, k + 1)[:, None] * 2 * maf * (1 - maf)))
    theta = np.where(generator.random(n) < 0.01, generator.normal(0, 0.15, n), 0.0)
    beta = np.array([0.5, 0.4, 0.7, 0.3, 0.6][:k])[:, None] * theta + se * generator.normal(size=(k, n))
    if missing:
        lacks = generator.random((k, n)) < missing
        beta[lacks] = se[lacks] = np.nan
    alleles = np.array([["A", "G"], ["C", "T"], ["G", "A"], ["T", "C"]])[generator.integers(0, 4, n)]
    contig = np.sort(generator.integers(0, 3, n)).astype(np.int32)
    position = np.concatenate([np.sort(generator.choice(10**7, (contig == c).sum(), replace=False)) for c in range(3)])
    return {
        "variant_id": np.array([f"rs{i}" for i in range(n)], dtype=TEXT),
        "variant_allele": alleles.astype(TEXT),
        "variant_contig": contig,
        "variant_position": (position + 1).astype(np.int32),
        "maf": maf,
        "beta": beta,
        "se": se,
    }


def write_sumstats(
    path: Path | str,
    columns: dict[str, np.ndarray],
    traits: list[str] | tuple[str, ...] = ("A", "B", "C"),
    *,
    rows: int = 1_000,
    counted: bool = True,
    purpose: str = "gwas",
    force: bool = False,
) -> str:
    """A store of summary statistics as the converters write it, in chunks of `rows` variants."""
    n, k = len(columns["variant_id"]), len(traits)
    rows = max(1, min(rows, n))
    per_variant = [name for name in columns if name not in ("beta", "se")]
    plans = [
        ArrayPlan(
            name,
            columns[name].shape,
            "string" if columns[name].dtype.kind == "T" else columns[name].dtype,
            ("variants", "alleles")[: columns[name].ndim],
            (rows, 2)[: columns[name].ndim],
        )
        for name in per_variant
    ]
    values = ("beta", "se")
    plans += [ArrayPlan(v, (k, n), np.float64, ("traits", "variants"), (1, rows), fill_value=np.nan) for v in values]
    small = {"trait": np.array(traits, dtype=TEXT), "contig_id": np.array(["1", "2", "X"], dtype=TEXT)}
    if counted:
        small["rows_kept"] = (~np.isnan(columns["beta"])).sum(axis=1)
    dims = {"contig_id": ("contigs",)}
    plans += [
        ArrayPlan(name, v.shape, "string" if v.dtype.kind == "T" else v.dtype, dims.get(name, ("traits",)), v.shape)
        for name, v in small.items()
    ]
    run = RunKey("test", {"path": str(path)})
    with StoreWriter(path, kind="sumstats", arrays=plans, run=run, attrs={"purpose": purpose}, force=force) as writer:
        writer.write("traits", trait=small["trait"], **({"rows_kept": small["rows_kept"]} if counted else {}))
        writer.write("contigs", contig_id=small["contig_id"])
        stage = writer.stage("variants", arrays=per_variant, blocks={"variants": rows})
        for index in stage.pending:
            part = stage.target.ranges(index)["variants"]
            stage.target.write(index, {name: columns[name][part] for name in per_variant})
        stage = writer.stage("values", arrays=list(values), blocks={"traits": 1, "variants": rows})
        for index in stage.pending:
            ranges = stage.target.ranges(index)
            block = ranges["traits"], ranges["variants"]
            stage.target.write(index, {name: columns[name][block] for name in values})
        return writer.finish().url
