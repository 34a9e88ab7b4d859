"""From files to S and V through conversion: munged files of R, and real genotypes with real statistics."""

from __future__ import annotations

import json

import numpy as np
import pytest

import conversion
import daskgen as dg
from tests.ldsc.data import POPULATION_PREV, SAMPLE_PREV, TRAITS
from tests.shared_data import shared


def test_munged_files_and_ld_scores_of_r_give_its_numbers(tmp_path):
    munged, inputs = shared("reference/sem/expected/munged_unique"), shared("reference/sem/inputs")
    conversion.munge(
        [munged / f"{name}.sumstats.gz" for name in TRAITS],
        None,
        tmp_path / "m.zarr",
        trait_names=TRAITS,
        n_kind="effective",  # simulated without case-control sampling: 0.5 is right for all but T4
        sample_prev=[None, 0.5, 0.5, None, None, None],
        population_prev=[None, *POPULATION_PREV[1:3], None, None, None],
    )
    conversion.ld_scores(inputs / "ld", tmp_path / "l.zarr", weights=inputs / "wld")
    found = dg.ldsc.ldsc(tmp_path / "m.zarr", tmp_path / "l.zarr", traits=TRAITS[:3])
    wanted = json.loads(shared("reference/sem/expected/ldsc_unique.json").read_text())
    first = np.array(wanted["S"]["rows"])[:3, :3]  # a pair's estimate does not depend on the other traits
    np.testing.assert_allclose(found["S"], first, rtol=1e-10)
    assert SAMPLE_PREV[1:3] == [0.5, 0.5]


def test_real_height_on_scores_from_real_genotypes_of_chromosome_22(tmp_path):
    genotypes = shared("data/formats/kg_eur378_chr22_hm3/1000G_eur_chr22.bed")
    conversion.munge(
        shared("data/sumstats/real/height_ukb_chr22_hm3.fastGWA.gz"),
        shared("data/hm3/hm3_eur_alleles_maf.tsv.gz"),
        tmp_path / "height.zarr",
        trait_names=["height"],
    )
    own = dg.ldsc.ldsc(tmp_path / "height.zarr", dg.ldsc.ld_scores(conversion.open(genotypes), window="1000kb"))
    conversion.ld_scores(shared("data/ldscores/eur_w_ld_chr"), tmp_path / "eur.zarr")
    published = dg.ldsc.ldsc(tmp_path / "height.zarr", tmp_path / "eur.zarr", select=22)
    assert own["n_variants"].item() == published["n_variants"].item() == 15_809
    # Chromosome 22 is 1.3 % of the genome, and height's heritability about a half.
    for found in (own, published):
        assert found["h2"].item() == pytest.approx(0.005, abs=2e-3)
        assert found["h2"].item() > 4 * found["h2_se"].item()
    assert own["h2"].item() == pytest.approx(published["h2"].item(), abs=own["h2_se"].item())
    assert own["mean_chisq"].item() == published["mean_chisq"].item()
