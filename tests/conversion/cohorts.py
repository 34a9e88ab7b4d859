"""Cohorts that the tests make: copies of the counted allele, and the files that hold them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from tests.oracles.plink import bed_bytes


@dataclass
class Cohort:
    """Copies (variants, samples) int8, -1 missing, and the columns of the tables, made up where they are not given."""

    copies: np.ndarray
    contig: Sequence[str] = ()
    position: Sequence[int] = ()
    sex: Sequence[int] = ()
    sample_id: Sequence[str] = ()
    phenotype: Sequence[str] = ()
    variant_id: Sequence[str] = field(default=())

    def __post_init__(self) -> None:
        m, n = self.copies.shape
        self.contig = self.contig or [str(1 + 3 * i // max(1, m)) for i in range(m)]
        self.position = self.position or [100 * (i + 1) for i in range(m)]
        self.sex = self.sex or [1 + i % 2 for i in range(n)]
        self.sample_id = self.sample_id or [f"I{i}" for i in range(n)]
        self.phenotype = self.phenotype or ["-9"] * n
        self.variant_id = self.variant_id or [f"rs{i}" for i in range(m)]

    def write_bed(self, prefix: Path) -> Path:
        """PREFIX.bed, .bim and .fam; A1 is C, A2 is T."""
        bed = prefix.parent / f"{prefix.name}.bed"
        bed.write_bytes(bed_bytes(self.copies))
        variants = zip(self.contig, self.variant_id, self.position, strict=True)
        bim = [f"{contig}\t{name}\t{i / 8}\t{position}\tC\tT\n" for i, (contig, name, position) in enumerate(variants)]
        (prefix.parent / f"{prefix.name}.bim").write_text("".join(bim))
        samples = zip(self.sample_id, self.sex, self.phenotype, strict=True)
        fam = [f"F{i} {name} 0 M{i} {sex} {phenotype}\n" for i, (name, sex, phenotype) in enumerate(samples)]
        (prefix.parent / f"{prefix.name}.fam").write_text("".join(fam))
        return bed

    def write_pgen(self, prefix: Path, dosage: np.ndarray | None = None) -> Path:
        """PREFIX.pgen, .pvar and .psam; ALT is C, REF is T. dosage: float32 instead of the copies, NaN missing."""
        import pgenlib

        m, n = self.copies.shape
        pgen = prefix.parent / f"{prefix.name}.pgen"
        writer = pgenlib.PgenWriter(
            str(pgen).encode(), n, variant_ct=m, nonref_flags=False, dosage_present=dosage is not None
        )
        for v in range(m):
            if dosage is None:
                writer.append_biallelic(np.where(self.copies[v] < 0, -9, self.copies[v]).astype(np.int8))
            else:
                writer.append_dosages(np.where(np.isnan(dosage[v]), -9, dosage[v]).astype(np.float32))
        writer.close()
        variants = zip(self.contig, self.position, self.variant_id, strict=True)
        pvar = [f"{contig}\t{position}\t{name}\tT\tC\n" for contig, position, name in variants]
        (prefix.parent / f"{prefix.name}.pvar").write_text("##made=here\n#CHROM\tPOS\tID\tREF\tALT\n" + "".join(pvar))
        psam = [f"{name}\t{sex}\n" for name, sex in zip(self.sample_id, self.sex, strict=True)]
        (prefix.parent / f"{prefix.name}.psam").write_text("#IID\tSEX\n" + "".join(psam))
        return pgen


def random_copies(m: int, n: int, seed: int = 0, missing: float = 0.1) -> np.ndarray:
    """Copies in Hardy-Weinberg proportions. Where there is room, one variant is never called and one is monomorphic."""
    rng = np.random.default_rng(seed)
    copies = rng.binomial(2, rng.uniform(0.05, 0.6, (m, 1)), (m, n)).astype(np.int8)
    copies[rng.random((m, n)) < missing] = -1
    if m > 4:
        copies[1], copies[2] = -1, 0
    return copies


def cohort(m: int, n: int, seed: int = 0, **columns: Sequence) -> Cohort:
    """A random cohort of m variants and n samples."""
    return Cohort(random_copies(m, n, seed), **columns)
