"""Half-calls, with one allele of two missing (./1): how many were met while a task read, and where they are refused.

A store has no code for them: they become missing, and are counted. The count is kept beside the calls, per thread,
since calls pass through selections and other sources that have nothing to do with it.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np

__all__ = ["Tally", "counting_half_calls", "half_calls_met", "is_half"]

_current = threading.local()


@dataclass
class Tally:
    """Half-calls: once per row of the store that they would have been in, of all samples of the source."""

    n: int = 0


@contextmanager
def counting_half_calls() -> Iterator[Tally]:
    """What this thread reads within the block is added to the tally."""
    outer = getattr(_current, "tally", None)
    _current.tally = tally = Tally()
    try:
        yield tally
    finally:
        _current.tally = outer


def half_calls_met(n: int) -> None:
    """Said by a source: it made `n` half-calls missing."""
    tally = getattr(_current, "tally", None)
    if tally is not None:
        tally.n += n


def is_half(alleles: np.ndarray) -> np.ndarray:
    """Which calls, int (..., 2) with -1 for missing and -2 for none, have one allele of two missing."""
    return (alleles[..., 1] != -2) & ((alleles[..., 0] < 0) != (alleles[..., 1] < 0))
