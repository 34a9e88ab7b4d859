"""GWAS-VCF: summary statistics in the sample column of a VCF file, as the OpenGWAS project publishes them.

Keys of the sample (https://github.com/MRCIEU/gwas-vcf-specification): ES effect of the ALT allele, SE, LP -log10 p, AF
frequency of ALT, SS sample size, EZ z, SI quality of imputation, ID. A row's FORMAT says which of them it has.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

import polars as pl

from conversion.summary.layout import TextLayout
from conversion.summary.streams import line_blocks, open_unpacked
from conversion.summary.tables import TextTable
from daskgen.errors import InputError

__all__ = ["GwasVcfTable"]

# Column here -> key of the sample, or column of the VCF file.
_KEYS = {"RSID": "ID", "BETA": "ES", "SE": "SE", "LOG10P": "LP", "EAF": "AF", "N": "SS", "Z": "EZ", "INFO": "SI"}
_FIXED = {"CHR": "#CHROM", "BP": "POS", "EFFECT_ALLELE": "ALT", "OTHER_ALLELE": "REF"}


class GwasVcfTable:
    """A GWAS-VCF file of one trait, with columns named as in a plain table; ALT is the effect allele.

    header_n: cases and controls, where the header says them. Only keys of the first row's FORMAT are columns.
    """

    def __init__(self, path: str):
        self.path = path
        lines = self._header_lines()
        header = lines[-2].split("\t") if len(lines) > 1 and lines[-2].startswith("#CHROM") else []
        if len(header) != 10:
            raise InputError(
                f"{path} is a VCF file of {max(0, len(header) - 9)} samples with a row, not of one trait's statistics.",
                found=" ".join(header[9:14]),
                expected="GWAS-VCF: one sample column with ES, SE and LP",
                do="bcftools view --samples STUDY takes one study out of several",
            )
        keys = lines[-1].split("\t")[8].split(":")
        if not {"ES", "SE"} <= set(keys):
            raise InputError(
                f"{path} is a VCF file without summary statistics.",
                found=f"FORMAT {':'.join(keys)}",
                expected="ES and SE among the keys, as GWAS-VCF has them",
            )
        self._sample = header[9]
        self._text = TextTable(path, layout=TextLayout(tuple(header), "\t", len(lines) - 1))
        id_of = {"RSID": "ID"} if "ID" in keys else {}
        self._keys = {column: key for column, key in _KEYS.items() if key in keys and (column != "RSID" or id_of)}
        self._fixed = _FIXED if id_of else {"ID": "ID", **_FIXED}
        self.names = (*self._keys, *self._fixed)
        totals = dict(re.findall(r"(TotalCases|TotalControls)=(\d+)", " ".join(lines[:-2])))
        known = len(totals) == 2
        self.header_n = (int(totals["TotalCases"]), int(totals["TotalControls"])) if known else None

    def _header_lines(self) -> list[str]:
        """The lines up to the first row."""
        lines: list[str] = []
        with open_unpacked(self.path) as stream:
            for block in line_blocks(self.path, stream, size=1 << 20):
                for line in block.decode("utf-8", errors="replace").splitlines():
                    lines.append(line)
                    if not line.startswith("#"):
                        return lines
        return lines

    def head(self) -> pl.DataFrame:
        """The first rows, all columns as text."""
        return next(self.blocks(self.names)).head(1_000)

    def blocks(self, columns: Sequence[str]) -> Iterator[pl.DataFrame]:
        """All rows of `columns`; a value whose key a row has not is missing."""
        read = list(dict.fromkeys([*self._fixed.values(), "FORMAT", self._sample]))
        for frame in self._text.blocks(read):
            values = frame[self._sample].str.split(":")
            formats = frame["FORMAT"].unique().drop_nulls().to_list()
            found = {
                name: frame[self._fixed[name]]
                if name in self._fixed
                else _values(frame, values, formats, self._keys[name])
                for name in columns
            }
            yield pl.DataFrame([column.alias(name) for name, column in found.items()])


def _values(frame: pl.DataFrame, values: pl.Series, formats: Sequence[str], key: str) -> pl.Series:
    """The value of `key` in each row: its place is that in the row's own FORMAT."""
    taken = pl.Series([None], dtype=pl.String).new_from_index(0, frame.height)
    for text in formats:
        keys = text.split(":")
        if key in keys:
            part = values.list.get(keys.index(key), null_on_oob=True)
            taken = part.zip_with(frame["FORMAT"] == text, taken)
    return taken
