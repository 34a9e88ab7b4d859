"""BGEN files to stores: every layout, compression and precision, with and without index, sample file and ids."""

from __future__ import annotations

import pickle
import struct
from pathlib import Path

import numpy as np
import pytest

import conversion
from conversion.bgen import BgenSource
from daskgen.errors import InputError
from daskgen.stores import open_group, verify
from tests.conversion.bgen_files import Stopped, bgen, variants
from tests.oracles.bgen import BgenVariant, block_2, dosages, write_bgen, write_bgi
from tests.oracles.plink import packed_codes


def expected_dosages(made: list[BgenVariant], layout: int = 2) -> tuple[np.ndarray, np.ndarray]:
    """(dosages with NaN, info scores) of the rows of a store: one for each allele after the first."""
    rows = [(variant, allele) for variant in made for allele in range(1, len(variant.alleles))]
    found = [dosages(variant.block, allele, layout) for variant, allele in rows]
    return np.array([[np.nan if d is None else d for d in row] for row, _ in found]), np.array([s for _, s in found])


def calls_of(dosage: np.ndarray, threshold: float = 0.1) -> np.ndarray:
    near = np.abs(dosage - np.rint(dosage)) <= threshold + 0.5 / 16384
    return np.where(near, np.rint(np.nan_to_num(dosage)), -1).astype(np.int8)


def check(path: Path, made: list[BgenVariant], tmp_path: Path, layout: int = 2) -> None:
    conversion.genotypes(path, tmp_path / "c.zarr", force=True)
    assert verify(tmp_path / "c.zarr") == []
    dosage, info = expected_dosages(made, layout)
    group = open_group(tmp_path / "c.zarr")
    stored = group["call_dosage"][...]
    np.testing.assert_array_equal(stored == 65535, np.isnan(dosage))
    assert np.nanmax(np.abs(np.where(stored == 65535, np.nan, stored / 16384) - dosage)) <= 0.5 / 16384 + 1e-12
    np.testing.assert_allclose(group["variant_info_score"][...], info, rtol=1e-5, atol=1e-6)
    calls = packed_codes(group["call_genotype_packed"][...], dosage.shape[1])
    np.testing.assert_array_equal(calls, calls_of(stored / 16384, 0.1) * (stored != 65535) - (stored == 65535))
    frequency = np.nanmean(dosage, axis=1) / 2
    np.testing.assert_allclose(group["variant_allele_frequency"][...], frequency, atol=1e-4)
    np.testing.assert_array_equal(group["variant_n_called"][...], (calls >= 0).sum(axis=1))
    ids = [variant.rsid for variant in made for _ in variant.alleles[1:]]
    assert group["variant_id"][...].tolist() == ids
    alleles = [[variant.alleles[0], text] for variant in made for text in variant.alleles[1:]]
    assert group["variant_allele"][...].tolist() == alleles
    position = [variant.position for variant in made for _ in variant.alleles[1:]]
    assert group["variant_position"][...].tolist() == position


@pytest.mark.parametrize("index", [False, True])
@pytest.mark.parametrize("compression", [None, "zlib", "zstd"])
def test_layout_2_in_every_compression_with_and_without_index(
    tmp_path: Path, compression: str | None, index: bool
) -> None:
    path, made = bgen(tmp_path / "c.bgen", compression=compression, index=index)
    check(path, made, tmp_path)


@pytest.mark.parametrize("compression", [None, "zlib"])
def test_layout_1(tmp_path: Path, compression: str | None) -> None:
    path, made = bgen(tmp_path / "c.bgen", layout=1, compression=compression)
    check(path, made, tmp_path, layout=1)
    write_bgi(path, made, 13, layout=1) if compression else None
    check(path, made, tmp_path, layout=1)


@pytest.mark.parametrize(
    "how",
    [
        {"bits": 1},
        {"bits": 11, "phased": True},
        {"bits": 16},
        {"bits": 32},
        {"ploidies": (1, 2)},
        {"ploidies": (1,), "phased": True},
        {"alleles": 4},
        {"alleles": 3, "phased": True, "ploidies": (1, 2), "bits": 13},
    ],
    ids=str,
)
def test_bits_phase_ploidy_and_alleles(tmp_path: Path, how: dict) -> None:
    path, made = bgen(tmp_path / "c.bgen", **how)
    check(path, made, tmp_path)


