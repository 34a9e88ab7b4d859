"""Reports: one file that needs nothing else, with the numbers of the result in it."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import daskgen as dg
from daskgen.cli.app import invoke
from daskgen.errors import InputError, StoreError, UsageError
from daskgen.reporting.page import escaped, table

pytest.importorskip("matplotlib")


class Reader(HTMLParser):
    """What a browser would show: headings and all text; every tag that was opened must be closed."""

    def __init__(self):
        super().__init__()
        self.open, self.headings, self.text, self.pictures = [], [], [], 0

    def handle_starttag(self, tag, attrs):
        self.pictures += tag in ("img", "svg")
        for name, value in attrs:
            assert not (name in ("src", "href") and value.startswith("http")), f"{tag} needs the network: {value}"
        if tag not in ("meta", "img", "br"):
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        pass

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open and self.open[-1] in ("h1", "h2", "h3", "h4"):
            self.headings.append(data)
        self.text.append(data)


def read(path):
    reader = Reader()
    reader.feed(Path(path).read_text(encoding="utf-8"))
    reader.close()
    assert not reader.open
    return reader, " ".join(reader.text)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A store of every kind, as small as they come."""
    folder = tmp_path_factory.mktemp("results")
    cohort = str(folder / "cohort.zarr")
    dg.simulate.genotypes(cohort, n_samples=120, n_variants=300, missing_rate=0.02, populations=2, seed=3)
    phenotypes = dg.simulate.phenotypes(cohort, h2=0.6, n_causal=5, seed=3)
    dg.reml.fit(cohort, phenotypes, method="exact").to_store(str(folder / "height.zarr"))
    dg.reml.gwas(cohort, phenotypes, min_mac=1).dg.to_store(str(folder / "scan.zarr"))
    dg.bayes.fit(cohort, phenotypes, chain_length=40, burn_in=10, chains=2).to_store(str(folder / "draws.zarr"))
    s = np.array([[0.4, 0.2, 0.1], [0.2, 0.3, 0.1], [0.1, 0.1, 0.2]])
    structure = dg.ldsc.covstruct(s, np.diag([1, 2, 3, 4, 5, 6]) * 1e-4, traits=["A", "B<i>", "C"])
    fit = dg.sem.commonfactor(dg.ldsc.covstruct(s, np.diag([1, 2, 3, 4, 5, 6]) * 1e-4, traits=["A", "B", "C"]))
    fit.to_store(str(folder / "factor.zarr"))
    (folder / "other").mkdir()
    (folder / "broken.zarr").mkdir()
    return folder, phenotypes, structure, fit


def test_a_folder_gives_a_section_for_each_store(folder, tmp_path):
    where, *_ = folder
    out = tmp_path / "all.html"
    assert dg.report(where, out) == str(out)
    reader, text = read(out)
    for name in ("cohort.zarr", "height.zarr", "scan.zarr", "draws.zarr", "factor.zarr"):
        assert name in reader.headings
    assert "broken.zarr" in text  # named as left out
    assert reader.pictures >= 8


def test_variance_components_are_those_of_the_fit(folder, tmp_path):
    where, *_ = folder
    fit = dg.reml.RemlFit.open(str(where / "height.zarr"))
    _, text = read(dg.report(str(where / "height.zarr"), tmp_path / "height.html"))
    for value in (*fit.variance_components["estimate"], *fit.heritability["h2"], fit.log_likelihood):
        assert escaped(float(value)) in text
    assert "Where it comes from" in text


def test_a_fit_in_memory_has_the_report_of_its_store(folder, tmp_path):
    where, _, _, fit = folder
    memory, _ = read(dg.report(fit, tmp_path / "memory.html"))
    store, _ = read(dg.report(str(where / "factor.zarr"), tmp_path / "store.html"))
    assert [h for h in store.headings[1:] if h != "Where it comes from"] == memory.headings[1:]
    assert escaped(float(fit.estimates["est"].iloc[0])) in " ".join(memory.text)


def test_names_are_text_and_never_tags(folder, tmp_path):
    _, _, structure, _ = folder
    _, text = read(dg.report(structure, tmp_path / "structure.html", title="A & <b>"))
    assert "B<i>" in text
    assert "A & <b>" in text


