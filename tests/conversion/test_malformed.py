"""A file that cannot be used is refused before anything is written, with what was found and what was expected."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import conversion
from daskgen.errors import InputError
from tests.conversion.cohorts import cohort

M, N = 11, 9  # rows of 3 bytes, 36 bytes in all


def edit(path: Path, change: Callable[[bytes], bytes]) -> None:
    path.write_bytes(change(path.read_bytes()))


def lines(path: Path, change: Callable[[list[str]], list[str]]) -> None:
    path.write_text("".join(change(path.read_text().splitlines(keepends=True))))


def swap_columns(row: str, i: int, text: str) -> str:
    words = row.split()
    words[i] = text
    return "\t".join(words) + "\n"


BED: dict[str, tuple[Callable[[Path], None], list[str]]] = {
    "truncated": (
        lambda c: edit(c.with_suffix(".bed"), lambda b: b[:-1]),
        ["35 bytes", "36 bytes for 9 samples x 11 variants", "cut within variant 11 of 11"],
    ),
    "a whole variant short": (
        lambda c: edit(c.with_suffix(".bed"), lambda b: b[:-3]),
        ["33 bytes", "10 variants would fit the 9 samples"],
    ),
    "too long": (lambda c: edit(c.with_suffix(".bed"), lambda b: b + b"\0"), ["37 bytes", "36 bytes"]),
    "samples missing": (
        lambda c: lines(c.with_suffix(".fam"), lambda rows: rows[:4]),
        ["4 samples x 11 variants", "9 to 12 samples would fit the 11 variants"],
    ),
    "variants missing": (
        lambda c: lines(c.with_suffix(".bim"), lambda rows: rows[:-2]),
        ["9 samples x 9 variants", "11 variants would fit the 9 samples"],
    ),
    "wrong magic": (
        lambda c: edit(c.with_suffix(".bed"), lambda b: b"\x00\x01" + b[2:]),
        ["is not a PLINK .bed file", "begins with 00 01 01", "6c 1b 01"],
    ),
    "sample-major": (
        lambda c: edit(c.with_suffix(".bed"), lambda b: b[:2] + b"\x00" + b[3:]),
        ["sample-major", "--make-bed"],
    ),
    "empty bed": (lambda c: edit(c.with_suffix(".bed"), lambda b: b""), ["c.bed is empty"]),
    "empty bim": (lambda c: edit(c.with_suffix(".bim"), lambda b: b""), ["c.bim is empty: it names no variants"]),
    "empty fam": (lambda c: edit(c.with_suffix(".fam"), lambda b: b"\n"), ["c.fam is empty: it names no samples"]),
    "no bed": (lambda c: c.with_suffix(".bed").unlink(), ["c.bed: there is no such file"]),
    "no bim": (lambda c: c.with_suffix(".bim").unlink(), ["needs a file beside it", "c.bim"]),
    "no fam": (lambda c: c.with_suffix(".fam").unlink(), ["needs a file beside it", "c.fam", "sample_file"]),
    "repeated sample": (
        lambda c: lines(c.with_suffix(".fam"), lambda rows: [swap_columns(r, 1, "S") for r in rows[:2]] + rows[2:]),
        ["1 sample ids occur more than once", "found     S", "id_style"],
    ),
    "repeated family and sample": (
        lambda c: lines(c.with_suffix(".fam"), lambda rows: [rows[0], rows[0], *rows[2:]]),
        ["1 sample ids occur more than once", "repeat too"],
    ),
    "position is text": (
        lambda c: lines(c.with_suffix(".bim"), lambda rows: [*rows[:4], swap_columns(rows[4], 3, "1e3"), *rows[5:]]),
        ["c.bim, line 5: the position is not a number", "1e3"],
    ),
    "position is too large": (
        lambda c: lines(c.with_suffix(".bim"), lambda rows: [swap_columns(rows[0], 3, "3000000000"), *rows[1:]]),
        ["c.bim, line 1: the position is too large", "3000000000"],
    ),
    "position is far too large": (
        lambda c: lines(c.with_suffix(".bim"), lambda rows: [swap_columns(rows[0], 3, "9" * 30), *rows[1:]]),
        ["c.bim, line 1: the position is not a number"],
    ),
    "centimorgan is text": (
        lambda c: lines(c.with_suffix(".bim"), lambda rows: [*rows[:-1], swap_columns(rows[-1], 2, "x")]),
        ["c.bim, line 11: the genetic position is not a number"],
    ),
    "a column too few in the bim": (
        lambda c: lines(c.with_suffix(".bim"), lambda rows: [*rows[:3], "1 rs3 0 400 C\n", *rows[4:]]),
        ["c.bim, line 4: wrong number of columns", "5 columns: 1 rs3 0 400 C", "6: chromosome"],
    ),
    "a column too many in the fam": (
        lambda c: lines(c.with_suffix(".fam"), lambda rows: [rows[0].rstrip() + " x\n", *rows[1:]]),
        ["c.fam, line 1: wrong number of columns", "7 columns", "6: family id"],
    ),
    "a contig beyond the genome": (
        lambda c: lines(c.with_suffix(".bim"), lambda rows: [swap_columns(r, 0, "29") for r in rows]),
        ["contig '29': genome human has no chromosome 29", "genome=", "cattle"],
    ),
    "a folder in the place of the bed": (
        lambda c: (c.with_suffix(".bed").unlink(), c.with_suffix(".bed").mkdir(), None)[2],
        ["c.bed is a folder"],
    ),
}


@pytest.mark.parametrize("case", BED)
def test_a_bed_set_that_cannot_be_used(tmp_path: Path, case: str) -> None:
    spoil, texts = BED[case]
    cohort(M, N).write_bed(tmp_path / "c")
    spoil(tmp_path / "c")
    with pytest.raises(InputError) as error:
        conversion.genotypes(tmp_path / "c.bed", tmp_path / "c.zarr")
    for text in texts:
        assert text in str(error.value)
    assert error.value.exit_code == 3
    assert not list(tmp_path.glob("c.zarr*"))
    with pytest.raises(InputError):
        conversion.open(tmp_path / "c.bed")


def test_a_file_that_may_not_be_read(tmp_path: Path) -> None:
    bed = cohort(M, N).write_bed(tmp_path / "c")
    bed.chmod(0)
    if os.access(bed, os.R_OK):
        pytest.skip("this user may read every file")
    with pytest.raises(InputError, match="permission denied"):
        conversion.genotypes(bed, tmp_path / "c.zarr")


def test_a_bed_that_is_cut_while_it_is_read_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bed = cohort(M, N).write_bed(tmp_path / "c")
    from conversion import groups

    real = groups.GroupJob.own_pieces

    def cut_then(job: groups.GroupJob, index: int) -> tuple[tuple[str, int], ...]:
        bed.write_bytes(bed.read_bytes()[:20])
        return real(job, index)

    monkeypatch.setattr(groups.GroupJob, "own_pieces", cut_then)
    with pytest.raises(InputError, match="was cut while it was read"):
        conversion.genotypes(bed, tmp_path / "c.zarr")
    assert not list(tmp_path.glob("c.zarr*"))


PGEN: dict[str, tuple[Callable[[Path], None], list[str]]] = {
    "truncated": (lambda c: edit(c.with_suffix(".pgen"), lambda b: b[:-1]), ["c.pgen is not complete"]),
    "cut within the header": (lambda c: edit(c.with_suffix(".pgen"), lambda b: b[:15]), ["is cut within its header"]),
    "cut within the first bytes": (lambda c: edit(c.with_suffix(".pgen"), lambda b: b[:7]), ["is not complete"]),
    "empty pgen": (lambda c: edit(c.with_suffix(".pgen"), lambda b: b""), ["c.pgen is empty"]),
    "wrong magic": (lambda c: edit(c.with_suffix(".pgen"), lambda b: b"PK" + b[2:]), ["is not a .pgen file"]),
    "a bed under another name": (
        lambda c: edit(c.with_suffix(".pgen"), lambda b: b[:2] + b"\x01" + b[3:]),
        ["is a PLINK 1 .bed file under the name .pgen"],
    ),
    "an unknown mode": (
        lambda c: edit(c.with_suffix(".pgen"), lambda b: b[:2] + b"\x07" + b[3:]),
        ["storage mode 0x07 of .pgen is not known"],
    ),
    "an index that is not there": (
        lambda c: edit(c.with_suffix(".pgen"), lambda b: b[:2] + b"\x20" + b[3:]),
        ["needs a file beside it", "c.pgen.pgi"],
    ),
    "variants missing": (
        lambda c: lines(c.with_suffix(".pvar"), lambda rows: rows[:-1]),
        ["disagree about the number of variants", "10 in", "11, as the .pgen says"],
    ),
    "samples missing": (
        lambda c: lines(c.with_suffix(".psam"), lambda rows: rows[:-2]),
        ["disagree about the number of samples", "7 in", "9, as the .pgen says"],
    ),
    "no pvar": (lambda c: c.with_suffix(".pvar").unlink(), ["c.pvar or", "c.pvar.zst"]),
    "no psam": (lambda c: c.with_suffix(".psam").unlink(), ["c.psam"]),
    "repeated sample": (
        lambda c: lines(c.with_suffix(".psam"), lambda rows: [rows[0], rows[1], rows[1], *rows[3:]]),
        ["1 sample ids occur more than once"],
    ),
    "no IID": (
        lambda c: lines(c.with_suffix(".psam"), lambda rows: ["#NAME SEX\n", *rows[1:]]),
        ["c.psam is", "names no IID column"][1:],
    ),
    "no ALT": (
        lambda c: lines(c.with_suffix(".pvar"), lambda rows: ["#CHROM POS ID REF A1\n", *rows[2:]]),
        ["the header lacks ALT"],
    ),
    "no header and strange columns": (
        lambda c: lines(c.with_suffix(".pvar"), lambda rows: ["1 2 3\n"] * 11),
        ["has no header line, and another number of columns"],
    ),
    "a column too few in the pvar": (
        lambda c: lines(c.with_suffix(".pvar"), lambda rows: [*rows[:5], "1 400 rs3 T\n", *rows[6:]]),
        ["c.pvar, line 6: wrong number of columns"],
    ),
    "position is text": (
        lambda c: lines(c.with_suffix(".pvar"), lambda rows: [*rows[:2], swap_columns(rows[2], 1, "x"), *rows[3:]]),
        ["c.pvar, line 3: the position is not a number"],
    ),
    "empty psam": (lambda c: c.with_suffix(".psam").write_text("#IID\n") and None, ["c.psam is empty"]),
}


@pytest.mark.parametrize("case", PGEN)
def test_a_pgen_set_that_cannot_be_used(tmp_path: Path, case: str) -> None:
    pytest.importorskip("pgenlib")
    spoil, texts = PGEN[case]
    cohort(M, N).write_pgen(tmp_path / "c")
    spoil(tmp_path / "c")
    with pytest.raises(InputError) as error:
        conversion.genotypes(tmp_path / "c.pgen", tmp_path / "c.zarr")
    for text in texts:
        assert text in str(error.value)
    assert not list(tmp_path.glob("c.zarr*"))


def test_a_damaged_record_of_a_pgen_leaves_nothing(tmp_path: Path) -> None:
    pytest.importorskip("pgenlib")
    pgen = cohort(200, 401).write_pgen(tmp_path / "c")
    content = bytearray(pgen.read_bytes())
    rng = np.random.default_rng(0)
    # The types of the records (4 bits each) follow the prefix and one offset: make them differences to nothing.
    content[20:120] = rng.integers(0, 256, 100, dtype=np.uint8).tobytes()
    pgen.write_bytes(bytes(content))
    with pytest.raises(InputError):
        conversion.genotypes(pgen, tmp_path / "c.zarr")
    assert not list(tmp_path.glob("c.zarr*"))


def test_with_joined_ids_repeated_individuals_are_told_apart(tmp_path: Path) -> None:
    cohort(3, 3, sample_id=["1", "1", "2"]).write_bed(tmp_path / "c")
    with pytest.raises(InputError, match="occur more than once"):
        conversion.genotypes(tmp_path / "c", tmp_path / "c.zarr")
    result = conversion.genotypes(tmp_path / "c", tmp_path / "c.zarr", id_style="fid_iid")
    assert result.open().sample_id.values.tolist() == ["F0_1", "F1_1", "F2_2"]
