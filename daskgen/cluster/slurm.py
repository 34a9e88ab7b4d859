"""Workers in jobs of a Slurm cluster, through dask-jobqueue, from a YAML file such as

    jobs: 4                 # Slurm jobs, each with the following
    cores: 16               # threads of a job, shared by its processes
    memory: 64GB
    processes: 1            # worker processes of a job
    gpus: 0                 # GPUs of a job: one worker process with one thread for each
    queue: main
    walltime: "08:00:00"
    interface: ib0          # network interface that the nodes share
    job_script_prologue: ["module load cuda"]

The scheduler runs in the process that connects, so that one must stay alive as long as the run (a login node that
allows it, or a small job). What `KEYS` lists may be set; the rest of dask-jobqueue's arguments is set here.
"""

from __future__ import annotations

import contextlib
import difflib
import logging
import shlex
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

import dask.config
import yaml
from distributed.core import Status

from daskgen import config
from daskgen.cluster import running
from daskgen.cluster.certificates import Certificates, write_certificates
from daskgen.cluster.connection import Connection
from daskgen.cluster.local import run_folder, started, web_pages
from daskgen.cluster.options import Options
from daskgen.cluster.versions import check_versions
from daskgen.cluster.worker_setup import WORKER_ENVIRONMENT
from daskgen.errors import InputError, MissingPackageError, UsageError
from daskgen.interrupts import handlers_kept

__all__ = ["KEYS", "cluster_arguments", "import_jobqueue", "read_configuration", "slurm"]

_LOG = logging.getLogger(__name__)

KEYS: dict[str, tuple[type | tuple[type, ...], str]] = {
    "jobs": (int, "number of Slurm jobs (default 1)"),
    "cores": (int, "cores of a job"),
    "memory": (str, "memory of a job, as 64GB"),
    "processes": (int, "worker processes of a job (default 1); its cores are shared between them"),
    "gpus": (int, "GPUs of a job (default 0); one worker process for each"),
    "queue": (str, "partition"),
    "account": (str, "account"),
    "walltime": (str, "time limit of a job, as 08:00:00 (default 00:30:00)"),
    "interface": (str, "network interface of scheduler and workers, as ib0"),
    "python": (str, "Python of the workers (default: this one)"),
    "local_directory": (str, "folder on the nodes for what workers spill (default $SLURM_TMPDIR, $TMPDIR or /tmp)"),
    "shared_temp_directory": (str, "folder that all nodes see, for the certificates (default: the current folder)"),
    "log_directory": (str, "folder for the jobs' output (default: where sbatch puts it)"),
    "job_name": (str, "name of the jobs (default daskgen)"),
    "job_script_prologue": (list, "lines of the job script before the worker starts"),
    "job_extra_directives": (list, "further #SBATCH options, as --qos=long"),
    "job_directives_skip": (list, "#SBATCH options of dask-jobqueue to leave out, as --mem"),
    "death_timeout": ((int, float), "seconds after which a worker without a scheduler gives up (default 60)"),
}
_REQUIRED = ("cores", "memory")
_OWN = ("jobs", "gpus", "shared_temp_directory")  # keys that dask-jobqueue does not take as they are
_NODE_SCRATCH = "${SLURM_TMPDIR:-${TMPDIR:-/tmp}}"


@contextlib.contextmanager
def slurm(path: str, options: Options) -> Iterator[Connection]:
    """Submit the jobs that the YAML file at `path` describes and compute on them; they are cancelled at the end."""
    settings = read_configuration(path)
    jobqueue = import_jobqueue()
    if shutil.which("sbatch") is None:
        raise UsageError("there is no sbatch here.", do="start where Slurm jobs are submitted, or load its module")
    shared = Path(settings.get("shared_temp_directory", ".")).expanduser().resolve()
    if not shared.is_dir():
        raise InputError(f"{path}: {shared} is not there.", found="shared_temp_directory", do="make the folder")
    with dask.config.set(web_pages(options.dashboard)), run_folder(shared) as folder:
        arguments = cluster_arguments(settings, write_certificates(folder), options)
        with (
            started(lambda: jobqueue.SLURMCluster(**arguments)) as cluster,
            running.client_of(cluster, options) as client,
        ):
            n_jobs = settings.get("jobs", 1)
            _submit(cluster, n_jobs)
            _LOG.info("%d Slurm job%s submitted; waiting for workers", n_jobs, "s" * (n_jobs != 1))
            running.wait_for_workers(client, options, f"Slurm ({path})", timeout=None)
            check_versions(client)
            yield running.connection_of(client, "slurm", options)