def test_scans_list_their_hits(folder, tmp_path):
    where, *_ = folder
    scan = dg.open_store(str(where / "scan.zarr"))
    _, text = read(dg.report(scan, tmp_path / "scan.html"))
    assert escaped(float(scan.dg.lambda_gc())) in text
    for name in scan.dg.top(p=5e-8)["variant_id"].head(20):
        assert name in text


def test_a_table_says_how_many_rows_it_leaves_out():
    shown = table(pd.DataFrame({"x": np.arange(7.0), "y": list("abcdefg")}), most=3)
    assert shown.count("<tr>") == 4
    assert "3 of 7 rows" in shown
    assert escaped(np.nan) == ""
    assert escaped(None) == ""
    assert escaped(True) == "yes"
    assert escaped("<") == "&lt;"


@pytest.mark.parametrize(
    ("what", "out", "error", "message"),
    [
        (3.5, "a.html", InputError, "there is no report of this"),
        ("cohort.zarr", "a.txt", UsageError, "ends in .html"),
        ("cohort.zarr", "none/a.html", UsageError, "folder does not exist"),
        ("missing.zarr", "a.html", StoreError, "nothing at this path"),
        ("other", "a.html", StoreError, "no store"),
    ],
)
def test_what_cannot_be_reported_is_refused_and_leaves_nothing(folder, tmp_path, what, out, error, message):
    where, *_ = folder
    source = str(where / what) if isinstance(what, str) else what
    with pytest.raises(error, match=re.escape(message)):
        dg.report(source, tmp_path / out)
    assert not list(tmp_path.iterdir())


def test_a_report_is_not_overwritten_without_force(folder, tmp_path):
    where, *_ = folder
    out = tmp_path / "x.html"
    out.write_text("mine")
    with pytest.raises(StoreError, match="exists"):
        dg.report(str(where / "height.zarr"), out)
    assert out.read_text() == "mine"
    dg.report(str(where / "height.zarr"), out, force=True)
    assert "<html" in out.read_text()


def test_the_command_writes_a_report(folder, tmp_path, capsys):
    where, *_ = folder
    out = tmp_path / "x.html"
    assert invoke(["report", str(where / "cohort.zarr"), "--out", str(out)]) == 0
    assert str(out) in capsys.readouterr().out
    read(out)


@pytest.mark.parametrize(
    ("store", "expected"),
    [
        ("height.zarr", r"Phenotypes +trait_1: h2 0\.\d+ \(SE 0\.\d+\), 120 samples"),
        ("draws.zarr", r"Draws +2 chains of 30"),
        ("factor.zarr", r"Fit +DWLS, 6 free parameters, converged"),
        ("scan.zarr", r"Variants +300 on 22 contigs"),
    ],
)
def test_info_says_in_words_what_a_result_holds(folder, capsys, store, expected):
    where, *_ = folder
    assert invoke(["info", str(where / store)]) == 0
    assert re.search(expected, capsys.readouterr().out)


def test_single_cells_are_reported_with_the_steps_that_were_made(tmp_path):
    path = str(tmp_path / "cells.zarr")
    dg.simulate.cells(path, n_cells=300, n_genes=600, n_types=3, seed=1)
    before, _ = read(dg.report(path, tmp_path / "before.html"))
    assert before.pictures == 0
    genes = dg.cells.open(path).var_names.tolist()
    dg.cells.pipeline(path, n_top_genes=100, n_comps=5, gene_sets={"a": genes[:30], "b": genes[30:60]})
    reader, text = read(dg.report(path, tmp_path / "after.html"))
    assert {"Single cells", "Quality", "Components", "Gene sets"} <= set(reader.headings)
    assert reader.pictures == 4
    assert "300" in text


def test_info_and_report_of_components(folder, tmp_path, capsys):
    where, *_ = folder
    out = tmp_path / "pca.zarr"
    assert invoke(["pca", str(where / "cohort.zarr"), "--n", "3", "--out", str(out)]) == 0
    capsys.readouterr()
    assert invoke(["info", str(out)]) == 0
    assert re.search(r"Shares +PC1 [\d.]+ %, PC2 [\d.]+ %, PC3", capsys.readouterr().out)
    reader, _ = read(dg.report(str(out), tmp_path / "pca.html"))
    assert reader.pictures == 2
