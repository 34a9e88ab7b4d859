"""Samples and variants are chosen by id, contig, region and frequency, in files and stores alike."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import conversion
from conversion.plink1 import BedSource
from conversion.row_set import RowSet
from conversion.scan import ContigRuns
from daskgen.errors import InputError, UsageError
from daskgen.inputs.selection import Region
from daskgen.stores.genotype_layout import genotype_layout
from tests.conversion.cohorts import Cohort, cohort, random_copies
from tests.oracles.plink import allele_frequency

CONTIGS = ["1"] * 6 + ["2"] * 5 + ["chrX"] * 4 + ["1"] * 3


@pytest.fixture
def made(tmp_path: Path) -> Cohort:
    made = cohort(18, 13, contig=CONTIGS)
    made.write_bed(tmp_path / "c")
    return made


def opened(tmp_path: Path, **selection: Any) -> tuple[list[str], list[str], np.ndarray]:
    """(sample ids, variant ids, copies with -1) of the opened file with this selection."""
    dataset = conversion.open(tmp_path / "c.bed", **selection)
    calls = dataset.call_genotype.values
    copies = np.where((calls < 0).any(axis=2), -1, calls.sum(axis=2))
    return dataset.sample_id.values.tolist(), dataset.variant_id.values.tolist(), copies


# -- samples -----------------------------------------------------------------------------------------------
KEPT = [1, 4, 12]
KEEP: list[Any] = [
    ["I12", "I1", "I4"],
    np.array(["I1", "I4", "I12"]),
    [("F1", "I1"), ("F4", "I4"), ("F12", "I12"), ("F0", "I2")],
    ["F1 I1", "I4", "I12"],
    np.isin(np.arange(13), KEPT),
]
KEEP_FILES = [
    "I1\nI4\nI12\n",
    "F1 I1\nF4\tI4\nF12 I12 and more\nF9 I1\n",
    "#FID IID\nF1 I1\nF4 I4\nF12 I12\n",
    "FID IID pheno\nF1 I1 3\nF4 I4 3\nF12 I12 4\n",
    "#IID pheno\nI1 3\nI4 3\nI12 4\n",
    "IID\nI1\nI4\nI12\n",
]


@pytest.mark.parametrize("keep", KEEP)
def test_samples_named_in_a_list(tmp_path: Path, made: Cohort, keep: Any) -> None:
    samples, _, copies = opened(tmp_path, keep=keep)
    assert samples == ["I1", "I4", "I12"]
    np.testing.assert_array_equal(copies, made.copies[:, KEPT])
    assert opened(tmp_path, remove=keep)[0] == [f"I{i}" for i in range(13) if i not in KEPT]


@pytest.mark.parametrize("text", KEEP_FILES)
def test_samples_named_in_a_file(tmp_path: Path, made: Cohort, text: str) -> None:
    (tmp_path / "keep.txt").write_text(text)
    assert opened(tmp_path, keep=tmp_path / "keep.txt")[0] == ["I1", "I4", "I12"]
    assert len(opened(tmp_path, remove=str(tmp_path / "keep.txt"))[0]) == 10


def test_keep_and_remove_together(tmp_path: Path, made: Cohort) -> None:
    assert opened(tmp_path, keep=["I1", "I4", "I12"], remove=["I4", "I5"])[0] == ["I1", "I12"]


def test_pairs_match_by_iid_where_the_source_has_no_families(tmp_path: Path) -> None:
    cohort(2, 3).write_bed(tmp_path / "c")
    fam = tmp_path / "c.fam"
    fam.write_text("".join("0 " + line.split(" ", 1)[1] for line in fam.read_text().splitlines(keepends=True)))
    assert opened(tmp_path, keep=[("I2", "I2"), ("x", "I0")])[0] == ["I0", "I2"]


def test_ids_of_both_parts(tmp_path: Path, made: Cohort) -> None:
    samples, _, _ = opened(tmp_path, id_style="fid_iid", keep=["F1_I1", "I4", ("F12", "I12")])
    assert samples == ["F1_I1", "F4_I4", "F12_I12"]


def test_no_sample_left_shows_ids_of_both_sides(tmp_path: Path, made: Cohort) -> None:
    with pytest.raises(InputError, match="no sample of .* is left by keep") as error:
        opened(tmp_path, keep=["Q1", "Q2", "Q3", "Q4"])
    text = str(error.value)
    assert "Q1, Q2, Q3, ... (4 in all)" in text
    assert "I0, I1, I2, ... (13 in all)" in text
    with pytest.raises(InputError, match="left by remove"):
        opened(tmp_path, remove=[f"I{i}" for i in range(13)])


@pytest.mark.parametrize(
    ("selection", "kind", "match"),
    [
        ({"keep": "nowhere.txt"}, InputError, "keep: there is no file nowhere.txt"),
        ({"extract": "nowhere.txt"}, InputError, "extract: there is no file"),
        ({"keep": np.ones(3, bool)}, UsageError, "a mask needs one value per sample"),
        ({"keep": [("a", "b", "c")]}, UsageError, "is no id"),
        ({"region": "1:5-x"}, UsageError, "is not understood"),
        ({"region": "1:9-5"}, UsageError, "ends before it begins"),
        ({"maf_min": 0.7}, UsageError, "maf_min is out of range"),
        ({"missing_max": -1}, UsageError, "missing_max is out of range"),
        ({"ref": "third"}, UsageError, "ref='third' is not understood"),
        ({"id_style": "x"}, UsageError, "id_style"),
        ({"dosages": "maybe"}, UsageError, "dosages"),
        ({"dosages": True}, InputError, "has no dosages"),
    ],
)
def test_arguments_that_cannot_be_used(
    tmp_path: Path, made: Cohort, selection: dict[str, Any], kind: type[Exception], match: str
) -> None:
    with pytest.raises(kind, match=match):
        opened(tmp_path, **selection)


def test_an_empty_list_file_is_refused(tmp_path: Path, made: Cohort) -> None:
    (tmp_path / "empty").write_text("\n")
    with pytest.raises(InputError, match="is empty"):
        opened(tmp_path, keep=tmp_path / "empty")


# -- variants ----------------------------------------------------------------------------------------------
VARIANTS: list[tuple[dict[str, Any], list[int]]] = [
    ({"extract": ["rs3", "rs17", "rs0", "rs99"]}, [0, 3, 17]),
    ({"exclude": [f"rs{i}" for i in range(16)]}, [16, 17]),
    ({"extract": ["rs3", "rs4"], "exclude": ["rs4"]}, [3]),
    ({"contig": "2"}, list(range(6, 11))),
    ({"contig": "chr1"}, [0, 1, 2, 3, 4, 5, 15, 16, 17]),
    ({"contig": 2}, list(range(6, 11))),
    ({"contig": ["X", 2]}, list(range(6, 15))),
    ({"region": "1:200-400"}, [1, 2, 3]),
    ({"region": "chr1:1,600-"}, [15, 16, 17]),
    ({"region": "1:300"}, [2]),
    ({"region": "x"}, [11, 12, 13, 14]),
    ({"region": ["1:100-100", "2:0-800"]}, [0, 6, 7]),
    ({"region": "1:200-400", "exclude": ["rs2"]}, [1, 3]),
]


@pytest.mark.parametrize(("selection", "kept"), VARIANTS)
def test_variants_by_id_contig_and_region(
    tmp_path: Path, made: Cohort, selection: dict[str, Any], kept: list[int]
) -> None:
    _, variants, copies = opened(tmp_path, **selection)
    assert variants == [f"rs{i}" for i in kept]
    np.testing.assert_array_equal(copies, made.copies[kept])
    dataset = conversion.open(tmp_path / "c.bed", **selection)
    contigs = dataset.contig_id.values[dataset.variant_contig.values].tolist()
    assert contigs == [CONTIGS[i] for i in kept]
    assert set(dataset.contig_id.values.tolist()) == set(contigs)


def test_variant_ids_in_a_file_are_its_first_column(tmp_path: Path, made: Cohort) -> None:
    (tmp_path / "ids.txt").write_text("SNP A1 A2\nrs3 C T\nrs5 C T\n")
    assert opened(tmp_path, extract=tmp_path / "ids.txt")[1] == ["rs3", "rs5"]


def test_variants_with_a_negative_position_are_left_out_as_in_plink(tmp_path: Path) -> None:
    cohort(4, 3, position=[5, -6, 0, 7]).write_bed(tmp_path / "c")
    dataset = conversion.open(tmp_path / "c.bed")
    assert dataset.variant_position.values.tolist() == [5, 0, 7]
    assert dataset.attrs["dropped"] == {"variants with a negative position": 1}


def test_no_variant_left_shows_ids_and_contigs_of_both_sides(tmp_path: Path, made: Cohort) -> None:
    with pytest.raises(InputError, match="no variant of .* is left by the selection") as error:
        opened(tmp_path, extract=["chr1:5", "chr1:6"], contig="7")
    text = str(error.value)
    assert "rs0, rs1, rs2" in text
    assert "contigs 1, 2, chrX" in text
    assert "extract chr1:5, chr1:6" in text
    assert "18 variants not in extract" in text


def test_samples_and_variants_together(tmp_path: Path, made: Cohort) -> None:
    samples, variants, copies = opened(tmp_path, keep=["I3", "I11"], contig="2", exclude=["rs8"])
    assert (samples, variants) == (["I3", "I11"], ["rs6", "rs7", "rs9", "rs10"])
    np.testing.assert_array_equal(copies, made.copies[np.ix_([6, 7, 9, 10], [3, 11])])


# -- frequency ---------------------------------------------------------------------------------------------
def expected_by_frequency(
    made: Cohort, samples: list[int], maf_min: float | None, missing_max: float | None
) -> list[int]:
    kept = []
    for v, contig in enumerate(made.contig):
        copies = made.copies[v, samples].astype(float)
        role = "X" if contig == "chrX" else "autosome"
        p = allele_frequency(copies, [made.sex[i] for i in samples], role)
        rare = maf_min is not None and not min(p, 1 - p) >= maf_min
        missing = missing_max is not None and (copies < 0).mean() > missing_max
        if not rare and not missing:
            kept.append(v)
    return kept


@pytest.mark.parametrize("samples", [list(range(13)), [0, 3, 4, 8, 12]])
@pytest.mark.parametrize(("maf_min", "missing_max"), [(0.15, None), (None, 0.1), (0.2, 0.25), (0.0, None)])
def test_frequencies_are_of_the_selected_samples(
    tmp_path: Path, made: Cohort, samples: list[int], maf_min: float | None, missing_max: float | None
) -> None:
    keep = [f"I{i}" for i in samples]
    _, variants, copies = opened(tmp_path, keep=keep, maf_min=maf_min, missing_max=missing_max)
    kept = expected_by_frequency(made, samples, maf_min, missing_max)
    assert variants == [f"rs{i}" for i in kept]
    np.testing.assert_array_equal(copies, made.copies[np.ix_(kept, samples)])


def test_frequency_applies_to_what_ids_and_contigs_have_left(tmp_path: Path, made: Cohort) -> None:
    kept = [v for v in expected_by_frequency(made, list(range(13)), 0.2, None) if 6 <= v < 15]
    dataset = conversion.open(tmp_path / "c.bed", contig=["2", "X"], maf_min=0.2)
    assert dataset.variant_id.values.tolist() == [f"rs{v}" for v in kept]
    assert dataset.contig_id.values[dataset.variant_contig.values].tolist() == [CONTIGS[v] for v in kept]
    assert dataset.attrs["dropped"] == {
        "variants on other contigs": 9,
        "variants minor allele below 0.2": 9 - len(kept),
    }


def test_a_filter_that_keeps_everything_is_no_selection(tmp_path: Path, made: Cohort) -> None:
    assert len(opened(tmp_path, missing_max=1.0)[1]) == 18


def test_a_frequency_that_no_variant_has(tmp_path: Path, made: Cohort) -> None:
    with pytest.raises(InputError, match="left by maf_min and missing_max"):
        opened(tmp_path, maf_min=0.5, missing_max=0.0)


# -- which allele is counted -------------------------------------------------------------------------------
def test_the_reference_may_be_declared_for_a_bed(tmp_path: Path, made: Cohort) -> None:
    a1 = conversion.open(tmp_path / "c.bed")
    assert a1.attrs["counted_allele"] == "A1"
    assert a1.variant_allele.values[0].tolist() == ["T", "C"]
    xr_equal(a1, conversion.open(tmp_path / "c.bed", ref="last"))
    a2 = conversion.open(tmp_path / "c.bed", ref="first", keep=[f"I{i}" for i in range(13)])
    assert a2.attrs["counted_allele"] == "A2"
    assert a2.variant_allele.values[0].tolist() == ["C", "T"]
    np.testing.assert_array_equal(a2.call_dosage.values, 2 - a1.call_dosage.values)
    np.testing.assert_allclose(a2.variant_allele_frequency.values, 1 - a1.variant_allele_frequency.values, rtol=1e-6)


def test_the_reference_may_be_declared_for_a_pgen(tmp_path: Path) -> None:
    pytest.importorskip("pgenlib")
    dosage = np.random.default_rng(0).integers(0, 32_769, (6, 5)).astype(np.float32) / 16_384
    dosage[2, 3] = np.nan
    cohort(6, 5).write_pgen(tmp_path / "c", dosage)
    alt = conversion.open(tmp_path / "c.pgen", ref="first")
    assert alt.attrs["counted_allele"] == "ALT"
    np.testing.assert_array_equal(alt.call_dosage.values, dosage)
    ref = conversion.open(tmp_path / "c.pgen", ref="last", keep=["I0", "I3"], exclude=["rs1"])
    assert ref.attrs["counted_allele"] == "REF"
    assert ref.variant_allele.values[0].tolist() == ["C", "T"]
    np.testing.assert_array_equal(ref.call_dosage.values, (2 - dosage)[np.ix_([0, 2, 3, 4, 5], [0, 3])])


def xr_equal(a: Any, b: Any) -> None:
    assert set(a.variables) == set(b.variables)
    for name in a.variables:
        np.testing.assert_array_equal(a[name].values, b[name].values, err_msg=str(name))


# -- the small structures ----------------------------------------------------------------------------------
@given(st.lists(st.booleans(), min_size=1, max_size=300), st.data())
def test_a_row_set_is_its_mask(mask: list[bool], data: st.DataObject) -> None:
    block, RowSet._BLOCK = RowSet._BLOCK, data.draw(st.sampled_from([8, 16, 64]))
    try:
        rows = RowSet(np.array(mask))
        chosen = np.flatnonzero(mask)
        assert len(rows) == len(chosen)
        np.testing.assert_array_equal(rows.mask(), mask)
        start = data.draw(st.integers(0, len(chosen)))
        stop = data.draw(st.integers(start, len(chosen)))
        np.testing.assert_array_equal(rows.rows(start, stop), chosen[start:stop])
    finally:
        RowSet._BLOCK = block


@given(st.lists(st.sampled_from(["a", "b", "c"]), min_size=1, max_size=60), st.data())
def test_runs_are_the_contigs_they_stand_for(contigs: list[str], data: st.DataObject) -> None:
    names = list(dict.fromkeys(contigs))
    starts = [i for i in range(len(contigs)) if i == 0 or contigs[i] != contigs[i - 1]]
    codes = np.array([names.index(contigs[i]) for i in starts], np.int32)
    runs = ContigRuns(tuple(names), np.array(starts), codes, len(contigs))
    start = data.draw(st.integers(0, len(contigs) - 1))
    stop = data.draw(st.integers(start + 1, len(contigs)))
    assert [names[code] for code in runs.codes_of(start, stop)] == contigs[start:stop]
    mask = np.array(data.draw(st.lists(st.booleans(), min_size=len(contigs), max_size=len(contigs))))
    if mask.any():
        kept = runs.keep(mask)
        left = [contig for contig, wanted in zip(contigs, mask, strict=True) if wanted]
        assert [kept.names[code] for code in kept.codes_of(0, kept.n)] == left
        assert kept.names == tuple(dict.fromkeys(left))


def test_regions() -> None:
    assert Region.of("chr2:1_000-2,000") == Region("chr2", 1000, 2000)
    assert Region.of("MT").start == 0
    assert random_copies(3, 2).shape == (3, 2)


def test_few_samples_of_many_are_read_in_bounded_blocks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = cohort(211, 401)
    made.write_bed(tmp_path / "c")
    monkeypatch.setattr("conversion.view._BLOCK_BYTES", 1_500)
    largest = []
    read_rows = BedSource.read_rows

    def watched(self: BedSource, rows: np.ndarray) -> np.ndarray:
        packed = read_rows(self, rows)
        largest.append(packed.nbytes)
        return packed

    monkeypatch.setattr(BedSource, "read_rows", watched)
    _, _, copies = opened(tmp_path, keep=["I3", "I400"], exclude=["rs7", "rs8", "rs210"])
    np.testing.assert_array_equal(copies, np.delete(made.copies, [7, 8, 210], axis=0)[:, [3, 400]])
    assert max(largest) <= 1_500


def test_chunks_hold_fewer_variants_where_each_is_dear_to_read() -> None:
    usual = genotype_layout(100, 800_000, 22, has_dosage=False)
    dear = genotype_layout(100, 800_000, 22, has_dosage=False, most_rows=8_000)
    assert usual.group_rows == 640_000
    assert dear.group_rows == 8_000
