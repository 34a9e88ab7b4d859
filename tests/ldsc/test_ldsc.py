"""`dg.ldsc.ldsc` against the oracle, and its arguments."""

from __future__ import annotations

import logging
from dataclasses import replace

import dask
import numpy as np
import pytest

import daskgen as dg
from daskgen.errors import InputError, PlanError, StoreError, UsageError
from tests.ldsc.data import munged_dataset, scores_dataset, simulated_scores, simulated_traits, write
from tests.oracles import ldsc as oracle


def run(data, scores, columns=None, **arguments):
    arguments.setdefault("n_blocks", 20)
    return dg.ldsc.ldsc(munged_dataset(data, **(columns or {})), scores_dataset(scores), **arguments)


def assert_same(found, wanted, rtol=1e-9):
    for name in ("S", "I", "I_se", "N", "n_variants", "mean_chisq", "lambda_gc"):
        np.testing.assert_allclose(found[name].values, wanted[name], rtol=rtol, err_msg=name)
    np.testing.assert_allclose(found["V"].values, wanted["V"], rtol=1e-7, atol=rtol * np.abs(wanted["V"]).max())
    for name in ("rg", "rg_se"):
        off = ~np.eye(len(wanted["S"]), dtype=bool)
        np.testing.assert_allclose(found[name].values[off], wanted[name][off], rtol=1e-7, err_msg=name)
    assert float(found["m"]) == wanted["m"]


# Numbers ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("n_traits", "missing", "h2"), [(1, 0.0, 0.4), (2, 0.3, 0.3), (4, 0.1, 0.5), (9, 0.2, 0.4)])
def test_random_traits_with_missing_variants_and_flips(n_traits, missing, h2):
    scores = simulated_scores()
    traits = simulated_traits(scores, n_traits, missing=missing, h2=h2, seed=n_traits)
    same = replace(scores, weight=scores.score)
    assert_same(run(traits, scores), oracle.ldsc(list(traits.values()), same, n_blocks=20))


def test_separate_weights_and_a_chisquare_limit():
    scores = simulated_scores()
    traits = simulated_traits(scores, 3)
    wanted = oracle.ldsc(list(traits.values()), scores, n_blocks=20, chisq_max=6)
    found = run(traits, scores, sep_weights=True, chisq_max=6)
    assert_same(found, wanted)
    assert (found["chisq_max"].values == 6).all()
    assert (found["n_removed"].values > 0).all()
    unweighted = replace(scores, weight=scores.score)
    assert_same(run(traits, scores), oracle.ldsc(list(traits.values()), unweighted, n_blocks=20))


def test_the_default_limit_grows_with_the_sample():
    scores = simulated_scores()
    traits = simulated_traits(scores, 2)
    large = traits["trait0"]
    large.z[:5] = 11.0  # chi-square 121
    traits["trait0"] = replace(large, n=np.full_like(large.n, 500_000.0))
    small = traits["trait1"]
    small.z[:5] = 11.0
    traits["trait1"] = replace(small, n=np.full_like(small.n, 50_000.0))
    found = run(traits, scores)
    assert found["chisq_max"].values[0] == 500.0
    assert found["chisq_max"].values[1] == 80.0
    assert found["n_removed"].values.tolist() == [0, 5]


@pytest.mark.parametrize(
    ("select", "contigs"), [("odd", [1, 3]), ("EVEN", [2]), ([3, "chr1"], [1, 3]), (2, [2]), (None, [1, 2, 3])]
)
def test_contigs_are_selected_with_their_m(select, contigs):
    scores = simulated_scores()
    traits = simulated_traits(scores, 2)
    same = replace(scores, weight=scores.score)
    assert_same(
        run(traits, scores, select=select), oracle.ldsc(list(traits.values()), same, n_blocks=20, select=contigs)
    )


def test_liability_scale_for_some_of_the_traits():
    scores = simulated_scores()
    traits = simulated_traits(scores, 3)
    same = replace(scores, weight=scores.score)
    sample, population = [0.3, np.nan, 0.5], [0.01, np.nan, 0.1]
    wanted = oracle.ldsc(list(traits.values()), same, n_blocks=20, sample_prev=sample, population_prev=population)
    found = run(traits, scores, sample_prev=[0.3, None, 0.5], population_prev={"trait0": 0.01, "trait2": 0.1})
    assert_same(found, wanted)
    observed = run(traits, scores)
    np.testing.assert_allclose(found["h2_observed"], observed["h2"], rtol=1e-12)
    np.testing.assert_allclose(found["h2_observed_se"], observed["h2_se"], rtol=1e-12)
    np.testing.assert_allclose(found["rg"], observed["rg"], rtol=1e-12)
    np.testing.assert_allclose(found["rg_se"], observed["rg_se"], rtol=1e-9)


