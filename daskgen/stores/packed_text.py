"""Text to be written as its bytes rather than as Python strings: a tenth of the time for columns of millions.

Zarr's text chunks are the UTF-8 bytes of each text after their number, in four bytes. NumPy's string type reaches them
by way of a Python string per text, several times over; from bytes they are made by moving bytes.
"""

from __future__ import annotations

from dataclasses import dataclass

import google_crc32c
import numpy as np
import numpy.typing as npt
import zarr
from numcodecs.zstd import Zstd

from daskgen.errors import StoreError
from daskgen.stores.location import Location
from daskgen.stores.text_chunks import is_plain_text

__all__ = ["PackedText", "write_packed"]


@dataclass(frozen=True, eq=False)
class PackedText:
    """A block of text. content: UTF-8 bytes, uint8, each text ended by a zero byte, in C order; shape: of the block."""

    content: npt.NDArray[np.uint8]
    shape: tuple[int, ...]

    @classmethod
    def of(cls, joined: str, shape: tuple[int, ...]) -> PackedText:
        """From the texts joined by zero characters. StoreError where that is not as many texts as `shape` has."""
        n = int(np.prod(shape, dtype=np.int64))
        text = cls(np.frombuffer(f"{joined}\0".encode() if n else b"", np.uint8), tuple(shape))
        found = int(np.count_nonzero(text.content == 0))
        if found != n:
            raise StoreError("text must be str without zero bytes.", found=f"{found:,} texts", expected=f"{n:,}")
        return text

    def checksum(self) -> int:
        """What `text_checksum` gives for the same texts."""
        return int(google_crc32c.value(self.content)) if len(self.content) else 0

    def array(self) -> np.ndarray:
        """The texts as StringDType."""
        texts = self.content.tobytes().decode().split("\0")[:-1]
        return np.array(texts, dtype=np.dtypes.StringDType()).reshape(self.shape)


def write_packed(location: Location, array: zarr.Array, region: tuple[slice, ...], text: PackedText) -> None:
    """Write whole chunks of a text array of the store at `location`: the bytes that Zarr would write.

    Zarr itself writes them where the array is not laid out as the writer does.
    """
    if not is_plain_text(array):
        array[region] = text.array()
        return
    step, rows = array.chunks[0], region[0]
    width = int(np.prod(array.shape[1:], dtype=np.int64))
    ends = np.concatenate([[-1], np.flatnonzero(text.content == 0)])
    for start in range(rows.start, rows.stop, step):
        first, last = ((min(row, rows.stop) - rows.start) * width for row in (start, start + step))
        begin, stop = ends[first] + 1, ends[last] + 1
        # The last chunk is filled up with empty texts.
        lengths = np.concatenate(
            [np.diff(ends[first : last + 1]) - 1, np.zeros(step * width - (last - first), np.int64)]
        )
        chunk = vlen_utf8(text.content[begin:stop], lengths)
        for codec in array.compressors:
            chunk = Zstd(level=codec.level, checksum=codec.checksum).encode(chunk)  # type: ignore[union-attr]
        key = array.metadata.encode_chunk_key((start // step, *(0 for _ in array.shape[1:])))
        location.join(array.path, key).write_bytes(bytes(chunk))


def vlen_utf8(content: npt.NDArray[np.uint8], lengths: npt.NDArray[np.int64]) -> npt.NDArray[np.uint8]:
    """Texts as Zarr stores them: how many there are, then of each its length and its bytes; numbers are uint32 LE.

    content: texts ended by zero bytes; lengths: bytes of each without its end; those beyond `content` are empty.
    """
    n = len(lengths)
    headers = lengths.astype("<u4").view(np.uint8).reshape(n, 4)
    result = np.empty(4 + 4 * n + int(lengths.sum()), np.uint8)
    result[:4] = np.array([n], "<u4").view(np.uint8)
    body = result[4:]
    if n and lengths.min() == lengths.max() > 0:  # as alleles of single bases are
        table = body.reshape(n, -1)
        table[:, :4], table[:, 4:] = headers, content.reshape(n, -1)[:, :-1]
        return result
    starts = np.cumsum(lengths + 4) - (lengths + 4)
    of_text = np.ones(len(body), bool)
    for byte in range(4):
        body[starts + byte] = headers[:, byte]
        of_text[starts + byte] = False
    body[of_text] = content[content != 0]
    return result
