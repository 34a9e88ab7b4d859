"""Slurm jobs: the YAML file, the job script, and a whole run with stand-ins for sbatch and scancel."""

from __future__ import annotations

import importlib.util
import os
import shlex
import stat
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import psutil
import pytest

import daskgen as dg
from daskgen.cluster import slurm
from daskgen.cluster.certificates import Certificates, write_certificates
from daskgen.cluster.options import Options
from daskgen.errors import InputError, MissingPackageError, UsageError
from tests.cluster.processes import still_running


def configuration(tmp_path: Path, text: str) -> str:
    path = tmp_path / "slurm.yaml"
    path.write_text(textwrap.dedent(text))
    return str(path)


SMALL = """
    jobs: 2
    cores: 1
    memory: 500MB
    walltime: "00:10:00"
    interface: lo
"""


def test_a_configuration_is_read(tmp_path: Path) -> None:
    found = slurm.read_configuration(configuration(tmp_path, SMALL))
    assert found == {"jobs": 2, "cores": 1, "memory": "500MB", "walltime": "00:10:00", "interface": "lo"}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("cores: 4", "memory must be set"),
        ("jobs: 4", "cores and memory must be set"),
        ("cores: 4\nmemory: 4GB\nqueu: main", "did you mean queue"),
        ("cores: 4\nmemory: 4GB\njob-name: x", "did you mean job_name"),
        ("cores: four\nmemory: 4GB", "cores has a value of the wrong kind"),
        ("cores: true\nmemory: 4GB", "cores has a value of the wrong kind"),
        ("cores: 0\nmemory: 4GB", "cores is too small"),
        ("cores: 1\nmemory: 64", "memory has a value of the wrong kind"),
        ("cores: 1\nmemory: 4GB\nwalltime: 8:00:00", "put it in quotes"),
        ("cores: 1\nmemory: 4GB\njob_script_prologue: module load cuda", "wrong kind"),
        ("- cores", "holds no settings"),
        ("", "holds no settings"),
        ("cores: [1", "no YAML"),
        ("cores: !!python/object/apply:os.system ['true']\nmemory: 4GB", "no YAML"),
    ],
)
def test_a_configuration_that_cannot_be_used_is_refused(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        slurm.read_configuration(configuration(tmp_path, text))


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    path = tmp_path / "gone.yaml"
    with pytest.raises(InputError, match=r"gone\.yaml cannot be read"), dg.cluster.connect(f"slurm:{path}"):
        pytest.fail("connected")


def test_without_dask_jobqueue_the_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "dask_jobqueue", None)
    path = configuration(tmp_path, SMALL)
    with pytest.raises(MissingPackageError, match=r"daskgen\[jobqueue\]"), dg.cluster.connect(f"slurm:{path}"):
        pytest.fail("connected")


needs_jobqueue = pytest.mark.skipif(
    importlib.util.find_spec("dask_jobqueue") is None, reason="dask-jobqueue is not installed"
)


