"""Where a per-SNP model finds its data: effects and standard errors of its traits, and each SNP's variance.

A source is a store of summary statistics (purpose "gwas") or a Dataset with the same names. Traits are matched by name
and may lie in several sources. The SNPs of an analysis are those that every trait of the model has, in the order of the
first source; where sources differ, a SNP is matched by id and alleles (`joining`), and effects are turned where the
alleles are swapped.
"""

from __future__ import annotations

import logging
import os
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

import numpy as np

from daskgen.errors import InputError
from daskgen.gwas.layout import Shape
from daskgen.inputs.kinds import is_dask_array, is_dataset
from daskgen.passes import run_map
from daskgen.sem.joining import join
from daskgen.stores import Location, StoreLike, StoreTable, column_layout, open_dataset, open_table, reopen_array

if TYPE_CHECKING:
    import xarray as xr

__all__ = ["EffectReader", "Effects", "Sumstats", "VariantColumns", "open_effects"]

log = logging.getLogger("daskgen.sem")

Sumstats: TypeAlias = "StoreLike | xr.Dataset"
"""What functions accept: a store's path, or a Dataset (opened store, or one with the same names)."""

COLUMNS = {
    "variant_id": ("variant",),
    "variant_allele": ("variant", "allele"),
    "variant_contig": ("variant",),
    "variant_position": ("variant",),
    "maf": ("variant",),
    "hsq": ("variant",),
    "panel": ("variant",),
}
"""Columns that a result takes over from its first source, and their dimensions there."""


class EffectReader(Protocol):
    """Reads parts of a source. Picklable; `reader_id` names the content."""

    @property
    def reader_id(self) -> str: ...
    @property
    def name(self) -> str: ...
    @property
    def n_variants(self) -> int: ...
    @property
    def nbytes(self) -> int: ...

    def read(self, name: str, rows: slice, trait: int | None = None) -> np.ndarray:
        """Rows of a column, or of one trait's values."""


@dataclass(frozen=True)
class StoreReader:
    """Reads a store. Workers open it themselves and compare its id."""

    url: str
    store_id: str
    n_variants: int
    nbytes: int = 0

    @property
    def name(self) -> str:
        return Location(self.url).name

    @property
    def rows_per_chunk(self) -> int:
        """Rows of a chunk of the effects."""
        return int(reopen_array(self.url, self.store_id, "beta").chunks[1])

    @property
    def reader_id(self) -> str:
        return self.store_id

    def read(self, name: str, rows: slice, trait: int | None = None) -> np.ndarray:
        array = reopen_array(self.url, self.store_id, name)
        return np.asarray(array[rows] if trait is None else array[trait, rows])


@dataclass(frozen=True, eq=False)
class DatasetReader:
    """Reads arrays of a Dataset, in memory or of Dask."""

    arrays: Mapping[str, Any]
    n_variants: int
    reader_id: str
    name: str

    @property
    def nbytes(self) -> int:
        """Bytes that go to a worker with this reader: a Dask array is only its recipe."""
        return sum(0 if is_dask_array(a) else int(a.nbytes) for a in self.arrays.values())

    def read(self, name: str, rows: slice, trait: int | None = None) -> np.ndarray:
        part = self.arrays[name][rows] if trait is None else self.arrays[name][trait, rows]
        return np.asarray(part.compute(scheduler="synchronous") if is_dask_array(part) else part)


@dataclass(frozen=True, eq=False)
class _Source:
    """An opened source: how it is read, what it is called, and what it holds."""

    reader: EffectReader
    name: str
    dataset: StoreTable | xr.Dataset
    traits: tuple[str, ...]


