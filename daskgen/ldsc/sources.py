"""Munged summary statistics and LD scores as `ldsc` takes them: from a store, or from a Dataset."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

import numpy as np

from daskgen.errors import InputError
from daskgen.inputs.kinds import is_dask_array, is_dataset
from daskgen.stores import StoreLike, StoreTable, open_table, reopen_array

if TYPE_CHECKING:
    import xarray as xr

__all__ = ["LdScores", "Munged", "Source", "TraitReader", "open_ld_scores", "open_munged"]

Source: TypeAlias = "StoreLike | xr.Dataset"
"""What functions accept: a store's path, or a Dataset (opened store, or one with the same names)."""


class TraitReader(Protocol):
    """Reads one trait at a time. `reader_id` names the content, for caches; picklable."""

    @property
    def reader_id(self) -> str: ...
    @property
    def n_variants(self) -> int: ...
    @property
    def dtype(self) -> np.dtype: ...

    def read(self, trait: int) -> tuple[np.ndarray, np.ndarray]:
        """z and N of a trait, (variants,); NaN where missing."""


@dataclass(frozen=True)
class StoreTraits:
    """Traits of a sumstats store. Workers open it themselves and compare its id."""

    url: str
    store_id: str
    n_variants: int
    dtype: np.dtype

    @property
    def reader_id(self) -> str:
        return self.store_id

    def read(self, trait: int) -> tuple[np.ndarray, np.ndarray]:
        return tuple(np.asarray(reopen_array(self.url, self.store_id, name)[trait]) for name in ("z", "n"))  # type: ignore[return-value]


@dataclass(frozen=True)
class DatasetTraits:
    """Traits of a Dataset: arrays (traits, variants) in memory or of Dask."""

    z: Any
    n: Any
    reader_id: str

    @property
    def n_variants(self) -> int:
        return int(self.z.shape[1])

    @property
    def dtype(self) -> np.dtype:
        return np.dtype(np.float32 if self.z.dtype == self.n.dtype == np.float32 else np.float64)

    @property
    def nbytes(self) -> int:
        """Bytes that go to a worker with this reader: a Dask array is only its recipe."""
        return sum(0 if is_dask_array(a) else a.nbytes for a in (self.z, self.n))

    def read(self, trait: int) -> tuple[np.ndarray, np.ndarray]:
        return _computed(self.z[trait]), _computed(self.n[trait])


def _computed(array: Any) -> np.ndarray:
    return np.asarray(array.compute(scheduler="synchronous") if is_dask_array(array) else array)


@dataclass(frozen=True, eq=False)
class Munged:
    """Summary statistics: a reader, names of traits, ids of variants, and what is known of the studies.

    variant_id: text objects (variants,); n_kind: "total", "effective", "given" or "" per trait; sample_prev,
    population_prev: float64 per trait, NaN where unknown.
    """

    reader: TraitReader
    name: str
    traits: tuple[str, ...]
    variant_id: np.ndarray
    n_kind: tuple[str, ...]
    sample_prev: np.ndarray
    population_prev: np.ndarray


@dataclass(frozen=True, eq=False)
class LdScores:
    """LD scores in memory; arrays per variant unless said otherwise.

    score: float64 (variants, annotations); weight: None where the source has no separate weights; contig: index into
    `contig_names`; m: float64 (contigs, annotations); m_name: "M_5_50", or "M" where that is all there is;
    by_contig: False where `m` holds all contigs in its first row.
    """

    source_id: str
    name: str
    variant_id: np.ndarray
    contig: np.ndarray
    position: np.ndarray
    score: np.ndarray
    weight: np.ndarray | None
    contig_names: tuple[str, ...]
    annotations: tuple[str, ...]
    m: np.ndarray
    m_name: str
    by_contig: bool