@needs_jobqueue
def test_importing_dask_jobqueue_leaves_ctrl_c_alone() -> None:
    code = (
        "import signal; from daskgen.cluster.slurm import import_jobqueue; before = signal.getsignal(signal.SIGINT); "
        "import_jobqueue(); assert signal.getsignal(signal.SIGINT) is before"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


@pytest.fixture
def files(tmp_path: Path) -> Certificates:
    folder = tmp_path / "certificates"
    folder.mkdir()
    return write_certificates(folder)


def job_script(settings: dict[str, Any], files: Certificates, tmp_path: Path) -> str:
    """What dask-jobqueue makes of the settings."""
    jobqueue = slurm.import_jobqueue()
    options = Options(memory_limit=10**9, memory_limit_given=False, scratch=tmp_path)
    arguments = slurm.cluster_arguments(settings, files, options)
    del arguments["scheduler_options"]
    job = jobqueue.slurm.SLURMJob("tls://10.0.0.1:8786", name="daskgen-0", **arguments)
    return str(job.job_script())


@needs_jobqueue
def test_the_job_script_is_encrypted_limited_and_set_up(files: Certificates, tmp_path: Path) -> None:
    settings = {"cores": 16, "memory": "64GB", "queue": "main", "account": "lab"}
    settings["job_script_prologue"] = ["module load x"]
    script = job_script(settings, files, tmp_path)
    lines = script.splitlines()
    assert {"#SBATCH -J daskgen", "#SBATCH -p main", "#SBATCH -A lab", "#SBATCH --cpus-per-task=16"} <= set(lines)
    assert lines.index("module load x") < lines.index("export OMP_NUM_THREADS=1")
    assert "export MALLOC_TRIM_THRESHOLD_=268435456" in lines
    command = shlex.split(lines[-1])
    assert command[:4] == [sys.executable, "-m", "distributed.cli.dask_worker", "tls://10.0.0.1:8786"]
    for option, value in {
        "--nthreads": "16",
        "--memory-limit": "59.60GiB",
        "--preload": "daskgen.cluster.worker_setup",
        "--protocol": "tls://",
        "--tls-ca-file": str(files.authority),
        "--tls-cert": str(files.certificate),
        "--tls-key": str(files.key),
        "--local-directory": "${SLURM_TMPDIR:-${TMPDIR:-/tmp}}",
        "--dashboard-address": "127.0.0.1:0",
    }.items():
        assert command[command.index(option) + 1] == value
    assert "--no-dashboard" in command
    assert "--gres" not in script


@needs_jobqueue
def test_gpu_jobs_start_a_process_for_each_gpu(files: Certificates, tmp_path: Path) -> None:
    script = job_script({"cores": 16, "memory": "64GB", "gpus": 2}, files, tmp_path)
    assert "#SBATCH --gres=gpu:2" in script
    command = shlex.split(script.splitlines()[-1])
    # The module is the worker command itself: a further word would be taken for the scheduler's address.
    assert command[:4] == [sys.executable, "-m", "dask_cuda.cli", "tls://10.0.0.1:8786"]
    threads = [command[i + 1] for i, word in enumerate(command) if word == "--nthreads"]
    assert threads[-1] == "1"
    assert command[command.index("--memory-limit") + 1] == "29.80GiB"
    assert "--nworkers" not in command


@needs_jobqueue
def test_a_gpu_directive_of_the_site_is_not_doubled(files: Certificates, tmp_path: Path) -> None:
    settings = {"cores": 1, "memory": "1GB", "gpus": 1, "job_extra_directives": ["--gpus-per-node=a100:1"]}
    script = job_script(settings, files, tmp_path)
    assert "#SBATCH --gpus-per-node=a100:1" in script
    assert "--gres" not in script


def command(folder: Path, name: str, text: str) -> None:
    """A shell script in `folder` that stands in for a command of Slurm."""
    path = folder / name
    path.write_text("#!/bin/bash\n" + textwrap.dedent(text))
    path.chmod(0o755)


@pytest.fixture
def stand_ins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """sbatch that starts the job on this machine, scancel that ends it; the jobs' process numbers lie in the folder."""
    folder = tmp_path / "slurm"
    folder.mkdir()
    command(
        folder,
        "sbatch",
        f"""
        cp "$1" {folder}/$$.sh
        setsid bash {folder}/$$.sh > {folder}/$$.out 2>&1 &
        touch {folder}/$!.job
        echo "Submitted batch job $!"
        """,
    )
    command(folder, "scancel", "kill -- -$1")
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")
    return folder


@needs_jobqueue
def test_jobs_are_submitted_used_and_cancelled(tmp_path: Path, stand_ins: Path) -> None:
    shared = tmp_path / "shared"
    shared.mkdir()
    path = configuration(tmp_path, SMALL + f"\n    shared_temp_directory: {shared}\n    local_directory: {tmp_path}\n")
    with dg.cluster.connect(f"slurm:{path}", min_workers=2, timeout=60) as connection:
        assert (connection.scheme, connection.n_workers, connection.n_threads) == ("slurm", 2, 2)
        assert connection.address.startswith("tls://")
        assert connection.client is not None
        found = connection.client.run(lambda: (os.getpid(), os.environ["OMP_NUM_THREADS"]))
        workers = [psutil.Process(pid) for pid, _ in found.values()]
        assert {threads for _, threads in found.values()} == {"1"}
        (folder,) = shared.iterdir()
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
        assert len(list(stand_ins.glob("*.job"))) == 2
    assert not still_running(workers, seconds=10)
    assert list(shared.iterdir()) == []


@needs_jobqueue
def test_what_slurm_refuses_is_passed_on(tmp_path: Path, stand_ins: Path) -> None:
    command(stand_ins, "sbatch", "echo 'sbatch: error: invalid partition specified: main' >&2; exit 1")
    path = configuration(tmp_path, SMALL + f"\n    shared_temp_directory: {tmp_path}\n")
    with pytest.raises(UsageError, match="Slurm refused the job") as caught, dg.cluster.connect(f"slurm:{path}"):
        pytest.fail("connected")
    assert "invalid partition specified: main" in str(caught.value)


@needs_jobqueue
def test_without_sbatch_that_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    path = configuration(tmp_path, SMALL)
    with pytest.raises(UsageError, match="no sbatch here"), dg.cluster.connect(f"slurm:{path}"):
        pytest.fail("connected")
