"""What a .fam or .psam says about the samples of a file that has ids only: families, parents, sexes, a phenotype."""

from __future__ import annotations

import numpy as np

from conversion.pgen_tables import read_psam
from conversion.plink1 import read_fam
from conversion.source import SampleTable
from daskgen.errors import InputError, examples

__all__ = ["described"]


def described(path: str, own: SampleTable, sample_file: str) -> SampleTable:
    """The samples with what a .fam or .psam says about them, in the order of the VCF."""
    table = read_fam(sample_file) if sample_file.endswith(".fam") else read_psam(sample_file)
    table.check_unique(sample_file)
    where = {name: place for place, name in enumerate(table.sample_id.tolist())}
    ids = own.sample_id.tolist()
    if absent := [name for name in ids if name not in where]:
        raise InputError(
            f"{len(absent):,} samples of {path} are not in {sample_file}.",
            found=examples(absent),
            expected=f"ids as in {sample_file}: {examples(table.sample_id.tolist())}",
        )
    return table.take(np.array([where[name] for name in ids], np.int64))
