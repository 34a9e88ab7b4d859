"""A genotype matrix that comes by samples and is wanted by variants: turned on its side in a temporary file."""

from __future__ import annotations

import os
import tempfile
from typing import Any

import numpy as np

from daskgen import config
from daskgen.kernels.genotype_codes import pack

__all__ = ["SampleTiles"]


class SampleTiles:
    """Tiles of all variants x some samples, two bits a genotype, each of them written once, by variants.

    The variants [a, b) of a tile lie next to each other, so that reading them takes one read for each tile. It belongs
    to the process that made it.
    """

    def __init__(self, n_variants: int):
        folder = config.get("scratch") or os.environ.get("SLURM_TMPDIR") or None
        self._file: Any = tempfile.TemporaryFile(prefix="daskgen-", dir=folder)  # noqa: SIM115
        self.n_variants = n_variants
        self._widths: list[int] = []

    def add(self, codes: np.ndarray) -> None:
        """Add the next samples: uint8 (samples, variants), 3 missing. All but the last tile have a multiple of 4."""
        packed = pack(np.ascontiguousarray(codes.T))
        self._file.seek(0, os.SEEK_END)
        self._file.write(packed.data)
        self._widths.append(packed.shape[1])

    def read(self, start: int, stop: int) -> np.ndarray:
        """Packed codes of the variants [start, stop), uint8 (variants, packed width)."""
        packed = np.empty((stop - start, sum(self._widths)), np.uint8)
        offset = column = 0
        for width in self._widths:
            self._file.seek(offset + start * width)
            part = np.frombuffer(self._file.read((stop - start) * width), np.uint8)
            packed[:, column : column + width] = part.reshape(-1, width)
            offset += self.n_variants * width
            column += width
        return packed

    def __del__(self) -> None:
        if self._file is not None:
            self._file.close()

    def __getstate__(self) -> dict[str, Any]:
        return {"_file": None, "n_variants": self.n_variants, "_widths": []}
