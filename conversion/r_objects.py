"""R's objects in .rds and .RData files, by the package rdata: read, and written with names of columns."""

from __future__ import annotations

import os
import types
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from daskgen.errors import InputError, MissingPackageError

__all__ = ["R_SUFFIXES", "read_r_objects", "write_r_object"]

R_SUFFIXES = (".rds", ".rdata", ".rda")


def _rdata(path: str) -> types.ModuleType:
    try:
        import rdata
    except ImportError:
        raise MissingPackageError(
            f"{path} is a file of R, and the package that reads and writes it is not installed.",
            do='pip install "daskgen[formats]"',
        ) from None
    return rdata  # type: ignore[no-any-return]


def read_r_objects(path: str) -> dict[str, Any]:
    """Objects of the file by name; that of an .rds file, which has none, is called "".

    Lists are dicts (or lists without names), matrices NumPy arrays, or DataFrames where their columns have names.
    """
    rdata = _rdata(path)
    if not os.path.isfile(path):
        raise InputError(f"{path}: there is no such file.", do="check the path")
    try:
        if path.lower().endswith(".rds"):
            found = {"": rdata.read_rds(path)}
        else:
            found = dict(rdata.read_rda(path))
    except Exception as error:  # the parser meets a damaged file with whatever error comes first
        raise InputError(
            f"{path} cannot be read as a file of R.",
            found=f"{type(error).__name__}: {error}",
            do="save it again with saveRDS(object, file) or save(object, file = ...)",
        ) from error
    return {str(name): _plain(value) for name, value in found.items()}


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(name): _plain(item) for name, item in value.items()}
    if isinstance(value, list):
        return [_plain(item) for item in value]
    if isinstance(value, xr.DataArray):
        columns = value.coords[value.dims[1]].values if value.ndim == 2 and value.dims[1] in value.coords else None
        if columns is None:
            return value.values
        rows = value.coords[value.dims[0]].values if value.dims[0] in value.coords else None
        return pd.DataFrame(value.values, index=rows, columns=[str(name) for name in columns])
    return value


def write_r_object(path: str, name: str, value: Mapping[str, Any]) -> None:
    """A list of matrices as .rds, or as .RData in which it has the name `name`; DataFrames keep names of columns."""
    rdata = _rdata(path)
    from rdata.conversion import to_r

    constructors = {**to_r.DEFAULT_CLASS_MAP, xr.DataArray: _r_matrix}
    content = {
        key: xr.DataArray(part.to_numpy(), coords={"dim_1": list(part.columns)}, dims=("dim_0", "dim_1"))
        if isinstance(part, pd.DataFrame)
        else np.asarray(part, np.float64)
        for key, part in value.items()
    }
    if path.lower().endswith(".rds"):
        rdata.write_rds(path, content, constructor_dict=constructors)
    else:
        rdata.write_rda(path, {name: content}, constructor_dict=constructors)


def _r_matrix(matrix: xr.DataArray, converter: Any) -> Any:
    """A numeric matrix with dimnames list(NULL, columns), as R's ldsc() makes S."""
    from rdata.conversion import to_r
    from rdata.parser import RObjectType

    columns = np.array([str(name) for name in matrix.coords["dim_1"].values], dtype="U")
    attributes = converter.convert_to_r_attributes(
        {"dim": np.array(matrix.shape, np.int32), "dimnames": [None, columns]}
    )
    values = np.ravel(np.asarray(matrix.values, np.float64), order="F")
    return to_r.build_r_object(RObjectType.REAL, value=values, attributes=attributes)
