"""Covariance structures: found by name, checked, smoothed."""

from __future__ import annotations

import numpy as np
import pytest

from daskgen.errors import InputError, StoreError
from daskgen.ldsc import to_store
from daskgen.sem.moments import Moments, read_moments
from tests.oracles.nearest_pd import nearest_pd
from tests.sem.small import TRAITS, sampling_covariance, structure_of, true_covariance


def test_a_store_and_a_dataset_are_the_same(tmp_path):
    dataset = structure_of(I=np.eye(6) * 1.1)
    to_store(dataset, tmp_path / "cov.zarr")
    one, other = read_moments(dataset), read_moments(tmp_path / "cov.zarr")
    assert one.traits == other.traits == TRAITS
    for name in ("s", "v", "intercepts"):
        np.testing.assert_array_equal(getattr(one, name), getattr(other, name))
    assert other.source_id
    assert not one.source_id


def test_select_takes_the_cells_by_name():
    moments = read_moments(structure_of())
    some = moments.select(["T5", "T1", "T3"])
    assert some.s[0, 2] == moments.s[4, 2]
    cells = [f"{a}{b}" for j, b in enumerate(TRAITS) for a in TRAITS[j:]]
    place = {frozenset((cell[:2], cell[2:])): i for i, cell in enumerate(cells)}
    wanted = [place[frozenset(pair)] for pair in
              (("T5", "T5"), ("T1", "T5"), ("T3", "T5"), ("T1", "T1"), ("T3", "T1"), ("T3", "T3"))]  # fmt: skip
    np.testing.assert_array_equal(some.v, moments.v[np.ix_(wanted, wanted)])
    with pytest.raises(KeyError):
        moments.select(["T9"])


def test_an_order_of_traits_that_is_consistent_is_read_and_another_is_refused():
    dataset = structure_of()
    turned = list(reversed(TRAITS))
    moments = read_moments(dataset.sel(trait=turned, trait_2=turned))  # V keeps its order, and its names
    np.testing.assert_array_equal(moments.s, dataset["S"].values[::-1, ::-1])
    np.testing.assert_allclose(moments.v, read_moments(dataset).select(turned).v)
    moments = read_moments(dataset.sel(trait=turned))
    np.testing.assert_array_equal(moments.s, dataset["S"].values[::-1, ::-1])
    some = dataset.isel(trait=[0, 1], trait_2=[0, 1])
    np.testing.assert_array_equal(read_moments(some).v, read_moments(dataset).select(TRAITS[:2]).v)
    with pytest.raises(InputError, match="rows and columns of S are not the same traits"):
        read_moments(dataset.isel(trait=[0, 1], trait_2=[1, 2]))
    with pytest.raises(InputError, match="V does not match S"):
        read_moments(dataset.isel(vech=slice(0, 6), vech_2=slice(0, 6)))
    unnamed = dataset.isel(vech=slice(0, 6), vech_2=slice(0, 6)).drop_vars(["vech", "vech_2"])
    with pytest.raises(InputError, match="V does not fit S"):
        read_moments(unnamed)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda d: d.drop_vars("V"), "no V"),
        (lambda d: d.assign_attrs(kind="gwas"), "another kind"),
        (lambda d: d.assign_coords(trait=["A", "A", *TRAITS[2:]]), "same name"),
        (lambda d: d.assign(V=d["V"] * np.nan), "not finite"),
        (lambda d: d.assign(V=-d["V"]), "not positive"),
        (lambda d: 5, "path of a store or a Dataset"),
    ],
)
def test_what_is_no_covariance_structure_is_refused(change, says):
    with pytest.raises(InputError, match=says):
        read_moments(change(structure_of()))
    with pytest.raises(StoreError):
        read_moments("nowhere.zarr")


def test_smoothing_is_the_nearest_matrix_and_says_what_it_changed():
    s = true_covariance()[:3, :3]
    scale = np.sqrt(np.diag(s))
    s = np.array([[1, 0.95, 0.95], [0.95, 1, 0.75], [0.95, 0.75, 1]]) * np.outer(scale, scale)
    v = sampling_covariance(3)
    moments, change = Moments(TRAITS[:3], s, v).smoothed()
    np.testing.assert_allclose(moments.s, nearest_pd(s), atol=1e-10)
    np.testing.assert_array_equal(moments.v, v)
    assert change.s == pytest.approx(np.abs(moments.s - s).max())
    assert change.v == 0
    row, column = np.tril_indices(3)
    se = np.zeros((3, 3))
    se[np.triu_indices(3)[::-1]] = np.sqrt(np.diag(v))
    assert change.z == pytest.approx(np.abs((moments.s - s)[row, column] / se[row, column]).max())
    untouched = Moments(TRAITS, true_covariance(), sampling_covariance(6))
    assert untouched.smoothed()[0] is untouched


def test_standardised():
    moments = Moments(TRAITS, true_covariance(1), sampling_covariance(6))
    stand = moments.standardised()
    dataset = structure_of()
    np.testing.assert_allclose(stand.s, dataset["S_Stand"].values, rtol=1e-12)
    np.testing.assert_allclose(stand.v, dataset["V_Stand"].values, rtol=1e-12)
