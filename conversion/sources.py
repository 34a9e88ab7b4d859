"""From what a user names to a source: one file or prefix, a list, a glob, or "ukb_chr{1:22}.bed"."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from typing import Literal

from conversion.concatenated import concatenate
from conversion.pgen import PgenSource
from conversion.plink1 import BedSource
from conversion.source import GenotypeSource
from daskgen.errors import InputError, UsageError, examples
from daskgen.inputs.files import exists, expand, is_url, open_binary

__all__ = ["FORMATS", "Paths", "open_source"]

Paths = str | os.PathLike[str] | Sequence[str | os.PathLike[str]]

FORMATS = {"plink1": (".bed", ".bim", ".fam"), "pgen": (".pgen", ".pvar", ".psam", ".pvar.zst")}
"""Formats by name, and the endings of their files."""

_SYNONYMS = {"bed": "plink1", "plink": "plink1", "plink2": "pgen"}
# What other formats begin with, so that they are named in the message.
_FOREIGN = (
    (0, b"##fileformat=VCF", "VCF"),
    (0, b"BCF\x02", "BCF"),
    (0, b"\x1f\x8b", "a gzip file (perhaps VCF)"),
    (16, b"bgen", "BGEN"),
)


def open_source(
    source: Paths,
    *,
    format: str | None = None,
    sample_file: str | None = None,
    split_multiallelic: bool = True,
    dosages: Literal["auto"] | bool = "auto",
) -> GenotypeSource:
    """The source that `source` names; several files become one, in the given order.

    format: "plink1" or "pgen", where it should not be told from name and content. sample_file: the .fam or .psam,
    where it does not lie beside the genotypes under the same name (one for all files). dosages: unless False, several
    files must all have them or none.
    Raises InputError for what is not there or cannot be read, UsageError for an unknown format.
    """
    if format is not None:
        format = _SYNONYMS.get(format, format)
        if format not in FORMATS:
            raise UsageError(f"unknown format {format!r}.", expected=", ".join(FORMATS))
    samples = None if sample_file is None else os.fspath(sample_file)
    parts: list[GenotypeSource] = []
    for path in resolve(source):
        if (format or recognise(path)) == "plink1":
            parts.append(BedSource.of(stem_of(path, "plink1"), samples))
        else:
            parts.append(PgenSource.of(stem_of(path, "pgen"), samples, split_multiallelic=split_multiallelic))
    return concatenate(parts, need_same_dosage=dosages is not False)


def resolve(source: Paths) -> list[str]:
    """The files or prefixes that `source` names, in order. Lists are taken as they are given."""
    if not isinstance(source, (str, os.PathLike)):
        paths = [path for item in source for path in resolve(item)]
        if not paths:
            raise UsageError("the list of sources is empty.")
        return paths
    text = os.fspath(source)
    if not is_url(text):
        # Workers may run in another folder.
        text = os.path.abspath(os.path.expanduser(text))
    if braces := re.search(r"\{([^{}]*:[^{}]*|[^{}]*,[^{}]*)\}", text):
        head, tail = text[: braces.start()], text[braces.end() :]
        return [path for item in _items(braces[1], text) for path in resolve(head + item + tail)]
    if re.search(r"[*?\[]", text) and not exists(text):
        found = expand(text)
        genotypes = [path for path in found if path.endswith((".bed", ".pgen"))]
        if not genotypes:
            raise InputError(
                f"no genotype file matches {text}.",
                found=examples(found) if found else "no file at all",
                expected="files that end in .bed or .pgen",
            )
        return genotypes
    return [text]


def _items(inside: str, pattern: str) -> list[str]:
    """What stands between braces: "1:22,X" is 1, 2, ..., 22, X; "01:22" keeps two digits."""
    items: list[str] = []
    for part in inside.split(","):
        if ":" not in part:
            items.append(part)
            continue
        first, _, last = part.partition(":")
        if not (first.isdecimal() and last.isdecimal() and int(first) <= int(last)):
            raise UsageError(f"{{{part}}} in {pattern} is not a range.", expected="such as {1:22} or {1:22,X}")
        width = len(first) if first.startswith("0") else 0
        items.extend(str(number).zfill(width) for number in range(int(first), int(last) + 1))
    return items


def stem_of(path: str, format: str) -> str:
    """The path without the ending of one of the format's files; the genotype file itself stays as it is."""
    for ending in FORMATS[format][1:]:
        if path.endswith(ending):
            return path.removesuffix(ending)
    return path


def recognise(path: str) -> str:
    """The format of the file or prefix `path`, by name and content.

    Raises InputError where there is nothing, two file sets share the prefix, or the file is of another kind.
    """
    for format, endings in FORMATS.items():
        if path.endswith(endings):
            return format
    if exists(path):
        return _by_content(path)
    there = [format for format, endings in FORMATS.items() if exists(path + endings[0])]
    if len(there) == 1:
        return there[0]
    if there:
        raise InputError(
            f"{path} is the prefix of a .bed and of a .pgen.",
            do="name one of the files, or give format='plink1' or 'pgen'",
        )
    raise InputError(
        f"{path}: there is no such file, and no {path}.bed or {path}.pgen.",
        do="check the path; workers must see it under the same name",
    )


def _by_content(path: str) -> str:
    with open_binary(path) as file:
        start = file.read(20)
    if start[:2] == b"\x6c\x1b":
        kind = "plink1" if start[2:3] in (b"\x00", b"\x01") else "pgen"
        raise InputError(
            f"{path} holds {'PLINK 1' if kind == 'plink1' else 'PLINK 2'} genotypes under a name that hides it.",
            do=f"give it the ending {FORMATS[kind][0]}, beside {' and '.join(FORMATS[kind][1:3])} of the same name",
        )
    for offset, magic, name in _FOREIGN:
        if start[offset:].startswith(magic):
            raise InputError(
                f"{path} is {name}, which this version does not read.",
                expected=".bed/.bim/.fam or .pgen/.pvar/.psam",
                do="plink2 --make-pgen makes a .pgen of it (with dosages: see its dosage= modifier)",
            )
    raise InputError(
        f"{path} is not a genotype file that is known.",
        found=f"it begins with {start[:4].hex(' ') or 'nothing'}",
        expected=".bed/.bim/.fam or .pgen/.pvar/.psam",
    )
