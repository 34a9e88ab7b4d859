"""Texts as integers."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from conversion.summary.coding import codes_of


@pytest.mark.parametrize(
    ("texts", "expected"),
    [(["A", None, "zz", "T", ""], [1, -1, 0, 4, -2]), (["T", "A"], [4, 1]), ([None], [-1]), ([], [])],
)
def test_missing_and_unknown_texts_have_codes_of_their_own(texts, expected):
    code = {"A": 1, "T": 4, "": -2}
    found = codes_of(pl.Series(texts, dtype=pl.String), code, missing=-1, unknown=0)
    assert found.dtype == np.int32
    assert found.tolist() == expected


def test_no_text_has_a_code():
    assert codes_of(pl.Series(["A", None]), {}, missing=-1, unknown=-2).tolist() == [-2, -1]
