"""Which variants belong to which genetic component: by contig, by name, from a specification file.

A component has a name and a set of variants; sets may overlap, leave variants out, or be empty. A specification file is
JSON, ``{"components": [{"name": ..., "variant_indices": [...]}, ...]}``, or an .npz with arrays ``arr_0``, ``arr_1``,
... and ``component_names``; indices count from 0 in the order of the store.
"""

from __future__ import annotations

import io
import json
import os
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from daskgen.errors import InputError, UsageError, examples
from daskgen.genotypes.source import GenotypeSource
from daskgen.inputs.files import open_binary

__all__ = ["RESIDUAL", "ComponentSpec", "Components", "read_components"]

RESIDUAL = "residual"

ComponentSpec = str | os.PathLike[str] | Mapping[str, Any] | None
"""What functions accept: None, "contig", a path, or name -> indices or boolean mask."""


@dataclass(frozen=True)
class Components:
    """names (G,), members: bool (variants of the view, G)."""

    names: tuple[str, ...]
    members: np.ndarray

    def __len__(self) -> int:
        return len(self.names)


def read_components(given: ComponentSpec, source: GenotypeSource, variants: np.ndarray | None) -> Components:
    """The components among the variants of the source that the selection left (`variants`; None: all).

    Raises InputError for indices out of range or named twice, masks of another length, unreadable files, names that
    are repeated or reserved; UsageError for anything else.
    """
    m = source.reader.n_variants
    rows = np.arange(m) if variants is None else variants
    if given is None:
        return Components(("genetic",), np.ones((len(rows), 1), bool))
    if isinstance(given, str) and given == "contig":
        sets: Sequence[tuple[str, Any]] = _by_contig(source)
    elif isinstance(given, (str, os.PathLike)):
        sets = _from_file(os.fspath(given))
    elif isinstance(given, Mapping):
        sets = [(str(name), chosen) for name, chosen in given.items()]
    else:
        raise UsageError(
            f"components = {given!r} is not understood.",
            expected='None, "contig", name -> indices or mask, or the path of a specification',
        )
    if not sets:
        raise InputError("components must name at least one set of variants.")
    names = [name for name, _ in sets]
    if len(set(names)) < len(names) or RESIDUAL in names:
        raise InputError(
            f'names of components must be different, and none may be "{RESIDUAL}".', found=examples(names, 8)
        )
    members = np.zeros((m, len(sets)), bool)
    for g, (name, chosen) in enumerate(sets):
        members[_indices(name, chosen, m), g] = True
    return Components(tuple(names), members[rows])


def _by_contig(source: GenotypeSource) -> list[tuple[str, np.ndarray]]:
    contig = source.contig
    return [(str(name) or "unplaced", contig == name) for name in dict.fromkeys(contig.tolist())]


def _from_file(path: str) -> list[tuple[str, Any]]:
    with open_binary(path) as file:
        content = file.read()
    try:
        if path.endswith(".npz"):
            with np.load(io.BytesIO(content), allow_pickle=False) as arrays:
                names = [str(name) for name in arrays["component_names"]]
                return [(name, arrays[f"arr_{i}"]) for i, name in enumerate(names)]
        parts = json.loads(content)["components"]
        return [(str(part["name"]), part["variant_indices"]) for part in parts]
    except (ValueError, KeyError, TypeError, zipfile.BadZipFile) as error:
        raise InputError(
            f"{path} is not a specification of components.",
            found=f"{type(error).__name__}: {error}",
            expected='{"components": [{"name": "...", "variant_indices": [0, 1, ...]}, ...]}',
        ) from None


def _indices(name: str, chosen: Any, m: int) -> np.ndarray:
    index = np.asarray(chosen)
    if index.dtype == bool:
        if index.shape != (m,):
            raise InputError(
                f"component {name!r}: a mask has the wrong length.", found=index.shape, expected=f"({m:,},)"
            )
        return np.flatnonzero(index)
    if not index.size:
        return np.empty(0, np.int64)
    if index.ndim != 1 or index.dtype.kind not in "iu":
        raise InputError(
            f"component {name!r} is not a list of indices or a mask.", found=f"{index.dtype} {index.shape}"
        )
    if index.min() < 0 or index.max() >= m:
        raise InputError(
            f"component {name!r}: indices are out of range.",
            found=f"{index.min()} to {index.max()}",
            expected=f"0 to {m - 1:,}, in the order of the store",
        )
    if len(np.unique(index)) < len(index):
        raise InputError(f"component {name!r} names a variant twice.")
    return index.astype(np.int64)
