"""Files of one person's genotypes from direct-to-consumer companies: recognised, and refused with the reason."""

from __future__ import annotations

import re
from typing import NoReturn

from conversion.formats import OpenOptions
from daskgen.errors import InputError

__all__ = ["is_personal_genome", "refuse_personal_genome"]

_MARKS = re.compile(rb"(?i)23andme|ancestrydna|myheritage|rsid[\"',;\t ]+chromosome[\"',;\t ]+position")
_ROW = re.compile(rb'"?(rs|i)\d+"*[\t,]"*([0-9]{1,2}|X|Y|XY|MT)"*[\t,]"*\d+"*[\t,]"*([ACGTDI]{1,2}|--|00)"*([\t,]|$)')


def is_personal_genome(beginning: bytes) -> bool:
    """Whether a file that begins so is one: the company's name, its columns, or rows of id, place and two letters."""
    lines = [line.strip() for line in beginning[:4096].splitlines()]
    rows = [line for line in lines if line and not line.startswith(b"#")][:-1] or lines[:1]
    return bool(_MARKS.search(beginning[:4096])) or (bool(rows) and all(map(_ROW.match, rows)))


def refuse_personal_genome(path: str, options: OpenOptions) -> NoReturn:
    """InputError that says why and what to do."""
    raise InputError(
        f"{path} is the export of one person's genotypes (23andMe, AncestryDNA, FTDNA, MyHeritage).",
        found="two letters a variant, and no reference allele, so a number of copies cannot be told from one person",
        expected="a format with both alleles of each variant",
        do="bcftools convert --tsv2vcf FILE -f reference.fa -s NAME -Oz -o FILE.vcf.gz looks up the reference alleles",
    )
