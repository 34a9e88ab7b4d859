"""daskgen demo: what it prints agrees with the truth of the simulation."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from daskgen.cli import app, demo


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("demo") / "demo"
    assert app.invoke(["demo", "--out", str(folder)]) == 0
    return folder


def test_estimates_are_near_the_truth(folder: Path) -> None:
    facts = json.loads((folder / "demo.json").read_text())
    assert facts["round_trip_identical"] is True
    error = facts["statistics"]["frequency_error"]
    assert error["estimate"] == pytest.approx(error["truth"], rel=0.05)
    inbreeding = facts["statistics"]["inbreeding"]
    assert inbreeding["estimate"] == pytest.approx(inbreeding["truth"], abs=0.005)
    *separating, last = facts["components"]["explained_by_population"]
    assert min(separating) > 0.98
    assert last < 0.05


def test_every_step_has_its_line(folder: Path) -> None:
    log = (folder / "demo.log").read_text()
    for number, (name, _) in enumerate(demo.STEPS, start=1):
        assert f"\n{number} {name}" in log


def test_a_folder_with_files_is_not_written_into_without_force(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "mine.txt").write_text("mine")
    assert app.invoke(["demo", "--out", str(tmp_path)]) == 3
    assert "--force" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]
