"""Values of a few genes kept between passes: what is read is what was added, in order, wherever it lay."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from daskgen.cells import taken_out
from daskgen.cells.taken_out import KeptInMemory, Part, read_parts, writing_parts


def parts(n: int = 7) -> list[Part]:
    random = np.random.default_rng(3)
    made, start = [], 0
    for rows in (4, 1, 0, 9, 3, 3, 5)[:n]:
        indptr = np.concatenate([[0], np.cumsum(random.integers(0, 5, rows))]).astype(np.int64)
        columns = random.integers(0, 40, int(indptr[-1])).astype(np.int32)
        made.append(Part(start, indptr, columns, columns.astype(np.float32) / 3))
        start += rows
    return made


def check(found: list[Part], expected: list[Part]) -> None:
    assert len(found) == len(expected)
    for ours, theirs in zip(found, expected, strict=True):
        assert ours.start == theirs.start
        for name in ("indptr", "columns", "values"):
            np.testing.assert_array_equal(getattr(ours, name), getattr(theirs, name))
            assert getattr(ours, name).dtype == getattr(theirs, name).dtype


def test_a_file_gives_back_its_parts(tmp_path: Path) -> None:
    path = str(tmp_path / "0.parts")
    with writing_parts(path) as write:
        for part in parts():
            write(part)
        assert not Path(path).exists()  # not before all are there
    check(list(read_parts(path)), parts())


def test_what_is_not_finished_has_no_name(tmp_path: Path) -> None:
    path = str(tmp_path / "0.parts")
    with pytest.raises(ZeroDivisionError), writing_parts(path) as write:
        write(parts()[0])
        raise ZeroDivisionError
    assert not Path(path).exists()
    with writing_parts(path):
        pass
    assert not Path(path).exists()  # nothing was written
    with writing_parts(str(tmp_path / "no folder" / "0.parts")) as write:
        write(parts()[0])  # a worker that does not see the folder


def test_memory_keeps_the_first_parts_of_a_leaf(monkeypatch: pytest.MonkeyPatch) -> None:
    made = parts()
    room = sum(len(part.values) for part in made[:3]) + 1
    monkeypatch.setattr(taken_out, "IN_MEMORY", 8 * room)
    memory = KeptInMemory()
    kept = [memory.add(5, part) for part in made]
    assert kept == [True] * 3 + [False] * 4  # a later one that would fit is not kept: the parts are in order
    check(memory.parts(5), made[:3])
    assert memory.parts(6) == []
