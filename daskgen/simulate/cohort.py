"""A simulated cohort: any part of it can be made in any order, and is the same each time.

The model, with j a variant, k a population, h a haplotype:

    frequency     p_j ~ Uniform(maf)                                of the counted allele
    drift         p_jk ~ Beta(p_j (1 - F) / F, (1 - p_j) (1 - F) / F)       one population: p_jk = p_j
    haplotypes    a new segment begins at each variant with probability 1 - rho; it has U ~ Uniform(0, 1), and its
                  variants have the counted allele where U < p_jk, at mirrored variants (half of them) 1 - U < p_jk
    families      full sibs get a recombined haplotype of each of two parents, which are not in the cohort
    missing       each call is lost with the same probability, independently

So variants d apart on a contig have D' = +rho^d, or -rho^d if one of the two is mirrored, and in a population without
families

    r^2 = rho^(2 d) (min(p, q) - p q)^2 / (p (1 - p) q (1 - q))             both or neither mirrored
    r^2 = rho^(2 d) (max(0, p + q - 1) - p q)^2 / (p (1 - p) q (1 - q))     one mirrored

with p, q their frequencies. Every number is a function of the seed, its purpose, the variant and the sample
(`kernels.simulation`), not of chunks, threads or workers.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from daskgen.kernels import simulation
from daskgen.kernels.philox import as_uniform, philox_key, philox_words
from daskgen.simulate.genome import Genome

__all__ = ["Cohort"]

Text = np.dtypes.StringDType()


@dataclass(frozen=True)
class Cohort:
    """The cohort of the given parameters (see `simulate.genotypes`). family_size: None for unrelated samples."""

    n_samples: int
    genome: Genome
    seed: int
    missing_rate: float
    maf: tuple[float, float]
    ld: float
    family_size: int | None
    n_populations: int
    fst: float

    @property
    def n_variants(self) -> int:
        return self.genome.n_variants

    # -- founders ------------------------------------------------------------------------------------------
    @property
    def samples_per_group(self) -> int:
        """Samples that share a group of four founder haplotypes: two unrelated ones, or the sibs of a family."""
        return self.family_size or 2

    @cached_property
    def population_bounds(self) -> np.ndarray:
        """int64 (populations + 1,): population k has the groups of founders from bound k to bound k + 1 - 1."""
        n_groups = -(-self.n_samples // self.samples_per_group)
        return np.arange(self.n_populations + 1) * n_groups // self.n_populations

    @cached_property
    def _key(self) -> np.ndarray:
        return philox_key(self.seed, "genotypes")

    # -- variants ------------------------------------------------------------------------------------------
    def _words(self, start: int, stop: int) -> np.ndarray:
        counters = np.zeros((stop - start, 4), np.uint32)
        counters[:, 0] = np.arange(start, stop)
        counters[:, 3] = simulation.VARIANTS
        return philox_words(self._key, counters)

    def frequency(self, start: int, stop: int) -> np.ndarray:
        """p: float64 (stop - start,)."""
        words = self._words(start, stop)
        low, high = self.maf
        return low + (high - low) * as_uniform(words[:, 0], words[:, 1])

    def population_frequency(self, start: int, stop: int) -> np.ndarray:
        """p_k: float64 (stop - start, populations)."""
        frequency = self.frequency(start, stop)
        if self.n_populations == 1:
            return frequency[:, None]
        return simulation.drift(frequency, self.fst, self.n_populations, self._key, start)

    def mirrored(self, start: int, stop: int) -> np.ndarray:
        """bool (stop - start,): variants whose counted allele is on the upper end of the segment's U."""
        return (self._words(start, stop)[:, 2] & 1).astype(bool)

    def position(self, start: int, stop: int) -> np.ndarray:
        """int32 (stop - start,): base pairs."""
        return self.genome.position(start, stop, as_uniform(self._words(start, stop)[:, 3]))

    def alleles(self, start: int, stop: int) -> np.ndarray:
        """Text (stop - start, 2): two different bases."""
        word = self._words(start, stop)[:, 2].astype(np.int64) >> 1
        other = word % 4
        counted = (other + 1 + (word >> 2) % 3) % 4
        return np.array(list("ACGT"), dtype=Text)[np.stack([other, counted], axis=1)]

    def variant_columns(self, start: int, stop: int) -> dict[str, np.ndarray]:
        """The columns of a genotypes store that don't depend on the calls, and those of the truth."""
        position = self.position(start, stop)
        columns = {
            "variant_contig": self.genome.contig(start, stop).astype(np.int32),
            "variant_position": position,
            "variant_genetic_position": self.genome.centimorgan(position),
            "variant_id": np.array([f"rs{number}" for number in range(start + 1, stop + 1)], dtype=Text),
            "variant_allele": self.alleles(start, stop),
            "variant_ploidy_class": np.zeros(stop - start, np.uint8),
            "variant_true_frequency": self.frequency(start, stop),
            "variant_mirrored": self.mirrored(start, stop).astype(np.uint8),
        }
        if self.n_populations > 1:
            columns["variant_population_frequency"] = self.population_frequency(start, stop)
        return columns

    # -- calls ---------------------------------------------------------------------------------------------
    def packed(self, start: int, stop: int) -> np.ndarray:
        """Packed codes of the variants from `start` on: uint8 (stop - start, ceil(n_samples / 4))."""
        rows, contig = np.arange(start, stop), self.genome.contig(start, stop)
        mosaic = simulation.Mosaic(
            key=self._key,
            first=start,
            contig_first=int(self.genome.edges[contig[0]]),
            rho=self.ld,
            is_first=self.genome.edges[contig] == rows,
            mirrored=self.mirrored(start, stop),
            frequency=self.population_frequency(start, stop),
            bounds=self.population_bounds,
        )
        if self.family_size is None:
            packed = simulation.unrelated(mosaic, self.n_samples)
        else:
            morgan = self.genome.centimorgan(self.position(start, stop)) / 100
            packed = simulation.gene_drop(mosaic, self.n_samples, self.family_size, contig, morgan)
        simulation.set_missing(packed, self.n_samples, self._key, start, self.missing_rate)
        return packed

    # -- samples -------------------------------------------------------------------------------------------
    def sample_columns(self, start: int = 0, stop: int | None = None) -> dict[str, np.ndarray]:
        """The columns of the samples from `start` on. Parents of sibs have names, but are not in the cohort.

        Samples of one population follow each other: `sample_population`, where there are several.
        """
        numbers = np.arange(start, self.n_samples if stop is None else stop)
        size = self.family_size
        if size is None:
            ids = families = [f"s{i + 1}" for i in numbers]
            fathers = mothers = ["0"] * len(numbers)
        else:
            families = [f"f{i // size + 1}" for i in numbers]
            ids = [f"f{i // size + 1}_{i % size + 1}" for i in numbers]
            fathers, mothers = ([f"{family}_{parent}" for family in families] for parent in ("father", "mother"))
        counters = np.zeros((len(numbers), 4), np.uint32)
        counters[:, 0] = numbers
        sex = 1 + (philox_words(philox_key(self.seed, "sex"), counters)[:, 0] & 1)
        columns = {
            "sample_id": np.array(ids, dtype=Text),
            "sample_family_id": np.array(families, dtype=Text),
            "sample_paternal_id": np.array(fathers, dtype=Text),
            "sample_maternal_id": np.array(mothers, dtype=Text),
            "sample_sex": sex.astype(np.int8),
            "sample_phenotype": np.full(len(numbers), np.nan),
        }
        if self.n_populations > 1:
            group = numbers // self.samples_per_group
            population = np.searchsorted(self.population_bounds, group, side="right") - 1
            columns["sample_population"] = population.astype(np.int32)
        return columns
