"""Finding variants in the reference by id and by position."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from conversion.summary.contigs import Contigs, contig_name
from conversion.summary.reference import _in_order, read_reference
from daskgen.errors import InputError
from tests.conversion.summary.files import reference, write


def locate(found, ids):
    return found.locate_ids(pl.Series(ids, dtype=pl.String)).tolist()


def test_ids_of_any_form_are_found_and_others_are_not(tmp_path):
    ids = ["rs10", "rs9", "1:100:A:G", "chr2_5_C_T", "AFFX-1", "rs", "rs12x", "RS10", "rs010", "rs+10"]
    found = read_reference(write(tmp_path / "r.tsv", "SNP A1 A2", [(name, "A", "G") for name in ids]))
    assert locate(found, ids) == list(range(len(ids)))
    assert locate(found, ["rs11", "1:100:G:A", "", None, "rs-10", "rs 10", "10"]) == [-1] * 7


def test_a_large_list_is_found_like_a_dictionary_would(tmp_path):
    rng = np.random.default_rng(0)
    numbers = rng.permutation(20_011)[:9_973]
    ids = [f"rs{i}" if i % 7 else f"chr1:{i}" for i in numbers]
    found = read_reference(write(tmp_path / "r.tsv.gz", "SNP A1 A2", [(name, "A", "G") for name in ids]))
    place = {name: i for i, name in enumerate(ids)}
    asked = [f"rs{i}" if i % 7 else f"chr1:{i}" for i in rng.integers(0, 20_011, 30_011)]
    assert locate(found, asked) == [place.get(name, -1) for name in asked]


@given(st.one_of(st.lists(st.integers(-(2**63), 2**63 - 1)), st.lists(st.integers(0, 2**60)), st.lists(st.just(7))))
def test_keys_are_put_in_order_with_their_places(keys):
    """Numbers that leave room for the place, those that do not, and negative ones."""
    given_keys = np.array(keys, np.int64)
    found, place = _in_order(given_keys)
    np.testing.assert_array_equal(found, np.sort(given_keys))
    np.testing.assert_array_equal(given_keys[place], found)
    assert sorted(place.tolist()) == list(range(len(keys)))


def test_ids_that_occur_twice_or_are_missing_are_left_out(tmp_path, caplog):
    rows = [("rs1", "A", "G"), ("rs2", "A", "G"), ("rs1", "A", "C"), ("", "A", "G"), ("x", "A", "G"), ("x", "A", "G")]
    with caplog.at_level("WARNING", "daskgen.conversion"):
        found = read_reference(write(tmp_path / "r.tsv", "SNP A1 A2", rows))
    assert found.ids.to_list() == ["rs2"]
    assert "5 rows with a repeated or missing id" in caplog.text


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("chr7", "7"),
        ("7", "7"),
        ("07", "7"),
        ("CHRX", "X"),
        ("chromosome_2", "2"),
        ("x", "X"),
        ("NA", ""),
        ("1.0", "1"),
    ],
)
def test_names_of_contigs_are_compared_without_chr_and_zeros(text, name):
    assert contig_name(text) == name


def test_23_is_x_where_the_reference_has_x():
    contigs = Contigs()
    contigs.learn(pl.Series(["1", "X", "MT"]))
    assert contigs.encode(pl.Series(["chr1", "23", "26", "M", "24", None])).tolist() == [0, 1, 2, 2, -1, -1]


def test_positions_are_found_with_their_alleles_in_either_order(tmp_path):
    rows = [
        ("a", "A", "G", 0.1, 1, 100),
        ("b", "C", "T", 0.1, 1, 200),
        ("c", "A", "G", 0.1, 2, 100),
        ("d", "A", "T", 0.1, 1, 200),
    ]
    found = read_reference(reference(tmp_path, rows))
    code = found.alleles.encode
    first = code(pl.Series(["A", "G", "T", "T", "C", "A", "A"]))
    second = code(pl.Series(["G", "A", "A", "C", "G", "G", "G"]))
    contig = found.contigs.encode(pl.Series(["1", "chr1", "1", "1", "1", "2", "3"]))
    position = np.array([100, 100, 200, 200, 100, 100, 100])
    row, there = found.locate_positions(contig, position, first, second)
    assert row.tolist() == [0, 0, 3, 1, -1, 2, -1]
    assert there.tolist() == [True, True, True, True, True, True, False]


@pytest.mark.parametrize(
    ("header", "rows", "message"),
    [
        ("SNP CHR BP", [("rs1", 1, 2)], "cannot be the reference.*effect allele"),
        ("A1 A2 MAF", [("A", "G", 0.1)], "cannot be the reference.*variant id"),
        ("SNP A1 A2", [("rs1", "A", "G"), ("rs1", "A", "G")], "no variant with an id of its own"),
    ],
)
def test_a_list_that_cannot_be_used_is_refused(tmp_path, header, rows, message):
    with pytest.raises(InputError, match=message):
        read_reference(write(tmp_path / "r.tsv", header, rows))


def test_frequencies_are_asked_for_where_they_are_needed(tmp_path):
    path = write(tmp_path / "r.tsv", "SNP A1 A2", [("rs1", "A", "G")])
    with pytest.raises(InputError, match="no allele frequencies"):
        read_reference(path, needs_frequency=True)


def test_a_list_with_ref_and_alt_has_alt_first(tmp_path):
    found = read_reference(write(tmp_path / "r.tsv", "ID REF ALT", [("rs1", "A", "G")]))
    assert found.alleles.texts(found.effect).tolist() == ["G"]
    assert found.alleles.texts(found.other).tolist() == ["A"]
