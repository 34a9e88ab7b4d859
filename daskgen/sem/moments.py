"""What a model is fitted to: S and V of named traits, in the order that is asked for.

Everything is found by name. V is taken by the names of its cells ("A~~B", either way round) where it has them, so that
a dataset whose traits were picked or put in another order is either read rightly or refused.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from daskgen.errors import InputError
from daskgen.inputs.covariance import check_sample_sizes, checked_covariance, vech_names
from daskgen.inputs.kinds import is_dataset
from daskgen.kernels.nearest_pd import positive_definite
from daskgen.linalg.vech import unvech, vech, vech_length
from daskgen.stores import StoreLike, StoreTable, open_table

if TYPE_CHECKING:
    import xarray as xr

__all__ = ["CovarianceSource", "Moments", "Smoothing", "read_moments"]

CovarianceSource: TypeAlias = "StoreLike | xr.Dataset"
"""A covariance structure as functions take it: a store's path, or a Dataset such as `ldsc` or `covstruct` returns."""


@dataclass(frozen=True)
class Smoothing:
    """What replacing S or V by the nearest positive definite matrix changed: largest absolute difference of a cell of
    S, of V, and of a Z statistic of a genetic covariance. Zeros where nothing was replaced.
    """

    s: float = 0.0
    v: float = 0.0
    z: float = 0.0


@dataclass(frozen=True, eq=False)
class Moments:
    """S and V of traits, with what else is known of them.

    s: float64 (k, k). v: float64 (k (k + 1) / 2) squared, in the order of the column-wise lower triangle. intercepts:
    LD-score regression intercepts (k, k), or None. source_id: of the store they come from, or "".
    """

    traits: tuple[str, ...]
    s: np.ndarray
    v: np.ndarray
    intercepts: np.ndarray | None = None
    source_id: str = ""

    @property
    def inputs(self) -> list[str]:
        """The id of the store they come from, if they come from one."""
        return [self.source_id] if self.source_id else []

    @property
    def arguments(self) -> dict[str, np.ndarray | None]:
        """S, V and I where no store's id stands for them."""
        return {} if self.source_id else {"S": self.s, "V": self.v, "I": self.intercepts}

    def select(self, names: Sequence[str]) -> Moments:
        """Some of the traits, in the order of `names`; a name that is not there is a KeyError."""
        place = {name: i for i, name in enumerate(self.traits)}
        at = np.array([place[name] for name in names], np.int64)
        number = unvech(np.arange(vech_length(len(self.traits))))
        cells = vech(number[np.ix_(at, at)])
        grid = np.ix_(at, at)
        intercepts = None if self.intercepts is None else self.intercepts[grid]
        return Moments(tuple(names), self.s[grid], self.v[np.ix_(cells, cells)], intercepts, self.source_id)

    def smoothed(self) -> tuple[Moments, Smoothing]:
        """S and V, each replaced by the nearest positive definite matrix where it is not positive definite."""
        s, s_replaced = positive_definite(self.s)
        v, v_replaced = positive_definite(self.v)
        if not (s_replaced or v_replaced):
            return self, Smoothing()
        for name, matrix in (("S", s), ("V", v)):
            if not np.isfinite(matrix).all():
                raise InputError(
                    f"{name} has no positive eigenvalue: there is nothing that a model could be fitted to."
                )
        with np.errstate(divide="ignore", invalid="ignore"):
            change = vech(self.s) / np.sqrt(np.diag(self.v)) - vech(s) / np.sqrt(np.diag(v))
        change[~np.isfinite(change)] = 0.0
        how_much = Smoothing(*(float(np.abs(d).max()) for d in (s - self.s, v - self.v, change)))
        return Moments(self.traits, s, v, self.intercepts, self.source_id), how_much

    def standardised(self) -> Moments:
        """D^-1/2 S D^-1/2 with D = diag(S), and V with the same factors; diag(S) must be positive."""
        scale = 1.0 / np.sqrt(np.diag(self.s))
        ratio = np.outer(scale, scale)
        along = vech(ratio)
        return Moments(self.traits, self.s * ratio, self.v * np.outer(along, along), self.intercepts, self.source_id)


