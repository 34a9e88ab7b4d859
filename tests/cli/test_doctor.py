"""daskgen doctor: each check is made, and one that fails does not hide the others."""

from __future__ import annotations

from pathlib import Path

import pytest

from daskgen.cli import app, doctor


def test_every_check_is_reported(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert app.invoke(["doctor", "--path", str(tmp_path)]) == 0
    printed = capsys.readouterr().out
    for name in ("Versions", "Extras", "Limits", "Scratch", "Write test", "TLS", "GPU", "Kernels"):
        assert f"\n{name}" in "\n" + printed
    assert "answered over tls://" in printed
    assert f"written to {tmp_path}" in printed
    assert "FAILED" not in printed
    assert list(tmp_path.iterdir()) == []


def test_a_failed_check_is_named_and_the_others_are_made(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_cluster() -> str:
        raise OSError("no sockets here")

    monkeypatch.setattr(doctor, "encrypted_cluster", no_cluster)
    assert app.invoke(["doctor", "--path", str(tmp_path / "missing")]) == 1
    printed = capsys.readouterr().out
    assert "Write test FAILED: FileNotFoundError" in printed
    assert "TLS        FAILED: OSError: no sockets here" in printed
    assert "Kernels " in printed
    assert printed.endswith("Failed: Write test, TLS\n")


def test_packages_that_are_not_installed_are_named_with_their_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "OPTIONAL", {"no-such-package": "formats"})
    assert doctor.extras() == "no-such-package not installed ([formats])"


def test_warm_compiles_every_kernel(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("daskgen.kernels.warming.warm", lambda processes: {"a": 1.5, "b": 2.0})
    assert doctor.warm_kernels().startswith("2 compiled or read in ")