def test_more_than_18_traits_get_more_blocks_than_cells():
    scores = simulated_scores()
    traits = simulated_traits(scores, 19, missing=0.05)
    found = run(traits, scores)
    assert found.attrs["n_blocks"] == 20 * 21 // 2 + 1
    same = replace(scores, weight=scores.score)
    assert_same(found, oracle.ldsc(list(traits.values()), same, n_blocks=20))
    assert np.linalg.matrix_rank(found["V"].values) == 190


def test_variants_need_not_be_in_genome_order():
    scores = simulated_scores()
    order = np.random.default_rng(3).permutation(len(scores.variant_id))
    shuffled = replace(
        scores,
        variant_id=[scores.variant_id[i] for i in order],
        contig=[scores.contig[i] for i in order],
        position=[scores.position[i] for i in order],
        score=scores.score[order],
        weight=scores.weight[order],
    )
    traits = simulated_traits(scores, 2)
    assert run(traits, scores)["V"].values.tobytes() == run(traits, shuffled)["V"].values.tobytes()


def test_a_trait_does_not_depend_on_the_others_in_the_call():
    scores = simulated_scores()
    traits = simulated_traits(scores, 11)
    everything, two = run(traits, scores), run(traits, scores, traits=["trait9", "trait2"])
    assert two["trait"].values.tolist() == ["trait9", "trait2"]
    chosen = everything.sel(trait=["trait9", "trait2"], trait_2=["trait9", "trait2"])
    for name in ("S", "I", "I_se", "S_se", "rg", "rg_se", "h2", "lambda_gc"):
        assert two[name].values.tobytes() == chosen[name].values.tobytes(), name


def test_values_that_users_of_ldsc_expect():
    scores = simulated_scores()
    found = run(simulated_traits(scores, 3), scores)
    np.testing.assert_array_equal(found["h2"], np.diag(found["S"]))
    np.testing.assert_array_equal(found["intercept"], np.diag(found["I"]))
    np.testing.assert_allclose(found["ratio"], (found["intercept"] - 1) / (found["mean_chisq"] - 1), rtol=1e-12)
    np.testing.assert_allclose(found["S_se"].values[0, 0] ** 2, found["V"].values[0, 0], rtol=1e-12)
    np.testing.assert_allclose(np.diag(found["S_Stand"]), 1, rtol=1e-12)
    np.testing.assert_allclose(found["S_Stand"].values, found["rg"].values, rtol=1e-12)
    assert (found["p"].values[np.triu_indices(3, 1)] < 1).all()
    assert found["vech"].values.tolist()[:3] == ["trait0~~trait0", "trait1~~trait0", "trait2~~trait0"]
    assert "S_Stand" not in run(simulated_traits(scores, 2), scores, stand=False)


# Sources ------------------------------------------------------------------------------------------------------------


def test_stores_paths_and_datasets_in_memory_or_lazy_are_the_same(tmp_path):
    scores = simulated_scores()
    munged, ld = munged_dataset(simulated_traits(scores, 3)), scores_dataset(scores)
    paths = write(tmp_path / "m.zarr", munged, "sumstats"), write(tmp_path / "l.zarr", ld, "ld_scores")
    wanted = dg.ldsc.ldsc(munged, ld, n_blocks=20)
    opened = tuple(dg.open_store(path) for path in paths)
    for pair in (paths, opened, (paths[0], ld), (munged.chunk({"variants": 700}), ld)):
        assert dg.ldsc.ldsc(*pair, n_blocks=20)["V"].values.tobytes() == wanted["V"].values.tobytes()


def test_float32_statistics_are_taken_as_they_are():
    scores = simulated_scores()
    munged = munged_dataset(simulated_traits(scores, 2))
    single = munged.assign(z=munged["z"].astype(np.float32), n=munged["n"].astype(np.float32))
    double = single.assign(z=single["z"].astype(np.float64), n=single["n"].astype(np.float64))
    found, wanted = (dg.ldsc.ldsc(ds, scores_dataset(scores), n_blocks=20) for ds in (single, double))
    np.testing.assert_allclose(found["V"], wanted["V"], rtol=1e-12)


def test_without_m_5_50_m_is_used_and_said(caplog):
    scores = simulated_scores()
    ld = scores_dataset(scores).rename({"M_5_50": "M"})
    with caplog.at_level(logging.WARNING, logger="daskgen"):
        found = dg.ldsc.ldsc(munged_dataset(simulated_traits(scores, 2)), ld, n_blocks=20)
    assert "M is used" in caplog.text
    assert found.attrs["m_name"] == "M"


