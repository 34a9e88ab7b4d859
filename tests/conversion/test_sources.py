"""What a user may name as a source, and several files as one."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from conversion.sources import open_source, resolve
from daskgen.errors import InputError, UsageError
from tests.conversion.cohorts import Cohort, cohort, random_copies
from tests.oracles.plink import packed_codes


def names(paths: list[str]) -> list[str]:
    return [Path(path).name for path in paths]


def test_braces_are_ranges_and_lists(tmp_path: Path) -> None:
    assert names(resolve(tmp_path / "c{1:3}.bed")) == ["c1.bed", "c2.bed", "c3.bed"]
    assert names(resolve(tmp_path / "c{09:11,X}.bed")) == ["c09.bed", "c10.bed", "c11.bed", "cX.bed"]
    assert names(resolve(str(tmp_path / "{a,b}{1:2}"))) == ["a1", "a2", "b1", "b2"]
    with pytest.raises(UsageError, match="is not a range"):
        resolve("c{3:1}.bed")


def test_a_glob_takes_the_genotype_files_in_natural_order(tmp_path: Path) -> None:
    for i in (10, 2, 1):
        cohort(2, 3).write_bed(tmp_path / f"c{i}")
    assert names(resolve(tmp_path / "c*")) == ["c1.bed", "c2.bed", "c10.bed"]
    assert names(resolve(tmp_path / "c?.bed")) == ["c1.bed", "c2.bed"]
    with pytest.raises(InputError, match="no genotype file matches"):
        resolve(tmp_path / "d*")


def test_paths_become_absolute_so_that_workers_find_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert resolve("c.bed") == [str(tmp_path / "c.bed")]


@pytest.mark.parametrize("name", ["c", "c.bed", "c.bim", "c.fam"])
def test_any_of_the_three_files_or_their_prefix_names_the_set(tmp_path: Path, name: str) -> None:
    cohort(4, 3).write_bed(tmp_path / "c")
    assert open_source(tmp_path / name).format == "plink1"


def test_the_format_may_be_told_where_two_share_a_prefix(tmp_path: Path) -> None:
    pytest.importorskip("pgenlib")
    cohort(4, 3).write_bed(tmp_path / "c")
    cohort(5, 3).write_pgen(tmp_path / "c")
    assert open_source(tmp_path / "c.pvar").n_variants == 5
    assert open_source(tmp_path / "c", format="plink1").n_variants == 4
    assert open_source(tmp_path / "c", format="pgen").n_variants == 5
    with pytest.raises(InputError, match=r"prefix of a \.bed and of a \.pgen"):
        open_source(tmp_path / "c")
    with pytest.raises(UsageError, match="unknown format 'hdf5'"):
        open_source(tmp_path / "c", format="hdf5")


@pytest.mark.parametrize(
    ("content", "match"),
    [
        (b"##fileformat=VCFv4.2\n", "no #CHROM line"),
        (b"\x1f\x8b\x08\x00", "not a genotype file that is known"),
        (b"BCF\x02\x02", "no #CHROM line"),
        (b"\x14\x00\x00\x00" * 4 + b"bgen", "not a BGEN file"),
        (b"\x6c\x1b\x01\x00", "PLINK 1 .* genotypes under a name that hides it"),
        (b"\x6c\x1b\x10\x00", "PLINK 2 .* genotypes under a name that hides it"),
        (b"hello", "not a genotype file that is known"),
        (b"", "not a genotype file that is known"),
    ],
)
def test_other_files_are_named_for_what_they_are(tmp_path: Path, content: bytes, match: str) -> None:
    (tmp_path / "data").write_bytes(content)
    with pytest.raises(InputError, match=match):
        open_source(tmp_path / "data")


def test_nothing_there_is_said_with_all_names_that_were_tried(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no such file, and no .*x\.bed or .*x\.pgen"):
        open_source(tmp_path / "x")
    with pytest.raises(UsageError, match="empty"):
        open_source([])


# -- several files -----------------------------------------------------------------------------------------
def write_three(folder: Path) -> np.ndarray:
    copies = random_copies(20, 9)
    for i, (a, b) in enumerate([(0, 7), (7, 8), (8, 20)]):
        ids = [f"rs{v}" for v in range(a, b)]
        Cohort(copies[a:b], contig=[str(i + 1)] * (b - a), variant_id=ids).write_bed(folder / f"c{i + 1}")
    return copies


def test_several_files_follow_each_other_in_the_given_order(tmp_path: Path) -> None:
    copies = write_three(tmp_path)
    source = open_source(tmp_path / "c{1:3}.bed")
    assert source.n_variants == 20
    np.testing.assert_array_equal(packed_codes(source.read(0, 20), 9), copies)
    for start, stop in ((5, 9), (6, 7), (7, 8), (8, 8), (19, 20)):
        np.testing.assert_array_equal(packed_codes(source.read(start, stop), 9), copies[start:stop])
    rows = np.array([0, 6, 7, 8, 19])
    np.testing.assert_array_equal(packed_codes(source.read_rows(rows), 9), copies[rows])
    assert [name for table in source.variant_tables() for name in table.variant_id] == [f"rs{v}" for v in range(20)]
    turned = open_source([tmp_path / "c3", tmp_path / "c1"])
    np.testing.assert_array_equal(packed_codes(turned.read(0, 19), 9), np.vstack([copies[8:], copies[:7]]))


def test_several_files_with_dosages(tmp_path: Path) -> None:
    pytest.importorskip("pgenlib")
    dosage = np.random.default_rng(0).uniform(0, 2, (9, 5)).astype(np.float32)
    cohort(4, 5).write_pgen(tmp_path / "c1", dosage[:4])
    cohort(5, 5).write_pgen(tmp_path / "c2", dosage[4:])
    source = open_source(tmp_path / "c{1:2}.pgen")
    np.testing.assert_array_equal(source.read_dosage(0, 9), np.rint(dosage.astype(np.float64) * 16_384))
    np.testing.assert_array_equal(source.read_dosage(3, 5), source.read_dosage(0, 9)[3:5])


@pytest.mark.parametrize(
    ("ids", "match", "found"),
    [
        (["I0", "I1"], "have different samples", "3 and 2 samples"),
        (["I0", "I2", "I1"], "have their samples in another order", "sample 2 is I1 in the first and I2 in the second"),
        (["I0", "I1", "Q"], "have different samples", "sample 3 is I2 in the first and Q in the second"),
    ],
)
def test_files_with_other_samples_are_refused(tmp_path: Path, ids: list[str], match: str, found: str) -> None:
    cohort(4, 3).write_bed(tmp_path / "a")
    cohort(4, len(ids), sample_id=ids).write_bed(tmp_path / "b")
    with pytest.raises(InputError, match=match) as error:
        open_source([tmp_path / "a", tmp_path / "b"])
    assert found in str(error.value)


def test_dosages_in_one_file_only_are_refused_unless_they_are_not_wanted(tmp_path: Path) -> None:
    pytest.importorskip("pgenlib")
    cohort(4, 3).write_pgen(tmp_path / "a")
    cohort(4, 3).write_pgen(tmp_path / "b", np.full((4, 3), 0.5, np.float32))
    with pytest.raises(InputError, match=r"b\.pgen has dosages and .*a\.pgen has none"):
        open_source([tmp_path / "a", tmp_path / "b"])
    assert open_source([tmp_path / "a", tmp_path / "b"], dosages=False).n_variants == 8


def test_files_that_count_different_alleles_are_refused(tmp_path: Path) -> None:
    pytest.importorskip("pgenlib")
    cohort(4, 3).write_bed(tmp_path / "a")
    cohort(4, 3).write_pgen(tmp_path / "b")
    with pytest.raises(InputError, match="count different alleles"):
        open_source([tmp_path / "a.bed", tmp_path / "b.pgen"])