@dataclass(frozen=True, eq=False)
class Effects:
    """Effects, standard errors and variances of the SNPs of an analysis.

    readers: the sources; place: of each trait, (source, row in it); rows: of each source, int32 (variants,), the row
    of each SNP, None where they are all of its rows in order; turned: of each source, bool (variants,), whether its
    effects are of the other allele, None where none is; twas: the variance is that of predicted expression (`hsq`).
    """

    readers: tuple[EffectReader, ...]
    place: tuple[tuple[int, int], ...]
    rows: tuple[np.ndarray | None, ...]
    turned: tuple[np.ndarray | None, ...]
    n_variants: int
    twas: bool

    @property
    def nbytes(self) -> int:
        """Bytes that go to a worker."""
        held = [array.nbytes for array in (*self.rows, *self.turned) if array is not None]
        return sum(held) + sum(reader.nbytes for reader in self.readers)

    @property
    def store(self) -> StoreReader | None:
        """The first source, if it is a store whose rows are the SNPs, all of them in order."""
        first = self.readers[0]
        return first if self.rows[0] is None and isinstance(first, StoreReader) else None

    def read(self, part: slice, beta: np.ndarray, se: np.ndarray) -> np.ndarray:
        """Fill beta and se (traits, n) with the SNPs `part`; returns their variance (n,)."""
        for i, (source, trait) in enumerate(self.place):
            beta[i] = self._column(source, "beta", part, trait)
            se[i] = self._column(source, "se", part, trait)
            turned = self.turned[source]
            if turned is not None:
                np.negative(beta[i], out=beta[i], where=turned[part])
        if self.twas:
            return np.asarray(self._column(0, "hsq", part), np.float64)
        frequency = np.asarray(self._column(0, "maf", part), np.float64)
        return 2.0 * frequency * (1.0 - frequency)

    def column(self, name: str, part: slice) -> np.ndarray:
        """A column of the first source, of the SNPs `part`."""
        return self._column(0, name, part)

    def _column(self, source: int, name: str, part: slice, trait: int | None = None) -> np.ndarray:
        reader, rows = self.readers[source], self.rows[source]
        if rows is None:
            return reader.read(name, part, trait)
        wanted = rows[part]
        if not len(wanted):
            return reader.read(name, slice(0, 0), trait)
        first, last = int(wanted.min()), int(wanted.max()) + 1
        # Neighbours in one source are neighbours in another, as a rule; what lies between them is read and dropped.
        return reader.read(name, slice(first, last), trait)[wanted - first]


@dataclass(frozen=True, eq=False)
class VariantColumns:
    """The columns of the variants that are used, with the names of dimensions of results.

    shapes: of those with a value per variant; small: (dimensions, values) of the others.
    """

    shapes: Mapping[str, Shape]
    small: Mapping[str, tuple[tuple[str, ...], np.ndarray]]
    _dataset: StoreTable | xr.Dataset
    _rows: np.ndarray | None

    def lazy(self) -> dict[str, xr.Variable]:
        """All of them as variables of a Dataset."""
        import xarray as xr

        opened = open_dataset(self._dataset.url) if isinstance(self._dataset, StoreTable) else self._dataset
        columns = {}
        for name, shape in self.shapes.items():
            variable = opened[name].variable
            data = (variable if self._rows is None else variable[self._rows]).data
            columns[name] = xr.Variable(shape.dims, data, dict(shape.attrs))
        return columns | {name: xr.Variable(dims, values) for name, (dims, values) in self.small.items()}


