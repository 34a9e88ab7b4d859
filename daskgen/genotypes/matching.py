"""Which variants of one genotype source are which of another, and whether their counted alleles are swapped.

Variants are the same if contig, position and both alleles agree (the alleles in either order); where a source has
no positions, id and alleles decide. A variant that matches several others, or is there twice, is left out.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from daskgen.errors import InputError

__all__ = ["VariantKeys", "VariantMatch", "match_variants"]


@dataclass(frozen=True)
class VariantKeys:
    """What identifies variants: contig names, positions, ids and alleles (variants, 2), allele 1 the counted one."""

    contig: np.ndarray
    position: np.ndarray
    variant_id: np.ndarray
    allele: np.ndarray

    def __len__(self) -> int:
        return len(self.position)


@dataclass(frozen=True)
class VariantMatch:
    """Pairs of rows: `reference[i]` of the first source is `other[i]` of the second; `flipped[i]`: alleles swapped.

    `other` is increasing. `share` is the matched part of the first source's variants.
    """

    reference: np.ndarray
    other: np.ndarray
    flipped: np.ndarray
    share: float


def plain_contig_names(names: np.ndarray) -> np.ndarray:
    """Contig names without "chr", upper case."""
    return pd.Series(np.asarray(names, dtype=object)).str.upper().str.replace(r"^CHR", "", regex=True).to_numpy()


def match_variants(reference: VariantKeys, other: VariantKeys, *, least_share: float = 0.0) -> VariantMatch:
    """Match `other` to `reference`; InputError if less than `least_share` of the reference's variants are found."""
    by_position = bool((reference.position > 0).all() and (other.position > 0).all())
    left, right = _frame(reference, by_position), _frame(other, by_position)
    on = [c for c in left.columns if c != "row"]
    left = left[~left.duplicated(on, keep=False)]
    straight = left.merge(right, on=on, suffixes=("", "_other"))
    swapped_right = right.rename(columns={"counted": "uncounted", "uncounted": "counted"})
    swapped = left.merge(swapped_right, on=on, suffixes=("", "_other"))
    rows = pd.concat([straight.assign(flipped=False), swapped.assign(flipped=True)], ignore_index=True)
    rows = rows[~rows.duplicated("row", keep=False) & ~rows.duplicated("row_other", keep=False)]
    rows = rows.sort_values("row_other", kind="stable")
    share = len(rows) / max(1, len(reference))
    if share < least_share or not len(rows):
        raise InputError(
            f"{share:.1%} of the {len(reference):,} variants are in the other genotypes.",
            found=_show(other),
            expected=f"at least {least_share:.0%} of variants such as {_show(reference)}",
            do="check genome build, contig names and allele coding of both",
        )
    return VariantMatch(
        rows["row"].to_numpy(np.int64), rows["row_other"].to_numpy(np.int64), rows["flipped"].to_numpy(bool), share
    )


def _frame(keys: VariantKeys, by_position: bool) -> pd.DataFrame:
    where = (
        {"contig": plain_contig_names(keys.contig), "position": keys.position}
        if by_position
        else {"id": np.asarray(keys.variant_id, dtype=object)}
    )
    alleles = np.char.upper(np.asarray(keys.allele, dtype=str)) if len(keys) else np.empty((0, 2), dtype=str)
    return pd.DataFrame(
        {
            **where,
            "uncounted": alleles[:, 0].astype(object),
            "counted": alleles[:, 1].astype(object),
            "row": np.arange(len(keys)),
        }
    )


def _show(keys: VariantKeys) -> str:
    rows = range(min(3, len(keys)))
    shown = (
        f"{keys.contig[i]}:{keys.position[i]} {keys.allele[i][0]}/{keys.allele[i][1]} ({keys.variant_id[i]})"
        for i in rows
    )
    return ", ".join(shown)
