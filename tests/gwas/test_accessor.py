"""What is read off a result per variant: the same for a Dataset in memory, a lazy one and a store, in any chunks."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

import daskgen as dg
from daskgen.errors import InputError, UsageError
from daskgen.gwas import lambda_and_hits, layout, manhattan_points, n_hits, qq_points, snp_effects, status_counts
from daskgen.gwas.p_values import CHISQ_MEDIAN, chisq_p, minus_log10_p, two_sided_p, z_threshold
from daskgen.gwas.quantiles import median
from tests.gwas.results import result

FORMS = ["memory", "lazy", "store"]


@pytest.fixture
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(layout, "_BLOCK_ROWS", 700)


def made(form: str, tmp_path: Path, **options: object) -> xr.Dataset:
    if form == "store":
        return dg.open_store(result(**options).dg.to_store(tmp_path / "r.zarr"))  # type: ignore[arg-type]
    return result(chunk=333 if form == "lazy" else None, **options)  # type: ignore[arg-type]


def good_z(dataset: xr.Dataset, parameter: int = 0) -> np.ndarray:
    z = dataset["estimate"].values[parameter] / dataset["se"].values[parameter]
    return np.where(np.isin(dataset["status"].values, [0, 1]), z, np.nan)


# p values and quantiles -----------------------------------------------------------------------------------------------


def test_p_values_are_exact_in_the_far_tail() -> None:
    z = np.array([0.0, 1.0, -1.959963984540054, 8.0, -37.0, 60.0, np.nan])
    p = two_sided_p(z)
    np.testing.assert_allclose(p[:4], [1, 0.31731050786291415, 0.05, 1.2441921148543568e-15], rtol=1e-12)
    np.testing.assert_allclose(p[:4], 2 * stats.norm.sf(np.abs(z[:4])), rtol=1e-13)
    # ln Q(60) by its asymptotic series
    series = -1800 - np.log(60 * np.sqrt(2 * np.pi)) + np.log1p(-1 / 3600 + 3 / 3600**2 - 15 / 3600**3)
    np.testing.assert_allclose(minus_log10_p(z)[5], -(series + np.log(2)) / np.log(10), rtol=1e-12)
    np.testing.assert_allclose(minus_log10_p(z)[:5], -np.log10(p[:5]), rtol=1e-9, atol=1e-15)
    assert np.isnan(p[-1])
    assert z_threshold(5e-8) == pytest.approx(5.451310443, abs=1e-8)


def test_p_values_of_chi_square() -> None:
    np.testing.assert_allclose(chisq_p(np.array([3.0, 900.0]), 2), stats.chi2.sf([3.0, 900.0], 2), rtol=1e-12)
    assert np.isnan(chisq_p(np.array([1.0]), 0)).all()
    assert pytest.approx(stats.chi2.ppf(0.5, 1), rel=1e-12) == CHISQ_MEDIAN


@given(
    values=st.lists(st.one_of(st.floats(min_value=0), st.sampled_from([np.nan, -0.0, 0.0, 1.0])), max_size=60),
    size=st.integers(1, 61),
)
def test_the_median_of_blocks_is_that_of_the_whole(values: list[float], size: int) -> None:
    whole = np.array(values, np.float64)
    blocks = [whole[i : i + size] for i in range(0, len(whole), size)]
    finite = whole[np.isfinite(whole)]
    found, n = median(lambda: iter(blocks))
    assert n == len(finite)
    if n:
        with np.errstate(over="ignore"):
            assert found == pytest.approx(np.median(finite), rel=1e-14)
    else:
        assert np.isnan(found)


# The accessor ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("form", FORMS)
def test_lambda_gc_leaves_out_what_does_not_stand(form: str, tmp_path: Path, small_blocks: None) -> None:
    dataset = made(form, tmp_path)
    for i, label in enumerate(["F1~SNP", "T2~SNP"]):
        wanted = np.nanmedian(good_z(result(), i) ** 2) / CHISQ_MEDIAN
        assert dataset.dg.lambda_gc(label) == pytest.approx(wanted, rel=1e-14)


@pytest.mark.parametrize("form", FORMS)
def test_top_has_the_strongest_first(form: str, tmp_path: Path, small_blocks: None) -> None:
    dataset = made(form, tmp_path)
    z = good_z(result())
    wanted = np.flatnonzero(2 * stats.norm.sf(np.abs(z)) <= 1e-4)
    wanted = wanted[np.argsort(-np.abs(z[wanted]))]
    found = dataset.dg.top("F1 ~ SNP", p=1e-4)
    assert found["variant_id"].tolist() == [f"rs{i}" for i in wanted]
    assert found["variant_id"][0] == f"rs{5_000 // 3}"
    assert found["p"][0] == 0
    assert found["minus_log10_p"][0] > 700
    assert n_hits(dataset, "F1~SNP", p=1e-4) == len(wanted)
    assert lambda_and_hits(dataset, "F1~SNP", p=1e-4) == (dataset.dg.lambda_gc("F1~SNP"), len(wanted))
    assert len(dataset.dg.top("T2~SNP", p=1e-30)) == 0
    assert list(dataset.dg.top("T2~SNP", p=1e-30).columns) == list(dataset.dg.table("T2~SNP").columns)


@pytest.mark.parametrize("form", FORMS)
def test_the_table_has_what_is_derived(form: str, tmp_path: Path) -> None:
    dataset, memory = made(form, tmp_path), result()
    table = dataset.dg.table("F1~SNP")
    assert list(table.columns) == [
        *("variant_id", "contig", "position", "effect_allele", "other_allele", "maf", "estimate", "se", "z", "p"),
        *("minus_log10_p", "q_snp", "q_snp_df", "q_snp_p", "chisq", "chisq_df", "chisq_p", "aic", "status"),
    ]
    row = table.iloc[17]
    assert (row["variant_id"], row["effect_allele"], row["other_allele"], row["contig"]) == ("rs17", "G", "A", "1")
    assert row["z"] == pytest.approx(float(memory["estimate"][0, 17] / memory["se"][0, 17]))
    assert row["q_snp"] == float(memory["q_snp"][1, 17])  # of F1, the second factor
    assert row["q_snp_p"] == pytest.approx(stats.chi2.sf(row["q_snp"], 3))
    assert row["chisq_p"] == pytest.approx(stats.chi2.sf(row["chisq"], 5))
    assert "q_snp" not in dataset.dg.table("T2~SNP")


def test_the_table_of_all_parameters_goes_by_variant() -> None:
    table = result(50).dg.table()
    assert table["variant_id"].tolist()[:4] == ["rs0", "rs0", "rs1", "rs1"]
    assert table["parameter"].tolist()[:4] == ["F1~SNP", "T2~SNP"] * 2
    assert len(table) == 100


def test_a_result_without_positions_is_tabulated_too() -> None:
    assert "contig" not in result(50, positions=False).dg.table("F1~SNP")


def test_status_counts_and_effects_of_the_variant(tmp_path: Path, small_blocks: None) -> None:
    counts = status_counts(result())
    assert sum(counts.values()) == 5_000
    assert list(counts) == [0, 1, 2, 5]
    dataset = result(10)
    dataset["parameter"] = ["F1~SNP", "SNP~~SNP"]
    assert snp_effects(dataset) == ["F1~SNP"]
    dataset["parameter"] = ["height", "bmi"]
    assert snp_effects(dataset) == ["height", "bmi"]


def test_scans_of_one_or_several_traits_are_understood() -> None:
    """An association scan: beta and se by trait, or of one trait alone."""
    memory = result(400)
    several = xr.Dataset(
        {
            "beta": (("variant", "trait"), memory["estimate"].values.T),
            "se": (("variant", "trait"), memory["se"].values.T),
            "trait": ("trait", ["height", "bmi"]),
            "variant_id": ("variant", memory["variant_id"].values),
        }
    )
    one = several.isel(trait=1)
    wanted = np.nanmedian((memory["estimate"].values[1] / memory["se"].values[1]) ** 2) / CHISQ_MEDIAN
    assert several.dg.lambda_gc("bmi") == pytest.approx(wanted)
    assert one.dg.lambda_gc() == pytest.approx(wanted)
    assert one.dg.lambda_gc("bmi") == pytest.approx(wanted)
    assert list(several.dg.table("height").columns)[1:4] == ["estimate", "se", "z"]


def test_an_unknown_parameter_is_answered_with_those_that_there_are() -> None:
    dataset = result(20)
    for call in (dataset.dg.lambda_gc, dataset.dg.top, dataset.dg.table):
        with pytest.raises(UsageError, match=r"no parameter 'F3~SNP'(.|\n)*F1~SNP, T2~SNP"):
            call("F3~SNP")
    with pytest.raises(UsageError, match="which parameter"):
        dataset.dg.lambda_gc()
    with pytest.raises(InputError, match="no result per variant"):
        xr.Dataset({"x": ("y", [1])}).dg.lambda_gc()
    with pytest.raises(UsageError, match="p is out of range"):
        dataset.dg.top("F1~SNP", p=0)


# Points of figures ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("form", FORMS)
def test_manhattan_points_cover_every_cell_and_keep_every_strong_variant(
    form: str, tmp_path: Path, small_blocks: None
) -> None:
    dataset = made(form, tmp_path)
    found = manhattan_points(dataset, "F1~SNP")
    strength = minus_log10_p(good_z(result()))
    assert found.n_variants == np.isfinite(strength).sum()
    rows = found.points["row"].to_numpy()
    assert (rows[:-1] < rows[1:]).all()
    assert np.array_equal(found.points["minus_log10_p"], strength[rows])
    assert set(np.flatnonzero(strength >= 8)) <= set(rows.tolist())
    assert found.contigs == ["1", "2", "X"]
    axis = found.axis(found.points["contig"].to_numpy(), found.points["position"].to_numpy())
    assert (np.diff(axis) > 0).all()
    # Every variant has a point no further away than a cell.
    memory = result()
    everywhere = found.axis(memory["variant_contig"].values, memory["variant_position"].values)
    width = (found.offset[-1] + found.length[-1]) / 3_000
    seen = np.flatnonzero(np.isfinite(strength))
    cells = set(zip((axis / width).astype(int), (strength[rows] / 0.05).astype(int), strict=True))
    assert all((int(everywhere[i] / width), int(strength[i] / 0.05)) in cells for i in seen)


def test_many_variants_make_few_points() -> None:
    n = 200_000
    z = np.random.default_rng(1).normal(size=n)
    dataset = xr.Dataset(
        {"estimate": ("variant", z), "se": ("variant", np.ones(n)), "variant_id": ("variant", np.arange(n).astype(str))}
    )
    found = manhattan_points(dataset)
    assert not found.has_positions
    assert found.n_variants == n
    assert len(found.points) < 80_000
    assert len(qq_points(dataset).points) < 2_000


@pytest.mark.parametrize("form", FORMS)
def test_qq_points_lie_where_sorted_p_values_do(form: str, tmp_path: Path, small_blocks: None) -> None:
    dataset = made(form, tmp_path)
    found = qq_points(dataset, "F1~SNP")
    strength = minus_log10_p(good_z(result()))
    ordered = np.sort(strength[np.isfinite(strength)])[::-1]
    n = len(ordered)
    assert found.n_variants == n
    assert found.lambda_gc == dataset.dg.lambda_gc("F1~SNP")
    expected = -np.log10(np.arange(1, n + 1) / (n + 1))
    interpolated = np.interp(found.points["expected"], expected[::-1], ordered[::-1])
    strong = ordered >= 5
    np.testing.assert_allclose(found.points["observed"][: strong.sum()], ordered[strong], rtol=1e-12)
    assert np.abs(found.points["observed"] - interpolated)[strong.sum() :].max() < 0.02
    band = found.points[["lower", "expected", "upper"]].to_numpy()
    assert (np.diff(band, axis=1) > 0).all()
    first = stats.beta.ppf([0.975, 0.025], 1, n)
    np.testing.assert_allclose(found.points[["lower", "upper"]].iloc[0], -np.log10(first), rtol=1e-9)


def test_a_frame_of_points_is_plain() -> None:
    assert isinstance(manhattan_points(result(30), "F1~SNP").points, pd.DataFrame)