def open_effects(
    sumstats: Sumstats | Sequence[Sumstats], traits: Sequence[str], *, twas: bool = False
) -> tuple[Effects, VariantColumns]:
    """Where the `traits` of a model are, and the columns of the variants; what is left out is logged.

    Raises InputError for traits that no source or several sources have, for sources that do not hold effects, and where
    no SNP is left.
    """
    given: list[Any] = list(sumstats) if isinstance(sumstats, (list, tuple)) else [sumstats]
    if not given:
        raise InputError("no summary statistics were given.", expected="a store, or a list of stores")
    sources = [_open(one, twas=twas) for one in given]
    place = _places(sources, traits)
    used = sorted({source for source, _ in place})
    for source in [sources[i] for i in used] if len(used) > 1 else []:
        if "variant_allele" not in source.dataset.variables:
            raise InputError(f"{source.name} has no variant_allele, so it cannot be joined with others.")
    if len(used) < len(sources):
        log.info(
            "Not used   %s: the model has none of its traits", _names(sources, set(range(len(sources))) - set(used))
        )
    sources = [sources[i] for i in used]
    place = [(used.index(source), trait) for source, trait in place]
    complete = [_complete(source, [row for at, row in place if at == i]) for i, source in enumerate(sources)]
    rows, turned = join([source.reader for source in sources], [source.name for source in sources], complete)
    n = sources[0].reader.n_variants if rows[0] is None else len(rows[0])
    if not n:
        raise InputError(
            "no variant has all traits of the model.",
            found="; ".join(f"{s.name}: {s.reader.n_variants:,} variants" for s in sources),
            do="check that ids and alleles of the stores are of one kind (daskgen info)",
        )
    log.info("Variants   %s: %s used", _counts(sources), f"{n:,}")
    effects = Effects(tuple(source.reader for source in sources), tuple(place), tuple(rows), tuple(turned), n, twas)
    return effects, _columns(sources[0], effects)


def _columns(source: _Source, effects: Effects) -> VariantColumns:
    found = source.dataset
    shapes = {}
    for name, dims in COLUMNS.items():
        if name in found.variables and "variants" in found[name].dims:
            column = found[name]
            shapes[name] = Shape(dims, (effects.n_variants, *column.shape[1:]), column.dtype, dict(column.attrs))
    small = {}
    if "contig_id" in found.variables:
        small["contig_id"] = (("contig",), np.asarray(found["contig_id"].values))
    return VariantColumns(shapes, small, found, effects.rows[0])


def _names(sources: Sequence[_Source], which: set[int]) -> str:
    return ", ".join(sources[i].name for i in sorted(which))


def _counts(sources: Sequence[_Source]) -> str:
    return ", ".join(f"{source.name} {source.reader.n_variants:,}" for source in sources)


def _open(source: Sumstats, *, twas: bool) -> _Source:
    dataset: StoreTable | xr.Dataset
    if is_dataset(source):
        dataset = source
        found = source.attrs.get("kind", "sumstats")
        if found != "sumstats":
            raise InputError("a Dataset is of another kind.", found=found, expected="sumstats")
    elif isinstance(source, (str, os.PathLike)):
        dataset = open_table(source, "sumstats")
    else:
        raise InputError(
            "summary statistics must be the path of a store, a Dataset, or a list of these.",
            found=type(source).__name__,
        )
    name = _name(dataset)
    purpose = dataset.attrs.get("purpose", "gwas")
    if purpose != "gwas":
        raise InputError(
            f"{name} holds munged statistics, not effects for a model with SNPs.",
            found=f"purpose {purpose}",
            expected="purpose gwas (arrays beta, se and maf)",
            do="make them with daskgen convert sumstats",
        )
    needed = {"beta": 2, "se": 2, "trait": 1, "variant_id": 1, ("hsq" if twas else "maf"): 1}
    for array, ndim in needed.items():
        if array not in dataset.variables:
            raise InputError(
                f"{name} has no {array}.", found=", ".join(map(str, dataset.variables)), expected=", ".join(needed)
            )
        if dataset[array].ndim != ndim or (ndim == 2 and dataset[array].dims != ("traits", "variants")):
            raise InputError(
                f"{array} of {name} has other dimensions.",
                found=dataset[array].dims,
                expected={1: "one dimension", 2: "(traits, variants)"}[ndim],
            )
    reader = _reader(dataset, name)
    traits = tuple(map(str, np.asarray(dataset["trait"].values).tolist()))
    repeated = [trait for trait, count in Counter(traits).items() if count > 1]
    if repeated:
        raise InputError(f"{name} has two traits of one name.", found=", ".join(repeated))
    return _Source(reader, name, dataset, traits)


