"""Lines of a text file, packed or not, that may each be very long."""

from __future__ import annotations

from collections.abc import Iterator

from conversion.summary.streams import line_blocks, open_unpacked
from daskgen.errors import InputError

__all__ = ["lines_of"]


def lines_of(path: str, skip: int = 0) -> Iterator[tuple[int, str]]:
    """(number, line) of the lines that are not blank, after the first `skip` of them.

    InputError where the file is cut, damaged or not text.
    """
    number = 0
    with open_unpacked(path) as stream:
        for block in line_blocks(path, stream):
            try:
                lines = block.decode().removesuffix("\n").split("\n")
            except UnicodeDecodeError as error:
                raise InputError(f"{path} is not a text file (after line {number:,}).", found=str(error)) from None
            for line in lines:
                number += 1
                if not line.strip():
                    continue
                if skip:
                    skip -= 1
                else:
                    yield number, line
