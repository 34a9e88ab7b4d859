"""LDSC's LD scores to a store: prefixes, chromosomes, weights, M, annotations, and files that don't fit."""

from __future__ import annotations

import gzip
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import conversion
import daskgen as dg
from daskgen.errors import InputError, StoreError
from tests.shared_data import shared

CHROMOSOMES = ("1", "2", "10", "X")


def table(chromosome: str, scores: tuple[str, ...] = ("L2",), rows: int = 5) -> pd.DataFrame:
    generator = np.random.default_rng(sum(map(ord, chromosome)))
    frame = pd.DataFrame(
        {
            "CHR": chromosome,
            "SNP": [f"rs{chromosome}{i}" for i in range(rows)],
            "BP": np.arange(rows, 0, -1) * 100,  # not in order
            "CM": 0.5,
            "MAF": 0.2,
        }
    )
    for name in scores:
        frame[name] = generator.normal(5, 4, rows).round(3)
    return frame


def write_scores(folder: Path, name: str = "", scores: tuple[str, ...] = ("L2",), *, m: str = "M_5_50") -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for number, chromosome in enumerate(CHROMOSOMES, 1):
        table(chromosome, scores).to_csv(folder / f"{name}{chromosome}.l2.ldscore.gz", sep="\t", index=False)
        numbers = "\t".join(str(1_000 * number + i) for i in range(len(scores)))
        (folder / f"{name}{chromosome}.l2.{m}").write_text(numbers + "\n")
    return folder


def expected(scores: tuple[str, ...] = ("L2",)) -> pd.DataFrame:
    return pd.concat([table(c, scores).sort_values("BP") for c in CHROMOSOMES], ignore_index=True)


# What is read -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "prefix"),
    [
        ("", "{}"),
        ("", "{}/"),
        ("", "{}/@"),
        ("set.", "{}"),
        ("set.", "{}/set."),
        ("set.", "{}/set"),
        ("set.", "{}/set.@"),
        ("chr", "{}/chr"),
    ],
)
def test_any_form_of_prefix_finds_the_files_in_numeric_order(tmp_path, name, prefix):
    folder = write_scores(tmp_path / "ld [1]", name)
    found = conversion.ld_scores(prefix.format(folder), tmp_path / "l.zarr")
    opened = found.open()
    wanted = expected()
    assert opened["contig_id"].values.tolist() == list(CHROMOSOMES)
    assert opened["variant_id"].values.tolist() == wanted["SNP"].tolist()
    assert opened["variant_position"].values.tolist() == wanted["BP"].tolist()
    np.testing.assert_array_equal(opened["ld_score"].values[:, 0], wanted["L2"])
    assert (opened["ld_score"].values < 0).any()  # negative scores are kept
    assert opened["M_5_50"].values.tolist() == [[1000], [2000], [3000], [4000]]
    assert opened["annotation"].values.tolist() == ["L2"]
    assert "M" not in opened
    assert found.n_variants == 20
    assert dg.verify(found.path) == []


def test_partitioned_scores_have_the_names_of_their_annotations(tmp_path):
    scores = ("baseL2", "codingL2", "L2L2")
    folder = write_scores(tmp_path / "ld", "part.", scores, m="M")
    write_scores(tmp_path / "ld", "part.", scores)
    opened = conversion.ld_scores(folder / "part.", tmp_path / "l.zarr").open()
    assert opened["annotation"].values.tolist() == ["base", "coding", "L2"]
    np.testing.assert_array_equal(opened["ld_score"], expected(scores)[list(scores)])
    assert opened["M"].values[2].tolist() == opened["M_5_50"].values[2].tolist() == [3000, 3001, 3002]


def test_weights_are_joined_by_id(tmp_path, caplog):
    folder = write_scores(tmp_path / "ld")
    weights = write_scores(tmp_path / "w")
    one = pd.read_csv(weights / "2.l2.ldscore.gz", sep="\t").iloc[[3, 1]]
    one.to_csv(weights / "2.l2.ldscore.gz", sep=" ", index=False)
    opened = conversion.ld_scores(folder, tmp_path / "l.zarr", weights=weights).open()
    weight = pd.Series(opened["weight"].values, index=opened["variant_id"].values.astype(object))
    assert "3 of 20 variants have no weight" in caplog.text
    assert weight.isna().sum() == 3
    np.testing.assert_array_equal(weight[one["SNP"]], one["L2"])


