"""`dg.ldsc.ld_scores`: windows, annotations, selections, and the exact scores of real genotypes."""

from __future__ import annotations

import logging

import dask
import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

import daskgen as dg
from daskgen.errors import InputError, PlanError, UsageError
from daskgen.ldsc.windows import Window, window_stops
from tests.genotypes.cohort import dataset, random_calls, store, structured_calls
from tests.oracles import ld_scores as oracle
from tests.shared_data import shared

M, N = 530, 61


@pytest.fixture(scope="module")
def cohort(tmp_path_factory):
    """(path, calls, contig, position): three contigs of awkward lengths, missing calls, variants that do not vary."""
    calls = random_calls(M, N, missing=0.05, seed=4)
    contig = np.repeat([0, 1, 2], [257, 1, M - 258])
    position = np.concatenate(
        [np.sort(np.random.default_rng(c).integers(1, 3_000, k)) for c, k in enumerate((257, 1, M - 258))]
    )
    path = store(tmp_path_factory.mktemp("scores") / "g.zarr", calls, rows=100, contig=contig, position=position)
    return path, calls, contig, position


def varies(calls):
    x = np.where(calls < 0, np.nan, calls).astype(float)
    return np.array([np.unique(row[~np.isnan(row)]).size > 1 for row in x])


def expected(calls, contig, coordinate, width, annotations=None):
    kept = varies(calls)
    values = np.ones((len(calls), 1)) if annotations is None else annotations
    return oracle.ld_scores(calls[kept], contig[kept], coordinate[kept], width, values[kept])


# Numbers ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("window", "width"), [("0.4kb", 400), ("1bp", 1), ("1,000bp", 1_000), ("1Mb", 1e6)])
def test_windows_in_base_pairs_end_with_their_contig(cohort, window, width):
    path, calls, contig, position = cohort
    found = dg.ldsc.ld_scores(path, window=window)
    np.testing.assert_allclose(found["ld_score"], expected(calls, contig, position, width), rtol=1e-5, atol=1e-5)
    assert found["M"].values.tolist() == [[float((varies(calls) & (contig == c)).sum())] for c in range(3)]


def test_windows_of_variants_count_those_that_vary(cohort):
    path, calls, contig, _ = cohort
    index = np.cumsum(varies(calls)) - 1
    found = dg.ldsc.ld_scores(path, window="30snps")
    np.testing.assert_allclose(found["ld_score"], expected(calls, contig, index, 30), rtol=1e-5, atol=1e-5)


def test_annotations_as_mapping_array_frame_and_file_are_the_same(cohort, tmp_path):
    path, calls, contig, position = cohort
    generator = np.random.default_rng(0)
    values = np.column_stack([np.ones(M), generator.random(M) < 0.2, generator.normal(size=M)])
    wanted = expected(calls, contig, position, 400, values)
    named = {"base": values[:, 0], "coding": values[:, 1].astype(bool), "score": values[:, 2]}
    ids = [f"rs{i}" for i in range(M)]
    frame = pd.DataFrame(named, index=ids)
    file = tmp_path / "all.annot.gz"
    table = frame.astype(float).reset_index(names="SNP")
    table.insert(0, "CHR", 1)
    table.insert(0, "BP", 5)
    table.sample(frac=1, random_state=1).to_csv(file, sep=" ", index=False)
    for given_as in (named, values, frame.iloc[::-1], frame.reset_index(drop=True), file):
        found = dg.ldsc.ld_scores(path, window="0.4kb", annotations=given_as)
        np.testing.assert_allclose(found["ld_score"], wanted, rtol=1e-5, atol=1e-4)
    assert found["annotation"].values.tolist() == ["base", "coding", "score"]
    kept = varies(calls)
    np.testing.assert_allclose(found["M"].sum("contigs"), values[kept].sum(axis=0))
    x = np.where(calls < 0, np.nan, calls)
    frequency = np.nanmean(x[kept].astype(float), axis=1) / 2
    common = np.minimum(frequency, 1 - frequency) > 0.05
    np.testing.assert_allclose(found["M_5_50"].sum("contigs"), values[kept][common].sum(axis=0))


def test_selected_samples_and_variants_are_the_whole_data(cohort):
    path, calls, contig, position = cohort
    samples = np.arange(N) % 3 > 0
    chosen = (contig == 2) & (np.arange(M) % 2 == 0)
    found = dg.ldsc.ld_scores(
        path, window="0.4kb", keep=samples, extract=[f"rs{i}" for i in np.flatnonzero(chosen)], maf_min=0.05
    )
    part = calls[chosen][:, samples]
    x = np.where(part < 0, np.nan, part).astype(float)
    with np.errstate(invalid="ignore"):
        frequency = np.nan_to_num(np.nanmean(x, axis=1) / 2)
    kept = np.minimum(frequency, 1 - frequency) >= 0.05
    wanted = expected(part[kept], contig[chosen][kept], position[chosen][kept], 400)
    np.testing.assert_allclose(found["ld_score"], wanted, rtol=1e-5, atol=1e-5)
    assert found["contig_id"].values.tolist() == ["3"]


