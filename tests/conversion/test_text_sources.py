"""Text matrices as JWAS and BGLR have them, Oxford GEN files, and exports of one person."""

from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
import pytest

import conversion
from conversion.formats import OpenOptions
from conversion.sample_tiles import SampleTiles
from conversion.text_matrix import TextMatrixSource
from daskgen.errors import InputError
from daskgen.stores import open_group, verify
from tests.conversion.cohorts import random_copies
from tests.oracles.bgen import block_1, dosages
from tests.oracles.plink import packed_codes

M, N = 11, 7
OPTIONS = OpenOptions()


def matrix(
    copies: np.ndarray,
    separator: str = ",",
    *,
    header: str | None = "ID",
    missing: str = "9",
    one: str = "1",
    end: str = "\n",
    quoted: bool = False,
) -> str:
    """Copies (variants, samples) as text with a line per sample; `header` None: no line of names, "": R's, unnamed."""

    def word(text: str) -> str:
        return f'"{text}"' if quoted else text

    words = {-1: missing, 0: "0", 1: one, 2: "2"}
    lines = []
    if header is not None:
        names = [word(f"snp{v}") for v in range(len(copies))]
        lines.append(separator.join([word(header), *names] if header else names))
    for i, column in enumerate(copies.T.tolist()):
        lines.append(separator.join([word(f"i{i}"), *(words[copy] for copy in column)]))
    return end.join([*lines, ""])


FORMS = {
    "jwas": {},
    "with NA": {"missing": "NA"},
    "with points": {"missing": ".", "separator": "\t"},
    "blanks": {"separator": " ", "header": None},
    "nothing where missing": {"missing": "", "separator": ";"},
    "no header": {"header": None},
    "R": {"separator": " ", "header": "", "quoted": True, "missing": "NA"},
    "quoted": {"quoted": True, "missing": "NA"},
    "Windows": {"end": "\r\n"},
    "1.0": {"one": "1.0"},
}


@pytest.mark.parametrize("form", FORMS)
def test_forms_of_text_matrices(tmp_path: Path, form: str) -> None:
    copies = random_copies(M, N)
    path = tmp_path / "c.txt"
    path.write_bytes(matrix(copies, **FORMS[form]).encode())
    conversion.genotypes(path, tmp_path / "c.zarr")
    assert verify(tmp_path / "c.zarr") == []
    group = open_group(tmp_path / "c.zarr")
    np.testing.assert_array_equal(packed_codes(group["call_genotype_packed"][...], N), copies)
    assert group["sample_id"][...].tolist() == [f"i{i}" for i in range(N)]
    names = [f"snp{v}" for v in range(M)] if FORMS[form].get("header", "ID") is not None else None
    assert group["variant_id"][...].tolist() == (names or [f"M{v}" for v in range(1, M + 1)])
    assert group["contig_id"][...].tolist() == ["0"]
    assert set(group["variant_position"][...].tolist()) == {0}
    assert group["variant_allele"][...].tolist() == [["A", "B"]] * M
    notes = group.attrs["provenance"]["notes"]
    assert any("does not say where" in note for note in notes)


@pytest.mark.parametrize("n", [1, 4, 5, 23])
def test_samples_are_turned_a_few_at_a_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, n: int) -> None:
    copies = random_copies(13, n, seed=n)
    monkeypatch.setattr("conversion.text_matrix._TILE_BYTES", 13 * 8)  # eight samples
    with gzip.open(tmp_path / "c.csv.gz", "wt") as file:
        file.write(matrix(copies))
    conversion.genotypes(tmp_path / "c.csv.gz", tmp_path / "c.zarr", chunk_mb=5e-6)
    group = open_group(tmp_path / "c.zarr")
    np.testing.assert_array_equal(packed_codes(group["call_genotype_packed"][...], n), copies)


def test_tiles_give_any_range() -> None:
    codes = np.random.default_rng(0).integers(0, 4, (21, 9)).astype(np.uint8)
    tiles = SampleTiles(9)
    for part in (codes[:8], codes[8:16], codes[16:]):
        tiles.add(part)
    for start, stop in ((0, 9), (3, 4), (8, 9), (2, 7)):
        found = packed_codes(tiles.read(start, stop), 21)
        np.testing.assert_array_equal(np.where(found < 0, 3, found), codes.T[start:stop])


