"""Files that are munged already and no reference: the list of variants made from the traits themselves."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import polars as pl

from conversion.summary.alleles import AlleleCodes
from conversion.summary.columns import Columns
from conversion.summary.numeric import MISSING_TEXT
from conversion.summary.reference import Reference
from conversion.summary.tables import Table
from conversion.summary.writing import ExistingStore
from daskgen.errors import InputError

__all__ = ["reference_of_traits"]

_BASES = ("A", "C", "G", "T")


def reference_of_traits(
    tables: Sequence[Table], columns: Sequence[Columns], existing: ExistingStore | None
) -> Reference:
    """Variants in order of first appearance, with the alleles of the trait that has them first.

    The variants of a store that is appended to come first. Rows without an id or without two single bases are not
    variants here. Raises InputError where nothing is left.
    """
    variants = pl.DataFrame(schema=dict.fromkeys(("id", "effect", "other"), pl.String))
    if existing is not None:
        variants = _variants_of(existing)
    for table, of in zip(tables, columns, strict=True):
        names = [of.require(key, "") for key in ("variant_id", "effect_allele", "other_allele")]
        parts = [variants]
        for block in table.blocks(names):
            frame = block.select(
                pl.col(names[0]).cast(pl.String).alias("id"),
                pl.col(names[1]).cast(pl.String).str.to_uppercase().alias("effect"),
                pl.col(names[2]).cast(pl.String).str.to_uppercase().alias("other"),
            )
            alleles_known = pl.col("effect").is_in(_BASES) & pl.col("other").is_in(_BASES)
            parts.append(frame.filter(alleles_known & ~pl.col("id").is_in(MISSING_TEXT)).drop_nulls())
        # After each file, so that memory does not grow with the number of files.
        variants = pl.concat(parts).unique(subset="id", keep="first", maintain_order=True)
    if not variants.height:
        raise InputError("no file has a variant with an id and two alleles.", found=", ".join(t.path for t in tables))
    alleles = AlleleCodes()
    return Reference(
        None,
        variants["id"].rechunk(),
        alleles.encode(variants["effect"]),
        alleles.encode(variants["other"]),
        alleles,
    )


def _variants_of(existing: ExistingStore) -> pl.DataFrame:
    group = existing.group
    ids, alleles = np.asarray(group["variant_id"][...]), np.asarray(group["variant_allele"][...])  # type: ignore[index]
    texts = {"id": ids.tolist(), "effect": alleles[:, 1].tolist(), "other": alleles[:, 0].tolist()}
    return pl.DataFrame(texts, schema=dict.fromkeys(texts, pl.String))