def _name(dataset: StoreTable | xr.Dataset) -> str:
    """What a source is called in messages: the last part of its place."""
    url = dataset.url if isinstance(dataset, StoreTable) else dataset.encoding.get("source", "the summary statistics")
    return str(url).rstrip("/").rsplit("/", 1)[-1]


def _reader(dataset: StoreTable | xr.Dataset, name: str) -> EffectReader:
    n = int(dataset.sizes["variants"])
    if isinstance(dataset, StoreTable):
        return StoreReader(dataset.url, str(dataset.attrs["store_id"]), n)
    path = dataset.encoding.get("source")
    if path is not None and _untouched(dataset, path):
        return StoreReader(Location.of(path).url, str(dataset.attrs["store_id"]), n)
    from dask.tokenize import tokenize

    arrays = {
        name: dataset[name].data
        for name in ("beta", "se", *COLUMNS)
        if name in dataset.variables and "variants" in dataset[name].dims
    }
    return DatasetReader(arrays, n, f"dataset-{tokenize(*arrays.values())}", name)


def _untouched(dataset: xr.Dataset, path: str) -> bool:
    """Whether a Dataset still is what opening the store gave: its arrays are the same lazy ones."""
    if not Location.of(path).exists():
        return False
    opened = open_dataset(path, "sumstats")
    return opened.attrs.get("store_id") == dataset.attrs.get("store_id") and all(
        name in dataset.variables
        and is_dask_array(dataset[name].data)
        and dataset[name].data.name == opened[name].data.name
        for name in ("beta", "se", *COLUMNS)
        if name in opened.variables
    )


def _places(sources: Sequence[_Source], traits: Sequence[str]) -> list[tuple[int, int]]:
    """(source, row) of each trait; InputError for those that are in none, or in several."""
    having = {trait: [i for i, source in enumerate(sources) if trait in source.traits] for trait in traits}
    if missing := [trait for trait, where in having.items() if not where]:
        raise InputError(
            f"the summary statistics have no trait {', '.join(missing)}.",
            found="; ".join(f"{source.name}: {', '.join(source.traits)}" for source in sources),
            expected=f"the traits of the model: {', '.join(traits)}",
            do="convert them together, or give the stores as a list",
        )
    if several := [trait for trait, where in having.items() if len(where) > 1]:
        raise InputError(
            f"trait {several[0]} is in several of the summary statistics.",
            found=", ".join(sources[i].name for i in having[several[0]]),
            do="give each trait once",
        )
    return [(having[trait][0], sources[having[trait][0]].traits.index(trait)) for trait in traits]


def _complete(source: _Source, traits: Sequence[int]) -> np.ndarray | None:
    """bool (variants,): rows where none of the traits is missing; None where that is known to be all of them."""
    dataset, n = source.dataset, source.reader.n_variants
    if isinstance(source.reader, StoreReader) and "rows_kept" in dataset.variables:
        # The writer of the store counted the rows that each trait has.
        if (np.asarray(dataset["rows_kept"].values)[list(traits)] == n).all():
            return None
    rows = column_layout(n).chunks[0]
    mask = np.ones(n, bool)
    blocks = range(-(-n // rows))
    for index, found in run_map(_present, blocks, source.reader, list(traits), rows, label="missing values"):
        mask[index * rows : (index + 1) * rows] = found
    return None if mask.all() else mask


def _present(index: int, reader: EffectReader, traits: Sequence[int], rows: int) -> np.ndarray:
    """Of a block of rows: whether effect and standard error of all traits are there."""
    part = slice(index * rows, min((index + 1) * rows, reader.n_variants))
    found = np.ones(part.stop - part.start, bool)
    for name in ("beta", "se"):
        for trait in traits:
            found &= ~np.isnan(reader.read(name, part, trait))
    return found
