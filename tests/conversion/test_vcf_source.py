"""VCF and BCF in every packing give the rows that follow from their text, whatever the pieces they are read in."""

from __future__ import annotations

import pickle
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

import conversion
from conversion.formats import OpenOptions
from conversion.sources import open_source
from conversion.vcf import VcfSource, open_vcf
from daskgen.errors import InputError
from daskgen.kernels.dosages import DOSAGE_MISSING, DOSAGE_SCALE
from daskgen.stores import open_group, verify
from tests.oracles.plink import packed_codes
from tests.oracles.vcf import Row, rows_of_vcf
from tests.vcf_files import DECLARED, bgzip, header, random_records, write_vcf

KINDS = ["plain", "bgzip", "gzip", "bcf"]
N = 7


@pytest.fixture(autouse=True)
def _small_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pieces, spans and blocks of some hundred bytes, so that records lie across all of them."""
    monkeypatch.setattr("conversion.compressed_blocks._READ", 500)
    monkeypatch.setattr("conversion.pieces.PIECE_BYTES", 900)
    monkeypatch.setattr("conversion.vcf_scan.SPAN_BYTES", {"plain": 2_000, "bgzip": 700})


def text_of(n_records: int = 60, n_samples: int = N, seed: int = 0, **options) -> str:
    rng = np.random.default_rng(seed)
    half = n_records // 2
    records = random_records(rng, half, n_samples, "1", **options)
    return header(n_samples) + records + random_records(rng, n_records - half, n_samples, "X", **options)


def write(folder: Path, text: str, kind: str, name: str = "c") -> Path:
    if kind == "bcf":
        pytest.importorskip("cyvcf2")
    return write_vcf(folder / name, text, kind, block=333)


def source_of(path: Path, **options) -> VcfSource:
    return open_vcf(str(path), OpenOptions(**options))


def assert_rows(source: VcfSource, rows: list[Row], which: np.ndarray | None = None) -> None:
    """The source reads these rows, in one block, streamed in several, and, where it can, in any order."""
    m = len(rows)
    assert source.n_variants == m
    codes = np.array([row.codes for row in rows])
    dosage = np.array([row.dosage for row in rows])

    def check(block, part) -> None:
        np.testing.assert_array_equal(packed_codes(block.packed, source.n_samples), codes[part])
        if source.has_dosage:
            found = np.where(block.dosage == DOSAGE_MISSING, np.nan, block.dosage / DOSAGE_SCALE)
            # BCF holds float32.
            np.testing.assert_allclose(found, dosage[part], atol=0.51 / DOSAGE_SCALE)

    edges = [0, 1, m // 3, m // 3 + 2, m]
    ranges = [(a, b) for a, b in zip(edges[:-1], edges[1:], strict=True) if a < b]
    for (a, b), block in zip(ranges, source.stream(ranges), strict=True):
        check(block, slice(a, b))
    gaps = ranges[1::2]
    for (a, b), block in zip(gaps, source.stream(gaps), strict=True):
        check(block, slice(a, b))
    if source.sequential:
        return
    check(source.read_block(0, m), slice(None))
    check(source.read_block(m // 2, m - 1), slice(m // 2, m - 1))
    some = np.arange(1, m, 5)
    check(source.read_calls(some), some)
    np.testing.assert_array_equal(packed_codes(source.read_rows(some), source.n_samples), codes[some])
    np.testing.assert_array_equal(packed_codes(source.read(3, min(9, m)), source.n_samples), codes[3:9])


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("seed", [0, 1])
def test_rows_are_those_of_the_text(tmp_path: Path, kind: str, seed: int) -> None:
    text = text_of(seed=seed, gt_first=kind == "bcf")
    rows = rows_of_vcf(text)
    source = source_of(write(tmp_path, text, kind))
    assert len(source.pieces) > 5
    assert source.has_dosage
    assert source.has_multiallelic
    assert_rows(source, rows)
    tables = list(source.variant_tables())
    for name, values in (("position", "position"), ("variant_id", "variant_id")):
        found = np.concatenate([getattr(table, name) for table in tables]).tolist()
        assert found == [getattr(row, values) for row in rows]
    alleles = np.concatenate([table.allele for table in tables]).tolist()
    assert alleles == [[row.ref, row.alt] for row in rows]
    contigs = [table.contig_names[code] for table in tables for code in table.contig]
    assert contigs == [row.contig for row in rows]
    scores = np.concatenate([table.info_score for table in tables])
    np.testing.assert_allclose(scores, [0.5 + int(row.variant_id[2:]) / 1000 for row in rows], rtol=1e-6)
    assert source.samples().sample_id.tolist() == [f"I{i}" for i in range(N)]


@pytest.mark.parametrize("kind", KINDS[:3])
@pytest.mark.parametrize("block", [40, 101, 1_000, 65_280])
def test_the_size_of_blocks_does_not_matter(tmp_path: Path, kind: str, block: int) -> None:
    text = text_of(12)
    assert_rows(source_of(write_vcf(tmp_path / "c", text, kind, block)), rows_of_vcf(text))


@pytest.mark.parametrize("kind", KINDS[:3])
def test_a_last_line_without_its_end_and_lines_of_windows(tmp_path: Path, kind: str) -> None:
    text = text_of(12)
    rows = rows_of_vcf(text)
    assert_rows(source_of(write(tmp_path, text.rstrip("\n"), kind, "a")), rows)
    assert_rows(source_of(write(tmp_path, text.replace("\n", "\r\n"), kind, "b")), rows)
    assert_rows(source_of(write(tmp_path, text + "\n\n", kind, "c")), rows)


@pytest.mark.parametrize("kind", KINDS)
def test_a_converted_store_and_an_opened_file_hold_the_rows(tmp_path: Path, kind: str, monkeypatch) -> None:
    monkeypatch.setattr("daskgen.stores.genotype_layout._GROUP_BYTES", 40)
    text = text_of(gt_first=kind == "bcf")
    rows = rows_of_vcf(text)
    path = write(tmp_path, text, kind)
    result = conversion.genotypes(path, tmp_path / "c.zarr", chunk_mb=0.00003)
    assert verify(tmp_path / "c.zarr") == []
    assert result.n_variants == len(rows)
    dataset = result.open()
    np.testing.assert_allclose(dataset.call_dosage.values, [row.dosage for row in rows], atol=1e-4)
    copies = dataset.call_genotype.values
    codes = np.where((copies < 0).any(axis=2), -1, copies.sum(axis=2))
    np.testing.assert_array_equal(codes, [row.codes for row in rows])
    assert dataset.variant_info_score.dtype == np.float32
    np.testing.assert_allclose(dataset.variant_info_score.values[0], 0.5)
    notes = " ".join(dataset.attrs["provenance"]["notes"])
    assert "phase is not kept" in notes
    assert "variant_info_score is INFO/DR2" in notes
    assert dataset.attrs["provenance"]["sources"][0]["fingerprint"]
    if kind == "gzip":
        with pytest.raises(InputError, match="plain gzip") as error:
            conversion.open(path)
        assert "bgzip" in str(error.value)
        return
    opened = conversion.open(path)
    assert set(opened.variables) == set(dataset.variables)
    for name in dataset.variables:
        np.testing.assert_array_equal(opened[name].values, dataset[name].values, err_msg=str(name))


@pytest.mark.parametrize("kind", KINDS)
def test_selections(tmp_path: Path, kind: str) -> None:
    text = text_of(gt_first=kind == "bcf")
    rows = rows_of_vcf(text)
    path = write(tmp_path, text, kind)
    kept = [i for i, row in enumerate(rows) if row.contig == "X" and 5 <= row.position <= 21]
    result = conversion.genotypes(path, tmp_path / "c.zarr", region="X:5-21", keep=["I1", "I4", "I6"])
    np.testing.assert_allclose(result.open().call_dosage.values, [rows[i].dosage[[1, 4, 6]] for i in kept], atol=1e-4)
    calls_only = conversion.genotypes(path, tmp_path / "d.zarr", dosages=False, exclude=["1r3", "Xr4"])
    rest = [row for row in rows if row.variant_id not in ("1r3", "Xr4")]
    group = open_group(tmp_path / "d.zarr")
    assert "call_dosage" not in group
    assert calls_only.dropped == {"variants in exclude": len(rows) - len(rest)}
    np.testing.assert_array_equal(packed_codes(group["call_genotype_packed"][...], N), [row.codes for row in rest])
    frequent = conversion.genotypes(path, tmp_path / "e.zarr", dosages=False, maf_min=0.1, missing_max=0.5).open()
    p = frequent.variant_allele_frequency.values
    assert 0 < len(p) < len(rows)
    assert (np.minimum(p, 1 - p) >= 0.1).all()


@pytest.mark.parametrize("kind", ["bgzip", "gzip"])
def test_an_interrupted_run_is_resumed_with_the_same_bytes(tmp_path: Path, kind: str, monkeypatch) -> None:
    monkeypatch.setattr("daskgen.stores.genotype_layout._GROUP_BYTES", 40)
    path = write(tmp_path, text_of(), kind)
    options = {"chunk_mb": 0.00003}
    whole = conversion.genotypes(path, tmp_path / "whole.zarr", **options)
    from conversion import groups

    write_group, written = groups._write_group, []

    def failing(index: int, *args):
        if len(written) == 4:
            raise KeyboardInterrupt
        written.append(index)
        return write_group(index, *args)

    monkeypatch.setattr(groups, "_write_group", failing)
    with pytest.raises(KeyboardInterrupt):
        conversion.genotypes(path, tmp_path / "cut.zarr", **options)
    again = []
    monkeypatch.setattr(groups, "_write_group", lambda index, *args: again.append(index) or write_group(index, *args))
    conversion.genotypes(path, tmp_path / "cut.zarr", resume=True, **options)
    assert not set(written) & set(again)
    one, other = open_group(whole.path), open_group(tmp_path / "cut.zarr")
    for name in one.array_keys():
        np.testing.assert_array_equal(one[name][...], other[name][...], err_msg=name)
    assert verify(tmp_path / "cut.zarr") == []


def test_several_files_of_any_packing_follow_each_other(tmp_path: Path) -> None:
    texts = [text_of(20, seed=seed) for seed in range(3)]
    paths = [write(tmp_path, text, kind, f"c{i}") for i, (text, kind) in enumerate(zip(texts, KINDS[:3], strict=True))]
    rows = [row for text in texts for row in rows_of_vcf(text)]
    source = open_source(paths)
    assert source.sequential
    assert source.n_variants == len(rows)
    result = conversion.genotypes(paths, tmp_path / "c.zarr", chunk_mb=0.00003, keep=["I0", "I5"], contig="X")
    kept = [row for row in rows if row.contig == "X"]
    np.testing.assert_allclose(result.open().call_dosage.values, [row.dosage[[0, 5]] for row in kept], atol=1e-4)
    assert open_source(tmp_path / "c{0:1}.vcf*").n_variants == sum(len(rows_of_vcf(text)) for text in texts[:2])
    with pytest.raises(InputError, match="different samples"):
        open_source([paths[0], write(tmp_path, text_of(4, 3), "plain", "other")])


@pytest.mark.parametrize("kind", KINDS)
def test_ref_and_multiallelic(tmp_path: Path, kind: str) -> None:
    path = write(tmp_path, text_of(gt_first=kind == "bcf"), kind)
    with pytest.raises(InputError, match="several ALT alleles") as error:
        source_of(path, split_multiallelic=False)
    assert "the first is 1:" in str(error.value)
    with pytest.raises(InputError, match="REF cannot be the counted allele"):
        conversion.genotypes(path, tmp_path / "c.zarr", ref="last")
    lines = [f"1\t{i}\tv{i}\tA\tC\t.\t.\t.\tGT:DS\t0/1:1.25\t1/1:2\t./.:." for i in range(1, 9)]
    two = write(tmp_path, header(3) + "\n".join(lines) + "\n", kind, "two")
    group = open_group(conversion.genotypes(two, tmp_path / "r.zarr", ref="last").path)
    assert group.attrs["counted_allele"] == "REF"
    assert group["variant_allele"][0].tolist() == ["C", "A"]
    np.testing.assert_array_equal(packed_codes(group["call_genotype_packed"][...], 3), [[1, 0, -1]] * 8)
    np.testing.assert_array_equal(group["call_dosage"][0], [0.75 * DOSAGE_SCALE, 0, DOSAGE_MISSING])


def test_sexes_come_from_a_sample_file_in_any_order(tmp_path: Path) -> None:
    lines = "".join(f"X\t{i}\tv{i}\tA\tC\t.\t.\t.\tGT\t1\t0/1\t1/1\n" for i in range(1, 5))
    path = write(tmp_path, header(3) + lines, "bgzip")
    (tmp_path / "s.psam").write_text("#FID\tIID\tSEX\nf\tI2\t2\nf\tother\t1\ng\tI0\t1\nh\tI1\t2\n")
    dataset = conversion.genotypes(path, tmp_path / "c.zarr", sample_file=tmp_path / "s.psam").open()
    assert dataset.sample_id.values.tolist() == ["I0", "I1", "I2"]
    assert dataset.sample_sex.values.tolist() == [1, 2, 2]
    assert dataset.sample_family_id.values.tolist() == ["g", "h", "f"]
    np.testing.assert_allclose(dataset.variant_allele_frequency.values, (1 + 1 + 2) / 5)
    (tmp_path / "s.fam").write_text("f I0 0 0 1 -9\n")
    with pytest.raises(InputError, match="2 samples of .* are not in") as error:
        conversion.genotypes(path, tmp_path / "d.zarr", sample_file=tmp_path / "s.fam")
    assert "I1, I2" in str(error.value)


def test_a_source_is_small_when_pickled_and_reads_the_same(tmp_path: Path) -> None:
    source = source_of(write(tmp_path, text_of(), "bgzip"))
    again = pickle.loads(pickle.dumps(source))
    np.testing.assert_array_equal(again.read(0, 20), source.read(0, 20))
    assert len(pickle.dumps(source)) < 20_000


def test_records_that_the_spec_allows_and_few_expect(tmp_path: Path) -> None:
    text = header(2) + (
        "2\t0\t.\tN\t.\t.\t.\t.\tGT\t0/0\t./.\n"
        "2\t9\tsv\tA\t<DEL>,*\t.\t.\tDR2=.,0.25\tGT\t0/1\t2/2\n"
        "1\t5\tid;other\tA\tC\t.\t.\t.\tAD\t5\t6\n"
        "2\t3\tlate\tA\tC\t.\t.\t.\tGT\t.\t1\n"
    )
    source = source_of(write(tmp_path, text, "bgzip"))
    assert_rows(source, rows_of_vcf(text))
    (table,) = source.variant_tables()
    assert table.allele.tolist() == [["N", "."], ["A", "<DEL>"], ["A", "*"], ["A", "C"], ["A", "C"]]
    np.testing.assert_array_equal(table.info_score, np.float32([np.nan, np.nan, 0.25, np.nan, np.nan]))
    assert any("not sorted" in note for note in source.notes)


def test_there_is_no_score_where_no_record_has_one(tmp_path: Path) -> None:
    text = header(2) + "1\t5\t.\tA\tC\t.\t.\t.\tGT\t0/1\t0/0\n"
    source = source_of(write(tmp_path, text, "plain"))
    assert not source.has_info_score
    assert "variant_info_score" not in open_group(conversion.genotypes(source.path, tmp_path / "c.zarr").path)


def test_files_are_told_by_their_content(tmp_path: Path) -> None:
    text = text_of(6)
    for kind in KINDS[:3]:
        path = write(tmp_path, text, kind, kind)
        other = path.rename(tmp_path / f"{kind}.data")
        assert open_source(other).format == "vcf"


# -- what is wrong -----------------------------------------------------------------------------------------------------
GOOD = "1\t5\tv1\tA\tC\t.\t.\t.\tGT:DS\t0/1:1\t0/0:0\n"


def refused(tmp_path: Path, path: Path) -> str:
    """The message with which a conversion is refused; it leaves nothing behind."""
    before = sorted(tmp_path.iterdir())
    with pytest.raises(InputError) as error:
        conversion.genotypes(path, tmp_path / "refused.zarr")
    assert sorted(tmp_path.iterdir()) == before
    return str(error.value)


def malformed() -> Iterator[tuple[str, str, str]]:
    head = header(2)
    yield "no variants", head, "has a header and no variants"
    sites = "#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\n1\t5\t.\tA\tC\t.\t.\t.\n"
    yield "sites only", DECLARED + sites, "names no samples"
    yield "no header line", DECLARED + GOOD, "no #CHROM line"
    yield "spaces", DECLARED + "#CHROM POS ID REF ALT QUAL FILTER INFO FORMAT I0 I1\n" + GOOD, "other columns"
    yield "same sample", head.replace("I1", "I0") + GOOD, "1 sample ids occur more than once"
    yield "no genotypes", head + "1\t5\tv1\tA\tC\t.\t.\t.\tAD\t1\t2\n", "no genotypes that can be stored"
    yield "summary statistics", head + "1\t5\tv1\tA\tC\t.\t.\t.\tES:SE:LP\t1\t2\n", r"summary statistics \(GWAS-VCF\)"
    yield "few columns", head + GOOD + "1\t6\tv2\tA\tC\t.\t.\n", "fewer than 10 columns"
    yield "few samples", head + GOOD + GOOD.rpartition("\t")[0] + "\n", "1:5 v1: fewer columns than the header"
    yield "many samples", head + GOOD + GOOD.rstrip() + "\t0/0\n", "1:5 v1: more columns than the header"
    yield "position", head + GOOD + GOOD.replace("\t5\t", "\tfive\t"), "POS of a record is no position"
    yield "large position", head + GOOD + GOOD.replace("\t5\t", "\t5000000000\t"), "POS of a record is no position"
    yield "ploidy", head + GOOD + GOOD.replace("0/1", "0/1/1"), "1:5 v1: GT has more than two alleles"
    yield "allele", head + GOOD + GOOD.replace("0/1", "0/2"), "1:5 v1: GT names an allele that ALT does not have"
    yield "call", head + GOOD + GOOD.replace("0/1", "A/C"), "1:5 v1: GT is not a genotype"
    yield "dosage", head + GOOD + GOOD.replace(":1\t", ":2.5\t"), "1:5 v1: the dosage lies outside"
    yield "dosage text", head + GOOD + GOOD.replace(":1\t", ":x\t"), "1:5 v1: DS or GP is not a number"
    phred = GOOD.replace("DS", "GP").replace(":1\t", ":9,0,30\t").replace(":0\n", ":.\n")
    yield "phred", head + phred, "do not sum to 1"
    yield "latin 1", head + GOOD.replace("v1", "caf\udce9"), "not UTF-8"


@pytest.mark.parametrize(("text", "match"), [case[1:] for case in malformed()], ids=[case[0] for case in malformed()])
@pytest.mark.parametrize("kind", ["plain", "gzip"])
def test_malformed_files_are_refused_and_leave_nothing(tmp_path: Path, text: str, match: str, kind: str) -> None:
    import gzip
    import re

    data = text.encode("utf-8", "surrogateescape")
    path = tmp_path / "c.vcf"
    path.write_bytes(gzip.compress(data) if kind == "gzip" else data)
    assert re.search(match, refused(tmp_path, path))


def test_a_message_names_sample_and_text(tmp_path: Path) -> None:
    path = write(tmp_path, header(2) + GOOD + GOOD.replace("0/0:0", "0|7:0"), "bgzip")
    message = refused(tmp_path, path)
    assert "sample I1: 0|7:0" in message
    assert "bcftools view -t ^1:5" in message


@pytest.mark.parametrize("kind", ["bgzip", "gzip", "bcf"])
@pytest.mark.parametrize("share", [0.3, 0.7, 0.999])
def test_a_file_that_was_cut_is_refused(tmp_path: Path, kind: str, share: float) -> None:
    path = write(tmp_path, text_of(80, gt_first=True), kind)
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * share)])
    assert "is cut" in refused(tmp_path, path)


def test_a_bgzip_file_without_its_end_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "c.vcf.gz"
    path.write_bytes(bgzip(text_of(8).encode(), end=False))
    assert "empty block at the end" in refused(tmp_path, path)


def test_damaged_blocks_are_refused(tmp_path: Path) -> None:
    path = write(tmp_path, text_of(80), "bgzip")
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 0xFF
    path.write_bytes(bytes(data))
    assert "cut or damaged" in refused(tmp_path, path)


def test_an_index_is_not_looked_at_however_old_or_wrong_it_is(tmp_path: Path) -> None:
    text = text_of(8)
    path = write(tmp_path, text, "bgzip")
    (tmp_path / "c.vcf.gz.tbi").write_bytes(b"of another file")
    assert_rows(source_of(path), rows_of_vcf(text))


def test_bcf_that_cannot_be_stored_is_refused(tmp_path: Path) -> None:
    for column, match in (("0/1/1:1", "more than two alleles"), ("0/1:2.5", "a dosage lies outside")):
        path = write(tmp_path, header(2) + GOOD + GOOD.replace("0/1:1", column), "bcf")
        assert match in refused(tmp_path, path)


def test_without_cyvcf2_the_message_says_what_to_install(tmp_path: Path, monkeypatch) -> None:
    path = write(tmp_path, header(2) + GOOD, "bcf")
    from daskgen.errors import MissingPackageError

    monkeypatch.setitem(__import__("sys").modules, "cyvcf2", None)
    with pytest.raises(MissingPackageError, match="cyvcf2"):
        conversion.genotypes(path, tmp_path / "c.zarr")
