"""A store is written back as PLINK 1 files: the same bytes and fields where it came from a .bed."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import dask
import numpy as np
import pytest

import conversion
from daskgen.errors import InputError, StoreError
from tests.conversion.cohorts import Cohort, cohort
from tests.oracles.plink import bed_copies


def words(path: Path) -> list[list[str]]:
    return [line.split() for line in path.read_text().splitlines()]


@pytest.mark.parametrize(("m", "n"), [(1, 1), (7, 4), (101, 67)])
@pytest.mark.parametrize("column_rows", [16, 2**18])
def test_a_round_trip_gives_the_same_files(tmp_path: Path, m: int, n: int, column_rows: int) -> None:
    phenotype = (["1.5", "-9", "2", "-7.3e-05", "0"] * n)[:n]
    sex = [i % 3 for i in range(n)]
    bed = cohort(m, n, contig=[("1", "X", "chrUn_a")[i % 3] for i in range(m)], phenotype=phenotype, sex=sex).write_bed(
        tmp_path / "c"
    )
    conversion.genotypes(bed, tmp_path / "c.zarr", chunk_mb=0.0003)
    with dask.config.set({"daskgen.column-rows": column_rows}):
        paths = conversion.export_bed(tmp_path / "c.zarr", tmp_path / "new" / "d")
    assert paths == tuple(str(tmp_path / "new" / f"d{ending}") for ending in (".bed", ".bim", ".fam"))
    assert (tmp_path / "new" / "d.bed").read_bytes() == bed.read_bytes()
    ours, theirs = words(tmp_path / "new" / "d.bim"), words(tmp_path / "c.bim")
    assert [row[:2] + row[3:] for row in ours] == [row[:2] + row[3:] for row in theirs]
    assert [float(row[2]) for row in ours] == [float(row[2]) for row in theirs]
    assert words(tmp_path / "new" / "d.fam") == words(tmp_path / "c.fam")


@pytest.fixture
def store(tmp_path: Path) -> tuple[Cohort, Path]:
    made = cohort(43, 29, contig=["1"] * 30 + ["2"] * 13)
    conversion.genotypes(made.write_bed(tmp_path / "c"), tmp_path / "c.zarr", chunk_mb=0.0001)
    return made, tmp_path / "c.zarr"


SELECTIONS: list[tuple[dict[str, Any], list[int], list[int]]] = [
    ({"keep": ["I3", "I20", "I28"]}, list(range(43)), [3, 20, 28]),
    ({"contig": "2", "remove": ["I0"]}, list(range(30, 43)), list(range(1, 29))),
    ({"extract": ["rs3", "rs42"], "keep": ["I1"]}, [3, 42], [1]),
    ({"region": "1:500-700", "exclude": ["rs5"]}, [4, 6], list(range(29))),
]


@pytest.mark.parametrize(("selection", "variants", "samples"), SELECTIONS)
def test_a_part_of_a_store(
    tmp_path: Path, store: tuple[Cohort, Path], selection: dict[str, Any], variants: list[int], samples: list[int]
) -> None:
    made, path = store
    with dask.config.set({"daskgen.column-rows": 16}):
        conversion.export_bed(path, tmp_path / "d.bed", **selection)
    written = bed_copies((tmp_path / "d.bed").read_bytes(), len(samples))
    np.testing.assert_array_equal(written, made.copies[np.ix_(variants, samples)])
    assert [row[1] for row in words(tmp_path / "d.bim")] == [f"rs{v}" for v in variants]
    assert [row[1] for row in words(tmp_path / "d.fam")] == [f"I{i}" for i in samples]


def test_another_counted_allele_gives_the_same_genotypes(tmp_path: Path) -> None:
    made = cohort(9, 7)
    conversion.genotypes(made.write_bed(tmp_path / "c"), tmp_path / "c.zarr", ref="first")
    conversion.export_bed(tmp_path / "c.zarr", tmp_path / "d")
    copies = bed_copies((tmp_path / "d.bed").read_bytes(), 7)
    np.testing.assert_array_equal(copies, np.where(made.copies < 0, -1, 2 - made.copies))
    assert {tuple(row[4:]) for row in words(tmp_path / "d.bim")} == {("T", "C")}


def test_dosages_are_left_out_and_that_is_said(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    pytest.importorskip("pgenlib")
    pgen = cohort(9, 7).write_pgen(tmp_path / "c", np.full((9, 7), 1.05, np.float32))
    conversion.genotypes(pgen, tmp_path / "c.zarr")
    with caplog.at_level(logging.WARNING, logger="daskgen"):
        conversion.export_bed(tmp_path / "c.zarr", tmp_path / "d")
    assert any("hard calls only" in message for message in caplog.messages)
    assert (bed_copies((tmp_path / "d.bed").read_bytes(), 7) == 1).all()
    assert words(tmp_path / "d.fam")[0] == ["0", "I0", "0", "0", "1", "-9"]


def test_existing_files_are_kept_without_force(tmp_path: Path, store: tuple[Cohort, Path]) -> None:
    (tmp_path / "d.bim").write_text("mine")
    with pytest.raises(InputError, match=r"d\.bim exists"):
        conversion.export_bed(store[1], tmp_path / "d")
    assert (tmp_path / "d.bim").read_text() == "mine"
    assert not (tmp_path / "d.bed").exists()
    conversion.export_bed(store[1], tmp_path / "d", force=True)
    assert len(words(tmp_path / "d.bim")) == 43


@pytest.mark.parametrize(
    ("selection", "match"), [({"keep": ["Q"]}, "no sample of"), ({"extract": ["Q"]}, "no variant of")]
)
def test_nothing_selected_leaves_nothing(
    tmp_path: Path, store: tuple[Cohort, Path], selection: dict[str, Any], match: str
) -> None:
    with pytest.raises(InputError, match=match):
        conversion.export_bed(store[1], tmp_path / "out" / "d", **selection)
    assert not list((tmp_path / "out").glob("*")) if (tmp_path / "out").exists() else True


def test_only_a_store_of_genotypes_is_exported(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="nothing at this path"):
        conversion.export_bed(tmp_path / "no.zarr", tmp_path / "d")
