"""Reading gene sets and matching them to genes."""

from __future__ import annotations

import gzip

import numpy as np
import pandas as pd
import pytest

from daskgen.cells.gene_sets import match_gene_sets, read_gene_sets
from daskgen.errors import InputError, UsageError

SETS = {"T": ["CD3D", "CD3E"], "B": ["CD19"]}


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a.gmt", "T\thttp://x\tCD3D\tCD3E\tCD3D\nB\t\tCD19\n"),
        ("a.tsv", "# markers\nT\tCD3D\nT\tCD3E\nB\tCD19\n"),
        ("a.csv", "cell_type,gene,organ\nT,CD3D,blood\nT, CD3E ,blood\nB,CD19,blood\n"),
        ("a.txt", 'source\ttarget\n"T"\tCD3D\nT\tCD3E\nB\tCD19\nB\t\n'),
    ],
)
def test_files_of_gene_sets(tmp_path, name, text):
    (tmp_path / name).write_text(text)
    (tmp_path / f"{name}.gz").write_bytes(gzip.compress(text.encode()))
    assert read_gene_sets(tmp_path / name) == SETS
    assert read_gene_sets(tmp_path / f"{name}.gz") == SETS


def test_tables_and_mappings():
    table = pd.DataFrame({"who": ["T", "T", "B"], "symbol": ["CD3D", "CD3E", "CD19"]})
    with pytest.raises(InputError, match="no column of sets"):
        read_gene_sets(table)
    assert read_gene_sets(table, set_column="who") == SETS
    assert read_gene_sets({"T": ("CD3D", "CD3E"), "B": {"CD19"}, "none": []}) == SETS


@pytest.mark.parametrize(
    ("name", "content", "match"),
    [
        ("a.gmt", b"T\tCD3D\n", "line 1: a set has a name"),
        ("a.tsv", b"", "no gene sets"),
        ("a.tsv", b"one\ntwo\n", "a column of sets"),
        ("a.tsv", b"\xff\xfe\x00", "cannot be read as text"),
        ("a.gmt.gz", b"not gzip", "cannot be read as text"),
    ],
)
def test_files_that_are_no_gene_sets(tmp_path, name, content, match):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError, match=match):
        read_gene_sets(tmp_path / name)
    with pytest.raises(InputError, match="no such file"):
        read_gene_sets(tmp_path / "absent.gmt")


def test_matching():
    genes = np.array(["CD3D", "X", "CD19", "CD3D", "CD3E"], object)
    found = match_gene_sets(SETS, genes, np.array([True, True, True, True, False]))
    assert found.names == ("T", "B")
    np.testing.assert_array_equal(found.sizes, [1, 1])
    np.testing.assert_array_equal(found.start, [0, 1, 1, 2, 2, 2])
    np.testing.assert_array_equal(found.member, [0, 1])
    with pytest.raises(InputError, match="3 or more"):
        match_gene_sets(SETS, genes, np.ones(5, bool), tmin=3)
    with pytest.raises(UsageError, match="tmin"):
        match_gene_sets(SETS, genes, np.ones(5, bool), tmin=0)
    with pytest.raises(InputError, match="Ensembl"):
        match_gene_sets(SETS, np.array(["ENSG01", "ENSG02"], object), np.ones(2, bool))