def open_munged(munged: Source) -> Munged:
    """The summary statistics behind a path or a Dataset. Raises StoreError or InputError for anything else."""
    dataset = _dataset(munged, "sumstats")
    name = _name(dataset, "the summary statistics")
    purpose = dataset.attrs.get("purpose", "ldsc")
    if purpose != "ldsc":
        raise InputError(
            f"{name} holds effects for a GWAS model, not munged statistics.",
            found=f"purpose {purpose}",
            expected="purpose ldsc (arrays z and n)",
            do="make them with daskgen convert munge",
        )
    for needed in ("z", "n", "trait", "variant_id"):
        if needed not in dataset.variables:
            raise InputError(
                f"{name} has no {needed}.", found=", ".join(map(str, dataset.variables)), expected="z, n, trait"
            )
    for array in ("z", "n"):
        if dataset[array].dims != ("traits", "variants"):
            raise InputError(
                f"{array} of {name} has other dimensions.", found=dataset[array].dims, expected="(traits, variants)"
            )
    traits = tuple(map(str, dataset["trait"].values.tolist()))
    if repeated := sorted({trait for trait in traits if traits.count(trait) > 1}):
        raise InputError(f"{name} has two traits of one name.", found=", ".join(repeated))
    if isinstance(dataset, StoreTable):
        reader: TraitReader = _store_reader(dataset)
    else:
        z, n = dataset["z"].data, dataset["n"].data
        reader = DatasetTraits(z, n, _content_id(z, n))
    return Munged(
        reader,
        name,
        traits,
        dataset["variant_id"].values.astype(object),
        tuple(map(str, dataset["n_kind"].values.tolist())) if "n_kind" in dataset.variables else ("",) * len(traits),
        *(_per_trait(dataset, column, len(traits)) for column in ("sample_prev", "population_prev")),
    )


def _store_reader(store: StoreTable) -> StoreTraits:
    z, n = store["z"], store["n"]
    dtype = np.dtype(np.float32 if z.dtype == n.dtype == np.float32 else np.float64)
    return StoreTraits(store.url, str(store.attrs["store_id"]), z.shape[1], dtype)


def _content_id(*arrays: Any) -> str:
    from dask.tokenize import tokenize

    return f"dataset-{tokenize(*arrays)}"


def _per_trait(dataset: StoreTable | xr.Dataset, name: str, n: int) -> np.ndarray:
    return np.asarray(dataset[name].values, np.float64) if name in dataset.variables else np.full(n, np.nan)


def open_ld_scores(ld_scores: Source) -> LdScores:
    """The LD scores behind a path or a Dataset. Raises StoreError or InputError for anything else."""
    dataset = _dataset(ld_scores, "ld_scores")
    name = _name(dataset, "the LD scores")
    needed = ("variant_id", "variant_contig", "variant_position", "contig_id", "ld_score")
    if missing := [array for array in needed if array not in dataset.variables]:
        raise InputError(
            f"{name} are no LD scores: {missing[0]} is not there.",
            found=", ".join(map(str, dataset.variables)),
            expected=", ".join(needed),
        )
    m_name = next((array for array in ("M_5_50", "M") if array in dataset.variables), None)
    if m_name is None:
        raise InputError(
            f"{name}: the number of variants that the scores sum over is not known.",
            expected="M_5_50 or M (contigs, annotations)",
            do="convert LD scores together with their .l2.M_5_50 or .l2.M files",
        )
    score = np.asarray(dataset["ld_score"].values, np.float64)
    names = dataset["annotation"].values.tolist() if "annotation" in dataset.variables else range(score.shape[1])
    return LdScores(
        str(dataset.attrs.get("store_id") or _content_id(score)),
        name,
        dataset["variant_id"].values.astype(object),
        np.asarray(dataset["variant_contig"].values),
        np.asarray(dataset["variant_position"].values),
        score,
        np.asarray(dataset["weight"].values, np.float64) if "weight" in dataset.variables else None,
        tuple(map(str, dataset["contig_id"].values.tolist())),
        tuple(map(str, names)),
        np.asarray(dataset[m_name].values, np.float64),
        m_name,
        dataset.attrs.get("M_scope", "contig") == "contig",
    )


def _dataset(source: Source, kind: str) -> StoreTable | xr.Dataset:
    if isinstance(source, (str, os.PathLike)):
        return open_table(source, kind)
    if not is_dataset(source):
        raise InputError(f"{kind} must be the path of a store or an xarray Dataset.", found=type(source).__name__)
    found = source.attrs.get("kind", kind)
    if found != kind:
        raise InputError("a Dataset is of another kind.", found=found, expected=kind)
    return source


def _name(dataset: StoreTable | xr.Dataset, otherwise: str) -> str:
    url = dataset.url if isinstance(dataset, StoreTable) else dataset.encoding.get("source", otherwise)
    return str(url).rstrip("/").rsplit("/", 1)[-1]
