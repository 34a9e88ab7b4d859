"""The package as installed: what `import daskgen` offers and costs."""

from __future__ import annotations

import importlib.metadata
import subprocess
import sys
import tomllib

import pytest

import daskgen as dg
from tests.shared_data import CHECKOUT


def test_importing_daskgen_imports_nothing_heavy() -> None:
    code = (
        "import sys, daskgen; print(sorted({'numpy', 'dask', 'zarr', 'numba', 'pandas', 'xarray'} & set(sys.modules)))"
    )
    printed = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert printed.strip() == "[]"


def test_every_public_name_is_there() -> None:
    for name in dg.__all__:
        assert getattr(dg, name) is not None


def test_dir_lists_the_public_names() -> None:
    assert set(dir(dg)) == set(dg.__all__)


def test_convert_is_the_package_conversion() -> None:
    import conversion

    assert dg.convert is conversion


def test_an_unknown_name_is_answered_with_the_nearest_one() -> None:
    with pytest.raises(AttributeError, match=r"no attribute 'open_stroe'\. Did you mean 'open_store'\?"):
        dg.open_stroe  # noqa: B018


def test_the_version_is_that_of_the_distribution() -> None:
    assert importlib.metadata.version("daskgen") == dg.__version__


def test_the_locks_name_no_index_and_hold_one_dask() -> None:
    locks = sorted((CHECKOUT / "requirements").glob("lock*.txt"))
    assert [lock.name for lock in locks] == ["lock-cuda12.txt", "lock-cuda13.txt", "lock.txt"]
    for lock in locks:
        text = lock.read_text(encoding="utf-8")
        assert "://" not in text
        assert "--index" not in text
        assert "--find-links" not in text
        pinned = dict(
            line.split(" ;")[0].split("==") for line in text.splitlines() if "==" in line and line[0].isalnum()
        )
        assert pinned["dask"] == pinned["distributed"] == "2026.7.1"


def test_the_lock_covers_every_requirement() -> None:
    with open(CHECKOUT / "pyproject.toml", "rb") as file:
        project = tomllib.load(file)["project"]
    locked = (CHECKOUT / "requirements/lock.txt").read_text(encoding="utf-8").lower()
    wanted = [*project["dependencies"]]
    for extra, requirements in project["optional-dependencies"].items():
        if not extra.startswith("cuda"):
            wanted.extend(requirements)
    for requirement in wanted:
        name = "".join(c if c.isalnum() or c in "-_." else " " for c in requirement).split()[0].lower()
        if name != "daskgen":
            assert f"\n{name}==" in locked, f"{name} is not in requirements/lock.txt: see CONTRIBUTING.md"


def test_the_table_of_lazy_names_is_the_list_of_public_names() -> None:
    assert {*dg._LAZY, "__version__"} == set(dg.__all__)