def test_overlaps_are_over_common_variants(tmp_path):
    scores = ("baseL2", "codingL2", "scoreL2")
    folder = write_scores(tmp_path / "ld", "p.", scores)
    generator = np.random.default_rng(0)
    wanted = []
    for chromosome in CHROMOSOMES:
        ids = [f"any{chromosome}{i}" for i in range(30)]  # more variants than have scores
        frequency = generator.uniform(0, 1, 30)
        annot = pd.DataFrame(
            {"CHR": chromosome, "BP": 1, "SNP": ids, "CM": 0, "coding": generator.integers(0, 2, 30)}
        ).assign(score=generator.normal(size=30), base=1)
        annot.to_csv(folder / f"p.{chromosome}.annot.gz", sep="\t", index=False)
        shuffled = generator.permutation(30)
        pd.DataFrame({"SNP": np.array(ids)[shuffled], "MAF": frequency[shuffled]}).to_csv(
            folder / f"f.{chromosome}.frq", sep=" ", index=False
        )
        common = (frequency > 0.05) & (frequency < 0.95)
        values = annot.loc[common, ["base", "coding", "score"]].to_numpy(float)
        wanted.append(values.T @ values)
    opened = conversion.ld_scores(
        folder / "p.", tmp_path / "l.zarr", annotations=folder / "p.", frequencies=folder / "f."
    ).open()
    np.testing.assert_allclose(opened["annotation_overlap"], wanted, rtol=1e-12)
    assert opened["annotation_is_binary"].values.tolist() == [[True, True, False]] * 4
    with pytest.raises(InputError, match="frequencies are needed"):
        conversion.ld_scores(folder / "p.", tmp_path / "x.zarr", annotations=folder / "p.")
    (folder / "p.10.annot.gz").unlink()
    with pytest.raises(InputError, match="annotations are needed for each chromosome"):
        conversion.ld_scores(folder / "p.", tmp_path / "x.zarr", annotations=folder / "p.", frequencies=folder / "f.")


def test_one_file_for_all_chromosomes_has_one_m(tmp_path):
    everything = pd.concat([table(c) for c in ("10", "2", "1")])
    everything.to_csv(tmp_path / "UKBB.EUR.l2.ldscore", sep="\t", index=False)
    (tmp_path / "UKBB.EUR.l2.M_5_50").write_text("12345\n")
    for prefix in ("UKBB.EUR", "UKBB.EUR.l2.ldscore"):
        opened = conversion.ld_scores(tmp_path / prefix, tmp_path / "l.zarr", force=True).open()
        assert opened["contig_id"].values.tolist() == ["1", "2", "10"]
        assert opened["M_5_50"].values.tolist() == [[12345], [0], [0]]
        assert opened.attrs["M_scope"] == "genome"


def test_of_a_repeated_id_the_first_is_kept_and_the_others_counted(tmp_path):
    folder = write_scores(tmp_path / "ld")
    one = table("2")
    one.loc[4, "SNP"] = "rs12"  # also on chromosome 1
    one.to_csv(folder / "2.l2.ldscore.gz", sep="\t", index=False)
    found = conversion.ld_scores(folder, tmp_path / "l.zarr")
    assert found.dropped == {"repeated ids": 1}
    assert found.n_variants == 19
    assert "left out 1 repeated ids" in str(found)


def test_content_decides_how_a_file_is_unpacked(tmp_path):
    folder = write_scores(tmp_path / "ld")
    plain = gzip.decompress((folder / "1.l2.ldscore.gz").read_bytes())
    (folder / "1.l2.ldscore.gz").write_bytes(plain)  # unpacked and not renamed
    assert conversion.ld_scores(folder, tmp_path / "l.zarr").n_variants == 20


# What does not fit --------------------------------------------------------------------------------------------------


def spoil(folder: Path, what: str) -> None:
    file, m = folder / "2.l2.ldscore.gz", folder / "2.l2.M_5_50"
    if what == "cut":
        file.write_bytes(file.read_bytes()[:-20])
    elif what == "empty":
        file.write_bytes(gzip.compress(b""))
    elif what == "no column":
        table("2").drop(columns="BP").to_csv(file, sep="\t", index=False)
    elif what == "no score":
        table("2").drop(columns="L2").to_csv(file, sep="\t", index=False)
    elif what == "text":
        table("2").astype({"L2": object}).replace({"L2": {table("2")["L2"][3]: "high"}}).to_csv(
            file, sep="\t", index=False
        )
    elif what == "missing":
        table("2").assign(L2=[1, 2, None, 4, 5]).to_csv(file, sep="\t", index=False)
    elif what == "other chromosome":
        table("2").assign(CHR=3).to_csv(file, sep="\t", index=False)
    elif what == "other annotations":
        table("2", ("baseL2",)).to_csv(file, sep="\t", index=False)
    elif what == "twice":
        shutil.copy(file, folder / "chr2.l2.ldscore.gz")
    elif what == "no m":
        m.unlink()
    elif what == "no m at all":
        for path in folder.glob("*.M_5_50"):
            path.unlink()
    elif what == "m of two":
        m.write_text("1 2\n")
    elif what == "m of words":
        m.write_text("many\n")


