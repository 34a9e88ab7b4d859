"""Summary statistics and LD scores for the tests: read from text files, simulated, and written as stores."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from daskgen.stores import RunKey, write_result
from tests.oracles.ldsc import Scores, Trait

TRAITS = ["T1", "T2", "T3", "T4", "T5", "T6"]
SAMPLE_PREV = [None, 0.5, 0.5, 0.3, None, None]
POPULATION_PREV = [None, 0.05, 0.1, 0.02, None, None]


# Text files ---------------------------------------------------------------------------------------------------------


def read_munged(path: Path) -> Trait:
    table = pd.read_csv(path, sep="\t").dropna()
    return Trait(table["SNP"].tolist(), table["A1"].tolist(), table["Z"].to_numpy(float), table["N"].to_numpy(float))


def read_scores(folder: Path, weights: Path | None = None, chromosomes: range = range(1, 23)) -> Scores:
    parts = [pd.read_csv(folder / f"{c}.l2.ldscore.gz", sep="\t") for c in chromosomes]
    table = pd.concat(parts, ignore_index=True)
    weight = table["L2"]
    if weights is not None:
        other = pd.concat([pd.read_csv(weights / f"{c}.l2.ldscore.gz", sep="\t") for c in chromosomes])
        weight = other.set_index("SNP")["L2"].reindex(table["SNP"])
    m = {c: float((folder / f"{c}.l2.M_5_50").read_text()) for c in chromosomes}
    return Scores(
        table["SNP"].tolist(),
        table["CHR"].tolist(),
        table["BP"].tolist(),
        table["L2"].to_numpy(float),
        weight.to_numpy(float),
        m,
    )


# Datasets and stores ------------------------------------------------------------------------------------------------


def text(values: Any) -> np.ndarray:
    return np.array(values, dtype=object)


def munged_dataset(traits: dict[str, Trait], **columns: Any) -> xr.Dataset:
    """The traits on the union of their variants, in order of first appearance, signs of the first trait's allele."""
    row: dict[str, int] = {}
    allele: list[str] = []
    for trait in traits.values():
        for name, a1 in zip(trait.variant_id, trait.a1, strict=True):
            if name not in row:
                row[name] = len(row)
                allele.append(a1)
    z, n = (np.full((len(traits), len(row)), np.nan) for _ in range(2))
    for i, trait in enumerate(traits.values()):
        at = np.array([row[name] for name in trait.variant_id])
        sign = [1.0 if allele[r] == a1 else -1.0 for r, a1 in zip(at, trait.a1, strict=True)]
        z[i, at], n[i, at] = trait.z * sign, trait.n
    data: dict[str, Any] = {
        "z": (("traits", "variants"), z),
        "n": (("traits", "variants"), n),
        "trait": ("traits", text(list(traits))),
        "variant_id": ("variants", text(list(row))),
        "variant_allele": (("variants", "alleles"), text([["?", a1] for a1 in allele])),
    }
    data |= {
        name: ("traits", text(values) if isinstance(values[0], str) else np.array(values, float))
        for name, values in columns.items()
    }
    return xr.Dataset(data, attrs={"purpose": "ldsc"})


def scores_dataset(scores: Scores, *, separate_weights: bool = True) -> xr.Dataset:
    names = sorted(scores.m)
    data: dict[str, Any] = {
        "variant_id": ("variants", text(scores.variant_id)),
        "variant_contig": ("variants", np.array([names.index(c) for c in scores.contig], np.int32)),
        "variant_position": ("variants", np.array(scores.position, np.int32)),
        "contig_id": ("contigs", text([str(name) for name in names])),
        "annotation": ("annotations", text(["L2"])),
        "ld_score": (("variants", "annotations"), scores.score[:, None]),
        "M_5_50": (("contigs", "annotations"), np.array([[scores.m[name]] for name in names])),
    }
    if separate_weights:
        data["weight"] = ("variants", scores.weight)
    return xr.Dataset(data, attrs={"M_scope": "contig"})


def write(path: Path, dataset: xr.Dataset, kind: str) -> str:
    return write_result(path, dataset, kind=kind, run=RunKey("test", {"path": str(path)})).url


# Simulation ---------------------------------------------------------------------------------------------------------


@functools.cache
def simulated_scores(n_variants: int = 3_000, n_contigs: int = 3, seed: int = 0) -> Scores:
    generator = np.random.default_rng(seed)
    contig = np.sort(generator.integers(1, n_contigs + 1, n_variants))
    position = np.concatenate(
        [np.sort(generator.choice(10**7, (contig == c).sum(), replace=False)) for c in range(1, n_contigs + 1)]
    )
    score = generator.gamma(1.5, 15, n_variants) - 0.5
    return Scores(
        [f"rs{i}" for i in generator.permutation(n_variants)],
        contig.tolist(),
        position.tolist(),
        score,
        score * 0.6 + generator.random(n_variants),
        {c: 1_000.0 * (contig == c).sum() for c in range(1, n_contigs + 1)},
    )


def simulated_traits(
    scores: Scores, n_traits: int, *, h2: float = 0.4, missing: float = 0.1, flips: float = 0.3, seed: int = 1
) -> dict[str, Trait]:
    """Traits with one common factor; each lacks some variants, lists them in its own order, and swaps some alleles."""
    generator = np.random.default_rng(seed)
    m, total = len(scores.variant_id), sum(scores.m.values())
    common = generator.normal(size=m)
    traits = {}
    for t in range(n_traits):
        n = np.round(generator.uniform(2e4, 2e5) * generator.uniform(0.8, 1, m))
        genetic = np.sqrt(np.maximum(scores.score, 0) * n * h2 / total)
        z = genetic * (0.6 * common + 0.8 * generator.normal(size=m)) + generator.normal(size=m)
        kept = generator.permutation(m)[: int(m * (1 - missing))]
        swapped = generator.random(m) < flips
        traits[f"trait{t}"] = Trait(
            [scores.variant_id[i] for i in kept],
            ["A" if swapped[i] else "G" for i in kept],
            np.where(swapped, -z, z)[kept],
            n[kept],
        )
    return traits
