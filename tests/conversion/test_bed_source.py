"""A .bed is read by ranges of variants as packed copies of A1, whatever its shape."""

from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import pytest

import conversion
import daskgen as dg
from conversion.plink1 import BedSource
from tests.conversion.cohorts import Cohort, cohort, random_copies
from tests.oracles.plink import bed_copies, packed_codes

SHAPES = [(1, 1), (7, 1), (1, 5), (5, 4), (13, 17), (29, 64), (101, 67)]


@pytest.mark.parametrize(("m", "n"), SHAPES)
def test_every_genotype_is_the_one_that_the_file_format_says(tmp_path: Path, m: int, n: int) -> None:
    copies = random_copies(m, n)
    source = BedSource.of(str(Cohort(copies).write_bed(tmp_path / "c")))
    assert (source.n_variants, source.n_samples) == (m, n)
    assert not source.has_dosage
    np.testing.assert_array_equal(packed_codes(source.read(0, m), n), copies)
    np.testing.assert_array_equal(bed_copies((tmp_path / "c.bed").read_bytes(), n), copies)


def test_bed_reader_reads_the_same(tmp_path: Path) -> None:
    bed_reader = pytest.importorskip("bed_reader")
    bed = cohort(53, 31).write_bed(tmp_path / "c")
    with bed_reader.open_bed(bed, count_A1=True) as peer:
        theirs = peer.read(dtype="int8").T
        ids = peer.iid.tolist()
    source = BedSource.of(str(bed))
    np.testing.assert_array_equal(packed_codes(source.read(0, 53), 31), np.where(theirs == -127, -1, theirs))
    assert source.samples().sample_id.tolist() == ids


def test_ranges_and_scattered_rows_are_parts_of_the_whole(tmp_path: Path) -> None:
    source = BedSource.of(str(cohort(101, 67).write_bed(tmp_path / "c")))
    whole = source.read(0, 101)
    np.testing.assert_array_equal(source.read(17, 59), whole[17:59])
    assert source.read(5, 5).shape == (0, 17)
    rows = np.array([0, 1, 2, 40, 42, 43, 100])
    np.testing.assert_array_equal(source.read_rows(rows), whole[rows])
    out = np.empty((42, 17), np.uint8)
    assert source.read(17, 59, out=out) is out
    np.testing.assert_array_equal(out, whole[17:59])


def test_reading_in_small_blocks_changes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = BedSource.of(str(cohort(101, 67).write_bed(tmp_path / "c")))
    whole = source.read(0, 101)
    monkeypatch.setattr("conversion.plink1._BLOCK_BYTES", 40)
    np.testing.assert_array_equal(source.read(0, 101), whole)


def test_padding_bits_of_the_file_do_not_matter(tmp_path: Path) -> None:
    bed = cohort(6, 5).write_bed(tmp_path / "c")
    whole = BedSource.of(str(bed)).read(0, 6)
    content = bytearray(bed.read_bytes())
    for last in range(4, len(content), 2):
        content[last] |= 0b11111100
    bed.write_bytes(bytes(content))
    np.testing.assert_array_equal(BedSource.of(str(bed)).read(0, 6), whole)


def test_tables_come_with_types_and_unknown_values(tmp_path: Path) -> None:
    made = cohort(4, 5, contig=["1", "1", "X", "1"], phenotype=["1.5", "-9", "NA", "2", "-7e-3"], sex=[1, 2, 0, 2, 7])
    source = BedSource.of(str(made.write_bed(tmp_path / "c")))
    samples = source.samples()
    assert samples.sample_id.tolist() == ["I0", "I1", "I2", "I3", "I4"]
    assert samples.family_id.tolist() == ["F0", "F1", "F2", "F3", "F4"]
    assert samples.paternal_id.tolist() == ["0"] * 5
    assert samples.maternal_id.tolist() == ["M0", "M1", "M2", "M3", "M4"]
    assert samples.sex.tolist() == [1, 2, 0, 2, 0]
    np.testing.assert_array_equal(samples.phenotype, [1.5, np.nan, np.nan, 2, -7e-3])
    (table,) = source.variant_tables()
    assert [table.contig_names[code] for code in table.contig] == ["1", "1", "X", "1"]
    assert table.position.tolist() == [100, 200, 300, 400]
    assert table.genetic_position.tolist() == [0, 0.125, 0.25, 0.375]
    assert table.variant_id.tolist() == ["rs0", "rs1", "rs2", "rs3"]
    assert table.allele.tolist() == [["T", "C"]] * 4


def test_the_prefix_or_another_samples_file_may_be_given(tmp_path: Path) -> None:
    cohort(4, 5).write_bed(tmp_path / "c.v2")
    (tmp_path / "c.v2.fam").rename(tmp_path / "people.fam")
    source = BedSource.of(str(tmp_path / "c.v2"), str(tmp_path / "people.fam"))
    assert len(source.samples()) == 5


def test_a_source_is_small_and_reads_the_same_after_pickling(tmp_path: Path) -> None:
    source = BedSource.of(str(cohort(2_000, 501).write_bed(tmp_path / "c")))
    sent = pickle.dumps(source)
    assert len(sent) < 1_000
    again = pickle.loads(sent)
    assert again.reader_id == source.reader_id
    np.testing.assert_array_equal(again.read(3, 9), source.read(3, 9))


def test_the_reader_id_changes_with_the_file(tmp_path: Path) -> None:
    bed = cohort(6, 5).write_bed(tmp_path / "c")
    before = BedSource.of(str(bed)).reader_id
    assert BedSource.of(str(bed)).reader_id == before
    cohort(7, 5).write_bed(tmp_path / "c")
    assert BedSource.of(str(bed)).reader_id != before


def test_files_of_any_file_system_are_read(tmp_path: Path) -> None:
    import fsspec

    bed = cohort(13, 6).write_bed(tmp_path / "c")
    memory = fsspec.filesystem("memory")
    for ending in (".bed", ".bim", ".fam"):
        memory.pipe_file(f"/plink/c{ending}", bed.with_suffix(ending).read_bytes())
    remote = BedSource.of("memory://plink/c.bed")
    np.testing.assert_array_equal(remote.read(2, 11), BedSource.of(str(bed)).read(2, 11))
    assert remote.samples().sample_id.tolist() == ["I0", "I1", "I2", "I3", "I4", "I5"]
    conversion.genotypes("memory://plink/*.bed", "memory://stores/c.zarr")
    conversion.genotypes(bed, tmp_path / "c.zarr")
    there, here = conversion.open("memory://plink/c"), conversion.open(bed)
    for store in (dg.open_store("memory://stores/c.zarr"), dg.open_store(tmp_path / "c.zarr"), there):
        np.testing.assert_array_equal(store.call_genotype.values, here.call_genotype.values)
        assert store.variant_id.values.tolist() == here.variant_id.values.tolist()
