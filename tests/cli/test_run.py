"""One run of a command: its log and summary, what it leaves behind, and how it ends."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import click
import pytest

from daskgen.cli.journal import Journal
from daskgen.cli.options import Settings
from daskgen.cli.run import Run, format_seconds
from daskgen.errors import InputError, NotConvergedError


def run(settings: Settings, error: BaseException | None = None, *, makes: bool = False, **options: bool) -> int:
    """The exit code of a run that prints a line, makes its result or not, and ends with `error`."""
    try:
        with Run("test", settings, computes=False, **options) as current:
            current.say("a line")
            current.summary["answer"] = 42
            if makes:
                assert settings.out is not None
                Path(settings.out).unlink(missing_ok=True)
                Path(settings.out).mkdir()
            if error is not None:
                raise error
    except click.exceptions.Exit as ended:
        return ended.exit_code
    return 0


def test_log_and_summary_lie_beside_the_result(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(Settings(out=str(tmp_path / "x.zarr")), makes=True) == 0
    assert capsys.readouterr().out == "a line\n"
    log = (tmp_path / "x.zarr.log").read_text()
    assert log.startswith("# ")
    assert log.endswith("a line\n")
    summary = json.loads((tmp_path / "x.zarr.json").read_text())
    assert summary["command"] == "test"
    assert summary["exit_code"] == 0
    assert summary["answer"] == 42
    assert summary["peak_memory_bytes"] > 10**6


def test_quiet_prints_nothing_but_logs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(Settings(out=str(tmp_path / "x"), quiet=True)) == 0
    assert capsys.readouterr().out == ""
    assert "a line" in (tmp_path / "x.log").read_text()


def test_a_refused_run_writes_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(Settings(out=str(tmp_path / "x.zarr")), InputError("bad.")) == 3
    assert capsys.readouterr().err == "Error: bad.\n(exit 3; nothing written)\n"
    assert list(tmp_path.iterdir()) == []


def test_a_refused_run_takes_back_only_its_own_lines(tmp_path: Path) -> None:
    (tmp_path / "x.log").write_text("of the run before\n")
    (tmp_path / "x.json").write_text("{}")
    assert run(Settings(out=str(tmp_path / "x")), InputError("bad.")) == 3
    assert (tmp_path / "x.log").read_text() == "of the run before\n"
    assert (tmp_path / "x.json").read_text() == "{}"


def test_what_was_there_before_is_said_to_be_as_it_was(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "x.zarr"
    out.mkdir()
    assert run(Settings(out=str(out)), InputError("it exists.")) == 3
    assert f"(exit 3; {out} is as it was)" in capsys.readouterr().err


def test_results_that_replace_others_are_not_called_the_old_ones(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "x.zarr"
    out.write_text("old")
    assert run(Settings(out=str(out)), NotConvergedError("60 iterations were not enough."), makes=True) == 4
    assert f"(exit 4; the results so far are in {out})" in capsys.readouterr().err


def test_an_unfinished_result_is_named_with_the_way_to_finish_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = str(tmp_path / "x.zarr")
    assert run(Settings(out=out), RuntimeError("disk"), makes=True, resumable=True) == 1
    assert (
        f"(exit 1; {out} is incomplete: replace it with --force or finish it with --resume)" in capsys.readouterr().err
    )
    assert json.loads(Path(out + ".json").read_text())["exit_code"] == 1
    assert "RuntimeError: disk" in Path(out + ".log").read_text()


def test_a_fit_that_did_not_converge_keeps_its_results_and_ends_with_4(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = str(tmp_path / "x.zarr")
    assert run(Settings(out=out), NotConvergedError("60 iterations were not enough."), makes=True) == 4
    assert f"(exit 4; the results so far are in {out})" in capsys.readouterr().err
    assert json.loads(Path(out + ".json").read_text())["exit_code"] == 4


def test_ctrl_c_says_how_to_go_on(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    out = str(tmp_path / "x.zarr")
    monkeypatch.setattr(sys, "argv", ["daskgen", "test", "--out", out])
    assert run(Settings(out=out), KeyboardInterrupt(), makes=True, resumable=True) == 5
    printed = capsys.readouterr().err
    assert "Stopped. Nothing is lost" in printed
    assert f"daskgen test --out {out} --resume" in printed
    assert "(exit 5)" in printed


def test_ctrl_c_of_what_cannot_be_resumed_is_no_promise(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(Settings(), KeyboardInterrupt()) == 1
    assert capsys.readouterr().err == "Stopped.\n(exit 1)\n"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGUSR1], ids=lambda number: number.name)
def test_signals_of_a_batch_system_act_as_ctrl_c(number: signal.Signals, tmp_path: Path) -> None:
    program = textwrap.dedent(
        f"""
        import os, sys, time
        from daskgen.cli.options import Settings
        from daskgen.cli.run import Run
        import click
        try:
            with Run("test", Settings(out={str(tmp_path / "x")!r}), computes=False, resumable=True):
                print("ready", flush=True)
                time.sleep(60)
        except click.exceptions.Exit as ended:
            sys.exit(ended.exit_code)
        """
    )
    process = subprocess.Popen(
        [sys.executable, "-c", program], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    os.kill(process.pid, number)
    _, error = process.communicate(timeout=30)
    assert process.returncode == 5
    assert "--resume continues" in error


def test_a_result_in_a_folder_that_is_not_there_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(Settings(out=str(tmp_path / "no" / "x"))) == 3
    assert "its folder does not exist" in capsys.readouterr().err


def test_the_log_of_a_result_on_an_object_store_is_written_at_the_end() -> None:
    import fsspec

    journal = Journal("memory://results/x.zarr")
    journal.write("a line")
    journal.close({"exit_code": 0})
    files = fsspec.filesystem("memory")
    assert files.cat("/results/x.zarr.log") == b"a line\n"
    assert json.loads(files.cat("/results/x.zarr.json")) == {"exit_code": 0}


def test_the_log_has_no_colours(tmp_path: Path) -> None:
    journal = Journal(str(tmp_path / "x"))
    journal.write(click.style("red", fg="red"))
    journal.close({})
    assert (tmp_path / "x.log").read_text() == "red\n"


@pytest.mark.parametrize(("seconds", "text"), [(0.42, "0.4 s"), (9.96, "10 s"), (59.0, "59 s"), (185.2, "3 min 05 s")])
def test_durations_are_short(seconds: float, text: str) -> None:
    assert format_seconds(seconds) == text
