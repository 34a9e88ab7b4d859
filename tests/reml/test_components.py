"""Sets of variants: by contig, mappings, specification files."""

from __future__ import annotations

import json

import numpy as np
import pytest

from daskgen.errors import InputError, UsageError
from daskgen.genotypes.source import open_source
from daskgen.reml.components import read_components
from tests.reml.data import cohort


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    contig = np.repeat([0, 1, 2], [20, 30, 10])
    return open_source(cohort(tmp_path_factory.mktemp("c"), n=20, m=60, contig=contig).path)


def test_one_component_by_default(source):
    found = read_components(None, source, None)
    assert found.names == ("genetic",)
    assert found.members.all()


def test_by_contig(source):
    found = read_components("contig", source, None)
    assert found.names == ("1", "2", "3")
    assert found.members.sum(axis=0).tolist() == [20, 30, 10]


def test_indices_masks_overlap_and_nothing(source):
    mask = np.zeros(60, bool)
    mask[5:] = True
    found = read_components({"a": [0, 5, 6], "b": mask, "empty": []}, source, None)
    assert found.members.sum(axis=0).tolist() == [3, 55, 0]
    some = read_components({"a": [0, 5, 6], "b": mask}, source, np.array([0, 6, 7]))
    assert some.members.tolist() == [[True, False], [True, True], [False, True]]


def test_specification_files(source, tmp_path):
    (tmp_path / "c.json").write_text(
        json.dumps({"components": [{"name": "x", "variant_indices": [1, 2]}, {"name": "y", "variant_indices": [7]}]})
    )
    np.savez(tmp_path / "c.npz", arr_0=[1, 2], arr_1=[7], component_names=["x", "y"])
    for path in (tmp_path / "c.json", tmp_path / "c.npz"):
        found = read_components(path, source, None)
        assert found.names == ("x", "y")
        assert np.flatnonzero(found.members[:, 0]).tolist() == [1, 2]


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"a": [0, 60]}, "out of range"),
        ({"a": [-1]}, "out of range"),
        ({"a": [1, 1]}, "twice"),
        ({"a": np.ones(59, bool)}, "wrong length"),
        ({"a": [0.5]}, "not a list of indices"),
        ({"residual": [1]}, "residual"),
        ({}, "at least one"),
        ("absent.json", "no such file"),
    ],
)
def test_what_cannot_be_used(source, given, message):
    with pytest.raises(InputError, match=message):
        read_components(given, source, None)


def test_files_that_are_no_specification(source, tmp_path):
    (tmp_path / "c.json").write_text("[1, 2]")
    with pytest.raises(InputError, match="not a specification"):
        read_components(tmp_path / "c.json", source, None)
    with pytest.raises(UsageError, match="not understood"):
        read_components(5, source, None)  # type: ignore[arg-type]