def test_the_index_says_the_same_as_the_scan(tmp_path: Path) -> None:
    made = [*variants(5, 7), *variants(4, 7, seed=1, alleles=3)]
    made[1].rsid, made[2].rsid, made[3].contig = "", ".", ""
    path = write_bgen(tmp_path / "c.bgen", made, 7)
    scanned = BgenSource.of(str(path))
    write_bgi(path, made, 7)
    indexed = BgenSource.of(str(path))
    assert indexed.index is not None
    assert scanned.index is None
    np.testing.assert_array_equal(scanned.starts, indexed.starts)
    for one, other in zip(scanned.variant_tables(), indexed.variant_tables(), strict=True):
        for name in ("contig", "position", "variant_id", "allele"):
            np.testing.assert_array_equal(getattr(one, name), getattr(other, name), err_msg=name)
        assert one.contig_names == other.contig_names == ("1", "0", "2")
        assert one.variant_id[:3].tolist() == ["rs0", "snp1", "snp2"]
    np.testing.assert_array_equal(scanned.read_dosage(0, 13), indexed.read_dosage(0, 13))


def test_any_rows_are_those_of_the_whole(tmp_path: Path) -> None:
    path, _ = bgen(tmp_path / "c.bgen", m=9, alleles=3)
    source = pickle.loads(pickle.dumps(BgenSource.of(str(path))))
    whole = source.read_calls(np.arange(18))
    rows = np.array([0, 3, 4, 5, 11, 17])
    some = source.read_calls(rows)
    for name in ("packed", "dosage", "info"):
        np.testing.assert_array_equal(getattr(some, name), getattr(whole, name)[rows])
    np.testing.assert_array_equal(source.read_rows(rows), whole.packed[rows])
    np.testing.assert_array_equal(source.read(4, 9), whole.packed[4:9])


def test_long_names_and_records_of_any_size_are_scanned(tmp_path: Path) -> None:
    made = variants(6, 5)
    made[2].alleles = ("A", "ACGT" * 5_000)
    made[4].rsid = "r" * 60_000
    path = write_bgen(tmp_path / "c.bgen", made, 5)
    check(path, made, tmp_path)
    wide, made = bgen(tmp_path / "wide.bgen", m=4, n=9_001, compression=None)
    assert [t.variant_id.tolist() for t in BgenSource.of(str(wide)).variant_tables()] == [["rs0", "rs1", "rs2", "rs3"]]


# -- samples -----------------------------------------------------------------------------------------------------------
SAMPLE = "ID_1 ID_2 missing sex father bmi\n0 0 0 D D P\n"


def test_samples_come_from_the_file_from_the_sample_file_or_are_numbered(tmp_path: Path) -> None:
    with_ids, _ = bgen(tmp_path / "ids.bgen", m=2, n=3)
    assert conversion.open(with_ids).sample_id.values.tolist() == ["I0", "I1", "I2"]
    without, _ = bgen(tmp_path / "plain.bgen", m=2, n=3, ids=False)
    opened = conversion.open(without)
    assert opened.sample_id.values.tolist() == ["0", "1", "2"]
    assert any("numbered from 0" in note for note in opened.attrs["notes"])
    (tmp_path / "plain.sample").write_text(SAMPLE + "F0 a 0 1 0 1.5\nF1 b 0 2 0 NA\nF2 c 0 NA a -2\n")
    opened = conversion.open(without)
    assert opened.sample_id.values.tolist() == ["a", "b", "c"]
    assert opened.sample_family_id.values.tolist() == ["F0", "F1", "F2"]
    assert opened.sample_paternal_id.values.tolist() == ["0", "0", "a"]
    assert opened.sample_sex.values.tolist() == [1, 2, 0]
    np.testing.assert_array_equal(opened.sample_phenotype.values, [1.5, np.nan, -2])


def test_a_sample_file_with_one_column_of_ids(tmp_path: Path) -> None:
    path, _ = bgen(tmp_path / "c.bgen", m=2, n=3)
    (tmp_path / "c.sample").write_text("id\n0\nI0\nI1\nI2\n")
    assert conversion.open(path).sample_id.values.tolist() == ["I0", "I1", "I2"]


