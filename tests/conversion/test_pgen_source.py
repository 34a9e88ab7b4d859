"""A .pgen is read as packed copies of ALT, one row per ALT allele, and as its own 16-bit dosages."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import conversion
from conversion.pgen import PgenSource
from conversion.pgen_header import read_pgen_header
from conversion.pgen_tables import read_psam
from conversion.split_variants import SplitVariants
from daskgen.errors import InputError, MissingPackageError
from tests.conversion.cohorts import Cohort, cohort, random_copies
from tests.oracles.plink import packed_codes

pgenlib = pytest.importorskip("pgenlib")


@pytest.mark.parametrize(("m", "n"), [(1, 1), (7, 2), (13, 17), (64, 129)])
def test_every_hard_call_is_what_was_written(tmp_path: Path, m: int, n: int) -> None:
    copies = random_copies(m, n)
    source = PgenSource.of(str(Cohort(copies).write_pgen(tmp_path / "c")))
    assert (source.n_variants, source.n_samples, source.has_dosage) == (m, n, False)
    np.testing.assert_array_equal(packed_codes(source.read(0, m), n), copies)
    with pytest.raises(InputError, match="no dosages"):
        source.read_dosage(0, m)


def test_dosages_are_the_numbers_of_the_file(tmp_path: Path) -> None:
    rng = np.random.default_rng(5)
    dosage = (rng.integers(0, 32_769, (31, 23)) / 16_384).astype(np.float32)
    dosage[rng.random(dosage.shape) < 0.1] = np.nan
    dosage[4], dosage[5] = np.nan, 2
    source = PgenSource.of(str(cohort(31, 23).write_pgen(tmp_path / "c", dosage)))
    assert source.has_dosage
    read = source.read_dosage(0, 31)
    assert read.dtype == np.uint16
    np.testing.assert_array_equal(read, np.where(np.isnan(dosage), 65_535, np.nan_to_num(dosage) * 16_384))
    # A hard call is a dosage within 0.1 of a whole number, as plink2 and pgenlib take it.
    near = np.abs(dosage - np.rint(dosage)) <= 0.1
    calls = packed_codes(source.read(0, 31), 23)
    np.testing.assert_array_equal(calls[near], np.rint(dosage)[near])
    assert (calls[~near] == -1).all()


def test_parts_and_small_blocks_give_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    dosage = np.random.default_rng(2).uniform(0, 2, (53, 11)).astype(np.float32)
    source = PgenSource.of(str(cohort(53, 11).write_pgen(tmp_path / "c", dosage)))
    calls, dosages = source.read(0, 53), source.read_dosage(0, 53)
    monkeypatch.setattr("conversion.pgen._BLOCK_BYTES", 50)
    np.testing.assert_array_equal(source.read(7, 40), calls[7:40])
    np.testing.assert_array_equal(source.read_dosage(7, 40), dosages[7:40])
    rows = np.array([0, 3, 4, 52])
    np.testing.assert_array_equal(source.read_rows(rows), calls[rows])
    np.testing.assert_array_equal(source.read_dosage_rows(rows), dosages[rows])


# -- several ALT alleles -----------------------------------------------------------------------------------
ALLELES = [[1, 2, 1], [1, 1, 3], [1, 4, 1, 2]]


def write_multiallelic(prefix: Path, n_alt: list[int], n_samples: int, seed: int = 0) -> np.ndarray:
    """A .pgen whose variants have so many ALT alleles; returns the allele pairs (variants, samples, 2), -1 missing."""
    rng = np.random.default_rng(seed)
    alleles = np.stack([rng.integers(0, k + 1, (n_samples, 2)) for k in n_alt])
    alleles[rng.random(alleles.shape[:2]) < 0.2] = -1
    counts = np.array([0, *np.cumsum([k + 1 for k in n_alt])], np.uintp)
    pgen = Path(f"{prefix}.pgen")
    writer = pgenlib.PgenWriter(
        str(pgen).encode(), n_samples, variant_ct=len(n_alt), nonref_flags=False, allele_ct_limit=max(n_alt) + 1
    )
    for k, pairs in zip(n_alt, alleles, strict=True):
        writer.append_alleles(np.where(pairs < 0, -9, pairs).astype(np.int32).reshape(-1), allele_ct=k + 1)
    writer.close()
    assert counts[-1] == sum(n_alt) + len(n_alt)
    rows = [f"1\t{i + 1}\tv{i}\tR\t{','.join(f'A{j + 1}' for j in range(k))}\n" for i, k in enumerate(n_alt)]
    Path(f"{prefix}.pvar").write_text("#CHROM\tPOS\tID\tREF\tALT\n" + "".join(rows))
    Path(f"{prefix}.psam").write_text("#IID\n" + "".join(f"I{i}\n" for i in range(n_samples)))
    return alleles


@pytest.mark.parametrize("n_alt", ALLELES)
def test_each_alt_allele_is_a_row_that_counts_it(tmp_path: Path, n_alt: list[int]) -> None:
    alleles = write_multiallelic(tmp_path / "c", n_alt, 19)
    expected = [
        [-1 if (pair < 0).any() else (pair == allele).sum() for pair in alleles[v]]
        for v, k in enumerate(n_alt)
        for allele in range(1, k + 1)
    ]
    source = PgenSource.of(str(tmp_path / "c.pgen"))
    assert source.n_variants == sum(n_alt)
    np.testing.assert_array_equal(packed_codes(source.read(0, sum(n_alt)), 19), expected)
    for row in range(sum(n_alt)):
        np.testing.assert_array_equal(packed_codes(source.read(row, row + 1), 19)[0], expected[row])
    (table,) = source.variant_tables()
    assert table.variant_id.tolist() == [f"v{v}" for v, k in enumerate(n_alt) for _ in range(k)]
    assert table.allele.tolist() == [["R", f"A{j + 1}"] for k in n_alt for j in range(k)]
    assert any("split" in note for note in source.notes)


def test_variants_with_several_alt_alleles_can_be_refused(tmp_path: Path) -> None:
    write_multiallelic(tmp_path / "c", [1, 3], 5)
    with pytest.raises(InputError, match="1 variants have several ALT alleles") as error:
        PgenSource.of(str(tmp_path / "c.pgen"), split_multiallelic=False)
    assert "variant 2, with 3" in str(error.value)


@pytest.mark.parametrize("n_alt", [[1], [1, 1, 1], [2], [3, 1, 2], [1, 2, 2, 1, 5]])
def test_rows_are_located_in_the_file(n_alt: list[int]) -> None:
    several = [i for i, k in enumerate(n_alt) if k > 1]
    split = SplitVariants(len(n_alt), np.array(several, np.int64), np.array([n_alt[i] for i in several], np.int64))
    expected = [(v, a) for v, k in enumerate(n_alt) for a in range(1, k + 1)]
    assert split.n_rows == len(expected)
    variant, allele = split.locate(np.arange(split.n_rows))
    assert list(zip(variant.tolist(), allele.tolist(), strict=True)) == expected


# -- headers -----------------------------------------------------------------------------------------------
PSAM = [
    ("#IID\tSEX\nA\t1\nB\t2\n", ["0", "0"], [1, 2], [np.nan, np.nan]),
    ("#FID\tIID\nf\tA\ng\tB\n", ["f", "g"], [0, 0], [np.nan, np.nan]),
    ("##x\n#IID SID PAT MAT SEX PHENO1 PHENO2\nA s 0 0 NA 1.5 7\nB s 0 0 F NA 8\n", ["0", "0"], [0, 2], [1.5, np.nan]),
    ("#IID\tSEX\tSuperPop\nA\tM\tEUR\nB\t0\tAFR\n", ["0", "0"], [1, 0], [np.nan, np.nan]),
    ("f A 0 0 1 -9\ng B 0 0 2 3\n", ["f", "g"], [1, 2], [np.nan, 3]),
]


@pytest.mark.parametrize(("text", "family", "sex", "phenotype"), PSAM)
def test_samples_tables_with_any_header(
    tmp_path: Path, text: str, family: list[str], sex: list[int], phenotype: list[float]
) -> None:
    (tmp_path / "c.psam").write_text(text)
    samples = read_psam(str(tmp_path / "c.psam"))
    assert samples.sample_id.tolist() == ["A", "B"]
    assert samples.family_id.tolist() == family
    assert samples.sex.tolist() == sex
    np.testing.assert_array_equal(samples.phenotype, phenotype)


PVAR = [
    "#CHROM\tPOS\tID\tREF\tALT\n1\t7\tv0\tT\tC\n1\t9\tv1\tT\t.\n",
    "##a\n##b\n#CHROM POS ID REF ALT QUAL FILTER INFO CM\n1 7 v0 T C . PASS X=1;Y 0.5\n1 9 v1 T . . PASS . 0.75\n",
    "1 v0 7 C T\n1 v1 9 . T\n",
    "1 v0 0.5 7 C T\n1 v1 0.75 9 . T\n",
]


@pytest.mark.parametrize("text", PVAR)
def test_variant_tables_with_any_header(tmp_path: Path, text: str) -> None:
    cohort(2, 5).write_pgen(tmp_path / "c")
    (tmp_path / "c.pvar").write_text(text)
    (table,) = PgenSource.of(str(tmp_path / "c")).variant_tables()
    assert table.position.tolist() == [7, 9]
    assert table.variant_id.tolist() == ["v0", "v1"]
    assert table.allele.tolist() == [["T", "C"], ["T", "."]]
    has_centimorgans = "0.5" in text
    assert table.genetic_position.tolist() == ([0.5, 0.75] if has_centimorgans else [0, 0])


def test_a_compressed_pvar_is_found_and_read(tmp_path: Path) -> None:
    zstandard = pytest.importorskip("zstandard")
    cohort(3, 5).write_pgen(tmp_path / "c")
    plain = tmp_path / "c.pvar"
    (tmp_path / "c.pvar.zst").write_bytes(zstandard.compress(plain.read_bytes()))
    plain.unlink()
    (table,) = PgenSource.of(str(tmp_path / "c.pgen")).variant_tables()
    assert table.variant_id.tolist() == ["rs0", "rs1", "rs2"]


# -- the header of the .pgen itself ------------------------------------------------------------------------
def test_fixed_width_modes_are_known(tmp_path: Path) -> None:
    head = bytes([0x6C, 0x1B])
    counts = (3).to_bytes(4, "little") + (5).to_bytes(4, "little")
    for mode, width, dosage in ((2, 2, False), (3, 12, True), (4, 22, True)):
        path = tmp_path / "c.pgen"
        path.write_bytes(head + bytes([mode]) + counts + b"\x40" + bytes(3 * width))
        header = read_pgen_header(str(path))
        assert (header.n_variants, header.n_samples, header.has_dosage) == (3, 5, dosage)
        path.write_bytes(path.read_bytes()[:-1])
        with pytest.raises(InputError, match="is not complete"):
            read_pgen_header(str(path))


def test_more_variants_than_one_block_of_the_header(tmp_path: Path) -> None:
    pgen = Cohort(np.ones((65_539, 2), np.int8)).write_pgen(tmp_path / "c")
    assert read_pgen_header(str(pgen)).n_variants == 65_539
    pgen.write_bytes(pgen.read_bytes()[:-1])
    with pytest.raises(InputError, match="is not complete"):
        read_pgen_header(str(pgen))


# -- missing packages --------------------------------------------------------------------------------------
def test_without_pgenlib_the_message_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pgen = cohort(3, 5).write_pgen(tmp_path / "c")
    monkeypatch.setitem(sys.modules, "pgenlib", None)
    with pytest.raises(MissingPackageError, match=r"daskgen\[formats\]"):
        PgenSource.of(str(pgen))


def test_without_zstandard_the_message_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pgen = cohort(3, 5).write_pgen(tmp_path / "c")
    (tmp_path / "c.pvar").rename(tmp_path / "c.pvar.zst")
    monkeypatch.setitem(sys.modules, "zstandard", None)
    with pytest.raises(MissingPackageError, match=r"daskgen\[formats\]"):
        PgenSource.of(str(pgen))


def test_neither_package_is_needed_for_a_bed(tmp_path: Path) -> None:
    bed = cohort(3, 5).write_bed(tmp_path / "c")
    script = """
import sys
sys.modules["pgenlib"] = sys.modules["zstandard"] = None
import conversion
print(conversion.genotypes(sys.argv[1], sys.argv[1] + ".zarr").n_variants)
"""
    done = subprocess.run([sys.executable, "-c", script, str(bed)], capture_output=True, text=True, check=True)
    assert done.stdout == "3\n"


def test_the_quality_of_imputation_is_kept_where_the_pvar_states_it(tmp_path: Path) -> None:
    made = cohort(3, 4)
    made.write_pgen(tmp_path / "c")
    lines = ['##INFO=<ID=R2,Number=1,Type=Float,Description="r2">', "#CHROM\tPOS\tID\tREF\tALT\tINFO"]
    lines += [f"1\t{i}\trs{i}\tA\tC\t{info}" for i, info in enumerate(("AF=0.5;R2=0.75", ".", "R2=1"))]
    (tmp_path / "c.pvar").write_text("\n".join(lines) + "\n")
    dataset = conversion.genotypes(tmp_path / "c.pgen", tmp_path / "c.zarr").open()
    np.testing.assert_array_equal(dataset.variant_info_score.values, np.float32([0.75, np.nan, 1]))