def test_ids_that_come_twice_in_the_statistics_are_not_used(caplog):
    scores = simulated_scores()
    traits = simulated_traits(scores, 2, missing=0, flips=0)
    ids = munged_dataset(traits)["variant_id"].values.copy()
    ids[10] = ids[20]
    munged = munged_dataset(traits).assign(variant_id=("variants", ids))
    with caplog.at_level(logging.WARNING, logger="daskgen"):
        found = dg.ldsc.ldsc(munged, scores_dataset(scores), n_blocks=20)
    assert "1 ids occur more than once" in caplog.text
    assert found["n_variants"].values[0, 0] == len(scores.variant_id) - 2


def test_prevalences_of_the_store_are_the_default():
    scores = simulated_scores()
    traits = simulated_traits(scores, 2)
    columns = {"sample_prev": [0.4, np.nan], "population_prev": [0.02, np.nan]}
    kept = run(traits, scores, columns)
    given = run(traits, scores, sample_prev=[0.4, None], population_prev=[0.02, None])
    assert kept["S"].values.tobytes() == given["S"].values.tobytes()
    observed = run(traits, scores, columns, sample_prev=np.nan, population_prev=np.nan)
    assert observed["S"].values.tobytes() == run(traits, scores)["S"].values.tobytes()


# What cannot be -----------------------------------------------------------------------------------------------------


def test_a_negative_heritability_is_reported_and_its_correlations_are_undefined(caplog):
    scores = simulated_scores()
    traits = simulated_traits(scores, 3)
    generator = np.random.default_rng(5)
    # The higher the LD score, the smaller the statistic.
    weak = traits["trait1"]
    at = {name: i for i, name in enumerate(scores.variant_id)}
    ld = np.array([scores.score[at[name]] for name in weak.variant_id])
    traits["trait1"] = replace(weak, z=generator.normal(size=len(ld)) * (1.3 - 0.4 * ld / ld.max()))
    with caplog.at_level(logging.WARNING, logger="daskgen"):
        found = run(traits, scores)
    assert found["h2"].values[1] < 0
    assert np.isfinite(found["V"].values).all()
    undefined = np.isnan(found["rg"].values)
    assert undefined[1].all()
    assert undefined[:, 1].all()
    assert not undefined[0, 2]
    assert np.isnan(found["S_Stand"].values[1]).all()
    assert np.isfinite(found["V_Stand"].sel(vech="trait2~~trait0", vech_2="trait2~~trait0"))
    assert "trait1: the heritability" in caplog.text
    assert "undefined" in caplog.text


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"sample_prev": 0.0, "population_prev": 0.1}, "between 0 and 1"),
        ({"sample_prev": 0.3, "population_prev": 1.0}, "population_prev"),
        ({"sample_prev": 0.3}, "needs both"),
        ({"sample_prev": [0.3], "population_prev": 0.1}, "one value for each trait"),
        ({"sample_prev": {"nobody": 0.3}, "population_prev": 0.1}, "nobody"),
        ({"sample_prev": "half", "population_prev": 0.1}, "numbers|one value"),
        ({"traits": ["trait0", "nobody"]}, r"no trait nobody.\n.*trait0, trait1"),
        ({"traits": ["trait0", "trait0"]}, "twice"),
        ({"traits": []}, "no trait"),
        ({"select": [7]}, r"no contig 7.\n.*1, 2, 3"),
        ({"select": "some"}, "no contig some"),
        ({"select": []}, "no contig"),
        ({"n_blocks": 5_000}, "fewer variants than the jackknife needs"),
        ({"chisq_max": 1e-12}, "fewer variants"),
    ],
)
def test_impossible_arguments_are_refused_with_both_sides(arguments, message):
    scores = simulated_scores()
    with pytest.raises(InputError, match=message):
        run(simulated_traits(scores, 2), scores, **arguments)


@pytest.mark.parametrize("arguments", [{"n_blocks": 1}, {"n_blocks": 2.5}, {"chisq_max": 0}])
def test_impossible_calls_are_usage_errors(arguments):
    scores = simulated_scores()
    with pytest.raises(UsageError):
        run(simulated_traits(scores, 2), scores, **arguments)


