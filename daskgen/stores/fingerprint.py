"""Fingerprints of source files, so that a store says what it was made from and a resumed run sees a changed source.

The fingerprint is SHA-256 over the SHA-256 digests of the file's pieces of 64,000,000 bytes. Pieces are hashed by
the tasks that read them, in any order. A whole pass over a large file is not always made (a run that selects one
chromosome reads only that); then size, time and the hash of three sampled pieces stand alone.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from typing import Any

import fsspec

from daskgen import config
from daskgen.errors import InputError

__all__ = ["PieceHasher", "check_unchanged", "combine_pieces", "describe_source", "hash_file", "hash_piece", "n_pieces"]

_SAMPLE = 1 << 16
_BUFFER = 1 << 20


def _size(path: str) -> int:
    if "://" in path:
        filesystem, inner = fsspec.core.url_to_fs(path)
        return int(filesystem.info(inner)["size"])
    return os.stat(path).st_size


def describe_source(path: str | os.PathLike[str]) -> dict[str, Any]:
    """Name, size in bytes, time of last change (ns; None for URLs without one) and the hash of three samples.

    Of a folder (a Zarr group): all of its files, their names and sizes, and what three of them hold.
    """
    text = os.fspath(path)
    if _is_folder(text):
        return _describe_folder(text)
    try:
        size = _size(text)
    except FileNotFoundError:
        raise InputError(f"{text}: there is no such file.") from None
    digest = hashlib.sha256(size.to_bytes(8, "little"))
    with fsspec.open(text, "rb", compression=None).open() if "://" in text else open(text, "rb") as file:
        for start in sorted({0, max(0, size // 2 - _SAMPLE // 2), max(0, size - _SAMPLE)}):
            file.seek(start)
            digest.update(file.read(_SAMPLE))
    modified = None if "://" in text else os.stat(text).st_mtime_ns
    return {"name": os.path.basename(text), "size": size, "modified": modified, "sample": digest.hexdigest()}


def _is_folder(path: str) -> bool:
    if "://" in path:
        filesystem, inner = fsspec.core.url_to_fs(path)
        return bool(filesystem.isdir(inner))
    return os.path.isdir(path)


def _describe_folder(path: str) -> dict[str, Any]:
    filesystem, inner = fsspec.core.url_to_fs(path)
    about = sorted(filesystem.find(inner, detail=True).items())
    digest = hashlib.sha256()
    for name, entry in about:
        digest.update(f"{name.removeprefix(inner)} {entry['size']}\n".encode())
    for place in sorted({0, len(about) // 2, len(about) - 1} if about else set()):
        with filesystem.open(about[place][0], "rb") as file:
            digest.update(file.read(_SAMPLE))
    times = [int(1e9 * entry["mtime"]) for _, entry in about if isinstance(entry.get("mtime"), float)]
    size = sum(int(entry["size"]) for _, entry in about)
    modified = max(times, default=None)
    return {
        "name": os.path.basename(path.rstrip("/")),
        "size": size,
        "modified": modified,
        "sample": digest.hexdigest(),
    }


def n_pieces(path: str | os.PathLike[str]) -> int:
    """Number of pieces of the file (an empty file has one)."""
    return max(1, -(-_size(os.fspath(path)) // config.get("fingerprint-piece")))


class PieceHasher:
    """SHA-256 of pieces of files, from bytes that somebody else reads anyway; what it is not shown it reads itself.

    pieces: (file, index of the piece), in the order of their bytes.
    """

    def __init__(self, pieces: Sequence[tuple[str, int]]):
        self._pieces = tuple(pieces)
        self._size = int(config.get("fingerprint-piece"))
        self._found: list[tuple[str, int, bytes]] = []
        self._begin()

    def _begin(self) -> None:
        self._digest = hashlib.sha256()
        self._path, index = self._pieces[len(self._found)] if len(self._found) < len(self._pieces) else ("", 0)
        self._position, self._end = index * self._size, (index + 1) * self._size

    def see(self, path: str, offset: int, data: memoryview) -> None:
        """Bytes of the file `path` from `offset` on, later than those that were shown before."""
        while path == self._path and offset + len(data) > self._position:
            if offset > self._position:
                self._read(min(offset, self._end))
            if offset <= self._position:
                part = data[self._position - offset : self._end - offset]
                self._digest.update(part)
                self._position += len(part)
            if self._position < self._end:
                return
            self._next()

    def digests(self) -> list[tuple[str, int, bytes]]:
        """(file, index, digest) of all pieces."""
        while self._path:
            self._read(self._end)
            self._next()
        return self._found

    def _next(self) -> None:
        self._found.append((*self._pieces[len(self._found)], self._digest.digest()))
        self._begin()

    def _read(self, stop: int) -> None:
        """Hash up to the byte `stop`, or to the end of the file."""
        view = memoryview(bytearray(min(_BUFFER, max(0, stop - self._position))))
        path = self._path
        with (
            fsspec.open(path, "rb", compression=None).open() if "://" in path else open(path, "rb", buffering=0) as file
        ):
            file.seek(self._position)
            while self._position < stop:
                n = file.readinto(view[: stop - self._position])
                if not n:
                    break
                self._digest.update(view[:n])
                self._position += n


def hash_piece(path: str | os.PathLike[str], index: int) -> bytes:
    """SHA-256 digest of piece `index` of the file."""
    return PieceHasher([(os.fspath(path), index)]).digests()[0][2]


def combine_pieces(digests: Sequence[bytes]) -> str:
    """The fingerprint from the digests of all pieces, in file order."""
    return hashlib.sha256(b"".join(digests)).hexdigest()


def hash_file(path: str | os.PathLike[str]) -> str:
    """The fingerprint of a (small) file in one go."""
    return combine_pieces([hash_piece(path, i) for i in range(n_pieces(path))])


def check_unchanged(path: str | os.PathLike[str], recorded: dict[str, Any]) -> None:
    """InputError if the file's size, time or samples differ from `recorded` (of `describe_source`)."""
    now = describe_source(path)
    # Times change when a file is copied; the content decides, the time only says where to look.
    different = [key for key in ("size", "sample") if now[key] != recorded.get(key)]
    if different:
        raise InputError(
            f"{now['name']} changed since the interrupted run began.",
            found=", ".join(f"{key} {now[key]}" for key in different),
            expected=", ".join(f"{key} {recorded.get(key)}" for key in different),
            do="start again with --force, or restore the file",
        )