def test_dosages_are_used_where_there_are_any(tmp_path):
    generator = np.random.default_rng(3)
    calls = structured_calls(90, 70)
    dosage = np.clip(calls + generator.normal(0, 0.1, calls.shape), 0, 2)
    path = store(tmp_path / "g.zarr", calls, rows=32, dosage=dosage)
    found = dg.ldsc.ld_scores(path, window="20snp")
    index = np.arange(90)
    wanted = oracle.ld_scores(np.round(dosage * 16384) / 16384, index * 0, index, 20, np.ones((90, 1)))
    np.testing.assert_allclose(found["ld_score"], wanted, rtol=1e-4, atol=1e-4)
    hard = dg.ldsc.ld_scores(path, window="20snp", dosage=False)
    np.testing.assert_allclose(
        hard["ld_score"], oracle.ld_scores(calls, index * 0, index, 20, np.ones((90, 1))), rtol=1e-4
    )


def test_windows_in_centimorgans_use_the_genetic_map(cohort):
    path, calls, contig, _ = cohort
    morgan = np.concatenate([np.linspace(0, 3, (contig == c).sum()) for c in range(3)])
    opened = dg.open_store(path).assign(variant_genetic_position=("variants", morgan))
    found = dg.ldsc.ld_scores(opened, window="0.5cM")
    np.testing.assert_allclose(found["ld_score"], expected(calls, contig, morgan, 0.5), rtol=1e-5, atol=1e-5)


def test_a_dataset_of_another_tool_is_one_contig_without_positions():
    calls = structured_calls(70, 40)
    found = dg.ldsc.ld_scores(dataset(calls), window="10snp")
    index = np.arange(70)
    np.testing.assert_allclose(
        found["ld_score"], oracle.ld_scores(calls, index * 0, index, 10, np.ones((70, 1))), rtol=1e-5
    )
    with pytest.raises(InputError, match="no positions"):
        dg.ldsc.ld_scores(dataset(calls), window="10kb")


def test_real_genotypes_have_the_exact_scores():
    import conversion

    bed = shared("data/formats/kg_eur378_chr22_hm3/1000G_eur_chr22.bed")
    reference = pd.read_csv(shared("reference/conversion/kg_eur378_chr22.ldscores.tsv.gz"), sep="\t")
    found = dg.ldsc.ld_scores(conversion.open(bed), window="1000kb")
    assert found["variant_id"].values.tolist() == reference["SNP"].tolist()
    assert np.abs(found["ld_score"].values[:, 0] - reference["L2_kb1000"]).max() < 5e-4
    assert (found["M"].values.item(), found["M_5_50"].values.item()) == (15_938, 14_465)


# Where it runs ------------------------------------------------------------------------------------------------------


def test_threads_and_processes_give_the_same_bits(tmp_path):
    calls = random_calls(5_000, 40, seed=9)  # three leaves
    path = store(tmp_path / "g.zarr", calls, rows=300)
    wanted = dg.ldsc.ld_scores(path, window="300snp")["ld_score"].values.tobytes()
    with dask.config.set(num_workers=1):
        assert dg.ldsc.ld_scores(path, window="300snp")["ld_score"].values.tobytes() == wanted
    with dg.cluster.connect("local:2"):
        assert dg.ldsc.ld_scores(path, window="300snp")["ld_score"].values.tobytes() == wanted


def test_chunks_of_the_store_do_not_change_a_bit(tmp_path):
    calls = random_calls(700, 33, seed=2)
    bits = {
        dg.ldsc.ld_scores(store(tmp_path / f"{rows}.zarr", calls, rows=rows), window="90snp")[
            "ld_score"
        ].values.tobytes()
        for rows in (64, 77, 700)
    }
    assert len(bits) == 1


# What it is for -----------------------------------------------------------------------------------------------------


def test_scores_are_stored_and_read_by_ldsc(cohort, tmp_path):
    found = dg.ldsc.ld_scores(cohort[0], window="0.4kb")
    place = dg.ldsc.to_store(found, tmp_path / "l.zarr")
    opened = dg.open_store(place)
    np.testing.assert_array_equal(opened["ld_score"], found["ld_score"])
    assert opened.attrs["M_scope"] == "contig"
    assert dg.verify(place) == []
    generator = np.random.default_rng(0)
    m = found.sizes["variants"]
    munged = dg.open_store(place)[["variant_id"]].assign(
        z=(("traits", "variants"), generator.normal(size=(2, m)) * 1.2),
        n=(("traits", "variants"), np.full((2, m), 5e4)),
        trait=("traits", np.array(["a", "b"], dtype=object)),
    )
    munged.attrs = {"purpose": "ldsc"}
    wanted = dg.ldsc.ldsc(munged, found, n_blocks=20)
    assert dg.ldsc.ldsc(munged, place, n_blocks=20)["V"].values.tobytes() == wanted["V"].values.tobytes()


