"""Calls and dosages from VCF text: the kernels against reading it a sample at a time."""

from __future__ import annotations

import numpy as np
import pytest

from daskgen.kernels.dosages import DOSAGE_MISSING, DOSAGE_SCALE
from daskgen.kernels.genotype_codes import packed_width, unpack
from daskgen.kernels.text import PADDING
from daskgen.kernels.vcf_calls import PROBLEMS, read_calls
from daskgen.kernels.vcf_lines import count_rows, split_lines
from tests.oracles.vcf import rows_of_vcf
from tests.vcf_files import random_records

HEAD = "1\t5\trs1\tA\tC\t.\t.\t."


def as_array(text: str) -> np.ndarray:
    data = np.zeros(len(text.encode()) + PADDING, np.uint8)
    data[: len(text.encode())] = np.frombuffer(text.encode(), np.uint8)
    return data


def read(text: str, n_samples: int, *, with_dosage: bool = True, target: np.ndarray | None = None):
    """(problem, half-calls, codes with -1, dosages as float64 with NaN) of all rows of the lines."""
    data = as_array(text)
    columns = split_lines(data, len(text.encode()), text.count("\n") + 1)
    m = int(count_rows(data, columns).sum())
    target = np.arange(m) if target is None else target
    n_rows = int(target.max()) + 1
    packed = np.full((n_rows, packed_width(n_samples)), 0x55, np.uint8)
    dosage = np.empty((n_rows, n_samples), np.uint16) if with_dosage else None
    problem, n_half = read_calls(data, columns, n_samples, target, packed, dosage)
    codes = unpack(packed, n_samples)
    codes = np.where(codes == 3, -1, codes)
    if dosage is None:
        return problem, n_half, codes, None
    return problem, n_half, codes, np.where(dosage == DOSAGE_MISSING, np.nan, dosage / DOSAGE_SCALE)


def assert_as_read_slowly(text: str, n_samples: int) -> None:
    rows = rows_of_vcf(text)
    problem, _, codes, dosage = read(text, n_samples)
    assert problem is None
    np.testing.assert_array_equal(codes, [row.codes for row in rows])
    np.testing.assert_allclose(dosage, [row.dosage for row in rows], atol=0.5 / DOSAGE_SCALE + 1e-12)
    _, _, again, _ = read(text, n_samples, with_dosage=False)
    np.testing.assert_array_equal(again, codes)


@pytest.mark.parametrize("n_samples", [1, 2, 3, 4, 5, 17, 64])
def test_random_records_as_read_slowly(n_samples: int) -> None:
    rng = np.random.default_rng(n_samples)
    assert_as_read_slowly(random_records(rng, 60, n_samples), n_samples)


def test_the_common_form_and_its_neighbours() -> None:
    for end in ("\n", "\r\n", ""):
        line = f"{HEAD}\tGT\t0|0\t0/1\t1|0\t1/1\t./.\t.|.\t.\t0\t1\t./1{end}"
        assert_as_read_slowly(line, 10)
        problem, n_half, codes, dosage = read(line, 10)
        assert problem is None
        assert codes.tolist() == [[0, 1, 1, 2, -1, -1, -1, 0, 2, -1]]
        assert n_half == 1
        np.testing.assert_array_equal(dosage[0], [0, 1, 1, 2, np.nan, np.nan, np.nan, 0, 2, np.nan])


def test_more_forms_of_a_genotype() -> None:
    _, _, codes, _ = read(f"{HEAD}\tGT:X\t|0|1:5\t/1:.\t1\t0/1\t0|1:a:b", 5)
    assert codes.tolist() == [[1, 2, 2, 1, 1]]


def test_alleles_above_nine_and_rows_that_are_not_wanted() -> None:
    alt = ",".join("A" * i for i in range(2, 14))
    line = f"1\t5\trs1\tA\t{alt}\t.\t.\t.\tGT\t10/12\t0|11\t12\n"
    text = line + line.replace("10/12", "0/0")
    target = np.full(24, -1)
    target[[9, 11, 22]] = [0, 1, 2]
    problem, _, codes, _ = read(text, 3, target=target)
    assert problem is None
    assert codes.tolist() == [[1, 0, 0], [1, 0, 2], [0, 1, 0]]


