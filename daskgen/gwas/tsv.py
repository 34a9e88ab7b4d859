"""Writing a table as tab-separated text, block by block; the file appears when it is whole."""

from __future__ import annotations

import contextlib
import gzip
import os
from collections.abc import Iterable, Iterator
from typing import IO

import polars as pl

from daskgen.errors import StoreError, UsageError

__all__ = ["write_frames"]


def write_frames(path: str | os.PathLike[str], frames: Iterable[pl.DataFrame], *, force: bool = False) -> str:
    """Write the frames one below the other, missing values as NA, compressed if `path` ends in .gz; returns the path.

    Raises UsageError for a folder that is not there, StoreError for a file that is there without `force`.
    """
    name = os.fspath(path)
    folder = os.path.dirname(os.path.abspath(name))
    if not os.path.isdir(folder):
        raise UsageError(f"{name}: its folder does not exist.", found=folder, do=f"mkdir -p {folder}")
    if os.path.lexists(name) and not force:
        raise StoreError(f"{name} exists.", do="choose another path, or --force to replace it")
    partial = f"{name}.{os.getpid()}.partial"
    try:
        with _opened(partial, compressed=name.endswith(".gz")) as file:
            for number, frame in enumerate(frames):
                frame.write_csv(file, separator="\t", null_value="NA", quote_style="never", include_header=number == 0)
        os.replace(partial, name)
    finally:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(partial)
    return name


@contextlib.contextmanager
def _opened(path: str, *, compressed: bool) -> Iterator[IO[bytes]]:
    with open(path, "wb") as file:
        if not compressed:
            yield file
            return
        # Without a time and a name inside, the same table has the same bytes.
        with gzip.GzipFile(filename="", mode="wb", compresslevel=4, fileobj=file, mtime=0) as packed:
            yield packed  # type: ignore[misc]
