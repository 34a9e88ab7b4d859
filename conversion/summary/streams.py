"""The bytes of a text file, unpacked, in blocks of whole lines; a stream that was cut is refused.

A gzip file ends each member with a checksum and a length. A download that broke off lacks them, although everything
before can be unpacked, so a reader that stops at the last good byte takes half a genome for a whole one.
"""

from __future__ import annotations

import bz2
import importlib
import lzma
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, BinaryIO, cast

from daskgen.errors import InputError, MissingPackageError
from daskgen.inputs.files import open_binary

__all__ = ["inflater", "line_blocks", "open_unpacked"]

BLOCK_BYTES = 8 << 20
"""Text that is parsed at a time: some 150,000 lines. Larger blocks are mapped anew each time, which costs more."""

_PIECE = 1 << 18


class _Inflated:
    """A compressed file as its plain bytes, one decompressor per member."""

    def __init__(self, path: str, raw: BinaryIO, start: Callable[[], Any], errors: tuple[type[Exception], ...]):
        self.path, self._raw, self._start, self._errors = path, raw, start, errors
        self._member: Any = start()
        self._pending = b""
        self._fresh = True  # the member has got no byte yet
        self._members = 0

    def read_piece(self) -> bytes:
        """Some more bytes, or none at the end."""
        while True:
            packed = self._pending or self._raw.read(_PIECE)
            self._pending = b""
            if not packed:
                if not self._fresh:
                    raise InputError(
                        f"{self.path} is cut off: its compressed data end before the end of the file that was packed.",
                        found="a truncated stream, as an interrupted download leaves",
                        do="fetch the file again and compare its size or checksum with that of its source",
                    )
                return b""
            if self._fresh and self._members and not packed.strip(b"\0"):
                continue  # padding after the last member
            try:
                plain = self._member.decompress(packed)
            except self._errors as error:
                raise InputError(
                    f"{self.path} is damaged: it cannot be unpacked to its end.",
                    found=str(error),
                    do="fetch the file again and compare its size or checksum with that of its source",
                ) from error
            self._fresh = False
            if self._member.eof:
                self._pending = self._member.unused_data
                self._member, self._fresh = self._start(), True
                self._members += 1
            if plain:
                return cast(bytes, plain)


class _Plain:
    """A file that is not compressed (or that unpacks itself), by the same method."""

    def __init__(self, path: str, raw: BinaryIO):
        self.path, self._raw = path, raw

    def read_piece(self) -> bytes:
        """Some more bytes, or none at the end."""
        try:
            return self._raw.read(_PIECE) or b""
        except (zipfile.BadZipFile, zlib.error, EOFError) as error:
            raise InputError(
                f"{self.path} is damaged: it cannot be unpacked to its end.",
                found=str(error),
                do="fetch the file again and compare its size or checksum with that of its source",
            ) from error


def inflater() -> Any:
    """The module that unpacks gzip: isal (of the extra "formats"), which needs a third of zlib's time, or zlib."""
    try:
        return importlib.import_module("isal.isal_zlib")
    except ImportError:
        return zlib


def _zstandard(path: str) -> tuple[Callable[[], Any], tuple[type[Exception], ...]]:
    try:
        import zstandard
    except ImportError:
        raise MissingPackageError(
            f"{path} is compressed, and the package that unpacks it is not installed.",
            do='pip install "daskgen[formats]"',
        ) from None
    return lambda: zstandard.ZstdDecompressor().decompressobj(), (zstandard.ZstdError,)


@contextmanager
def open_unpacked(path: str) -> Iterator[_Inflated | _Plain]:
    """The plain bytes of `path`: gzip (bgzip too), bzip2, xz, zstd, zip with one file, or not packed at all.

    What a file is is told by its first bytes, not by its name. Raises InputError where it cannot be opened or is an
    archive of several files; reading raises it where the data are cut or damaged.
    """
    with open_binary(path) as raw:
        first = raw.read(6)
        raw.seek(0)
        if first[:2] == b"\x1f\x8b":
            inflate = inflater()
            yield _Inflated(path, raw, lambda: inflate.decompressobj(31), (zlib.error, inflate.error))
        elif first[:3] == b"BZh":
            yield _Inflated(path, raw, bz2.BZ2Decompressor, (OSError,))
        elif first == b"\xfd7zXZ\0":
            yield _Inflated(path, raw, lzma.LZMADecompressor, (lzma.LZMAError,))
        elif first[:4] == b"\x28\xb5\x2f\xfd":
            yield _Inflated(path, raw, *_zstandard(path))
        elif first[:4] == b"PK\x03\x04":
            with _zip_member(path, raw) as member:
                yield _Plain(path, member)
        else:
            yield _Plain(path, raw)


@contextmanager
def _zip_member(path: str, raw: BinaryIO) -> Iterator[BinaryIO]:
    """The one file of a zip archive; folders and what macOS adds don't count."""
    try:
        archive = zipfile.ZipFile(raw)
    except zipfile.BadZipFile as error:
        raise InputError(
            f"{path} is cut off or damaged: it is a zip archive without its table of contents.",
            found=str(error),
            do="fetch the file again and compare its size or checksum with that of its source",
        ) from error
    with archive:
        members = [m for m in archive.infolist() if not m.is_dir() and not m.filename.startswith("__MACOSX/")]
        if len(members) != 1:
            raise InputError(
                f"{path} is a zip archive of {len(members)} files.",
                found=", ".join(m.filename for m in members[:5]) or "nothing",
                expected="one",
                do="unpack it and name the file that you mean",
            )
        with archive.open(members[0]) as member:
            yield cast(BinaryIO, member)


def line_blocks(path: str, stream: _Inflated | _Plain, *, size: int | None = None) -> Iterator[bytes]:
    """The bytes of `stream` in blocks of about `size` that end with a line; the last line has its end too.

    Line ends are made the same ("\\n"), and a byte-order mark is taken off. Raises InputError for what is not text.
    """
    size = size or BLOCK_BYTES
    rest, first, carriage_returns = b"", True, False
    while True:
        parts, length = [rest], len(rest)
        while length < size:
            piece = stream.read_piece()
            if not piece:
                break
            parts.append(piece)
            length += len(piece)
        at_end = length < size
        block = b"".join(parts)
        if first:
            block = _checked_text(path, block)
            carriage_returns = b"\r" in block
            if carriage_returns and b"\n" not in block:
                raise InputError(
                    f"{path}: its lines end as on old Macintosh computers, with carriage returns alone.",
                    do="convert the line ends: tr '\\r' '\\n' < old > new",
                )
            first = False
        if not at_end:
            cut = block.rfind(b"\n") + 1
            if not cut:
                raise InputError(f"{path} is not a table: {len(block):,} bytes without the end of a line.")
            block, rest = block[:cut], block[cut:]
        elif block and not block.endswith(b"\n"):
            block += b"\n"
        if carriage_returns:
            block = block.replace(b"\r\n", b"\n")
        if block:
            yield block
        if at_end:
            return


def _checked_text(path: str, block: bytes) -> bytes:
    """The first block without its byte-order mark; InputError where it cannot be text."""
    if block.startswith(b"\xef\xbb\xbf"):
        return block[3:]
    if block.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise InputError(
            f"{path} is UTF-16 text.", expected="UTF-8", do=f"iconv -f UTF-16 -t UTF-8 {path} > converted.txt"
        )
    if b"\0" in block:
        raise InputError(
            f"{path} is not a text table.", found="binary data", expected="text (packed or not), or Parquet"
        )
    return block