def import_jobqueue() -> ModuleType:
    """The package dask_jobqueue, or MissingPackageError. It makes Ctrl-C a SystemExit when imported; undone here."""
    with handlers_kept():
        try:
            import dask_jobqueue
        except ImportError as error:
            raise MissingPackageError(
                "Slurm jobs need the package dask-jobqueue.", found=str(error), do="pip install 'daskgen[jobqueue]'"
            ) from error
    return dask_jobqueue


def read_configuration(path: str) -> dict[str, Any]:
    """The settings in a YAML file; InputError that names the key for anything that is not in `KEYS`."""
    try:
        found = yaml.safe_load(Path(path).expanduser().read_text())
    except OSError as error:
        raise InputError(f"{path} cannot be read.", found=error.strerror) from error
    except yaml.YAMLError as error:
        raise InputError(f"{path} is no YAML.", found=str(error)) from error
    if not isinstance(found, Mapping):
        raise InputError(f"{path} holds no settings.", found=type(found).__name__, expected="lines such as cores: 16")
    for key, value in found.items():
        _check(path, str(key), value)
    missing = [key for key in _REQUIRED if key not in found]
    if missing:
        raise InputError(f"{path}: {' and '.join(missing)} must be set.", found=", ".join(map(str, found)))
    return dict(found)


def _check(path: str, key: str, value: Any) -> None:
    if key not in KEYS:
        near = difflib.get_close_matches(key.replace("-", "_"), KEYS, n=1)
        raise InputError(
            f"{path}: {key} is no setting of a Slurm run.",
            expected="\n".join(f"{name:<22} {meaning}" for name, (_, meaning) in KEYS.items()),
            do=f"did you mean {near[0]}?" if near else None,
        )
    kinds, meaning = KEYS[key]
    if isinstance(value, bool) or not isinstance(value, kinds):
        hint = "put it in quotes" if kinds is str else None  # YAML reads 08:00:00 as a number of seconds
        raise InputError(f"{path}: {key} has a value of the wrong kind.", found=repr(value), expected=meaning, do=hint)
    if isinstance(value, int) and value < (0 if key == "gpus" else 1):
        raise InputError(f"{path}: {key} is too small.", found=str(value), expected=meaning)


def cluster_arguments(settings: Mapping[str, Any], files: Certificates, options: Options) -> dict[str, Any]:
    """The arguments of dask-jobqueue's `SLURMCluster` for `settings`, with the certificates `files`."""
    given = {key: value for key, value in settings.items() if key not in _OWN}
    n_gpus = settings.get("gpus", 0)
    # Dask serves worker pages on any interface unless told where.
    worker = ["--preload", "daskgen.cluster.worker_setup", "--no-dashboard", "--dashboard-address", "127.0.0.1:0"]
    directives = list(given.pop("job_extra_directives", []))
    if n_gpus:
        # dask_cuda.cli run as a module is the worker command itself; it starts a process for each GPU it sees.
        given |= {"worker_command": "dask_cuda.cli", "processes": n_gpus}
        worker += ["--nthreads", "1"]
        if not any("gpu" in directive for directive in directives):
            directives.append(f"--gres=gpu:{n_gpus}")
    exports = [f"export {name}={shlex.quote(value)}" for name, value in WORKER_ENVIRONMENT.items()]
    return {
        "processes": 1,
        "job_name": "daskgen",
        "local_directory": _NODE_SCRATCH,
        **given,
        "job_extra_directives": directives,
        "job_script_prologue": [*given.get("job_script_prologue", []), *exports],
        "worker_extra_args": worker,
        "protocol": "tls://",
        "security": files.security(),
        "scheduler_options": {
            "worker_ttl": options.worker_ttl,
            "allowed_failures": config.get("retries"),
            "dashboard": options.dashboard,
            "dashboard_address": "127.0.0.1:8787" if options.dashboard else "127.0.0.1:0",
        },
    }


def _submit(cluster: Any, n_jobs: int) -> None:
    """Submit the jobs; UsageError with what Slurm says if it refuses one.

    `SLURMCluster.scale` submits in the background, where a refusal is only logged and the run waits for good.
    """
    for _ in range(n_jobs):
        cluster.worker_spec.update(cluster.new_worker_spec())
    try:
        cluster.sync(cluster._correct_state)
    except RuntimeError as error:
        for job in cluster._created:  # a job that never was cannot be closed
            if job.status is Status.created:
                job.status = Status.failed
        text = str(error)
        said = text.partition("stderr:")[2].strip() or text
        raise UsageError("Slurm refused the job.", found=said, do="compare it with what sinfo shows") from error
