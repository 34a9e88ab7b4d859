"""Looking for bytes, and numbers, in text that lies in an array."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from daskgen.kernels.compile import helper
from daskgen.kernels.words import load_uint64, ones

__all__ = ["PADDING", "decimal", "find", "list_item"]

Bytes = npt.NDArray[np.uint8]

PADDING = 8
"""Bytes that must follow the text in its array: kernels load words."""

_LOW, _HIGH = np.uint64(0x0101010101010101), np.uint64(0x8080808080808080)
_COMMA, _PLUS, _MINUS, _DOT, _ZERO, _NINE = 44, 43, 45, 46, 48, 57


@helper
def find(text: Bytes, start: int, stop: int, byte: int) -> int:
    """The first place of `byte` in [start, stop), or `stop`. Eight bytes at a time."""
    pattern = _LOW * np.uint64(byte)
    place = start
    while place < stop:
        word = load_uint64(text, place) ^ pattern
        # The lowest set bit marks the first zero byte; bits above it may be wrong.
        hit = (word - _LOW) & ~word & _HIGH
        if hit:
            return min(stop, place + (ones((hit & (~hit + np.uint64(1))) - np.uint64(1)) >> 3))
        place += 8
    return stop


@helper
def decimal(text: Bytes, start: int, stop: int) -> float:
    """The decimal number in [start, stop); NaN for "." and nan, -1 for what is no number or negative."""
    if stop - start == 1 and text[start] == _DOT:
        return np.nan
    place, digits, exponent = start, 0, 0
    mantissa = 0.0
    point = False
    while place < stop:
        byte = np.int64(text[place])
        if _ZERO <= byte <= _NINE:
            mantissa = 10.0 * mantissa + (byte - _ZERO)
            digits += 1
            exponent -= point
        elif byte == _DOT and not point:
            point = True
        else:
            break
        place += 1
    if digits == 0:
        # nan, NaN, NA; also -nan
        skip = start + (text[start] == _MINUS and stop > start)
        return np.nan if stop - skip >= 2 and (text[skip] | 32) == 110 and (text[skip + 1] | 32) == 97 else -1.0
    if place < stop and (text[place] | 32) == 101:
        place += 1
        negative = place < stop and text[place] == _MINUS
        place += place < stop and (text[place] == _MINUS or text[place] == _PLUS)
        power: Any = 0
        digits = 0
        while place < stop and _ZERO <= text[place] <= _NINE and digits < 4:
            power = 10 * power + (np.int64(text[place]) - _ZERO)
            digits += 1
            place += 1
        if digits == 0:
            return -1.0
        exponent += -power if negative else power
    if place < stop:
        return -1.0
    return mantissa / 10.0 ** (-exponent) if exponent < 0 else mantissa * 10.0**exponent


@helper
def list_item(text: Bytes, start: int, stop: int, index: int) -> tuple[int, int]:
    """(start, end) of item `index` of the list in [start, stop) that commas separate; (-1, -1) if it is shorter."""
    for _ in range(index):
        start = find(text, start, stop, _COMMA) + 1
        if start > stop:
            return -1, -1
    return start, find(text, start, stop, _COMMA)
