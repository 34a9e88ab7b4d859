"""`dg.ldsc.covstruct`, and covariance structures as stores."""

from __future__ import annotations

import logging

import numpy as np
import pandas as pd
import pytest

import daskgen as dg
from daskgen.errors import InputError

S = np.array([[0.25, 0.10, 0.05], [0.10, 0.16, 0.02], [0.05, 0.02, 0.09]])
V = np.diag(np.arange(1, 7) * 1e-4)


def test_derived_parts_follow_from_s_and_v():
    found = dg.ldsc.covstruct(S, V, traits=["a", "b", "c"])
    np.testing.assert_allclose(found["S_se"].values[1, 0], np.sqrt(2e-4))
    np.testing.assert_allclose(found["rg"].values[1, 0], 0.10 / np.sqrt(0.25 * 0.16))
    np.testing.assert_allclose(found["S_Stand_se"].values[1, 0], np.sqrt(2e-4 / (0.25 * 0.16)))
    np.testing.assert_allclose(np.diag(found["S_Stand"]), 1)
    assert found["vech"].values.tolist() == ["a~~a", "b~~a", "c~~a", "b~~b", "c~~b", "c~~c"]
    assert float(found["V"].sel(vech="c~~b", vech_2="c~~b")) == 5e-4


def test_names_come_from_the_argument_the_columns_or_r():
    assert dg.ldsc.covstruct(S, V)["trait"].values.tolist() == ["V1", "V2", "V3"]
    frame = pd.DataFrame(S, columns=list("xyz"))
    assert dg.ldsc.covstruct(frame, V)["trait"].values.tolist() == ["x", "y", "z"]
    assert dg.ldsc.covstruct(frame, V, traits=["p", "q", "r"])["trait"].values.tolist() == ["p", "q", "r"]


def test_a_frame_with_named_rows_is_put_into_the_order_of_the_traits():
    frame = pd.DataFrame(S, columns=list("xyz"), index=list("xyz")).loc[["z", "x", "y"], ["y", "z", "x"]]
    found = dg.ldsc.covstruct(frame, V, traits=["x", "y", "z"])
    np.testing.assert_array_equal(found["S"], S)
    with pytest.raises(InputError, match="another order"):
        dg.ldsc.covstruct(pd.DataFrame(S, columns=list("yxz")), V, traits=["x", "y", "z"])
    with pytest.raises(InputError, match="do not have the same names"):
        dg.ldsc.covstruct(frame, V, traits=["x", "y", "w"])


def test_printed_digits_are_made_symmetric():
    printed = S.copy()
    printed[0, 1] += 1e-9
    found = dg.ldsc.covstruct(printed, V)["S"].values
    np.testing.assert_array_equal(found, found.T)


def test_i_n_and_m_are_taken_in_the_shapes_of_r():
    found = dg.ldsc.covstruct(S, V, I=np.eye(3), N=np.arange(1.0, 7).reshape(1, 6), m=[1e6])
    assert found["N"].values.tolist() == [1, 2, 3, 4, 5, 6]
    assert float(found["m"]) == 1e6


def test_a_negative_heritability_leaves_its_correlations_undefined():
    s = S.copy()
    s[1, 1] = -0.01
    found = dg.ldsc.covstruct(s, V)
    assert np.isnan(found["rg"].values[1]).all()
    assert found["rg"].values[2, 0] == pytest.approx(0.05 / np.sqrt(0.25 * 0.09))


def test_a_v_that_is_not_positive_semidefinite_is_kept_and_said(caplog):
    v = V.copy()
    v[0, 1] = v[1, 0] = 1.0
    with caplog.at_level(logging.WARNING, logger="daskgen"):
        np.testing.assert_array_equal(dg.ldsc.covstruct(S, v)["V"], v)
    assert "not positive semidefinite" in caplog.text


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"S": S[:2]}, "square"),
        ({"S": S + np.triu(np.ones((3, 3)), 1)}, "not symmetric"),
        ({"S": np.full((3, 3), np.nan)}, "not finite"),
        ({"S": [["a"]]}, "numbers"),
        ({"V": V[:5, :5]}, "does not fit S of 3 traits"),
        ({"V": np.zeros((6, 6))}, "not positive"),
        ({"traits": ["a", "b"]}, "name every row"),
        ({"traits": ["a", "a", "b"]}, "same name"),
        ({"I": np.eye(2)}, "I does not fit S"),
        ({"N": [1, 2]}, "N needs one value"),
        ({"N": [5, 5, 5, -1, 5, 5]}, r"N has a sample size that is not positive[\s\S]*V2~~V2 \(-1\)"),
        ({"m": [1, 2]}, "m is one number"),
        ({"m": -3}, "m is one number"),
    ],
)
def test_parts_that_do_not_fit_are_refused(arguments, message):
    with pytest.raises(InputError, match=message):
        dg.ldsc.covstruct(**({"S": S, "V": V} | arguments))


def test_a_structure_is_stored_and_opened_with_its_names(tmp_path):
    found = dg.ldsc.covstruct(S, V, traits=["a", "b", "c"], I=np.eye(3), N=np.arange(1.0, 7), m=5)
    place = dg.ldsc.to_store(found, tmp_path / "c.zarr")
    assert dg.verify(place) == []
    opened = dg.open_store(place)
    for name in found.data_vars:
        np.testing.assert_array_equal(opened[name].values, found[name].values, err_msg=str(name))
    assert float(opened["S"].sel(trait="b", trait_2="a")) == 0.10
    assert opened.attrs["kind"] == "covstruct"