@pytest.mark.parametrize("header", ["markerID,chromosome,position\n", ""])
def test_a_map_says_where_the_markers_are(tmp_path: Path, header: str) -> None:
    copies = random_copies(M, N)
    (tmp_path / "c.csv").write_text(matrix(copies))
    rows = [f"snp{v},{1 + v // 6},{1000 - v}\n" for v in reversed(range(M))]
    (tmp_path / "map.csv").write_text(header + "".join([*rows, "other,3,1\n"]))
    dataset = conversion.genotypes(tmp_path / "c.csv", tmp_path / "c.zarr", variant_file=tmp_path / "map.csv").open()
    assert dataset.variant_position.values.tolist() == [1000 - v for v in range(M)]
    assert dataset.variant_contig.values.tolist() == [v // 6 for v in range(M)]
    (tmp_path / "map.txt").write_text("".join(f"snp{v} 1 {v} T C\n" for v in range(M)))
    dataset = conversion.genotypes(tmp_path / "c.csv", tmp_path / "d.zarr", variant_file=tmp_path / "map.txt").open()
    assert dataset.variant_allele.values.tolist() == [["T", "C"]] * M
    flipped = conversion.genotypes(
        tmp_path / "c.csv", tmp_path / "e.zarr", variant_file=tmp_path / "map.txt", ref="last", default_contig="5"
    ).open()
    np.testing.assert_array_equal(flipped.call_dosage.values, 2 - dataset.call_dosage.values)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("snp0 1\n", "not a line of a map"),
        ("snp0 1 5\nsnp0 1 6\n", "line 2: marker snp0 is there twice"),
        ("snp0 1 5\nsnp1 1\n", "line 2: this is not a line of a map"),
        ("snp0 1 5\n", "lacks 10 of the 11 markers"),
    ],
)
def test_maps_that_do_not_fit_are_refused(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "c.csv").write_text(matrix(random_copies(M, N)))
    (tmp_path / "map").write_text(text)
    with pytest.raises(InputError, match=message):
        conversion.genotypes(tmp_path / "c.csv", tmp_path / "c.zarr", variant_file=tmp_path / "map")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "is empty"),
        ("ID,a,b\n", "is not a text matrix"),
        ("ID,a,b\nx,0,1\ny,0\n", "line 3: wrong number of columns"),
        ("ID,a,b\nx,0,1\ny,0,7\n", r"line 3: b has no genotype code.\s+found\s+'7'"),
        ("ID,a,b\nx,0,1\ny,0,-1\n", "add 1 to all of them"),
        ("ID,a,b\nx,0,0.93\n", r"dosages\) are not read from text"),
        ("ID,a,b\nx,0,1\nx,0,1\n", "sample ids occur more than once"),
        ("some words of text\nand others\n", "is not a text matrix"),
    ],
)
def test_text_that_is_no_matrix_is_refused(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "c.csv").write_text(text)
    with pytest.raises(InputError, match=f"(?s){message}"):
        conversion.genotypes(tmp_path / "c.csv", tmp_path / "c.zarr")
    assert not (tmp_path / "c.zarr").exists()


def test_a_text_matrix_cannot_be_opened_in_place(tmp_path: Path) -> None:
    (tmp_path / "c.csv").write_text(matrix(random_copies(M, N)))
    with pytest.raises(InputError, match=r"(?s)single variants cannot be read.*daskgen convert"):
        conversion.open(tmp_path / "c.csv")


def test_a_selection_and_two_parts_of_a_text_matrix(tmp_path: Path) -> None:
    copies = random_copies(M, N)
    (tmp_path / "a.csv").write_text(matrix(copies[:5]))
    (tmp_path / "b.csv").write_text(matrix(copies[5:]))
    both = [tmp_path / "a.csv", tmp_path / "b.csv"]
    conversion.genotypes(both, tmp_path / "c.zarr", keep=["i5", "i2"], missing_max=0.9)
    rows = [v for v in range(M) if (copies[v, [2, 5]] >= 0).any()]
    group = open_group(tmp_path / "c.zarr")
    np.testing.assert_array_equal(packed_codes(group["call_genotype_packed"][...], 2), copies[np.ix_(rows, [2, 5])])


def test_single_digits_and_words_are_read_alike(tmp_path: Path) -> None:
    copies = random_copies(40, 30)
    (tmp_path / "fast.csv").write_text(matrix(copies, missing="9"))
    (tmp_path / "slow.csv").write_text(matrix(copies, missing="NA", one="1.0"))
    sources = [TextMatrixSource.of(str(tmp_path / name), OPTIONS) for name in ("fast.csv", "slow.csv")]
    np.testing.assert_array_equal(sources[0].read(0, 40), sources[1].read(0, 40))


