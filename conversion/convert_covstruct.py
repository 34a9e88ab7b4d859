"""Covariance structures from and to what R users pass around: .rds, .RData, JSON, text."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from conversion.covstruct_text import read_folder, read_json, read_text, write_json, write_text
from conversion.r_objects import R_SUFFIXES, read_r_objects, write_r_object
from daskgen.errors import InputError, StoreError, UsageError, examples
from daskgen.inputs.arguments import known_arguments
from daskgen.inputs.covariance import DIMENSIONS, checked_covariance, trait_names, vech_names
from daskgen.stores import RunKey, StoreLike, open_dataset, write_result
from daskgen.stores.fingerprint import describe_source

__all__ = ["CovstructConversion", "covstruct", "export_covstruct"]


@dataclass(frozen=True)
class CovstructConversion:
    """What a conversion made: the store's path, the traits, and the parts that the source had."""

    path: str
    traits: tuple[str, ...]
    parts: tuple[str, ...]

    def __fspath__(self) -> str:
        """The store's path: functions take the result where they take a path."""
        return self.path

    def open(self) -> xr.Dataset:
        """The store as a lazy xarray Dataset."""
        import daskgen

        return daskgen.open_store(self.path)

    def __str__(self) -> str:
        return f"{self.path}: {len(self.traits)} traits ({', '.join(self.traits)}); {', '.join(self.parts)}"


@known_arguments()
def covstruct(
    source: str | os.PathLike[str], destination: str | os.PathLike[str], *, force: bool = False
) -> CovstructConversion:
    """Convert the output of R GenomicSEM's ldsc() to a store of kind "covstruct".

    source: .rds or .RData with the list (V, S, I, N, m, and V_Stand, S_Stand where there are), JSON (nested lists, as
        jsonlite writes them, or {"columns", "rows"}), a text file with a part for each matrix, or a folder with S.csv,
        V.csv and so on. The traits are the columns of S, else "traits" (JSON), else V1, V2, ...
    destination: path or URL of the store.
    force: replace a store that daskgen made.

    Raises InputError for a source that is not there, cannot be read, has no S and V, or whose parts don't fit each
    other; MissingPackageError for files of R without the package rdata; StoreError for the destination.
    """
    path = os.path.expanduser(os.fspath(source))
    parts = _parts(path)
    names = trait_names(parts["S"], parts.get("traits"))
    data: dict[str, Any] = dict(
        checked_covariance(parts["S"], parts["V"], names, i=parts.get("I"), n=parts.get("N"), m=parts.get("m"))
    )
    if "S_Stand" in parts and "V_Stand" in parts:
        checked = checked_covariance(parts["S_Stand"], parts["V_Stand"], names)
        data |= {"S_Stand": checked["S"], "V_Stand": checked["V"]}
    traits, cells = np.array(names, dtype=object), np.array(vech_names(names), dtype=object)
    dataset = xr.Dataset(
        {name: (DIMENSIONS[name], value) for name, value in data.items()},
        coords={"trait": traits, "trait_2": traits, "vech": cells, "vech_2": cells},
    )
    sources = [describe_source(path)] if os.path.isfile(path) else [{"name": os.path.basename(path.rstrip("/"))}]
    run = RunKey(
        "convert covstruct",
        {"source": path},
        [{k: about.get(k) for k in ("name", "size", "sample")} for about in sources],
    )
    place = write_result(
        destination,
        dataset,
        kind="covstruct",
        run=run,
        provenance={"sources": sources, "arguments": run.as_dict()["arguments"]},
        force=force,
    )
    return CovstructConversion(place.url, tuple(names), tuple(data))


