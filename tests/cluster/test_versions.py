"""Client, scheduler and workers with different software are refused, with a table."""

from __future__ import annotations

from typing import Any

import pytest

from daskgen.cluster.versions import CHECKED, check_versions, version_differences
from daskgen.errors import UsageError

SAME = {"python": "3.11.7.final.0", "dask": "2026.7.1", "distributed": "2026.7.1", "numpy": "2.4.6"}
SAME |= {"numba": "0.68.1", "zarr": "3.1.6", "daskgen": "0.1.0"}


def process(**changes: str | None) -> dict[str, Any]:
    return {"host": {}, "packages": SAME | changes}


def cluster(*workers: dict[str, Any], scheduler: dict[str, Any] | None = None) -> dict[str, Any]:
    named = {f"tls://10.0.0.{i}:4000": worker for i, worker in enumerate(workers)}
    return {"client": process(), "scheduler": scheduler or process(), "workers": named}


class Client:
    """A client that reports these versions."""

    def __init__(self, versions: dict[str, Any]):
        self.versions = versions

    def get_versions(self, packages: list[str]) -> dict[str, Any]:
        assert set(packages) == set(CHECKED) - {"python"}
        return self.versions


def test_equal_versions_pass() -> None:
    check_versions(Client(cluster(process(), process())))  # type: ignore[arg-type]
    assert version_differences(cluster()) == []


def test_a_bug_fix_release_of_python_and_unchecked_packages_may_differ() -> None:
    assert version_differences(cluster(process(python="3.11.9.final.0", toolz="1.0"))) == []


@pytest.mark.parametrize("name", CHECKED)
def test_each_checked_package_must_agree_everywhere(name: str) -> None:
    for versions in (cluster(process(**{name: "1.0.0"})), cluster(scheduler=process(**{name: "1.0.0"}))):
        lines = version_differences(versions)
        assert len(lines) == 2
        assert lines[0].split() == ["package", "client", "scheduler", "workers"]
        assert lines[1].startswith(name)
        assert "1.0" in lines[1]


def test_a_package_that_is_missing_on_a_worker_is_a_difference() -> None:
    with pytest.raises(UsageError, match="different versions") as caught:
        check_versions(Client(cluster(process(daskgen=None), process())))  # type: ignore[arg-type]
    assert "daskgen" in str(caught.value)
    assert "missing (1: tls://10.0.0.0:4000)" in str(caught.value)


def test_workers_that_disagree_are_counted_and_one_of_each_is_named() -> None:
    (_, line) = version_differences(cluster(process(), process(), process(numpy="2.3.0")))
    assert "2.4.6 (2: tls://10.0.0.0:4000, ...), 2.3.0 (1: tls://10.0.0.2:4000)" in line


def test_a_worker_that_does_not_answer_is_a_difference() -> None:
    assert len(version_differences(cluster({"status": "error"}))) == 1 + len(CHECKED)
