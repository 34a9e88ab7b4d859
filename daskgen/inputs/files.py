"""Files of a source, wherever they lie: local paths and whatever URL fsspec opens.

Genotypes are read by byte ranges into buffers that the caller owns; nothing is mapped into memory, so that a
file that shrinks during a run is an error and not the end of the process.
"""

from __future__ import annotations

import glob
import os
import re
from typing import Any, BinaryIO

import fsspec
import numpy as np

from daskgen.errors import InputError

__all__ = [
    "companion",
    "count_lines",
    "exists",
    "expand",
    "file_id",
    "is_url",
    "open_binary",
    "read_bytes_into",
    "size_of",
]

_BLOCK = 1 << 20


def is_url(path: str) -> bool:
    """Whether `path` names a file through fsspec rather than on this machine's file systems."""
    return "://" in path


def _filesystem(path: str) -> tuple[Any, str]:
    return fsspec.core.url_to_fs(path)


def exists(path: str) -> bool:
    """Whether there is a file at `path`."""
    if is_url(path):
        filesystem, inner = _filesystem(path)
        return bool(filesystem.isfile(inner))
    return os.path.isfile(path)


def open_binary(path: str) -> BinaryIO:
    """The file, opened for reading bytes without a buffer of its own. InputError if it cannot be opened."""
    try:
        if is_url(path):
            return fsspec.open(path, "rb", compression=None).open()
        return open(path, "rb", buffering=0)
    except FileNotFoundError:
        raise InputError(
            f"{path}: there is no such file.", do="check the path; workers must see it under the same name"
        ) from None
    except IsADirectoryError:
        raise InputError(f"{path} is a folder, not a file.") from None
    except PermissionError:
        raise InputError(f"{path} cannot be read: permission denied.") from None


def size_of(path: str) -> int:
    """Bytes of the file."""
    if is_url(path):
        filesystem, inner = _filesystem(path)
        return int(filesystem.info(inner)["size"])
    try:
        return os.stat(path).st_size
    except FileNotFoundError:
        raise InputError(f"{path}: there is no such file.") from None


def file_id(path: str) -> str:
    """A text that changes when the file does: name, size and time of last change."""
    if is_url(path):
        filesystem, inner = _filesystem(path)
        about = filesystem.info(inner)
        return f"{path}:{about.get('size')}:{about.get('mtime') or about.get('LastModified') or about.get('ETag')}"
    about = os.stat(path)
    return f"{os.path.abspath(path)}:{about.st_size}:{about.st_mtime_ns}"


def read_bytes_into(path: str, file: BinaryIO, out: np.ndarray) -> None:
    """Fill the C-contiguous uint8 array `out` with the next bytes of `file`.

    Raises InputError, which names `path`, where the file ends before `out` is full.
    """
    view = memoryview(out.reshape(-1))
    while view:
        n = file.readinto(view)  # type: ignore[attr-defined]
        if not n:
            raise InputError(f"{path} was cut while it was read.", found=f"{len(view):,} bytes too few")
        view = view[n:]


def count_lines(path: str) -> int:
    """Lines of a text file; blank ones at its end don't count."""
    line_ends = pending = 0  # pending: line ends after the last text so far
    any_text = False
    with open_binary(path) as file:
        while block := file.read(_BLOCK):
            end = len(block.rstrip())
            if end:
                line_ends += pending + block.count(b"\n", 0, end)
                pending, any_text = 0, True
            pending += block.count(b"\n", end)
    return line_ends + 1 if any_text else 0


def companion(path: str, stem: str, suffixes: tuple[str, ...]) -> str:
    """The file that belongs to `path`: `stem` with the first of `suffixes` that exists."""
    for suffix in suffixes:
        if exists(stem + suffix):
            return stem + suffix
    raise InputError(
        f"{path} needs a file beside it that is not there.",
        expected=" or ".join(stem + suffix for suffix in suffixes),
        do="give the prefix that all files share, or name the samples' file with sample_file (--sample-file)",
    )


def expand(pattern: str) -> list[str]:
    """The files that match a glob pattern, in natural order (chr2 before chr10)."""
    if is_url(pattern):
        filesystem, inner = _filesystem(pattern)
        found = [filesystem.unstrip_protocol(name) for name in filesystem.glob(inner)]
    else:
        found = glob.glob(os.path.expanduser(pattern))
    return sorted(found, key=natural_order)


def natural_order(text: str) -> list[tuple[int, int, str]]:
    """Sort key under which the digits inside a name count as one number."""
    parts = re.split(r"(\d+)", text)
    return [(0, int(part), "") if part.isdecimal() else (1, 0, part) for part in parts if part]