def test_variants_that_do_not_vary_are_left_out_and_counted(cohort, caplog):
    path, calls, *_ = cohort
    with caplog.at_level(logging.INFO, logger="daskgen"):
        found = dg.ldsc.ld_scores(path, window="0.4kb")
    assert found.sizes["variants"] == varies(calls).sum() < M
    assert "that do not vary" in caplog.text


# Windows and bad input ----------------------------------------------------------------------------------------------


@given(
    contig=st.lists(st.integers(1, 20), min_size=1, max_size=5),
    width=st.floats(0.5, 40),
    seed=st.integers(0, 2**32),
)
def test_stops_are_the_last_variants_within_the_width(contig, width, seed):
    generator = np.random.default_rng(seed)
    index = np.repeat(np.arange(len(contig)), contig)
    x = np.concatenate([np.sort(generator.integers(0, 60, k)) for k in contig]).astype(float)
    found = window_stops(index, x, width)
    for i in range(len(x)):
        inside = [j for j in range(len(x)) if index[j] == index[i] and x[j] - x[i] <= width]
        assert found[i] == max(inside) + 1


@pytest.mark.parametrize(
    ("text", "width", "unit"),
    [("1cM", 1, "cM"), ("1000kb", 1e6, "bp"), ("1 Mb", 1e6, "bp"), ("500 SNPs", 500, "snp"), (".5cm", 0.5, "cM")],
)
def test_windows_are_a_number_with_a_unit(text, width, unit):
    assert Window.of(text) == Window(width, unit)


@pytest.mark.parametrize("text", ["1000", "cM", "1 mile", "0kb", "-5kb", ""])
def test_other_windows_are_refused(text, cohort):
    with pytest.raises(UsageError, match="window"):
        dg.ldsc.ld_scores(cohort[0], window=text)


def test_genotypes_that_cannot_be_used_are_refused(cohort, tmp_path):
    path, calls, contig, position = cohort
    with pytest.raises(InputError, match="no genetic positions"):
        dg.ldsc.ld_scores(path)
    backwards = store(tmp_path / "b.zarr", calls, contig=contig, position=position[::-1].copy())
    with pytest.raises(InputError, match="order of their positions"):
        dg.ldsc.ld_scores(backwards, window="1kb")
    torn = store(tmp_path / "t.zarr", calls, contig=np.arange(M) % 2)
    with pytest.raises(InputError, match="not next to each other"):
        dg.ldsc.ld_scores(torn, window="1kb")
    with pytest.raises(InputError, match="at least three samples"):
        dg.ldsc.ld_scores(path, window="1kb", keep=["s1", "s2"])
    with pytest.raises(InputError, match="no variant varies"):
        dg.ldsc.ld_scores(store(tmp_path / "m.zarr", np.ones((5, 9), np.int8)), window="1kb")
    with pytest.raises(UsageError, match="has no argument 'kepe'"):
        dg.ldsc.ld_scores(path, window="1kb", kepe=["s1"])
    with pytest.raises(PlanError, match="per worker"):
        dg.ldsc.ld_scores(path, window="1kb", memory_limit="100MB")


@pytest.mark.parametrize(
    ("annotations", "message"),
    [
        (np.ones(3), "one row for each variant"),
        ({"a": np.ones(3)}, "one value for each variant"),
        ({}, "one value for each variant"),
        (np.full((M, 1), np.nan), "not finite"),
        (np.full((M, 1), "x"), "must be numbers"),
        (pd.DataFrame({"a": [1.0]}, index=["rs1"]), "529 of 530 variants have no annotation"),
        (pd.DataFrame({"a": [1.0, 2.0]}, index=["rs1", "rs1"]), "more than once"),
        ("nowhere.annot", "cannot be read"),
    ],
)
def test_annotations_that_do_not_fit_are_refused(annotations, message, cohort):
    with pytest.raises(InputError, match=message):
        dg.ldsc.ld_scores(cohort[0], window="1kb", annotations=annotations)


def test_only_results_of_this_package_are_stored(tmp_path):
    with pytest.raises(UsageError, match="results of daskgen.ldsc"):
        dg.ldsc.to_store(dataset(structured_calls(5, 6)), tmp_path / "x.zarr")
