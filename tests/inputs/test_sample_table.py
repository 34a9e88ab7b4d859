"""Tables of phenotypes and covariates in the order of the genotypes."""

from __future__ import annotations

import gzip
import logging

import numpy as np
import pandas as pd
import pytest

from daskgen.errors import InputError, UsageError
from daskgen.inputs.covariates import read_covariates, read_phenotypes
from daskgen.inputs.sample_table import SampleIds

SAMPLES = SampleIds(np.array(["a", "b", "c", "d"], object), "cohort.zarr")


def written(tmp_path, text, name="table.txt"):
    path = tmp_path / name
    if name.endswith(".gz"):
        path.write_bytes(gzip.compress(text.encode()))
    else:
        path.write_text(text)
    return str(path)


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("FID IID bmi\nf d 4\nf a 1.5\nf c NA\nf x 9\n", "t.txt"),
        ("#FID\tIID\tbmi\nf\td\t4\nf\ta\t1.5\nf\tc\t\n", "t.tsv"),
        ("IID,bmi\nd,4\na,1.5\nc,NaN\n", "t.csv"),
        ("FID IID bmi\nf d 4\nf a 1.5\nf c NA\n", "t.txt.gz"),
    ],
)
def test_files_are_aligned_by_id(tmp_path, text, name):
    found = read_phenotypes(written(tmp_path, text, name), SAMPLES)
    np.testing.assert_array_equal(found["bmi"], [1.5, np.nan, np.nan, 4])


def test_a_table_without_header(tmp_path):
    found = read_phenotypes(written(tmp_path, "1 a 1\n1 b -9\n1 c 3\n"), SAMPLES, missing_value="NA,-9")
    np.testing.assert_array_equal(found["phenotypes"], [1, np.nan, 3, np.nan])
    two = read_phenotypes(written(tmp_path, "1 a 1 5\n1 b 2 6\n"), SAMPLES)
    assert list(two) == ["phenotypes_1", "phenotypes_2"]


def test_tables_in_memory():
    series = pd.Series([1.0, 2.0], index=["c", "a"], name="bmi")
    np.testing.assert_array_equal(read_phenotypes(series, SAMPLES)["bmi"], [2, np.nan, 1, np.nan])
    frame = pd.DataFrame({"IID": ["b", "a"], "x": [1, 2], "y": [3.0, np.nan]})
    found = read_phenotypes(frame, SAMPLES, names="y")
    np.testing.assert_array_equal(found["y"], [np.nan, 3, np.nan, np.nan])
    array = np.arange(8.0).reshape(4, 2)
    np.testing.assert_array_equal(read_phenotypes(array, SAMPLES)["phenotypes_2"], array[:, 1])
    np.testing.assert_array_equal(read_phenotypes(array[:, 0], SAMPLES)["phenotypes"], array[:, 0])


def test_ids_without_overlap_show_both_sides(tmp_path):
    path = written(tmp_path, "FID IID bmi\nf a1 4\nf a2 1\nf a3 2\nf a4 2\n")
    with pytest.raises(InputError, match=r"none of the 4 sample ids .* among the 4 of cohort.zarr") as error:
        read_phenotypes(path, SAMPLES)
    assert "a1, a2, a3" in str(error.value)
    assert "a, b, c" in str(error.value)
    joined = SampleIds(np.array(["f_a1", "f_a2"], object), "cohort.zarr")
    with pytest.raises(InputError, match="--id-style fid_iid"):
        read_phenotypes(path, joined)
    found = read_phenotypes(path, SampleIds(joined.sample_id, "cohort.zarr", "fid_iid"))
    np.testing.assert_array_equal(found["bmi"], [4, 1])


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (pd.Series([1.0, 2], index=["a", "a"]), "several rows of one sample"),
        (np.zeros(3), "a row for each sample"),
        (pd.Series(["x", "1"], index=["a", "b"]), "not numeric"),
        (pd.Series([np.inf, 1], index=["a", "b"]), "not finite"),
        (pd.DataFrame({"IID": ["a"]}), "no other column"),
        (pd.DataFrame(index=["a"]), "no values"),
    ],
)
def test_tables_that_cannot_be_used(value, message):
    with pytest.raises(InputError, match=message):
        read_phenotypes(value, SAMPLES)


def test_files_that_cannot_be_used(tmp_path):
    for text, message in (("", "empty"), ("name bmi\na 1\n", "neither a header"), ("1 a\n", "neither a header")):
        with pytest.raises(InputError, match=message):
            read_phenotypes(written(tmp_path, text), SAMPLES)
    with pytest.raises(InputError, match="no file"):
        read_phenotypes(str(tmp_path / "absent.txt"), SAMPLES)
    with pytest.raises(UsageError, match="no column height"):
        read_phenotypes(written(tmp_path, "FID IID bmi\nf a 4\n"), SAMPLES, names="height")


def test_minus_nine_is_a_number_with_a_warning(caplog):
    with caplog.at_level(logging.WARNING, "daskgen"):
        found = read_phenotypes(np.array([1.0, -9, 2, 3]), SAMPLES)
    assert found["phenotypes"][1] == -9
    assert "-9" in caplog.text


def test_covariates_become_numbers_or_contrasts():
    table = pd.DataFrame(
        {"sex": [0, 1, 1, 0], "centre": ["x", "z", "y", None], "age": [20.5, 31, 44, 50]}, index=list("abcd")
    )
    found = read_covariates(table, SAMPLES)
    np.testing.assert_array_equal(found.complete, [True, True, True, False])
    columns = found.columns(np.array([0, 1, 2]))
    assert list(columns) == ["sex", "centre=y", "centre=z", "age"]
    np.testing.assert_array_equal(columns["centre=z"], [0, 1, 0])
    # Levels are those of the samples that are analysed.
    assert list(found.columns(np.array([1, 2]))) == ["sex", "centre=z", "age"]


def test_few_whole_numbers_have_to_be_declared():
    table = pd.DataFrame({"year": [2001, 2002, 2003, 2001]}, index=list("abcd"))
    with pytest.raises(UsageError, match="covar_numeric") as error:
        read_covariates(table, SAMPLES)
    assert "covar_categorical" in str(error.value)
    assert list(read_covariates(table, SAMPLES, numeric="year").columns(np.arange(4))) == ["year"]
    contrasts = read_covariates(table, SAMPLES, categorical=["year"]).columns(np.arange(4))
    assert list(contrasts) == ["year=2002", "year=2003"]
    # An array is taken as it is.
    assert read_covariates(np.array([1.0, 2, 3, 3]), SAMPLES).numeric


def test_declarations_that_do_not_fit():
    table = pd.DataFrame({"year": [2001, 2002, 2003, 2001]}, index=list("abcd"))
    with pytest.raises(UsageError, match="as categorical and as numeric"):
        read_covariates(table, SAMPLES, numeric="year", categorical="year")
    with pytest.raises(UsageError, match="no column centre"):
        read_covariates(table, SAMPLES, numeric="centre")
    with pytest.raises(UsageError, match="no covariates are given"):
        read_covariates(None, SAMPLES, numeric="year")
