"""Random chunks of genotypes for the products, with the float64 answers: shared by the CPU and the CUDA tests."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from daskgen.kernels import genotype_products as products
from daskgen.kernels.genotype_codes import DOSAGE_MISSING, DOSAGE_SCALE, pack
from tests.oracles import genotypes as oracle

KINDS = ("packed", "dosage")


@dataclass
class Case:
    """Genotypes as the kernels take them, the dense sides, and Z in float64."""

    genotypes: np.ndarray
    table: np.ndarray
    v: np.ndarray  # (samples, r)
    s: np.ndarray  # (variants, r)
    weights: np.ndarray  # (variants,)
    z: np.ndarray  # (samples, variants)

    @property
    def n_samples(self) -> int:
        return len(self.v)

    def length(self) -> int:
        return len(products.plane_order(self.n_samples, 4))

    def close(self, found: np.ndarray, *factors: np.ndarray) -> None:
        """`found` is the product of the factors, up to float32's rounding of each of its terms."""
        exact, size = np.linalg.multi_dot([*factors]), np.linalg.multi_dot([np.abs(f) for f in factors])
        assert found.dtype == np.float64
        assert found.shape == exact.shape
        assert np.all(np.abs(found - exact) <= 1e-6 * size + 1e-30)


def case(kind: str, n_samples: int, n_variants: int, r: int, *, codes: np.ndarray | None = None, seed: int = 0) -> Case:
    """A chunk with missing calls (or with these `codes`), and dense sides of `r` columns."""
    rng = np.random.default_rng([seed, n_samples, n_variants, r])
    if codes is None:
        codes = rng.choice(4, (n_variants, n_samples), p=[0.4, 0.35, 0.2, 0.05])
    mean, scale = rng.uniform(0, 2, n_variants), rng.uniform(0.5, 4, n_variants)
    if kind == "packed":
        genotypes, table = pack(codes.astype(np.int8)), products.value_table(mean, scale)
        values = codes
    else:
        steps = np.minimum(codes * DOSAGE_SCALE + rng.integers(0, 5000, codes.shape), 2 * DOSAGE_SCALE)
        genotypes = np.where(codes == oracle.MISSING, DOSAGE_MISSING, steps).astype(np.uint16)
        table = products.dosage_table(mean, scale)
        values = np.where(codes == oracle.MISSING, np.nan, steps / DOSAGE_SCALE)
    return Case(
        genotypes,
        table,
        rng.standard_normal((n_samples, r)),
        rng.standard_normal((n_variants, r)),
        rng.uniform(0.1, 1, n_variants),
        oracle.standardised(values, mean, scale),
    )
