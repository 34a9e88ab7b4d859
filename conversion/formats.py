"""The genotype formats that are read, one entry each: how a file of it is recognised, and what opens it.

A new format is a module with a `GenotypeSource` and an entry in `FORMATS`.
"""

from __future__ import annotations

import importlib
import os
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

from conversion.source import GenotypeSource
from daskgen.inputs.files import exists, open_binary
from daskgen.kernels.dosages import HARD_CALL_THRESHOLD

__all__ = ["FORMATS", "Format", "Head", "OpenOptions"]

_HEAD_BYTES = 1 << 16


@dataclass(frozen=True)
class OpenOptions:
    """What a user may say about a source, beside its name; the arguments of `conversion.genotypes`.

    in_order: whether a file that can only be read from its beginning will do (`conversion.open` needs any part at any
    time).
    """

    sample_file: str | None = None
    split_multiallelic: bool = True
    dosages: Literal["auto"] | bool = "auto"
    in_order: bool = True
    hard_call_threshold: float = HARD_CALL_THRESHOLD
    default_contig: str | None = None
    variant_file: str | None = None
    half_calls: Literal["missing", "refuse"] = "missing"


@dataclass(frozen=True)
class Head:
    """The beginning of a file. `raw`: its first bytes; empty for an empty file."""

    path: str
    raw: bytes

    @classmethod
    def of(cls, path: str) -> Head:
        with open_binary(path) as file:
            return cls(path, file.read(_HEAD_BYTES))

    @cached_property
    def unpacked(self) -> bytes:
        """The same, unpacked where it is gzip (of any kind, bgzip included); `raw` otherwise."""
        if self.raw[:2] != b"\x1f\x8b":
            return self.raw
        try:
            return zlib.decompressobj(wbits=31).decompress(self.raw)
        except zlib.error:
            return b""


@dataclass(frozen=True)
class Format:
    """A genotype format.

    name: as users write it in format=; title: as messages call it. endings: of its files; those of files that hold
    genotypes first, `n_genotype_endings` of them. opener: "module:function" of (path, OpenOptions) -> source, imported
    when a file of the format is met. recognise: whether a file of any name is one; None: it is known by its ending.
    prefix: whether the files' common prefix names them too. folder: whether a folder is one. needs_name: whether a
    file of this content must have the format's ending, because others lie beside it under the same name. refused: it is
    known only so that the message can say why it is not read.
    """

    name: str
    title: str
    endings: tuple[str, ...]
    opener: str
    n_genotype_endings: int = 1
    recognise: Callable[[Head], bool] | None = None
    synonyms: tuple[str, ...] = ()
    prefix: bool = False
    needs_name: bool = False
    refused: bool = False
    folder: Callable[[str], bool] | None = None

    @property
    def genotype_endings(self) -> tuple[str, ...]:
        """Endings of the files that hold genotypes: what a glob takes."""
        return self.endings[: self.n_genotype_endings]

    def stem(self, path: str) -> str:
        """The path without the ending of one of the companions; the genotype file itself stays as it is."""
        for ending in self.endings[self.n_genotype_endings :]:
            if path.endswith(ending):
                return path.removesuffix(ending)
        return path

    def open(self, path: str, options: OpenOptions) -> GenotypeSource:
        """The source at `path`."""
        module, _, function = self.opener.partition(":")
        opener: Callable[[str, OpenOptions], GenotypeSource] = getattr(importlib.import_module(module), function)
        return opener(self.stem(path), options)


def _is_bed(head: Head) -> bool:
    return head.raw[:3] in (b"\x6c\x1b\x01", b"\x6c\x1b\x00")


def _is_pgen(head: Head) -> bool:
    return head.raw[:2] == b"\x6c\x1b" and not _is_bed(head)


def _is_vcf(head: Head) -> bool:
    return head.unpacked.startswith((b"##fileformat=VCF", b"BCF\x02"))


def _is_bgen(head: Head) -> bool:
    return head.raw[16:20] == b"bgen"


def _is_personal(head: Head) -> bool:
    personal = importlib.import_module("conversion.personal_genomes")
    return bool(personal.is_personal_genome(head.unpacked))


def _is_zarr_folder(path: str) -> bool:
    return any(exists(os.path.join(path, name)) for name in (".zgroup", ".zattrs", "zarr.json"))


FORMATS: dict[str, Format] = {
    format.name: format
    for format in (
        Format(
            "plink1",
            "PLINK 1 (.bed/.bim/.fam)",
            (".bed", ".bim", ".fam"),
            "conversion.plink1:open_bed",
            recognise=_is_bed,
            synonyms=("bed", "plink"),
            prefix=True,
            needs_name=True,
        ),
        Format(
            "pgen",
            "PLINK 2 (.pgen/.pvar/.psam)",
            (".pgen", ".pvar", ".psam", ".pvar.zst"),
            "conversion.pgen:open_pgen",
            recognise=_is_pgen,
            synonyms=("plink2",),
            prefix=True,
            needs_name=True,
        ),
        Format("bgen", "BGEN", (".bgen",), "conversion.bgen:open_bgen", recognise=_is_bgen),
        Format(
            "vcf",
            "VCF or BCF",
            (".vcf", ".vcf.gz", ".vcf.bgz", ".bcf"),
            "conversion.vcf:open_vcf",
            n_genotype_endings=4,
            recognise=_is_vcf,
            synonyms=("bcf",),
        ),
        Format(
            "vcf_zarr",
            "VCF Zarr",
            (".vcz", ".zarr"),
            "conversion.vcf_zarr:open_zarr",
            n_genotype_endings=2,
            synonyms=("vcf-zarr", "vcz", "zarr"),
            folder=_is_zarr_folder,
        ),
        Format(
            "gen",
            "Oxford GEN",
            (".gen", ".gen.gz", ".gen.zst"),
            "conversion.oxford_gen:open_gen",
            n_genotype_endings=3,
            synonyms=("oxford",),
        ),
        Format(
            "personal",
            "one person's genotypes",
            (".23andme",),
            "conversion.personal_genomes:refuse_personal_genome",
            recognise=_is_personal,
            synonyms=("23andme",),
            refused=True,
        ),
        # The least particular one comes last.
        Format(
            "text",
            "a text matrix of 0, 1, 2",
            (".txt", ".csv", ".tsv", ".txt.gz", ".csv.gz", ".tsv.gz"),
            "conversion.text_matrix:open_text_matrix",
            n_genotype_endings=6,
            synonyms=("jwas", "bglr", "matrix"),
        ),
    )
}
"""The formats by name, in the order in which a file is compared with them."""
