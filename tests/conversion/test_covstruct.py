"""Covariance structures from what R users pass around, and back."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import conversion
import daskgen as dg
from conversion.r_objects import read_r_objects
from daskgen.errors import InputError, MissingPackageError, StoreError, UsageError
from tests.shared_data import shared

PARTS = ("S", "V", "I", "N", "m", "S_Stand", "V_Stand")
ENDINGS = (".rds", ".RData", ".json", ".txt")


def structure(traits: tuple[str, ...] = ("A", "B.c", "D_1")):
    generator = np.random.default_rng(0)
    k, q = len(traits), len(traits) * (len(traits) + 1) // 2
    loading = generator.normal(size=(k, 2))
    error = generator.normal(size=(q, q + 3)) * 1e-2
    return dg.ldsc.covstruct(
        loading @ loading.T + 0.3 * np.eye(k),
        error @ error.T,
        traits=traits,
        I=np.eye(k) + 0.02,
        N=generator.uniform(1e4, 1e5, q),
        m=1_173_569,
    )


@pytest.mark.parametrize("ending", ENDINGS)
def test_an_export_is_read_back_to_the_last_bit(ending, tmp_path):
    if ending in (".rds", ".RData"):
        pytest.importorskip("rdata")
    original = structure()
    path = conversion.export_covstruct(original, tmp_path / f"c{ending}")
    found = conversion.covstruct(path, tmp_path / "c.zarr").open()
    assert found["trait"].values.tolist() == ["A", "B.c", "D_1"]
    for name in PARTS:
        np.testing.assert_array_equal(found[name].values, original[name].values, err_msg=name)
    assert dg.verify(tmp_path / "c.zarr") == []
    again = conversion.export_covstruct(str(tmp_path / "c.zarr"), tmp_path / f"again{ending}")
    assert Path(again).read_bytes()[-40:] == Path(path).read_bytes()[-40:]


def test_the_output_of_r_is_read_with_its_names(tmp_path):
    pytest.importorskip("rdata")
    folder = shared("reference/sem/expected")
    found = conversion.covstruct(folder / "ldsc.rds", tmp_path / "r.zarr")
    assert found.traits == ("T1", "T2", "T3", "T4", "T5", "T6")
    opened, as_json = found.open(), json.loads((folder / "ldsc.json").read_text())
    for name in PARTS:
        wanted = as_json[name]["rows"] if isinstance(as_json[name], dict) else as_json[name]
        # R writes 17 digits, but rounds in between.
        np.testing.assert_allclose(opened[name].values.reshape(-1), np.ravel(wanted), rtol=1e-15, err_msg=name)
    same = conversion.covstruct(folder / "ldsc.json", tmp_path / "j.zarr").open()
    np.testing.assert_allclose(same["V"], opened["V"], rtol=1e-15)
    assert found.parts == ("S", "V", "I", "N", "m", "S_Stand", "V_Stand")


@pytest.mark.parametrize("name", ["first3", "heywood", "nonpd"])
def test_structures_that_are_not_positive_definite_are_kept(name, tmp_path):
    source = shared("reference/sem/inputs", f"covstruc_{name}.json")
    opened = conversion.covstruct(source, tmp_path / "c.zarr").open()
    content = json.loads(source.read_text())["S"]
    rows = content["rows"] if isinstance(content, dict) else content
    np.testing.assert_allclose(opened["S"], rows, rtol=1e-12)


def test_an_r_file_has_the_form_that_genomicsem_takes(tmp_path):
    pytest.importorskip("rdata")
    conversion.export_covstruct(structure(), tmp_path / "c.RData")
    (name,) = objects = read_r_objects(str(tmp_path / "c.RData"))
    assert name == "LDSCoutput"
    assert list(objects[name])[:5] == ["V", "S", "I", "N", "m"]
    assert list(objects[name]["S"].columns) == ["A", "B.c", "D_1"]
    assert objects[name]["N"].shape == (1, 6)


def test_a_folder_of_matrices_as_r_writes_them(tmp_path):
    original = structure()
    folder = tmp_path / "matrices"
    folder.mkdir()
    s = pd.DataFrame(original["S"].values, columns=["A", "B.c", "D_1"])
    s.index += 1
    s.to_csv(folder / "S.csv", float_format="%.17g")  # write.csv: numbers of rows, an empty first header
    v = pd.DataFrame(original["V"].values, columns=[f"V{i}" for i in range(1, 7)])
    text = v.to_csv(sep=" ", float_format="%.17g").replace(" V1", "V1", 1)  # write.table: one header fewer
    (folder / "V.txt").write_text(text)
    (folder / "m.txt").write_text("1173569\n")
    found = conversion.covstruct(folder, tmp_path / "c.zarr").open()
    assert found["trait"].values.tolist() == ["A", "B.c", "D_1"]
    np.testing.assert_array_equal(found["S"], original["S"])
    np.testing.assert_array_equal(found["V"], original["V"])
    assert float(found["m"]) == 1_173_569


def test_json_of_plain_lists_has_the_names_of_r(tmp_path):
    path = tmp_path / "c.json"
    path.write_text(json.dumps({"S": [[0.2, 0.1], [0.1, 0.3]], "V": np.diag([1e-3, 2e-3, 3e-3]).tolist()}))
    assert conversion.covstruct(path, tmp_path / "c.zarr").traits == ("V1", "V2")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"S": [[1.0]]}, "has no V"),
        ({}, "has no S and no V"),
        ({"S": [[1.0, 0.2], [0.1, 1.0]], "V": np.eye(3).tolist()}, "S is not symmetric"),
        ({"S": [[1.0, 0.2], [0.2, 1.0]], "V": np.eye(2).tolist()}, "V does not fit S of 2 traits"),
        ({"S": [[1.0, None], [None, 1.0]], "V": np.eye(3).tolist()}, "not finite"),
        ({"S": [[1.0, "a"], ["a", 1.0]], "V": np.eye(3).tolist()}, "no matrix of numbers"),
        ({"S": [[1.0]], "V": [[0.0]]}, "not positive"),
        ({"S": [[1.0, 0.2], [0.2, 1.0]], "V": np.eye(3).tolist(), "traits": ["a", "a"]}, "same name"),
        ({"S": [[1.0, 0.2], [0.2, 1.0]], "V": np.eye(3).tolist(), "traits": ["a"]}, "name every row"),
        ({"S": [[1.0]], "V": [[1.0]], "N": [1, 2]}, "N needs one value"),
        ({"S": [[1.0]], "V": [[1.0]], "I": [[1, 0], [0, 1]]}, "I does not fit S"),
        ([1, 2], "must hold one JSON object"),
    ],
)
def test_parts_that_do_not_fit_are_refused(content, message, tmp_path):
    path = tmp_path / "c.json"
    path.write_text(json.dumps(content))
    with pytest.raises(InputError, match=message):
        conversion.covstruct(path, tmp_path / "c.zarr")
    assert not (tmp_path / "c.zarr").exists()


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("c.json", b"{", "is no JSON"),
        ("c.txt", b"0.1 0.2\n0.2 0.3\n", "does not begin with the name of a matrix"),
        ("c.txt", b"S\nx\n\nV\n1\n", "has a header and no rows"),
        ("c.txt", b"S\n1 x\n\nV\n1\n", "S has a header and no rows|must hold numbers"),
        ("c.txt", b"\xff\xfe\x00", "not a text file"),
        ("c.rds", b"no R", "cannot be read as a file of R"),
        ("c.RData", b"", "cannot be read as a file of R"),
    ],
)
def test_files_that_cannot_be_read_are_named(name, content, message, tmp_path):
    if name.lower().endswith((".rds", ".rdata")):
        pytest.importorskip("rdata")
    (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError, match=message):
        conversion.covstruct(tmp_path / name, tmp_path / "c.zarr")
    with pytest.raises(InputError, match="no such file"):
        conversion.covstruct(tmp_path / f"not_{name}", tmp_path / "c.zarr")


def test_r_files_with_several_or_stratified_or_no_structures(tmp_path):
    rdata = pytest.importorskip("rdata")
    with pytest.raises(InputError, match="stratified"):
        conversion.covstruct(shared("reference/sem/expected/s_ldsc.rds"), tmp_path / "c.zarr")
    one = {"S": np.eye(1), "V": np.eye(1)}
    rdata.write_rda(tmp_path / "two.RData", {"a": one, "b": one})
    with pytest.raises(InputError, match=r"several covariance structures(.|\n)*a, b"):
        conversion.covstruct(tmp_path / "two.RData", tmp_path / "c.zarr")
    rdata.write_rda(tmp_path / "loose.RData", one)
    assert conversion.covstruct(tmp_path / "loose.RData", tmp_path / "c.zarr").traits == ("V1",)
    rdata.write_rds(tmp_path / "none.rds", {"x": np.eye(1)})
    with pytest.raises(InputError, match="holds no covariance structure"):
        conversion.covstruct(tmp_path / "none.rds", tmp_path / "d.zarr")


def test_without_the_package_it_is_said_what_installs_it(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "rdata", None)
    (tmp_path / "c.rds").write_bytes(b"")
    with pytest.raises(MissingPackageError, match=r"daskgen\[formats\]"):
        conversion.covstruct(tmp_path / "c.rds", tmp_path / "c.zarr")
    with pytest.raises(MissingPackageError):
        conversion.export_covstruct(structure(), tmp_path / "d.rds")
    assert not (tmp_path / "d.rds").exists()


def test_exports_do_not_overwrite_and_need_a_known_ending(tmp_path):
    (tmp_path / "c.json").write_text("mine")
    with pytest.raises(StoreError, match="--force"):
        conversion.export_covstruct(structure(), tmp_path / "c.json")
    assert (tmp_path / "c.json").read_text() == "mine"
    conversion.export_covstruct(structure(), tmp_path / "c.json", force=True)
    with pytest.raises(UsageError, match="ending"):
        conversion.export_covstruct(structure(), tmp_path / "c.xlsx")


def test_undefined_correlations_are_left_out_of_exports(tmp_path):
    negative = dg.ldsc.covstruct([[0.2, 0.1], [0.1, -0.1]], np.diag([1e-3, 1e-3, 1e-3]), traits=["a", "b"])
    conversion.export_covstruct(negative, tmp_path / "c.json")
    assert set(json.loads((tmp_path / "c.json").read_text())) == {"traits", "S", "V"}
