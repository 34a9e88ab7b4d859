"""What a per-variant result looks like: its effects by parameter, its blocks, and how its arrays lie in a store."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

import numpy as np

from daskgen import config, limits
from daskgen.cluster import current_client
from daskgen.errors import InputError, UsageError, examples
from daskgen.inputs.kinds import is_dask_array
from daskgen.stores import ArrayPlan, Location, StoreLike, StoreTable, column_layout, open_dataset, open_table
from daskgen.stores.table import StoredArray

if TYPE_CHECKING:
    import xarray as xr

__all__ = [
    "Effect",
    "Result",
    "Run",
    "Shape",
    "Values",
    "array_plans",
    "attach_run",
    "blocks",
    "computed",
    "effect",
    "labels",
    "open_gwas",
    "open_results",
    "run_of",
    "snp_effects",
    "usable",
]

_BLOCK_ROWS = 1 << 20  # rows that are in memory at a time, at most
_COORDINATES = ("variant_id", "parameter", "trait", "factor", "fixed_parameter")

Result: TypeAlias = "xr.Dataset | StoreTable"
"""What is summarised: a Dataset, or a store opened without xarray."""
Values: TypeAlias = "xr.DataArray | StoredArray"


class Run(Protocol):
    """What computes a lazy result: it can write the whole of it without holding it."""

    def to_store(self, dataset: xr.Dataset, path: StoreLike, *, force: bool, resume: bool) -> str:
        """Write `dataset`, which is the whole of the result; returns the store's place."""


@dataclass(frozen=True, eq=False)
class _Attached:
    run: Run
    arrays: dict[str, str]  # variable -> name of its Dask array


def attach_run(dataset: xr.Dataset, run: Run) -> xr.Dataset:
    """The lazy Dataset with its coordinates set and `run` behind it, for `.dg.to_store`."""
    import daskgen.gwas.accessor  # noqa: F401

    dataset = _with_coordinates(dataset)
    dataset.encoding["daskgen_run"] = _Attached(run, _lazy_names(dataset))
    return dataset


def run_of(dataset: xr.Dataset) -> Run | None:
    """What computes the Dataset; None where it is not, or no more, the whole of a lazy result."""
    attached = dataset.encoding.get("daskgen_run")
    if not isinstance(attached, _Attached) or _lazy_names(dataset) != attached.arrays:
        return None
    return attached.run


def _lazy_names(dataset: xr.Dataset) -> dict[str, str]:
    return {str(name): v.data.name for name, v in dataset.variables.items() if is_dask_array(v.data)}


def open_gwas(location: StoreLike | Location) -> xr.Dataset:
    """A store of kind gwas as a lazy Dataset with the accessor `.dg`; labels and `variant_id` are coordinates."""
    import daskgen.gwas.accessor  # noqa: F401

    return _with_coordinates(open_dataset(location, "gwas"))


def open_results(location: StoreLike | Location) -> StoreTable:
    """The same for what only summarises it: without xarray, whose import takes half a second."""
    return open_table(location, "gwas")


def _with_coordinates(dataset: xr.Dataset) -> xr.Dataset:
    """Names of parameters and variants as coordinates; what has no value per variant in memory."""
    small = [v for name, v in dataset.variables.items() if "variant" not in v.dims and v.dims != (name,)]
    for variable, values in zip(small, computed([variable.data for variable in small]), strict=True):
        variable.data = values
    return dataset.set_coords([name for name in _COORDINATES if name in dataset.variables])


@dataclass(frozen=True, eq=False)
class Effect:
    """The effect of every variant on one parameter (or trait): estimate and se (variant,).

    at: where its values lie along the dimension of parameters or traits; status: codes, None without; df: degrees of
    freedom where estimate / se has a t distribution, else None.
    """

    label: str
    estimate: Values
    se: Values
    at: dict[str, int]
    status: Values | None
    df: xr.DataArray | None

    def of(self, array: Any) -> Any:
        """What of `array`, `Values`, belongs to this effect."""
        return array.isel({dim: i for dim, i in self.at.items() if dim in array.dims})


def labels(dataset: Result) -> list[str]:
    """Labels of the parameters (or traits) that have an effect and an error per variant."""
    name, dim = _estimate(dataset)
    if dim is not None:
        return [str(label) for label in dataset[dim].values] if dim in dataset.variables else _numbers(dataset, dim)
    for coordinate in ("parameter", "trait"):
        if coordinate in dataset.variables:
            return [str(dataset[coordinate].values)]
    return [name]


def snp_effects(dataset: Result) -> list[str]:
    """Labels of the effects of the variant: F1~SNP, T2~Gene; every trait of an association scan."""
    known = labels(dataset)
    own = [label for label in known if label.endswith(("~SNP", "~Gene")) and not label.endswith(("~~SNP", "~~Gene"))]
    return own if any("~" in label or ":=" in label for label in known) else known


def effect(dataset: Result, parameter: str | None = None) -> Effect:
    """The effects on `parameter`; without it, on the only one that there is.

    Raises InputError for a Dataset without effects, UsageError for an unknown parameter or where a choice is needed.
    """
    name, dim = _estimate(dataset)
    known = labels(dataset)
    if parameter is None:
        if len(known) > 1:
            raise UsageError("which parameter?", expected=examples(known, 10), do="name one of them")
        parameter = known[0]
    wanted = parameter if parameter in known else "".join(parameter.split())
    if wanted not in known:
        raise UsageError(f"there is no parameter {parameter!r}.", expected=examples(known, 10))
    at = {} if dim is None else {dim: known.index(wanted)}
    found = Effect(wanted, dataset[name].isel(at), dataset["se"].isel(at), at, None, None)
    status = found.of(dataset["status"]) if "status" in dataset.variables else None
    return replace(found, status=status, df=_degrees_of_freedom(dataset, found))


