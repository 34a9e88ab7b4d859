"""What the members of a gang tell each other while they sample: sums over their samples, and their residuals.

Each member has the genotypes of some tiles of samples and everything else of its chains: it draws what the others draw.
"""

from __future__ import annotations

import zlib
from typing import Any

import numpy as np

from daskgen.errors import InterruptedRunError
from daskgen.kernels.genotype_dots import TILE
from daskgen.passes.channel import Channel

__all__ = ["Exchange", "share_out", "subtree_rows"]


def share_out(tiles: int, members: int) -> np.ndarray:
    """int64 (members + 1,): the tiles of each member, whose numbers differ by one at the most."""
    return np.array([m * tiles // members for m in range(members + 1)], np.int64)


def subtree_rows(first: int, last: int, count: int) -> np.ndarray:
    """The first rows of the largest subtrees of the pairwise sum over `count` rows within `first` to `last` - 1: where
    `genotype_dots.add_within` leaves what the others need.
    """
    rows, at = [], first
    while at < last:
        size = 1
        while at % (2 * size) == 0 and min(at + 2 * size, count) <= last and size < count:
            size *= 2
        rows.append(at)
        at = min(at + size, last)
    return np.array(rows, np.int64)


class Exchange:
    """The exchanges of one member. bounds: tiles of all members, see `share_out`; tiles, width: of all samples."""

    def __init__(self, channel: Channel, bounds: np.ndarray, width: int):
        self.bounds, self.member = bounds, channel.member
        self._channel = channel
        tiles = int(bounds[-1])
        self._rows = [subtree_rows(int(a), int(b), tiles) for a, b in zip(bounds[:-1], bounds[1:], strict=True)]
        self._bytes = [
            slice(int(a) * TILE, min(int(b) * TILE, width)) for a, b in zip(bounds[:-1], bounds[1:], strict=True)
        ]
        self._others = [m for m in range(channel.size) if m != channel.member]

    @property
    def own_bytes(self) -> slice:
        """The bytes of a packed row that this member has."""
        return self._bytes[self.member]

    def add(self, partial: np.ndarray) -> None:
        """Bring the other members' sums into `partial`, float64 (tiles, chains, n), at the rows of their subtrees."""
        theirs = {m: np.empty((len(self._rows[m]), *partial.shape[1:])) for m in self._others}
        self._channel.exchange(partial[self._rows[self.member]], theirs)
        for m, rows in theirs.items():
            partial[self._rows[m]] = rows

    def gather(self, state: Any) -> None:
        """Make the residual whole, and see that all members have drawn the same."""
        if not self._others:
            self._channel.check()
            return
        residual = state.residual
        theirs = {m: np.empty((*residual.shape[:-1], self._bytes[m].stop - self._bytes[m].start)) for m in self._others}
        self._channel.exchange(np.ascontiguousarray(residual[..., self.own_bytes]), theirs)
        for m, part in theirs.items():
            residual[..., self._bytes[m]] = part
        mine = np.array([zlib.crc32(state.effect), zlib.crc32(state.residual_variance)], np.int64)
        signs = {m: np.empty(2, np.int64) for m in self._others}
        self._channel.exchange(mine, signs)
        different = [m for m, sign in signs.items() if (sign != mine).any()]
        self._channel.check()
        if different:
            raise InterruptedRunError(
                "the members of a gang have not drawn the same numbers.",
                found=f"member {self.member} and {different[0]} differ",
                do="use workers with processors of one kind",
            )

    def all_parts(self, values: np.ndarray, cuts: np.ndarray) -> None:
        """Fill a vector of which each member has made the part between two of the `cuts` (members + 1,)."""
        parts = [values[int(a) : int(b)] for a, b in zip(cuts[:-1], cuts[1:], strict=True)]
        self._channel.exchange(parts[self.member], {m: parts[m] for m in self._others})
