"""A lazy result per variant out of tasks that each give the arrays of one run of variants."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import dask.array as da
    from dask.delayed import Delayed

__all__ = ["stacked"]


def stacked(
    parts: Sequence[Delayed], lengths: Sequence[int], arrays: Mapping[str, tuple[tuple[int, ...], Any]]
) -> dict[str, da.Array]:
    """Dask arrays whose last dimension is the variant, a block per part; arrays computed together share the parts.

    parts: each computes to a dict of arrays; lengths: variants of each; arrays: name -> (shape before the variant,
    type).
    """
    import dask.array as da

    return {
        name: da.concatenate(
            [
                da.from_delayed(part[name], shape=(*shape, length), dtype=np.dtype(dtype), name=f"{name}-{part.key}")
                for part, length in zip(parts, lengths, strict=True)
            ],
            axis=-1,
        )
        for name, (shape, dtype) in arrays.items()
    }