def test_a_sample_file_that_names_others_is_taken_only_if_it_is_asked_for(tmp_path: Path) -> None:
    path, _ = bgen(tmp_path / "c.bgen", m=2, n=3)
    sample = tmp_path / "c.sample"
    sample.write_text("ID\n0\ns1\ns2\ns3\n")
    with pytest.raises(InputError, match="sample 1 is I0 in .* and s1 in"):
        conversion.open(path)
    assert conversion.open(path, sample_file=sample).sample_id.values.tolist() == ["s1", "s2", "s3"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (SAMPLE + "F0 a 0 1 0 1\n", "1 in .*3, as .* says"),
        (SAMPLE, "names no samples"),
        ("", "not a .sample file"),
        ("a b c\nd e f\n", "line of their types that begins with 0"),
        (SAMPLE + "F0 a 0 1 0\n", "line 3: wrong number of columns"),
        (SAMPLE + "F0 a 0 1 0 1\n" * 3, "sample ids occur more than once"),
    ],
)
def test_sample_files_that_do_not_fit_are_refused(tmp_path: Path, text: str, message: str) -> None:
    path, _ = bgen(tmp_path / "c.bgen", m=2, n=3, ids=False)
    (tmp_path / "c.sample").write_text(text)
    with pytest.raises(InputError, match=f"(?s){message}"):
        conversion.genotypes(path, tmp_path / "c.zarr")
    assert not (tmp_path / "c.zarr").exists()


# -- options -----------------------------------------------------------------------------------------------------------
def test_the_first_allele_is_counted_on_request(tmp_path: Path) -> None:
    path, _ = bgen(tmp_path / "c.bgen")
    second, first = conversion.open(path), conversion.open(path, ref="last")
    assert (second.attrs["counted_allele"], first.attrs["counted_allele"]) == ("allele 2", "allele 1")
    np.testing.assert_array_equal(first.variant_allele.values, second.variant_allele.values[:, ::-1])
    np.testing.assert_allclose(first.call_dosage.values, 2 - second.call_dosage.values)
    np.testing.assert_array_equal(first.variant_info_score.values, second.variant_info_score.values)
    np.testing.assert_array_equal(conversion.open(path, ref="first").call_dosage.values, second.call_dosage.values)
    several, _ = bgen(tmp_path / "s.bgen", alleles=3)
    with pytest.raises(InputError, match="several"):
        conversion.open(several, ref="last")
    with pytest.raises(InputError, match=r"(?s)23 variants have more than two alleles.*first is variant 1, with 3"):
        conversion.open(several, split_multiallelic=False)


@pytest.mark.parametrize("threshold", [0, 0.05, 0.1, 0.4])
def test_calls_are_dosages_that_are_near_enough(tmp_path: Path, threshold: float) -> None:
    path, made = bgen(tmp_path / "c.bgen", bits=6)
    conversion.genotypes(path, tmp_path / "c.zarr", hard_call_threshold=threshold)
    calls = packed_codes(open_group(tmp_path / "c.zarr")["call_genotype_packed"][...], 13)
    np.testing.assert_array_equal(calls, calls_of(expected_dosages(made)[0], threshold))


def test_variants_without_a_chromosome_get_the_one_that_is_given(tmp_path: Path) -> None:
    path, _ = bgen(tmp_path / "c.bgen", contigs=("",))
    unplaced = conversion.open(path)
    assert unplaced.contig_id.values.tolist() == ["0"]
    assert unplaced.variant_ploidy_class.values[0] == 4
    placed = conversion.open(path, default_contig="7")
    assert placed.contig_id.values.tolist() == ["7"]
    assert placed.variant_ploidy_class.values[0] == 0


def test_selections_of_samples_and_variants(tmp_path: Path) -> None:
    path, _ = bgen(tmp_path / "c.bgen")
    whole = conversion.genotypes(path, tmp_path / "whole.zarr").open()
    part = conversion.genotypes(
        path, tmp_path / "part.zarr", keep=["I3", "I1", "I8"], region="1:300-900", exclude=["rs4"]
    ).open()
    rows = [v for v in range(2, 9) if v != 4]
    columns = [1, 3, 8]
    np.testing.assert_array_equal(part.call_dosage.values, whole.call_dosage.values[np.ix_(rows, columns)])
    np.testing.assert_array_equal(part.call_genotype.values, whole.call_genotype.values[np.ix_(rows, columns)])
    # Over all samples of the file, whatever samples are kept.
    np.testing.assert_array_equal(part.variant_info_score.values, whole.variant_info_score.values[rows])
    calls_only = conversion.genotypes(path, tmp_path / "calls.zarr", dosages=False).open()
    assert "call_dosage" not in open_group(tmp_path / "calls.zarr")
    np.testing.assert_array_equal(calls_only.call_genotype.values, whole.call_genotype.values)
    np.testing.assert_array_equal(calls_only.variant_info_score.values, whole.variant_info_score.values)
    frequent = conversion.open(path, maf_min=0.3)
    p = whole.variant_allele_frequency.values
    assert frequent.variant_id.values.tolist() == [f"rs{v}" for v in np.flatnonzero(np.minimum(p, 1 - p) >= 0.3)]