def read_moments(covstruct: CovarianceSource) -> Moments:
    """S and V (and I, where it is known) behind a path or a Dataset.

    Raises StoreError or InputError for anything else, for parts that do not belong together, and for what
    `checked_covariance` refuses.
    """
    dataset: StoreTable | xr.Dataset
    if isinstance(covstruct, (str, os.PathLike)):
        dataset = open_table(covstruct, "covstruct")
    elif is_dataset(covstruct):
        dataset = covstruct
        if (kind := dataset.attrs.get("kind", "covstruct")) != "covstruct":
            raise InputError("the Dataset is of another kind.", found=kind, expected="covstruct")
    else:
        raise InputError(
            "a covariance structure is the path of a store or a Dataset.",
            found=type(covstruct).__name__,
            do="make one of matrices with dg.ldsc.covstruct(S, V, traits=[...])",
        )
    missing = [name for name in ("S", "V", "trait") if name not in dataset.variables]
    if missing:
        raise InputError(
            f"the covariance structure has no {' and no '.join(missing)}.", found=", ".join(map(str, dataset.variables))
        )
    traits = [str(name) for name in dataset["trait"].values.tolist()]
    if repeated := sorted({name for name in traits if traits.count(name) > 1}):
        raise InputError("two traits have the same name.", found=", ".join(repeated))
    values = checked_covariance(
        _by_trait(dataset, "S", traits),
        _by_cell(dataset, traits),
        traits,
        i=_by_trait(dataset, "I", traits) if "I" in dataset.variables else None,
    )
    if "N" in dataset.variables:
        sizes = np.asarray(dataset["N"].values, np.float64).reshape(-1)
        check_sample_sizes(sizes, [f"number {i + 1}" for i in range(len(sizes))])
    return Moments(tuple(traits), values["S"], values["V"], values.get("I"), str(dataset.attrs.get("store_id", "")))


def _by_trait(dataset: StoreTable | xr.Dataset, name: str, traits: Sequence[str]) -> np.ndarray:
    """A matrix with its columns in the order of its rows."""
    matrix = np.asarray(dataset[name].values, np.float64)
    if "trait_2" not in dataset.variables:
        return matrix
    columns = [str(trait) for trait in dataset["trait_2"].values.tolist()]
    if sorted(columns) != sorted(traits):
        raise InputError(
            f"rows and columns of {name} are not the same traits.",
            found=", ".join(columns),
            expected=", ".join(traits),
            do="select trait and trait_2 alike",
        )
    return matrix[:, [columns.index(trait) for trait in traits]]


def _by_cell(dataset: StoreTable | xr.Dataset, traits: Sequence[str]) -> np.ndarray:
    """V with its rows and columns in the order of vech(S)."""
    matrix = np.asarray(dataset["V"].values, np.float64)
    wanted = [frozenset(name.split("~~")) for name in vech_names(traits)]
    places: list[np.ndarray] = []
    for axis in ("vech", "vech_2"):
        if axis not in dataset.variables:
            places.append(np.arange(matrix.shape[len(places)]))
            continue
        have = {frozenset(str(n).split("~~")): i for i, n in enumerate(dataset[axis].values.tolist())}
        lacking = [n for n, cell in zip(vech_names(traits), wanted, strict=True) if cell not in have]
        if lacking:
            raise InputError(
                "V does not match S: it has no rows for some pairs of traits.",
                found=f"no {', '.join(lacking[:4])}",
                expected=f"{len(wanted)} cells of {', '.join(traits)}",
                do="select traits with the argument traits of ldsc, or name them in the model: it takes what it needs",
            )
        places.append(np.array([have[cell] for cell in wanted]))
    return matrix[np.ix_(*places)]
