"""Raw files of simulated GWAS: whatever their style, reading them gives the statistics that were drawn."""

from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import conversion
import daskgen as dg
from daskgen.errors import InputError, StoreError, UsageError
from daskgen.simulate.raw_files import STYLES

K = len(STYLES)
N = [1_000 * (t + 1) for t in range(K)]


@pytest.fixture(scope="module")
def drawn(tmp_path_factory):
    folder = tmp_path_factory.mktemp("drawn")
    ld = dg.simulate.ld_scores(folder / "ld.zarr", n_variants=401, contigs=3, seed=2)
    return dg.simulate.sumstats(
        folder / "drawn.zarr", ld, S=np.eye(K) * 0.3, N=N, traits=list(STYLES), missing_rate=0.1, seed=2
    )


@pytest.fixture(scope="module")
def written(drawn, tmp_path_factory):
    return dg.simulate.gwas_files(tmp_path_factory.mktemp("gwas") / "raw", drawn, seed=3)


def unpacked(path):
    return gzip.decompress(Path(path).read_bytes())


def test_every_style_is_read_back_with_signs_and_sizes(drawn, written, tmp_path):
    assert list(written.files) == list(STYLES)
    path = conversion.munge(
        list(written.files.values()), written.reference, tmp_path / "m.zarr", n={"ssgac": N[1]}, maf_filter=0
    ).path
    found, truth = dg.open_store(path).load(), dg.open_store(drawn).load()
    assert found["variant_id"].values.tolist() == truth["variant_id"].values.tolist()
    np.testing.assert_array_equal(np.isnan(found["z"]), np.isnan(truth["z"]))
    np.testing.assert_allclose(found["z"], truth["z"], rtol=2e-4, atol=2e-4)
    np.testing.assert_array_equal(found["n"], truth["n"])
    turned = found["rows_turned"].values / found["rows_kept"].values
    assert ((turned > 0.35) & (turned < 0.65)).all()
    assert found["n_kind"].values.tolist().count("given") == 1


def test_effects_are_those_of_standardised_traits(drawn, written, tmp_path):
    path = conversion.sumstats(
        list(written.files.values()), written.reference, tmp_path / "s.zarr", scale="standardised", n={"ssgac": N[1]}
    ).path
    found, truth = dg.open_store(path).load(), dg.open_store(drawn).load()
    np.testing.assert_allclose(found["beta"] / found["se"], truth["z"], rtol=5e-4, atol=5e-4)
    variance = 2 * found["maf"] * (1 - found["maf"])
    expected = 1 / np.sqrt(variance.values * np.array(N)[:, None])
    np.testing.assert_allclose(found["se"], np.where(np.isnan(truth["z"]), np.nan, expected), rtol=2e-3)


def test_an_effect_of_a_variant_is_added_in_units_of_the_trait(drawn, tmp_path):
    truth = dg.open_store(drawn).load()
    effect = np.linspace(-0.2, 0.2, K)
    with_effect = dg.simulate.gwas_files(tmp_path / "raw", drawn, effects={"rs7": effect}, seed=3)
    table = pd.read_csv(with_effect.reference, sep="\t").set_index("SNP")
    path = conversion.munge(
        list(with_effect.files.values()), with_effect.reference, tmp_path / "m.zarr", n={"ssgac": N[1]}
    ).path
    found = dg.open_store(path).load()
    variance = 2 * table["MAF"]["rs7"] * (1 - table["MAF"]["rs7"])
    expected = truth["z"].values[:, 6] + effect * np.sqrt(variance * np.array(N))
    np.testing.assert_allclose(found["z"].values[:, 6], expected, rtol=1e-3, atol=1e-3)
    np.testing.assert_allclose(
        np.delete(found["z"].values, 6, 1), np.delete(truth["z"].values, 6, 1), rtol=2e-4, atol=2e-4
    )


def test_the_same_call_writes_the_same_bytes_and_another_seed_other_rows(drawn, written, tmp_path):
    again = dg.simulate.gwas_files(tmp_path / "a", drawn, seed=3)
    other = dg.simulate.gwas_files(tmp_path / "b", drawn, seed=4)
    for name, path in written.files.items():
        same, differs = (unpacked(files.files[name]) for files in (again, other))
        assert unpacked(path) == same != differs