def test_files_of_chromosomes_follow_each_other(tmp_path: Path) -> None:
    for number in (1, 2, 10):
        bgen(tmp_path / f"chr{number}.bgen", m=number, seed=number, contigs=(str(number),))
    dataset = conversion.genotypes(str(tmp_path / "chr{1:2,10}.bgen"), tmp_path / "c.zarr").open()
    assert dataset.variant_contig.values.tolist() == [0] + [1] * 2 + [2] * 10
    assert dataset.contig_id.values.tolist() == ["1", "2", "10"]
    parts = [conversion.open(tmp_path / f"chr{number}.bgen") for number in (1, 2, 10)]
    for name in ("call_dosage", "variant_info_score"):
        np.testing.assert_array_equal(dataset[name].values, np.concatenate([part[name].values for part in parts]))


def test_the_store_and_the_file_opened_in_place_are_the_same(tmp_path: Path) -> None:
    path, _ = bgen(tmp_path / "c.bgen", index=True)
    stored, opened = conversion.genotypes(path, tmp_path / "c.zarr").open(), conversion.open(path)
    for name in stored.data_vars:
        np.testing.assert_array_equal(opened[name].values, stored[name].values, err_msg=name)


def test_an_interrupted_run_goes_on_without_reading_what_is_done(tmp_path: Path, monkeypatch) -> None:
    path, _ = bgen(tmp_path / "c.bgen", m=60, n=40)
    # A chunk of 60 bytes is 6 variants of 40 samples.
    whole = conversion.genotypes(path, tmp_path / "whole.zarr", chunk_mb=60e-6)
    original, seen = BgenSource.read_block, []

    def interrupted(self: BgenSource, start: int, stop: int, out: np.ndarray | None = None):
        seen.append(start)
        if len(seen) > 4:
            raise Stopped
        return original(self, start, stop, out)

    monkeypatch.setattr(BgenSource, "read_block", interrupted)
    with pytest.raises(Stopped):
        conversion.genotypes(path, tmp_path / "c.zarr", chunk_mb=60e-6)
    monkeypatch.setattr(BgenSource, "read_block", original)
    conversion.genotypes(path, tmp_path / "c.zarr", chunk_mb=60e-6, resume=True)
    one, other = open_group(whole.path), open_group(tmp_path / "c.zarr")
    for name in one.array_keys():
        np.testing.assert_array_equal(one[name][...], other[name][...], err_msg=name)


# -- damage ------------------------------------------------------------------------------------------------------------
def patched(path: Path, at: int, data: bytes) -> None:
    content = bytearray(path.read_bytes())
    content[at : at + len(data)] = data
    path.write_bytes(bytes(content))


def first_block(path: Path) -> int:
    """Where the stored probabilities of the first variant begin (behind their two lengths)."""
    content = path.read_bytes()
    at = 4 + struct.unpack_from("<I", content)[0]
    for _ in range(3):
        at += 2 + struct.unpack_from("<H", content, at)[0]
    at += 6
    for _ in range(2):
        at += 4 + struct.unpack_from("<I", content, at)[0]
    return at + 8