def _parts(path: str) -> dict[str, Any]:
    """S, V, ... of a source by name, as arrays or DataFrames."""
    lower = path.lower()
    if os.path.isdir(path):
        parts = read_folder(path)
    elif lower.endswith(R_SUFFIXES):
        parts = _r_list(path, read_r_objects(path))
    elif lower.endswith(".json"):
        parts = read_json(path)
    else:
        parts = read_text(path)
    if missing := [name for name in ("S", "V") if name not in parts]:
        raise InputError(
            f"{path} has no {' and no '.join(missing)}.",
            found=examples(parts, 10) or "nothing that belongs to a covariance structure",
            expected="S and V, as ldsc() of R GenomicSEM returns them",
        )
    return parts


def _r_list(path: str, objects: Mapping[str, Any]) -> dict[str, Any]:
    """The list with S and V among the objects of a file; a file may also hold the matrices themselves."""
    if {"S", "V"} <= set(objects):
        objects = {"": objects}
    lists = {name: value for name, value in objects.items() if isinstance(value, Mapping) and "S" in value}
    if len(lists) > 1:
        raise InputError(
            f"{path} holds several covariance structures.",
            found=", ".join(lists),
            do="save one of them: saveRDS(object, file)",
        )
    if not lists:
        raise InputError(
            f"{path} holds no covariance structure.",
            found=", ".join(f"{name or 'an object'} ({type(value).__name__})" for name, value in objects.items()),
            expected="a list with S and V, as ldsc() of R GenomicSEM returns it",
        )
    found = dict(next(iter(lists.values())))
    if any(isinstance(found.get(name), (list, Mapping)) for name in ("S", "V")):
        raise InputError(
            f"{path} holds a stratified covariance structure (of s_ldsc), one S for each annotation.",
            do="save one annotation as a list of S and V",
        )
    return {name: value for name, value in found.items() if name in DIMENSIONS and value is not None}


@known_arguments()
def export_covstruct(store: StoreLike | xr.Dataset, path: str | os.PathLike[str], *, force: bool = False) -> str:
    """Write a covariance structure as R users have it; returns the path.

    store: path of a covstruct store, or a Dataset as `daskgen.ldsc.ldsc` and `daskgen.ldsc.covstruct` give it.
    path: .rds (readRDS) or .RData (load; the object is called LDSCoutput), .json, or .txt / .tsv, which
    `conversion.covstruct` reads again. Holds S, V, I, N, m and, where they are finite, S_Stand and V_Stand.
    force: replace an existing file.

    Raises UsageError for a name with another ending, StoreError where the file exists.
    """
    target = os.path.expanduser(os.fspath(path))
    lower = target.lower()
    if not lower.endswith((*R_SUFFIXES, ".json", ".txt", ".tsv")):
        raise UsageError(f"{target}: the ending says the format.", expected=".rds, .RData, .json, .txt or .tsv")
    if os.path.lexists(target) and not force:
        raise StoreError(f"{target} exists.", do="choose another path, or --force to replace it")
    dataset = open_dataset(store, "covstruct") if isinstance(store, (str, os.PathLike)) else store
    traits = [str(name) for name in dataset["trait"].values.tolist()]
    parts = {
        name: np.asarray(dataset[name].values, np.float64)
        for name in ("V", "S", "I", "N", "m", "V_Stand", "S_Stand")
        if name in dataset and (np.isfinite(dataset[name].values).all() or name in ("V", "S"))
    }
    partial = os.path.join(os.path.dirname(target), f".{os.getpid()}.{os.path.basename(target)}")
    try:
        if lower.endswith(R_SUFFIXES):
            r_parts: dict[str, Any] = {
                name: pd.DataFrame(values, columns=traits) if name in ("S", "S_Stand") else values
                for name, values in parts.items()
            }
            if "N" in r_parts:
                r_parts["N"] = r_parts["N"].reshape(1, -1)  # R has a matrix with one row
            write_r_object(partial, "LDSCoutput", r_parts)
        elif lower.endswith(".json"):
            write_json(partial, traits, parts)
        else:
            write_text(partial, traits, vech_names(traits), parts)
        os.replace(partial, target)
    finally:
        if os.path.exists(partial):
            os.unlink(partial)
    return target
