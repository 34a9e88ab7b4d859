"""From what a user names to a source: one file or prefix, a list, a glob, or "ukb_chr{1:22}.bed"."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from typing import Any

from conversion.concatenated import concatenate
from conversion.formats import FORMATS, Format, Head, OpenOptions
from conversion.source import GenotypeSource
from daskgen.errors import InputError, UsageError, examples
from daskgen.inputs.files import exists, expand, is_url

__all__ = ["Paths", "open_source"]

_GZIP = b"\x1f\x8b"

Paths = str | os.PathLike[str] | Sequence[str | os.PathLike[str]]


def open_source(source: Paths, *, format: str | None = None, **options: Any) -> GenotypeSource:
    """The source that `source` names; several files become one, in the given order.

    format: a name of `FORMATS`, where it should not be told from name and content. options: the fields of `OpenOptions`
    (one sample_file for all files); unless dosages is False, several files must all have them or none.
    Raises InputError for what is not there or cannot be read, UsageError for an unknown format.
    """
    given = OpenOptions(**options)
    wanted = None if format is None else format_named(format)
    parts = [(wanted or recognise(path)).open(path, given) for path in resolve(source)]
    return concatenate(parts, need_same_dosage=given.dosages is not False)


def format_named(name: str) -> Format:
    """The format of that name or synonym. UsageError if there is none."""
    for format in FORMATS.values():
        if name == format.name or name in format.synonyms:
            return format
    raise UsageError(f"unknown format {name!r}.", expected=", ".join(FORMATS))


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
        endings = tuple(ending for format in FORMATS.values() for ending in format.genotype_endings)
        genotypes = [path for path in found if path.endswith(endings)]
        if not genotypes:
            raise InputError(
                f"no genotype file matches {text}.",
                found=examples(found) if found else "no file at all",
                expected=f"files that end in {', '.join(endings)}",
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


def recognise(path: str) -> Format:
    """The format of the file, folder or prefix `path`, by name and content.

    Raises InputError where there is nothing, two file sets share the prefix, or the file is of no format.
    """
    for format in FORMATS.values():
        if format.folder is not None and format.folder(path):
            return format
    if exists(path):
        return _by_content(path)
    for format in FORMATS.values():
        # One of the companions names the set too; a message about what is missing is the format's own.
        if path.endswith(format.endings):
            return format
    sets = [format for format in FORMATS.values() if format.prefix]
    there = [format for format in sets if exists(path + format.endings[0])]
    if len(there) == 1:
        return there[0]
    if there:
        raise InputError(
            f"{path} is the prefix of a {' and of a '.join(format.endings[0] for format in there)}.",
            do=f"name one of the files, or give format={' or '.join(repr(format.name) for format in there)}",
        )
    raise InputError(
        f"{path}: there is no such file, and no {' or '.join(path + format.endings[0] for format in sets)}.",
        do="check the path; workers must see it under the same name",
    )


def _by_content(path: str) -> Format:
    """The format of a file. A file set is known by its names: its genotype file may be damaged and say nothing."""
    for format in FORMATS.values():
        if format.needs_name and path.endswith(format.endings):
            return format
    head = Head.of(path)
    for format in FORMATS.values():
        if format.recognise is None or not format.recognise(head):
            continue
        if format.needs_name:
            genotypes, *companions = format.endings
            raise InputError(
                f"{path} holds {format.title} genotypes under a name that hides it.",
                do=f"give it the ending {genotypes}, beside {' and '.join(companions[:2])} of the same name",
            )
        return format
    for format in FORMATS.values():
        # The format's own reader says best what is wrong with a file that has its name.
        if path.endswith(format.endings):
            return format
    raise InputError(
        f"{path} is not a genotype file that is known.",
        found=f"it begins with {head.raw[:4].hex(' ') or 'nothing'}{', a gzip file' * head.raw.startswith(_GZIP)}",
        expected=", ".join(format.title for format in FORMATS.values() if not format.refused),
    )