DAMAGE = {
    "empty": (lambda p: p.write_bytes(b""), "is empty"),
    "wrong magic": (lambda p: patched(p, 16, b"gebn"), "is not a BGEN file"),
    "no header": (lambda p: p.write_bytes(p.read_bytes()[:20]), "is not a BGEN file"),
    "short header": (lambda p: patched(p, 4, struct.pack("<I", 4)), "contradict each other"),
    "unknown layout": (lambda p: patched(p, 20, struct.pack("<I", 3 << 2)), "layout 3, compression 0"),
    "unknown compression": (lambda p: patched(p, 20, struct.pack("<I", 2 << 2 | 3)), "layout 2, compression 3"),
    "no variants": (lambda p: patched(p, 8, bytes(4)), "0 variants, 13 samples"),
    "more variants than there are": (
        lambda p: patched(p, 8, struct.pack("<I", 24)),
        "is cut or damaged at variant 24 of 24",
    ),
    "cut": (lambda p: p.write_bytes(p.read_bytes()[:-30]), "cut or damaged at variant 23 of 23"),
    "other number of ids": (lambda p: patched(p, 28, struct.pack("<I", 12)), "12 ids in"),
    "ids that are not text": (lambda p: patched(p, 34, b"\xff"), "list of samples is damaged at sample 1"),
    "probabilities": (lambda p: patched(p, first_block(p), b"\xff\xff\xff"), "variant 1: its probabilities cannot be"),
    "a length that nothing can have": (
        lambda p: patched(p, first_block(p) - 4, b"\xff\xff\xff\xff"),
        "4,294,967,295 bytes are announced",
    ),
    "length of probabilities": (
        lambda p: patched(p, first_block(p) - 4, struct.pack("<I", 10)),
        "variant 1: its probabilities cannot be used",
    ),
}


@pytest.mark.parametrize("what", DAMAGE)
def test_a_damaged_file_is_refused_and_leaves_nothing(tmp_path: Path, what: str) -> None:
    change, message = DAMAGE[what]
    path, _ = bgen(tmp_path / "c.bgen")
    change(path)
    with pytest.raises(InputError, match=message):
        conversion.genotypes(path, tmp_path / "c.zarr", format="bgen")
    assert not (tmp_path / "c.zarr").exists()


BLOCKS = {
    "three chromosomes": (lambda n: block_2([255, 0, 0] * n, n, ploidy=3), "more than two chromosomes"),
    "another number of samples": (lambda n: block_2([255, 0] * (n - 1), n - 1), "another number of samples"),
    "probabilities above one": (lambda n: block_2([200, 100] * n, n), "whose sum is above one"),
    "no bits": (lambda n: block_2([255, 0] * n, n)[: 9 + n] + b"\0" + bytes(2 * n), "not 1 to 32"),
    "too short": (lambda n: block_2([255, 0] * n, n)[:-1], "end before the last sample"),
    "fewer alleles": (lambda n: block_2([], n, n_alleles=1), "another number of alleles"),
}


@pytest.mark.parametrize("what", BLOCKS)
def test_probabilities_that_cannot_be_used_are_named(tmp_path: Path, what: str) -> None:
    make, message = BLOCKS[what]
    made = variants(5, 13)
    made[3].block = make(13)
    path = write_bgen(tmp_path / "c.bgen", made, 13)
    with pytest.raises(InputError, match=f"(?s)variant 4: its probabilities cannot be used.*{message}"):
        conversion.genotypes(path, tmp_path / "c.zarr")
    assert not (tmp_path / "c.zarr").exists()


def test_an_index_of_another_file_is_refused(tmp_path: Path) -> None:
    path, made = bgen(tmp_path / "c.bgen")
    other, others = bgen(tmp_path / "other.bgen", seed=5)
    index = write_bgi(other, others, 13)
    index.rename(tmp_path / "c.bgen.bgi")
    with pytest.raises(InputError, match=r"(?s)is not the index of .*bgenix"):
        conversion.open(path)
    (tmp_path / "c.bgen.bgi").write_bytes(b"no database")
    with pytest.raises(InputError, match=r"(?s)cannot be read as the index.*bgenix"):
        conversion.open(path)
    write_bgi(path.rename(tmp_path / "d.bgen"), made, 13)
    (tmp_path / "d.bgen").write_bytes((tmp_path / "d.bgen").read_bytes()[:-30])
    with pytest.raises(InputError, match="is not the index of"):
        conversion.open(tmp_path / "d.bgen")


def test_a_variant_with_one_allele_is_refused(tmp_path: Path) -> None:
    made = variants(3, 4)
    made[1].alleles = ("A",)
    path = write_bgen(tmp_path / "c.bgen", made, 4)
    with pytest.raises(InputError, match="one allele only"):
        conversion.open(path)


def test_a_name_that_hides_a_bgen_file_does_no_harm(tmp_path: Path) -> None:
    path, _ = bgen(tmp_path / "c.bgen")
    assert conversion.open(path.rename(tmp_path / "imputed.dat")).attrs["sources"][0].endswith("imputed.dat")
