"""What an argument is, asked without importing the package whose type it may have.

Nothing is a DataFrame before pandas was imported, nor a Dataset before xarray was: importing them takes half a second.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import dask.array as da
    import pandas as pd
    import xarray as xr
    from typing_extensions import TypeIs

__all__ = ["is_dask_array", "is_dataset", "is_frame"]


def is_frame(value: Any) -> TypeIs[pd.DataFrame]:
    """Whether `value` is a pandas DataFrame."""
    return _is(value, "pandas", "DataFrame")


def is_dataset(value: Any) -> TypeIs[xr.Dataset]:
    """Whether `value` is an xarray Dataset."""
    return _is(value, "xarray", "Dataset")


def is_dask_array(value: Any) -> TypeIs[da.Array]:
    """Whether `value` is a Dask array."""
    return _is(value, "dask.array", "Array")


def _is(value: Any, module: str, name: str) -> bool:
    # A module that another thread is importing is there, but not yet all of its names.
    kind = getattr(sys.modules.get(module), name, None)
    return kind is not None and isinstance(value, kind)
