"""What is known before the priors are: the genotypes of the samples with records, the design, blocks, iterations."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from daskgen import limits
from daskgen.bayes.blocks import Blocks, make_blocks
from daskgen.bayes.holding import Place, place_of
from daskgen.bayes.inputs import Inputs
from daskgen.bayes.loading import GenotypeSet, OpenedSet, load_sets
from daskgen.bayes.random_terms import random_term
from daskgen.bayes.records import Design, make_design
from daskgen.bayes.settings import Settings, iterations_of
from daskgen.errors import InputError, UsageError

__all__ = ["Prepared", "check_phenotype", "prepare"]


@dataclass(frozen=True, eq=False)
class Prepared:
    """What is known before the priors are. name: of the trait or traits; used: bool (records,); with_records: bool
    (samples,), those whose mean centres the genotypes; set_start: int64 (sets + 1,), the markers of each set. n_given:
    samples of the genotypes, of which there may be copies.
    """

    name: str
    used: np.ndarray
    with_records: np.ndarray
    loaded: Sequence[GenotypeSet]
    set_start: np.ndarray
    design: Design
    blocks: Blocks
    iterations: int
    draws: int
    threads: int
    n_traits: int
    place: Place
    n_given: int

    @property
    def n_samples(self) -> int:
        return len(self.with_records)

    def heterozygosity(self, number: int) -> np.ndarray:
        """2 p (1 - p) of the markers of a set."""
        frequency = self.loaded[number].frequency
        return 2 * frequency * (1 - frequency)


def check_phenotype(name: str, phenotype: np.ndarray, used: np.ndarray) -> None:
    """InputError where the phenotype (records,) has fewer than two values or is constant in the `used` records."""
    values = phenotype[used & ~np.isnan(phenotype)]
    if len(values) < 2:
        raise InputError(
            f"{name}: too few samples have a phenotype, all covariates and genotypes.",
            found=f"{len(values)} of {len(phenotype):,} ({int((~np.isnan(phenotype)).sum()):,} have a phenotype)",
            expected="2 or more",
        )
    if np.ptp(values) == 0:
        raise InputError(f"{name} is constant in the analysed samples.", found=f"{values[0]:g}")


def prepare(
    name: str,
    used: np.ndarray,
    with_records: np.ndarray,
    inputs: Inputs,
    sets: Sequence[OpenedSet],
    settings: Settings,
    random_variance: float,
    n_traits: int = 1,
) -> Prepared:
    """Genotypes, the design of the records where `used`, bool (records,), blocks and numbers of iterations.

    with_records: bool (samples of the sets,), see `Prepared`; random_variance: start value of the variance of each
    random term.
    """
    terms = [
        random_term(term, levels, used, inputs.precisions.get(term), random_variance)
        for term, levels in inputs.levels.items()
    ]
    design = make_design(inputs.fixed, terms, used, intercept=True)
    n_training, given = int(with_records.sum()), np.cumsum([0, *(one.n_variants for one in sets)])
    iterations_of(settings, make_blocks(settings.blocks, given, n_training, settings.schedule))  # of all: errors first
    place = place_of(sets, settings, n_traits)
    loaded = load_sets(
        list(sets), with_records, center=settings.center, maf_min=settings.maf_min, in_store=place != "memory"
    )
    set_start = np.concatenate([[0], np.cumsum([one.n_markers for one in loaded])]).astype(np.int64)
    blocks = make_blocks(settings.blocks, set_start, n_training, settings.schedule)
    iterations = iterations_of(settings, blocks)
    draws = (iterations - settings.burn_in) // settings.thin
    if draws < 1:
        raise UsageError(
            "no draw would be saved.", found=f"{iterations - settings.burn_in} iterations, thin {settings.thin}"
        )
    return Prepared(
        name,
        used,
        with_records,
        loaded,
        set_start,
        design,
        blocks,
        iterations,
        draws,
        limits.cores(),
        n_traits,
        place,
        inputs.n_samples,
    )