def _degrees_of_freedom(dataset: Result, found: Effect) -> xr.DataArray | None:
    """Of a scan by linear models: samples with a call (or all of them), less fixed effects and the variant."""
    if dataset.attrs.get("distribution") != "t":
        return None
    import xarray as xr

    def counts(name: str) -> xr.DataArray:
        part = found.of(dataset[name])
        return xr.DataArray(part.values, dims=part.dims) if isinstance(part, StoredArray) else part

    least = counts("n_fixed") + 1
    if dataset.attrs.get("missing_calls") == "exclude":
        return counts("n_called") - least
    everyone = np.broadcast_to((counts("n_samples") - least).values, (dataset.sizes["variant"],))
    return xr.DataArray(everyone, dims="variant")


def _estimate(dataset: Result) -> tuple[str, str | None]:
    """Name of the array of effects, and of its dimension beside `variant`."""
    for name in ("estimate", "beta"):
        if name in dataset.variables and "se" in dataset.variables and "variant" in dataset[name].dims:
            others = [str(dim) for dim in dataset[name].dims if dim != "variant"]
            if len(others) <= 1:
                return name, others[0] if others else None
    raise InputError(
        "this is no result per variant.",
        found=examples(dataset.variables, 8),
        expected="estimate and se with the dimension variant, as dg.sem.user_gwas gives them",
    )


def _numbers(dataset: Result, dim: str) -> list[str]:
    return [str(i) for i in range(dataset.sizes[dim])]


def usable(status: np.ndarray, attrs: dict[Any, Any]) -> np.ndarray:
    """Whether the numbers of a row stand: its status is among the attribute `valid`, by default 0."""
    return np.isin(status, attrs.get("valid", [0]))


def blocks(
    dataset: Result, arrays: Sequence[Values | None], *, rows: int | None = None
) -> Iterator[tuple[slice, list[Any]]]:
    """Rows and values of `arrays`, which end in or have the dimension variant, block after block.

    Blocks are whole chunks where the arrays are lazy, and are computed together; None stays None. rows: of a block, at
    most about; default a million.
    """
    n = dataset.sizes["variant"]
    step = _block_rows(arrays, n, _BLOCK_ROWS if rows is None else rows)
    for start in range(0, n, step):
        part = slice(start, min(start + step, n))
        found = [None if array is None else array.isel(variant=part).data for array in arrays]
        yield part, [None if value is None else np.asarray(value) for value in computed(found)]


def computed(values: Sequence[Any]) -> tuple[Any, ...]:
    """Lazy values, computed together: by the current client, else by threads."""
    if not any(map(is_dask_array, values)):
        return tuple(values)
    import dask
    import dask.threaded

    # Asked by name, or not at all, Dask looks for a client by importing distributed, which takes a quarter of a second.
    here = config.lookup("scheduler") is None and current_client() is None
    return dask.compute(*values, scheduler=dask.threaded.get if here else None)


def _block_rows(arrays: Sequence[Values | None], n: int, most: int) -> int:
    chunk = max((_chunk_rows(array) for array in arrays if array is not None), default=1)
    if any(isinstance(array, StoredArray) for array in arrays):
        return min(n, chunk) or 1  # read here, one after the other: as little memory as possible is touched
    together = max(1, most // chunk) if chunk > 1 else 1
    return min(n, chunk * min(together, limits.cores()) if chunk > 1 else most) or 1


def _chunk_rows(array: Values) -> int:
    """Variants of a chunk; 1 for values in memory."""
    if isinstance(array, StoredArray):
        return array.steps["variant"]
    # Of the array alone: its coordinates may have other chunks.
    variable = array.variable
    return 1 if variable.chunks is None else int(variable.chunksizes["variant"][0])


@dataclass(frozen=True, eq=False)
class Shape:
    """An array of a result that is still to be computed, as far as its place in a store goes."""

    dims: tuple[str, ...]
    shape: tuple[int, ...]
    dtype: np.dtype
    attrs: Mapping[str, Any] = field(default_factory=dict)


class Described(Protocol):
    """Arrays by name, as variables of a Dataset or `Shape`, and the lengths of their dimensions."""

    @property
    def variables(self) -> Mapping[Any, Any]: ...
    @property
    def sizes(self) -> Mapping[Any, int]: ...


def array_plans(dataset: Described, rows: int | None = None) -> list[ArrayPlan]:
    """How the variables lie in a store: columns and one parameter's or factor's values in chunks of `rows` variants.

    Numbers per variant are packed by blosc-lz4 with bit shuffle, text and small arrays by zstd.
    """
    n = int(dataset.sizes["variant"])
    rows = column_layout(n).chunks[0] if rows is None else rows
    plans = []
    for key, variable in dataset.variables.items():
        name, dims = str(key), tuple(map(str, variable.dims))
        text = variable.dtype.kind in "OUT"
        per_variant = "variant" in dims
        # A parameter is read without the others; the alleles of a variant are read together.
        alone = {"variant": rows} | dict.fromkeys(("parameter", "trait", "factor"), 1)
        chunks = tuple(
            max(1, min(alone.get(dim, size), size)) if per_variant else max(1, size)
            for dim, size in zip(dims, variable.shape, strict=True)
        )
        plans.append(
            ArrayPlan(
                name,
                variable.shape,
                "string" if text else variable.dtype,
                dims,
                chunks,
                fill_value=float("nan") if variable.dtype.kind == "f" else None,
                compression="lz4" if per_variant and not text else "zstd",
                attrs=dict(variable.attrs),
            )
        )
    return plans
