"""Has a matrix changed since it was last looked at?

The fingerprint is of the content: names, sizes and CRC-32C of all objects of the matrix. It is expensive, so the store
keeps it together with a stamp (names, sizes and times of last change): while the stamp is the same, so is the
fingerprint. A store that was copied has another stamp and the same fingerprint.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import fsspec
import google_crc32c
import numpy as np

from daskgen import limits
from daskgen.buffers import at_least, give_back
from daskgen.stores.location import Location

__all__ = ["content_fingerprint", "content_stamp"]

_PIECE = 1 << 18  # bytes that are read together: they stay in the cache


def content_stamp(location: Location, element: str) -> str:
    """Hash of names, sizes and times of last change of the objects below `element`."""
    return _hash(f"{name} {size} {changed}" for name, size, changed in _objects(location.join(element)))


def content_fingerprint(location: Location, element: str) -> str:
    """Hash of names, sizes and checksums of the objects below `element`; reads all of them."""
    place = location.join(element)
    objects = _objects(place)
    with ThreadPoolExecutor(limits.cores()) as pool:
        sums = pool.map(lambda entry: _checksum(place.join(entry[0])), objects)
        return _hash(f"{name} {size} {crc}" for (name, size, _), crc in zip(objects, sums, strict=True))


def _checksum(place: Location) -> int:
    """CRC-32C of an object, read piece by piece into the same memory where it is a file."""
    if not place.local:
        return int(google_crc32c.value(place.read_bytes()))
    checksum, piece = 0, at_least(_PIECE, np.uint8)
    with open(place.url, "rb", buffering=0) as file:
        while n := file.readinto(memoryview(piece)):
            checksum = google_crc32c.extend(checksum, piece[:n])
    give_back(piece)
    return int(checksum)


def _objects(place: Location) -> list[tuple[str, int, str]]:
    """(name, bytes, time of last change or tag) of every object, by name."""
    if place.local:
        root = Path(place.url)
        files = ((path, path.stat()) for path in root.rglob("*") if path.is_file() and path.suffix != ".partial")
        return sorted((path.relative_to(root).as_posix(), s.st_size, str(s.st_mtime_ns)) for path, s in files)
    filesystem, inner = fsspec.core.url_to_fs(place.url)
    return sorted(
        (
            name.removeprefix(inner).lstrip("/"),
            int(about["size"]),
            str(about.get("mtime") or about.get("LastModified") or about.get("ETag")),
        )
        for name, about in filesystem.find(inner, detail=True).items()
    )


def _hash(lines: Iterable[str]) -> str:
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()[:32]
