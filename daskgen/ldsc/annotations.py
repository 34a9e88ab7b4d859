"""Annotations of variants as users give them: mappings, arrays, DataFrames, .annot files."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any, TypeAlias

import numpy as np
import pandas as pd

from daskgen.errors import InputError, examples

__all__ = ["UNIVARIATE", "Annotations", "annotation_matrix"]

Annotations: TypeAlias = Mapping[str, Any] | pd.DataFrame | np.ndarray | str | os.PathLike[str] | None

UNIVARIATE = "L2"
"""Name of the annotation that is 1 for every variant, where there is no other."""

_POSITIONS = ("CHR", "BP", "CM")


def annotation_matrix(annotations: Annotations, ids: np.ndarray) -> tuple[list[str], np.ndarray]:
    """Names, and values float64 (variants, annotations), in the order of `ids`, text objects (variants,).

    See `daskgen.ldsc.ld_scores` for what `annotations` may be. Raises InputError for what does not fit the variants.
    """
    if annotations is None:
        return [UNIVARIATE], np.ones((len(ids), 1))
    if isinstance(annotations, (str, os.PathLike)):
        names, values = _of_frame(_read(os.fspath(annotations)), ids)
    elif isinstance(annotations, pd.DataFrame):
        names, values = _of_frame(annotations, ids)
    elif isinstance(annotations, Mapping):
        names, values = _of_mapping(annotations, len(ids))
    else:
        values = np.asarray(annotations)
        values = values[:, None] if values.ndim == 1 else values
        names = [f"annotation_{i + 1}" for i in range(values.shape[-1])]
    if values.ndim != 2 or len(values) != len(ids) or not values.shape[1]:
        raise InputError(
            "annotations need one row for each variant of the genotypes.",
            found=values.shape,
            expected=f"({len(ids):,}, annotations)",
            do="give a DataFrame with ids of variants as its index where the order differs",
        )
    try:
        values = values.astype(np.float64)
    except (TypeError, ValueError) as error:
        raise InputError("annotations must be numbers.", found=str(error)) from None
    if not np.isfinite(values).all():
        raise InputError(
            "annotations have values that are not finite.", found=f"{(~np.isfinite(values)).sum()} of them"
        )
    if len(set(names)) < len(names):
        raise InputError("two annotations have the same name.", found=", ".join(names))
    return names, values


def _of_mapping(annotations: Mapping[str, Any], m: int) -> tuple[list[str], np.ndarray]:
    names = [str(name) for name in annotations]
    columns = [np.asarray(column) for column in annotations.values()]
    wrong = [f"{name} {column.shape}" for name, column in zip(names, columns, strict=True) if column.shape != (m,)]
    if wrong or not columns:
        raise InputError(
            "an annotation needs one value for each variant of the genotypes.",
            found=", ".join(wrong) or "no annotation",
            expected=f"({m:,},)",
        )
    return names, np.column_stack(columns)


def _of_frame(frame: Any, ids: np.ndarray) -> tuple[list[str], np.ndarray]:
    """By the ids in the frame's index, or in the order of the variants where it only numbers its rows."""
    names = [str(name) for name in frame.columns]
    if isinstance(frame.index, pd.RangeIndex):
        return names, frame.to_numpy()
    index = pd.Index([str(i) for i in frame.index], dtype=object)
    if index.has_duplicates:
        raise InputError("annotations have an id more than once.", found=examples(index[index.duplicated()]))
    rows = index.get_indexer(pd.Index(ids, dtype=object))
    if (rows < 0).any():
        raise InputError(
            f"{int((rows < 0).sum()):,} of {len(ids):,} variants have no annotation.",
            found=f"{examples(index[:3])} (annotations)\n{examples(ids[rows < 0][:3])} (genotypes, not annotated)",
            do="annotate every variant (0 where it is not in an annotation), or extract the annotated ones first",
        )
    return names, frame.iloc[rows].to_numpy()


def _read(path: str) -> Any:
    """An .annot file by its column SNP."""
    try:
        table = pd.read_csv(path, sep=r"\s+", dtype={"SNP": str, "CHR": str})
    except (OSError, EOFError, ValueError) as error:
        raise InputError(f"{path} cannot be read as a table.", found=str(error)) from error
    if "SNP" not in table.columns:
        raise InputError(
            f"{path} has no column SNP, so its rows cannot be matched with variants.",
            found=" ".join(map(str, table.columns[:10])),
            expected="CHR BP SNP CM and the annotations",
        )
    return table.set_index("SNP").drop(columns=list(_POSITIONS), errors="ignore")