def test_effective_sample_sizes_go_with_a_sample_prevalence_of_one_half(caplog):
    scores = simulated_scores()
    traits = simulated_traits(scores, 2)
    with pytest.raises(InputError, match="effective sample size"):
        run(traits, scores, {"n_kind": ["effective", "total"]}, sample_prev=0.3, population_prev=0.1)
    with caplog.at_level(logging.WARNING, logger="daskgen"):
        run(traits, scores, {"n_kind": ["effective", "total"]}, sample_prev=0.5, population_prev=0.1)
    assert "trait1: sample prevalence 0.5 with the total N" in caplog.text
    assert "trait0" not in caplog.text


def test_variants_that_do_not_match_show_ids_of_both_sides():
    scores = simulated_scores()
    traits = simulated_traits(scores, 2)
    for trait in traits.values():
        trait.variant_id[:] = [f"1:{name}" for name in trait.variant_id]
    with pytest.raises(InputError, match=r"none of the 2,969 variants of the summary statistics") as error:
        run(traits, scores)
    assert "1:rs" in str(error.value)
    assert "(the LD scores)" in str(error.value)


def test_two_traits_without_a_common_variant_are_named():
    scores = simulated_scores()
    traits = simulated_traits(scores, 3, missing=0)
    for name, half in (("trait0", slice(0, 1_500)), ("trait2", slice(1_500, None))):
        trait = traits[name]
        order = np.argsort([int(v[2:]) for v in trait.variant_id])[half]
        traits[name] = oracle.Trait(
            [trait.variant_id[i] for i in order], [trait.a1[i] for i in order], trait.z[order], trait.n[order]
        )
    with pytest.raises(InputError, match="trait0 and trait2 together"):
        run(traits, scores)


def test_a_trait_without_values_is_named():
    scores = simulated_scores()
    traits = simulated_traits(scores, 2)
    traits["trait1"].z[:] = np.nan
    with pytest.raises(InputError, match="trait trait1 of the summary statistics has no variant with LD scores"):
        run(traits, scores)


def test_ld_scores_that_cannot_be_used_are_refused():
    scores = simulated_scores()
    munged, ld = munged_dataset(simulated_traits(scores, 2)), scores_dataset(scores)
    for value in (7.0, 0.0, 1 / 3, 123.456):
        with pytest.raises(InputError, match="do not vary"):
            dg.ldsc.ldsc(munged, ld.assign(ld_score=ld["ld_score"] * 0 + value), n_blocks=20)
    two = ld.drop_vars(["annotation"]).assign(
        ld_score=(("variants", "annotations"), np.repeat(ld["ld_score"].values, 2, axis=1)),
        M_5_50=(("contigs", "annotations"), np.repeat(ld["M_5_50"].values, 2, axis=1)),
    )
    with pytest.raises(InputError, match="partitioned"):
        dg.ldsc.ldsc(munged, two, n_blocks=20)
    with pytest.raises(InputError, match="no separate weights"):
        dg.ldsc.ldsc(munged, ld.drop_vars("weight"), sep_weights=True)
    with pytest.raises(InputError, match="number of variants"):
        dg.ldsc.ldsc(munged, ld.drop_vars("M_5_50"))
    with pytest.raises(InputError, match="contigs cannot be selected"):
        dg.ldsc.ldsc(munged, ld.assign_attrs(M_scope="genome"), select=[1])
    with pytest.raises(InputError, match="ld_score is not there"):
        dg.ldsc.ldsc(munged, ld.drop_vars("ld_score"))


def test_sources_of_another_kind_are_refused(tmp_path):
    scores = simulated_scores()
    munged, ld = munged_dataset(simulated_traits(scores, 2)), scores_dataset(scores)
    path = write(tmp_path / "l.zarr", ld, "ld_scores")
    with pytest.raises(StoreError, match="another kind"):
        dg.ldsc.ldsc(path, path)
    with pytest.raises(StoreError, match="nothing at this path"):
        dg.ldsc.ldsc(tmp_path / "no.zarr", path)
    with pytest.raises(InputError, match="not munged statistics"):
        dg.ldsc.ldsc(munged.assign_attrs(purpose="gwas"), ld)
    with pytest.raises(InputError, match="path of a store"):
        dg.ldsc.ldsc(munged, 3)


def test_a_plan_over_the_memory_limit_is_refused():
    scores = simulated_scores()
    with pytest.raises(PlanError, match="per worker, the limit is"):
        run(simulated_traits(scores, 2), scores, memory_limit="100MB")


# Where it runs ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("threads", [1, 3])
def test_threads_do_not_change_a_bit(threads):
    scores = simulated_scores()
    traits = simulated_traits(scores, 10)
    wanted = run(traits, scores)
    with dask.config.set(num_workers=threads):
        assert run(traits, scores)["V"].values.tobytes() == wanted["V"].values.tobytes()