def test_a_dosage_that_is_missing_is_what_the_call_says() -> None:
    _, _, codes, dosage = read(f"{HEAD}\tGT:DS\t0/1:.\t1:.\t./.:0.75\t./.\t0|1:NaN\t1/1:2.001\t1:1", 7)
    assert codes.tolist() == [[1, 2, -1, -1, 1, 2, 2]]
    np.testing.assert_array_equal(dosage, [[1, 2, 0.75, np.nan, 1, 2, 2]])


def test_calls_of_records_without_gt_are_dosages_near_to_whole_numbers() -> None:
    text = f"{HEAD}\tDS\t0.1\t0.101\t0.9\t1.11\t1.9\t.\n{HEAD}\tAD\t1\t2\t3\t4\t5\t6\n"
    for with_dosage in (True, False):
        _, _, codes, _ = read(text, 6, with_dosage=with_dosage)
        assert codes.tolist() == [[0, -1, 1, -1, 2, -1], [-1] * 6]


@pytest.mark.parametrize(
    ("keys", "column", "problem"),
    [
        ("GT", "0/1/1", 4),
        ("GT", "././.", 4),
        ("GT", "0/2", 5),
        ("GT", "3", 5),
        ("GT", "", 3),
        ("GT", "0/", 3),
        ("GT", "A/C", 3),
        ("GT", "0-1", 3),
        ("GT", "0/1x", 3),
        ("GT", "-1/0", 3),
        ("GT", "99999999999/0", 5),
        ("DS", "x", 6),
        ("DS", "", 6),
        ("DS", "1.0.0", 6),
        ("DS", "1e", 6),
        ("DS", "-0.5", 6),
        ("DS", "2.1", 7),
        ("GT:DS", "1:1.5", 7),
        ("GP", "0.5,0.5,0.5", 8),
        ("GP", "30,0,20", 8),
        ("GP", "1", 6),
        ("GP", "0.2,0.2,0.2,0.4", 6),
        ("GP", "0.2,x,0.8", 6),
    ],
)
def test_what_is_wrong_is_found_with_its_place(keys: str, column: str, problem: int) -> None:
    good = {"GT": "0/1", "DS": "1", "GP": "0,1,0", "GT:DS": "0/1:1"}[keys]
    text = f"{HEAD}\t{keys}\t{good}\t{good}\n{HEAD}\t{keys}\t{good}\t{column}\n"
    found, *_ = read(text, 2)
    assert found is not None
    assert PROBLEMS[found.problem] == PROBLEMS[problem]
    assert (found.line, found.sample) == (1, 1)
    assert text[found.position :].split("\n")[0] in f"{good}\t{column}"


def test_another_number_of_columns_is_found() -> None:
    text = f"{HEAD}\tGT\t0/0\t0/1\n"
    found, *_ = read(text, 3)
    assert (found.problem, found.sample) == (1, 2)
    found, *_ = read(text, 1)
    assert (found.problem, found.sample) == (2, 1)


@pytest.mark.parametrize(
    "number", ["0", "1", "2", "0.5", ".5", "1.", "1e0", "1.25E-1", "12e-1", "0.000061035", "1.99999999999", "0.1e+1"]
)
def test_numbers_are_read_as_python_reads_them(number: str) -> None:
    problem, _, _, dosage = read(f"{HEAD}\tDS\t{number}\t0", 2)
    assert problem is None
    assert dosage[0, 0] == np.rint(float(number) * DOSAGE_SCALE) / DOSAGE_SCALE


def test_columns_of_lines() -> None:
    text = "a\tb\tc\td\te\tf\tg\th\tGT\t0/1\t1/1\r\n\nx\ty\n" + "a\t" * 8 + "\t"
    columns = split_lines(as_array(text), len(text), 5)
    assert len(columns) == 3
    assert [text[columns[0, i] : columns[0, i + 1] - 1] for i in range(9)] == [*"abcdefgh", "GT"]
    assert text[columns[0, 9] : columns[0, 10]] == "0/1\t1/1"
    start = text.index("x")
    assert columns[1].tolist() == [start, start + 2, *[-1] * 8, start + 3]
    assert columns[2, 9] == columns[2, 10] == len(text)


def test_the_text_must_be_padded() -> None:
    with pytest.raises(ValueError, match="more bytes"):
        split_lines(np.zeros(10, np.uint8), 10, 1)
