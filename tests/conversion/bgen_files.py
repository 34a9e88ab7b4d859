"""BGEN files that the tests make."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from tests.oracles.bgen import BgenVariant, block_1, random_block, write_bgen, write_bgi


class Stopped(Exception):
    """What a test raises to stop a run."""


def variants(
    m: int,
    n: int,
    *,
    seed: int = 0,
    layout: int = 2,
    contigs: Sequence[str] = ("1", "2"),
    alleles: int = 2,
    bits: int = 8,
    phased: bool = False,
    ploidies: Sequence[int] = (2,),
) -> list[BgenVariant]:
    """Variants with random probabilities, a tenth missing."""
    rng = np.random.default_rng(seed)
    made = []
    for v in range(m):
        if layout == 1:
            thirds = np.floor(rng.dirichlet([0.1, 0.1, 0.1], n) * 32768).astype(np.uint16)
            thirds[rng.random(n) < 0.1] = 0
            block = block_1(thirds)
        else:
            block = random_block(rng, n, bits=bits, phased=phased, n_alleles=alleles, ploidies=ploidies)
        made.append(
            BgenVariant(
                block,
                position=100 * (v + 1),
                rsid=f"rs{v}",
                alleles=("A", "G", "GT", "C")[:alleles],
                contig=contigs[len(contigs) * v // m],
                snpid=f"snp{v}",
            )
        )
    return made


def bgen(
    path: Path,
    m: int = 23,
    n: int = 13,
    *,
    index: bool = False,
    ids: bool = True,
    compression: str | None = "zlib",
    **how,
) -> tuple[Path, list[BgenVariant]]:
    """A file of m variants and n samples, and its variants."""
    made = variants(m, n, **how)
    layout = how.get("layout", 2)
    names = [f"I{i}" for i in range(n)] if ids else None
    write_bgen(path, made, n, sample_ids=names, layout=layout, compression=compression)
    if index:
        write_bgi(path, made, n, layout=layout)
    return path, made