# -- GEN ---------------------------------------------------------------------------------------------------------------
def gen_text(thirds: np.ndarray, *, contig: bool) -> str:
    lines = []
    for v, rows in enumerate(thirds):
        names = ["7"] * contig + [f"id{v}", f"rs{v}" if v else ".", str(100 + v), "A", "G"]
        lines.append(" ".join([*names, *(f"{x / 32768:.17g}" for x in rows.reshape(-1))]))
    return "\n".join([*lines, ""])


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("contig", [False, True])
def test_gen_files(tmp_path: Path, contig: bool, packed: bool) -> None:
    rng = np.random.default_rng(3)
    thirds = np.floor(rng.dirichlet([0.2, 0.2, 0.2], (M, N)) * 32768).astype(np.uint16)
    thirds[2, 3] = 0
    text = gen_text(thirds, contig=contig)
    path = tmp_path / ("c.gen.gz" if packed else "c.gen")
    path.write_bytes(gzip.compress(text.encode()) if packed else text.encode())
    (tmp_path / "c.sample").write_text("ID_1 ID_2 missing\n0 0 0\n" + "".join(f"F{i} I{i} 0\n" for i in range(N)))
    conversion.genotypes(path, tmp_path / "c.zarr", default_contig="22", chunk_mb=8e-6)
    group = open_group(tmp_path / "c.zarr")
    expected = [dosages(block_1(rows), 1, layout=1) for rows in thirds]
    steps = [[65535 if d is None else round(d * 16384) for d in row] for row, _ in expected]
    np.testing.assert_allclose(group["call_dosage"][...].astype(int), steps, atol=1)
    np.testing.assert_allclose(group["variant_info_score"][...], [info for _, info in expected], rtol=1e-5)
    assert group["contig_id"][...].tolist() == ["7" if contig else "22"]
    assert group["variant_id"][...].tolist() == ["id0", *(f"rs{v}" for v in range(1, M))]
    assert group["sample_id"][...].tolist() == [f"I{i}" for i in range(N)]
    with pytest.raises(InputError, match="read from its beginning"):
        conversion.open(path)


def test_probabilities_that_say_nothing_are_missing(tmp_path: Path) -> None:
    (tmp_path / "c.gen").write_text("a b 1 A G 0 0 0 0.33 0.33 0.33 0.5 0 0.5 0.25 0.5 0.25 0 1 0 0 0 1\n")
    dataset = conversion.genotypes(tmp_path / "c.gen", tmp_path / "c.zarr").open()
    np.testing.assert_array_equal(dataset.call_dosage.values, [[np.nan, np.nan, np.nan, 1, 1, 2]])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "is empty"),
        ("a b 1 A G 1 0\n", "is not a .gen file"),
        ("a b 1 A G 1 0 0\na b 1 A G 1 0 0 0\n", "line 2: wrong number of columns"),
        ("a b x A G 1 0 0\n", "line 1: the position is not a number"),
        ("a b 1 A G 1 0 z\n", "line 1: a probability is not a number"),
        ("a b 1 A G 1 0 0\na b 1 A G 1 2 0\n", "line 2: a probability is not between 0 and 1"),
    ],
)
def test_damaged_gen_files_are_refused(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "c.gen").write_text(text)
    with pytest.raises(InputError, match=message):
        conversion.genotypes(tmp_path / "c.gen", tmp_path / "c.zarr")
    assert not (tmp_path / "c.zarr").exists()


# -- one person --------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    "text",
    [
        "# This data file was generated by 23andMe\n# rsid\tchromosome\tposition\tgenotype\nrs1\t1\t101\tAA\n",
        "#AncestryDNA\nrsid\tchromosome\tposition\tallele1\tallele2\nrs1\t1\t101\tA\tA\n",
        'RSID,CHROMOSOME,POSITION,RESULT\n"rs1","1","101","AA"\n',
        "rs1\t1\t101\tAA\nrs2\t1\t102\tCC\nrs3\tMT\t103\t--\n",
    ],
)
def test_exports_of_one_person_are_refused_with_the_reason(tmp_path: Path, text: str) -> None:
    for name in ("c.txt", "c.csv", "c"):
        (tmp_path / name).write_text(text)
        with pytest.raises(InputError, match=r"(?s)one person's genotypes.*no reference allele.*bcftools"):
            conversion.genotypes(tmp_path / name, tmp_path / "c.zarr")