@pytest.mark.parametrize(
    ("what", "message"),
    [
        ("cut", "2.l2.ldscore.gz cannot be read to its end"),
        ("empty", "2.l2.ldscore.gz cannot be read as a table"),
        ("no column", "2.l2.ldscore.gz has no column BP"),
        ("no score", "has no LD scores"),
        ("text", "line 5: L2 is not a number.\n  found     high"),
        ("missing", "line 4: L2 is missing"),
        ("other chromosome", "should hold chromosome 2 only"),
        ("other annotations", "other annotations than the file before it"),
        ("twice", "two files with the LD scores of chromosome"),
        ("no m", "2.l2.M_5_50 is not there"),
        ("no m at all", "the number of variants .* is nowhere"),
        ("m of two", "does not fit the LD scores"),
        ("m of words", "must hold numbers only"),
    ],
)
def test_files_that_do_not_fit_stop_with_their_name(tmp_path, what, message):
    folder = write_scores(tmp_path / "ld")
    spoil(folder, what)
    with pytest.raises(InputError, match=message):
        conversion.ld_scores(folder, tmp_path / "l.zarr")
    assert not (tmp_path / "l.zarr").exists()


def test_a_prefix_that_leads_nowhere_or_to_several_sets(tmp_path):
    with pytest.raises(InputError, match=r"no LD scores were found(.|\n)*nothing.1.l2.ldscore.gz"):
        conversion.ld_scores(tmp_path / "nothing", tmp_path / "l.zarr")
    with pytest.raises(InputError, match="no LD scores were found"):
        conversion.ld_scores(tmp_path, tmp_path / "l.zarr")
    write_scores(tmp_path / "ld", "a.")
    write_scores(tmp_path / "ld", "b.")
    with pytest.raises(InputError, match=r"several sets(.|\n)*ld/a\., .*ld/b\."):
        conversion.ld_scores(tmp_path / "ld", tmp_path / "l.zarr")


def test_weights_that_do_not_fit_are_refused(tmp_path):
    folder = write_scores(tmp_path / "ld")
    two = write_scores(tmp_path / "two", "", ("aL2", "bL2"))
    with pytest.raises(InputError, match="weights are one LD score"):
        conversion.ld_scores(folder, tmp_path / "l.zarr", weights=two)
    other = write_scores(tmp_path / "other")
    for path in other.glob("*.gz"):
        frame = pd.read_csv(path, sep="\t")
        frame.assign(SNP="x" + frame["SNP"]).to_csv(path, sep="\t", index=False)
    with pytest.raises(InputError, match=r"none of the variants has a weight(.|\n)*xrs"):
        conversion.ld_scores(folder, tmp_path / "l.zarr", weights=other)


def test_an_existing_store_is_replaced_only_with_force(tmp_path):
    folder = write_scores(tmp_path / "ld")
    conversion.ld_scores(folder, tmp_path / "l.zarr")
    with pytest.raises(StoreError, match="--force"):
        conversion.ld_scores(folder, tmp_path / "l.zarr")
    conversion.ld_scores(folder, tmp_path / "l.zarr", force=True)


# Real files ---------------------------------------------------------------------------------------------------------


def test_the_complete_european_scores(tmp_path):
    opened = conversion.ld_scores(shared("data/ldscores/eur_w_ld_chr"), tmp_path / "l.zarr").open()
    assert opened.sizes["variants"] == 1_290_028
    assert float(opened["M_5_50"].sum()) == 1_173_569
    score = opened["ld_score"].values
    assert score.mean() == pytest.approx(23.09, abs=0.005)
    assert (score.min(), score.max()) == (pytest.approx(-0.264, abs=5e-4), pytest.approx(305.2, abs=0.05))
    assert opened["contig_id"].values.tolist() == [str(c) for c in range(1, 23)]


def test_scores_without_map_and_frequency_columns_and_a_stratified_set(tmp_path):
    east = conversion.ld_scores(shared("data/ldscores/eas_subset"), tmp_path / "e.zarr").open()
    assert {"M", "M_5_50"} <= set(east)
    folder = shared("data/ldscores/annot_ukb_chr20_22")
    found = conversion.ld_scores(
        folder / "annot.", tmp_path / "a.zarr", weights=folder / "weights.", annotations=folder / "annot."
    )
    opened = found.open()
    assert found.n_variants == 9_152
    assert opened["annotation"].values.tolist()[-1] == "base"
    assert not np.isnan(opened["weight"]).any()
    # Every variant is in base, so the overlap with base is the sum of the annotation.
    np.testing.assert_array_equal(opened["annotation_overlap"].values[:, -1].sum(axis=0), opened["M"].sum("contigs"))
