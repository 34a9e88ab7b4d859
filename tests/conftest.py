"""What holds for every test: a hypothesis profile, no settings from outside, GPU tests only with a GPU."""

from __future__ import annotations

import os
import signal
from typing import Any

import hypothesis
import pytest

# A result must not depend on how many examples are tried, and a busy machine must not fail a test by its slowness.
hypothesis.settings.register_profile(
    "daskgen",
    deadline=None,
    max_examples=int(os.environ.get("DASKGEN_TEST_EXAMPLES", "40")),
    derandomize=True,
    suppress_health_check=[hypothesis.HealthCheck.too_slow, hypothesis.HealthCheck.function_scoped_fixture],
)
hypothesis.settings.load_profile("daskgen")


def _has_gpu() -> bool:
    try:
        import cupy
    except ImportError:
        return False
    return bool(cupy.is_available())


def pytest_configure() -> None:
    """Ctrl-C interrupts, also where the tests were started in the background of a shell that ignores it."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_sessionstart(session: pytest.Session) -> None:
    """Before several processes start (`pytest -n auto`), the kernels are compiled once for all of them."""
    several = session.config.getoption("numprocesses", default=None)
    if several and not hasattr(session.config, "workerinput"):
        from daskgen import limits
        from daskgen.kernels.warming import warm

        warm(limits.cores())


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers() -> int:
    """`pytest -n auto`: one process a core, four at the most, since many tests start workers of their own."""
    from daskgen import limits

    return min(4, limits.cores())


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """A file's tests stay in one process, as they share what the file sets up; pages of the documentation do not."""
    from xdist.scheduler import LoadFileScheduling

    class Scheduling(LoadFileScheduling):  # type: ignore[misc]
        def _split_scope(self, nodeid: str) -> str:
            return nodeid if "test_docs.py" in nodeid else str(super()._split_scope(nodeid))

    return Scheduling(config, log)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Tests marked `gpu` skip, saying so, on a machine without one."""
    if not any(item.get_closest_marker("gpu") for item in items) or _has_gpu():
        return
    no_gpu = pytest.mark.skip(reason="no CUDA device that CuPy can use")
    for item in items:
        if item.get_closest_marker("gpu"):
            item.add_marker(no_gpu)


@pytest.fixture(autouse=True)
def _no_settings_from_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    """A test sees the defaults, whatever batch system or shell it was started from."""
    for name in [name for name in os.environ if name.startswith("SLURM_")]:
        monkeypatch.delenv(name)
