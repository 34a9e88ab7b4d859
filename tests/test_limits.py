"""Cores, memory and scratch of a job: read from fake trees of ``/proc`` and ``/sys`` and from fake environments."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import dask.config
import hypothesis
import hypothesis.strategies as st
import pytest

from daskgen import limits
from daskgen.errors import InputError, PlanError, UsageError

GIB = 2**30
Machine = Callable[..., Path]

V2_MOUNT = "30 23 0:26 / /sys/fs/cgroup rw,nosuid - cgroup2 cgroup2 rw"
V1_MEMORY = "33 25 0:29 / /sys/fs/cgroup/memory rw shared:12 - cgroup cgroup rw,memory"
V1_CPU = "34 25 0:30 / /sys/fs/cgroup/cpu,cpuacct rw shared:13 - cgroup cgroup rw,cpu,cpuacct"


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    """A machine of 64 cores and 256 GiB; `files` are what its cgroups say."""

    def make(cgroup: str = "", mounts: tuple[str, ...] = (), affinity: str = "0-63", **files: str) -> Path:
        contents = {
            "proc/self/cgroup": cgroup,
            "proc/self/mountinfo": "\n".join(mounts) + "\n",
            "proc/self/status": f"Name:\tpython\nCpus_allowed_list:\t{affinity}\n",
            "proc/meminfo": f"MemTotal:       {256 * GIB // 1024} kB\nMemFree: 1 kB\n",
            **{f"sys/fs/cgroup/{name}": text for name, text in files.items()},
        }
        for name, text in contents.items():
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / name).write_text(text)
        return tmp_path

    return make


def test_without_limits_the_job_has_the_machine(machine: Machine) -> None:
    root = machine()
    assert limits.cores(root=root, environment={}) == 64
    assert limits.memory(root=root, environment={}) == 256 * GIB


@pytest.mark.parametrize(("affinity", "expected"), [("0", 1), ("0-3", 4), ("0-3,8", 5), ("2,4,60-63", 6)])
def test_cores_are_those_the_process_is_pinned_to(machine: Machine, affinity: str, expected: int) -> None:
    assert limits.cores(root=machine(affinity=affinity), environment={}) == expected


@pytest.mark.skipif(not hasattr(os, "sched_getaffinity"), reason="no affinity on this system")
def test_cores_of_this_process_do_not_exceed_its_affinity() -> None:
    assert 1 <= limits.cores() <= len(os.sched_getaffinity(0))


@pytest.mark.parametrize(
    ("quota", "expected"), [("max 100000", 64), ("400000 100000", 4), ("150000 100000", 2), ("1000 100000", 1)]
)
def test_version_2_quota_is_rounded_up_to_whole_cores(machine: Machine, quota: str, expected: int) -> None:
    root = machine("0::/job\n", (V2_MOUNT,), **{"job/cpu.max": quota + "\n"})
    assert limits.cores(root=root, environment={}) == expected


def test_the_smallest_limit_on_the_way_to_the_root_holds(machine: Machine) -> None:
    files = {
        "slurm/job_7/step_0/cpu.max": "max 100000\n",
        "slurm/job_7/cpu.max": "800000 100000\n",
        "slurm/cpu.max": "1600000 100000\n",
        "slurm/job_7/step_0/memory.max": "max\n",
        "slurm/job_7/memory.max": f"{32 * GIB}\n",
        "slurm/job_7/memory.high": f"{30 * GIB}\n",
        "slurm/memory.max": f"{64 * GIB}\n",
    }
    root = machine("0::/slurm/job_7/step_0\n", (V2_MOUNT,), **files)
    assert limits.cores(root=root, environment={}) == 8
    assert limits.memory(root=root, environment={}) == 30 * GIB


def test_version_1_limits(machine: Machine) -> None:
    files = {
        "cpu,cpuacct/job/cpu.cfs_quota_us": "300000\n",
        "cpu,cpuacct/job/cpu.cfs_period_us": "100000\n",
        "cpu,cpuacct/cpu.cfs_quota_us": "-1\n",
        "cpu,cpuacct/cpu.cfs_period_us": "100000\n",
        "memory/job/memory.limit_in_bytes": f"{12 * GIB}\n",
        "memory/memory.limit_in_bytes": "9223372036854771712\n",
    }
    root = machine("9:name=systemd:/job\n4:memory:/job\n3:cpu,cpuacct:/job\n", (V1_MEMORY, V1_CPU), **files)
    assert limits.cores(root=root, environment={}) == 3
    assert limits.memory(root=root, environment={}) == 12 * GIB


def test_in_a_mixture_each_hierarchy_is_read_where_it_is_mounted(machine: Machine) -> None:
    unified = "31 23 0:27 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw,nsdelegate"
    files = {"memory/a/memory.limit_in_bytes": f"{8 * GIB}\n", "unified/a/cpu.max": "200000 100000\n"}
    root = machine("4:memory:/a\n0::/a\n", (unified, V1_MEMORY), **files)
    assert limits.memory(root=root, environment={}) == 8 * GIB
    assert limits.cores(root=root, environment={}) == 2


def test_in_a_container_the_mount_is_the_group_of_the_container(machine: Machine) -> None:
    # The kernel shows the path on the host, and mounts only that part of the hierarchy.
    mount = "33 25 0:29 /docker/abc /sys/fs/cgroup/memory ro - cgroup cgroup rw,memory"
    root = machine("4:memory:/docker/abc\n", (mount,), **{"memory/memory.limit_in_bytes": f"{4 * GIB}\n"})
    assert limits.memory(root=root, environment={}) == 4 * GIB
    # A path outside what is mounted (cgroup namespaces of some runtimes).
    root = machine("4:memory:/elsewhere\n", (mount,), **{"memory/memory.limit_in_bytes": f"{3 * GIB}\n"})
    assert limits.memory(root=root, environment={}) == 3 * GIB


@pytest.mark.parametrize(
    ("environment", "cores", "memory"),
    [
        ({"SLURM_CPUS_PER_TASK": "6", "SLURM_CPUS_ON_NODE": "48", "SLURM_MEM_PER_NODE": "4096"}, 6, 4 * GIB),
        ({"SLURM_CPUS_ON_NODE": "12", "SLURM_MEM_PER_CPU": "1024"}, 12, 12 * GIB),
        ({"SLURM_CPUS_PER_TASK": "2", "SLURM_CPUS_ON_NODE": "12", "SLURM_MEM_PER_CPU": "1024"}, 2, 2 * GIB),
        ({"SLURM_MEM_PER_GPU": "16384", "SLURM_GPUS_ON_NODE": "2"}, 64, 32 * GIB),
        ({"SLURM_MEM_PER_NODE": "0"}, 64, 256 * GIB),
        ({"SLURM_CPUS_PER_TASK": "", "SLURM_MEM_PER_NODE": "many"}, 64, 256 * GIB),
    ],
)
def test_slurm_says_what_the_job_has(machine: Machine, environment: dict[str, str], cores: int, memory: int) -> None:
    root = machine()
    assert limits.cores(root=root, environment=environment) == cores
    assert limits.memory(root=root, environment=environment) == memory


def test_the_cgroup_holds_where_slurm_promises_more(machine: Machine) -> None:
    root = machine("0::/j\n", (V2_MOUNT,), **{"j/memory.max": f"{2 * GIB}\n", "j/cpu.max": "100000 100000\n"})
    environment = {"SLURM_CPUS_PER_TASK": "8", "SLURM_MEM_PER_NODE": "8192"}
    assert limits.cores(root=root, environment=environment) == 1
    assert limits.memory(root=root, environment=environment) == 2 * GIB


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("4GB", 4 * 10**9),
        ("16GiB", 16 * GIB),
        ("1.5 g", 1_500_000_000),
        ("512", 512),
        ("1e9", 10**9),
        (".5TB", 5 * 10**11),
    ],
)
def test_amounts_of_memory(text: str, expected: int) -> None:
    assert limits.parse_bytes(text) == expected


@pytest.mark.parametrize("text", ["", "GB", "4 gigs", "-4GB", "4GB more", "nan"])
def test_text_that_is_no_amount_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="no amount of memory"):
        limits.parse_bytes(text)


@hypothesis.given(st.integers(0, 2**50), st.sampled_from(["kib", "MiB", "GIB", "TiB"]))
def test_binary_units_are_powers_of_1024(number: int, unit: str) -> None:
    power = ["kib", "MiB", "GIB", "TiB"].index(unit) + 1
    assert limits.parse_bytes(f"{number}{unit}") == int(float(number) * 1024**power)


@pytest.mark.parametrize(
    ("limit", "expected"),
    [
        ("4GB", 4 * 10**9),
        (10**10, 10**10),
        ("25%", 64 * GIB),
        (0.5, 128 * GIB),
        ("0.5", 128 * GIB),
        (1, 256 * GIB),
        ("1", 256 * GIB),
    ],
)
def test_a_memory_limit_is_an_amount_or_a_share(machine: Machine, limit: object, expected: int) -> None:
    assert limits.memory_limit(limit, root=machine(), environment={}) == expected  # type: ignore[arg-type]


def test_without_a_limit_the_default_share_is_used(machine: Machine) -> None:
    root = machine()
    assert limits.memory_limit(root=root, environment={}) == int(0.8 * 256 * GIB)
    with dask.config.set({"daskgen.memory-fraction": 0.25}):
        assert limits.memory_limit(root=root, environment={}) == 64 * GIB
    with dask.config.set({"daskgen.memory-limit": 10**9}):
        assert limits.memory_limit(root=root, environment={}) == 10**9


def test_a_limit_above_what_the_job_has_is_refused(machine: Machine) -> None:
    with pytest.raises(PlanError, match="more than this job has") as caught:
        limits.memory_limit("16GB", root=machine(), environment={"SLURM_MEM_PER_NODE": "8192"})
    assert "8,589,934,592" in str(caught.value)


@pytest.mark.parametrize("limit", [16, "16", "0.0001%", "100kB", 0, -1, float("nan")])
def test_a_limit_that_leaves_nothing_is_refused(machine: Machine, limit: object) -> None:
    with pytest.raises(UsageError, match="next to nothing"):
        limits.memory_limit(limit, root=machine(), environment={})  # type: ignore[arg-type]


def test_scratch_is_the_first_folder_that_is_named_and_there(tmp_path: Path) -> None:
    named, job, temporary = (tmp_path / name for name in ("named", "job", "temporary"))
    for folder in (named, job, temporary):
        folder.mkdir()
    environment = {"SLURM_TMPDIR": str(job), "TMPDIR": str(temporary)}
    assert limits.scratch(named, environment=environment) == named
    with dask.config.set({"daskgen.scratch": str(named)}):
        assert limits.scratch(environment=environment) == named
    assert limits.scratch(environment=environment) == job
    assert limits.scratch(environment={**environment, "SLURM_TMPDIR": str(tmp_path / "gone")}) == temporary
    assert limits.scratch(environment={}).is_dir()


def test_a_scratch_folder_that_was_named_must_be_usable(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such folder"):
        limits.scratch(tmp_path / "gone")