def test_one_style_serves_all_traits(drawn, tmp_path):
    files = dg.simulate.gwas_files(tmp_path / "raw", drawn, styles="plink2")
    assert all(unpacked(path).startswith(b"#CHROM\tPOS\tID") for path in files.files.values())


def test_very_small_p_values_keep_their_size(tmp_path):
    ld = dg.simulate.ld_scores(tmp_path / "ld.zarr", n_variants=50, contigs=1)
    drawn = dg.simulate.sumstats(tmp_path / "d.zarr", ld, S=[[0.3]], N=10_000, traits=["T"])
    big = {"rs3": [0.9], "rs4": [0.9]}
    for style in ("plink2", "regenie"):
        raw = dg.simulate.gwas_files(tmp_path / style, drawn, styles=style, effects=big)
        path = conversion.munge([raw.files["T"]], raw.reference, tmp_path / f"{style}.zarr").path
        found = dg.open_store(path)["z"].values[0, 2:4]
        plain = dg.open_store(drawn)["z"].values[0, 2:4]
        table = pd.read_csv(raw.reference, sep="\t")["MAF"].values[2:4]
        np.testing.assert_allclose(found, plain + 0.9 * np.sqrt(2 * table * (1 - table) * 10_000), rtol=1e-3)


def test_nothing_is_overwritten_without_force(drawn, tmp_path):
    dg.simulate.gwas_files(tmp_path, drawn)
    with pytest.raises(StoreError, match="exists"):
        dg.simulate.gwas_files(tmp_path, drawn)
    dg.simulate.gwas_files(tmp_path, drawn, force=True)


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"styles": "excel"}, UsageError, "no style 'excel'"),
        ({"styles": ["plink2"]}, UsageError, "1 styles do not fit"),
        ({"effects": {"rs99999": [0.1] * K}}, InputError, "not there"),
        ({"seed": -1}, UsageError, "seed"),
    ],
)
def test_wrong_arguments_are_refused(drawn, tmp_path, arguments, error, message):
    with pytest.raises(error, match=message):
        dg.simulate.gwas_files(tmp_path / "raw", drawn, **arguments)


def test_other_stores_are_refused(drawn, tmp_path):
    with pytest.raises(InputError, match="variant_allele is not there"):
        dg.simulate.gwas_files(tmp_path / "raw", dg.open_store(drawn).drop_vars("variant_allele"))


def test_drawn_ld_scores_have_the_asked_mean_and_serve_the_regression(tmp_path):
    path = dg.simulate.ld_scores(tmp_path / "ld.zarr", n_variants=30_000, mean=20, variants_per_score=3, seed=5)
    ld = dg.open_store(path).load()
    score = ld["ld_score"].values[:, 0]
    assert score.min() >= 1
    assert score.mean() == pytest.approx(20, rel=0.02)
    assert score.std() == pytest.approx(19, rel=0.03)
    assert float(ld["M_5_50"].sum()) == pytest.approx(90_000, abs=22)
    assert (np.diff(ld["variant_position"].values)[np.diff(ld["variant_contig"].values) == 0] > 0).all()
    pairs = {"".join(pair) for pair in ld["variant_allele"].values.tolist()}
    assert not pairs & {"AA", "CC", "GG", "TT", "AT", "TA", "CG", "GC"}
    s = [[0.4, 0.1], [0.1, 0.3]]
    munged = dg.simulate.sumstats(tmp_path / "s.zarr", path, S=s, N=50_000, seed=6)
    found = dg.ldsc.ldsc(munged, path)
    assert (np.abs(found["S"].values - s) < 3.5 * found["S_se"].values).all()


@pytest.mark.parametrize(
    "arguments", [{"n_variants": 0}, {"n_variants": 5, "mean": 1.0}, {"n_variants": 5, "variants_per_score": 0}]
)
def test_wrong_numbers_for_ld_scores_are_refused(tmp_path, arguments):
    with pytest.raises(UsageError):
        dg.simulate.ld_scores(tmp_path / "ld.zarr", **arguments)
