"""Finding a file's rows in the reference: by id, or by position and alleles where ids have that form or are missing."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import polars as pl

from conversion.summary.alleles import is_base
from conversion.summary.columns import Columns
from conversion.summary.numeric import floats
from conversion.summary.reference import Reference
from daskgen.errors import InputError, examples

__all__ = ["Join", "alleles_of_ids", "choose_join", "has_rs_numbers"]

Codes = npt.NDArray[np.int32]

# 10:100744250_C_T, chr1:930165:G:A, 1:725933_G_A, 1:534221_C/T_1:534221
_PLACE = r"^(?i:chr)?([0-9]{1,2}|[XYxy]|[Mm][Tt]?)[:_](\d+)"
_ALLELES = r"^[^:_]+[:_]\d+[:_]([A-Za-z]+)[:_/]([A-Za-z]+)"


@dataclass
class Join:
    """How rows are found: "id" or "position".

    at_position: rows of two bases that lie at one of the reference's positions; with_alleles: of these, with its
    alleles.
    """

    by: str
    id_column: str | None
    contig: str | None
    position: str | None
    at_position: int = 0
    with_alleles: int = 0

    def rows(
        self, frame: pl.DataFrame, reference: Reference, effect: Codes | None, other: Codes | None
    ) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.bool_]]:
        """The reference's row of each row of `frame`, -1 where there is none, and whether its place is there at all."""
        if self.by == "id":
            assert self.id_column is not None
            found = reference.locate_ids(_text(frame[self.id_column]))
            return found, found >= 0
        assert effect is not None
        assert other is not None
        contig, position = self._places(frame, reference)
        rows, there = reference.locate_positions(contig, position, effect, other)
        single = is_base(effect) & is_base(other)
        self.at_position += int((there & single).sum())
        self.with_alleles += int(((rows >= 0) & single).sum())
        return rows, there

    def _places(self, frame: pl.DataFrame, reference: Reference) -> tuple[Codes, npt.NDArray[np.int64]]:
        if self.contig is not None and self.position is not None:
            numbers = np.nan_to_num(floats(frame[self.position]), nan=0.0)
            return reference.contigs.encode(frame[self.contig]), np.clip(numbers, 0, 2**39).astype(np.int64)
        assert self.id_column is not None
        ids = _text(frame[self.id_column])
        contig = ids.str.extract(_PLACE, 1)
        position = ids.str.extract(_PLACE, 2).cast(pl.Int64, strict=False).fill_null(0)
        return reference.contigs.encode(contig), np.minimum(position.to_numpy(), 2**39)

    def check_build(self, path: str) -> None:
        """InputError where positions meet the reference's by chance only: they are of another genome build."""
        if self.by == "position" and self.at_position >= 20 and 2 * self.with_alleles < self.at_position:
            raise InputError(
                f"{path}: its positions seem to be of another genome build than the reference's.",
                found=f"{self.at_position:,} rows lie at a position of the reference, {self.with_alleles:,} of them "
                "have its alleles",
                expected="the same build (reference.1000G.maf.0.005.txt and w_hm3 have hg19)",
                do="lift the positions over, or add a column of rs numbers",
            )


def choose_join(columns: Columns, reference: Reference, frame: pl.DataFrame) -> Join:
    """By id, unless most ids of the first rows are missing or are not rs numbers and positions can be used."""
    id_column = columns.get("variant_id") if "variant_id" in columns.of or "variant_id" in columns.several else None
    contig, position = columns.of.get("contig"), columns.of.get("position")
    if contig not in frame.columns or position not in frame.columns:
        contig = position = None
    by_id = Join("id", id_column, contig, position)
    by_position = Join("position", id_column, contig, position)
    ids = None if id_column is None else _text(frame[id_column])
    placed = position is not None or (ids is not None and bool(ids.str.contains(_PLACE).fill_null(False).any()))
    if ids is None or not len(ids):
        if ids is None and not placed:
            columns.require("variant_id", "")
        chosen = by_id if ids is not None else by_position
    elif (
        2 * int(ids.str.contains(r"^rs\d+$").fill_null(False).sum()) >= len(ids)
        or (reference.locate_ids(ids) >= 0).any()
    ):
        chosen = by_id
    else:
        chosen = by_position if placed else by_id
    if chosen.by == "position" and not reference.has_positions:
        shown = "none" if ids is None else examples(ids.drop_nulls().to_list()[:3])
        raise InputError(
            f"{columns.path} has no rs numbers, and the reference has no positions to find its variants by.",
            found=f"ids {shown}",
            expected="columns CHR and BP in the reference" if reference.path else "rs numbers in all files",
            do="use a reference with positions (SNP A1 A2 MAF CHR BP), or add a column of rs numbers",
        )
    return chosen


def has_rs_numbers(columns: Columns, head: pl.DataFrame) -> bool:
    """Whether nearly all ids of the first rows are rs numbers, so that positions need not be read."""
    column = columns.of.get("variant_id")
    if column is None or not head.height:
        return False
    return int(_text(head[column]).str.contains(r"^rs\d+$").fill_null(False).sum()) > 0.9 * head.height


def alleles_of_ids(ids: pl.Series) -> tuple[pl.Series, pl.Series]:
    """(effect allele, other allele) from ids chromosome:position_OTHER/EFFECT."""
    return ids.str.extract(_ALLELES, 2), ids.str.extract(_ALLELES, 1)


def _text(column: pl.Series) -> pl.Series:
    return column if column.dtype == pl.String else column.cast(pl.String)
