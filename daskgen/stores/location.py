"""Where a store lies: a local path or any URL that fsspec opens, behind one small set of operations.

Zarr does the reading and writing of arrays; this class does what Zarr has no words for: does something lie there,
create a file only if there is none, rename, remove what an interrupted write left behind.
"""

from __future__ import annotations

import contextlib
import io
import os
import posixpath
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import fsspec
from zarr.storage import FsspecStore, LocalStore

__all__ = ["Location", "NewFile", "StoreLike"]

StoreLike = str | os.PathLike[str]


@dataclass(frozen=True)
class Location:
    """A place on a file system. `url` is absolute: a path without a scheme (local) or ``scheme://...``."""

    url: str

    @classmethod
    def of(cls, path: StoreLike | Location) -> Location:
        """The location of `path` (a string, a path, or a URL)."""
        if isinstance(path, Location):
            return path
        text = os.fspath(path)
        if text.startswith("file://"):
            text = text.removeprefix("file://")
        if "://" in text:
            return cls(text.rstrip("/"))
        return cls(os.path.abspath(os.path.expanduser(text)))

    @property
    def local(self) -> bool:
        return "://" not in self.url

    @property
    def name(self) -> str:
        return posixpath.basename(self.url) if not self.local else os.path.basename(self.url)

    def sibling(self, suffix: str) -> Location:
        """The location with `suffix` added to its last part (``x.zarr`` -> ``x.zarr.lock``)."""
        return Location(self.url + suffix)

    def join(self, *parts: str) -> Location:
        return Location("/".join((self.url, *parts)))

    # -- what fsspec knows ---------------------------------------------------------------------------------
    def _filesystem(self) -> tuple[Any, str]:
        return fsspec.core.url_to_fs(self.url)

    def zarr_store(self, *, read_only: bool) -> Any:
        """The Zarr store object of this location."""
        if self.local:
            return LocalStore(self.url, read_only=read_only)
        return FsspecStore.from_url(self.url, read_only=read_only)

    def exists(self) -> bool:
        if self.local:
            return os.path.lexists(self.url)
        filesystem, path = self._filesystem()
        return bool(filesystem.exists(path))

    def is_empty_folder(self) -> bool:
        """True for a local folder without entries (object stores have no empty folders)."""
        return self.local and os.path.isdir(self.url) and not os.listdir(self.url)

    def size(self) -> int:
        """Bytes below this location, as the file system counts them."""
        if self.local:
            here = Path(self.url)
            if here.is_file():
                return here.stat().st_size
            return sum(f.stat().st_size for f in here.rglob("*") if f.is_file())
        filesystem, path = self._filesystem()
        return int(filesystem.du(path))

    def n_files(self) -> int:
        """Files below this location."""
        if self.local:
            return sum(1 for f in Path(self.url).rglob("*") if f.is_file())
        filesystem, path = self._filesystem()
        return len(filesystem.find(path))

    def read_bytes(self) -> bytes:
        """The whole content of this file; FileNotFoundError if there is none."""
        if self.local:
            return Path(self.url).read_bytes()
        filesystem, path = self._filesystem()
        return bytes(filesystem.cat_file(path))

    def write_bytes(self, content: bytes | memoryview) -> None:
        """Write the file so that a reader sees the old or the new content, never a part of it."""
        file = self.new_file()
        try:
            file.write(content)
            file.finish()
        except BaseException:
            file.discard()
            raise

    def new_file(self) -> NewFile:
        """A file that is written piece by piece and lies here when it is finished."""
        return NewFile(self)

    def copy_file_to(self, other: Location) -> None:
        """Copy this file to `other`, whole or not at all; FileNotFoundError if there is none."""
        if not (self.local and other.local):
            other.write_bytes(self.read_bytes())
            return
        temporary = f"{other.url}.{os.urandom(4).hex()}.partial"
        os.makedirs(os.path.dirname(other.url), exist_ok=True)
        try:
            shutil.copyfile(self.url, temporary)
            os.replace(temporary, other.url)
        except BaseException:
            with contextlib.suppress(OSError):
                os.unlink(temporary)
            raise

    def create_exclusive(self, content: bytes) -> bool:
        """Create the file unless there is one already; says whether it was created."""
        if self.local:
            os.makedirs(os.path.dirname(self.url), exist_ok=True)
            # The content appears together with the name: a hard link of a finished temporary file.
            temporary = f"{self.url}.{os.getpid()}.{os.urandom(4).hex()}"
            Path(temporary).write_bytes(content)
            try:
                os.link(temporary, self.url)
            except FileExistsError:
                return False
            except OSError:  # a file system without hard links
                try:
                    handle = os.open(self.url, os.O_CREAT | os.O_EXCL | os.O_WRONLY)
                except FileExistsError:
                    return False
                with os.fdopen(handle, "wb") as file:
                    file.write(content)
                return True
            finally:
                os.unlink(temporary)
            return True
        filesystem, path = self._filesystem()
        try:
            filesystem.pipe_file(path, content, mode="create")
        except FileExistsError:
            return False
        except (TypeError, ValueError, NotImplementedError):
            # File systems without an atomic create: look, then write. Said in the documentation of locks.
            if filesystem.exists(path):
                return False
            filesystem.pipe_file(path, content)
        return True

    def remove_file(self) -> None:
        """Remove this file if it is there."""
        if self.local:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(self.url)
            return
        filesystem, path = self._filesystem()
        with contextlib.suppress(FileNotFoundError):
            filesystem.rm_file(path)

    def remove_tree(self) -> None:
        """Remove everything below. The callers make sure that it is a store of daskgen (see `writer`)."""
        if self.local:
            shutil.rmtree(self.url, ignore_errors=False)
            return
        filesystem, path = self._filesystem()
        filesystem.rm(path, recursive=True)

    def move_to(self, other: Location) -> None:
        """Rename (atomic locally; a copy and delete on object stores)."""
        if self.local and other.local:
            os.rename(self.url, other.url)
            return
        filesystem, path = self._filesystem()
        filesystem.mv(path, other._filesystem()[1], recursive=True)

    def partial_files(self) -> Iterator[str]:
        """Files that an interrupted local write left behind (Zarr writes ``*.partial`` and renames)."""
        if self.local and os.path.isdir(self.url):
            for folder, _, names in os.walk(self.url):
                for name in names:
                    if name.endswith(".partial"):
                        yield os.path.join(folder, name)

    def __str__(self) -> str:
        return self.url


class NewFile:
    """A file that is being written: a reader sees the old content of its place until `finish`, then the new one.

    On object stores, which take a file in one piece, what is written is kept until then.
    """

    def __init__(self, place: Location):
        self._place = place
        self._parts: list[bytes] = []
        self._temporary = f"{place.url}.{os.getpid()}.partial"
        self._file: io.FileIO | None = None
        if place.local:
            os.makedirs(os.path.dirname(place.url), exist_ok=True)
            self._file = open(self._temporary, "wb", buffering=0)  # noqa: SIM115

    def write(self, content: bytes | memoryview) -> None:
        """Append some bytes."""
        if self._file is None:
            self._parts.append(bytes(content))
            return
        rest = memoryview(content)
        while rest:
            rest = rest[self._file.write(rest) :]

    def finish(self) -> None:
        """Put the file in its place."""
        if self._file is None:
            filesystem, path = self._place._filesystem()
            filesystem.pipe_file(path, b"".join(self._parts))
            return
        self._file.close()
        os.replace(self._temporary, self._place.url)

    def discard(self) -> None:
        """Leave nothing behind of a file that was not finished."""
        if self._file is not None:
            self._file.close()
            with contextlib.suppress(OSError):
                os.unlink(self._temporary)
