"""What is printed when a command fails, and with which exit code it ends."""

from __future__ import annotations

import click
import pytest

from daskgen.cli import app, failures, options
from daskgen.errors import (
    DaskgenError,
    InputError,
    InterruptedRunError,
    LockedStoreError,
    NotConvergedError,
    PlanError,
    UsageError,
)

CODES = [
    (UsageError("x"), 2),
    (PlanError("x"), 2),
    (InputError("x"), 3),
    (LockedStoreError("x"), 3),
    (FileNotFoundError(2, "No such file or directory", "x.bed"), 3),
    (NotConvergedError("x"), 4),
    (InterruptedRunError("x"), 5),
    (KeyboardInterrupt(), 5),
    (DaskgenError("x"), 1),
    (ZeroDivisionError("x"), 1),
]


@pytest.mark.parametrize(("error", "code"), CODES, ids=lambda value: type(value).__name__)
def test_each_error_has_its_exit_code(error: BaseException, code: int) -> None:
    assert failures.exit_code(error) == code


def test_a_message_has_its_parts_below_each_other(capsys: pytest.CaptureFixture[str]) -> None:
    error = InputError("none of the 3 sample ids is known.", found="a, b, c", expected="A, B, C", do="check the case")
    assert failures.show(error, note="nothing written") == 3
    assert capsys.readouterr().err == (
        "Error: none of the 3 sample ids is known.\n"
        "  found     a, b, c\n"
        "  expected  A, B, C\n"
        "  do        check the case\n"
        "(exit 3; nothing written)\n"
    )


def test_an_unexpected_exception_is_one_line_without_v_and_a_traceback_with_it() -> None:
    try:
        raise ZeroDivisionError("division by zero")
    except ZeroDivisionError as caught:
        error = caught
    assert failures.describe(error).splitlines()[0] == "Error: ZeroDivisionError: division by zero"
    assert "Traceback" not in failures.describe(error)
    assert "Traceback" in failures.describe(error, verbose=True)
    assert "test_failures.py" in failures.describe(error, verbose=True)


def test_a_missing_file_is_named_without_python_in_the_message() -> None:
    error = FileNotFoundError(2, "No such file or directory", "cohort.bed")
    assert failures.describe(error) == "Error: cohort.bed: No such file or directory."


@pytest.mark.parametrize(
    ("arguments", "command"),
    [
        (["pca", "x.zarr", "--out", "y"], "daskgen pca x.zarr --out y --resume"),
        (["pca", "x.zarr", "--force", "--out", "y"], "daskgen pca x.zarr --out y --resume"),
        (["pca", "x.zarr", "--resume"], "daskgen pca x.zarr --resume"),
        (["pca", "my file.zarr"], "daskgen pca 'my file.zarr' --resume"),
    ],
)
def test_the_command_that_resumes_is_the_same_with_resume_and_without_force(arguments: list[str], command: str) -> None:
    assert failures.resume_command(arguments) == command


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["inof"], "Did you mean 'info'?"),
        (["convert", "genotype"], "Did you mean 'genotypes'?"),
        (["info", "--no-such-option", "x"], "No such option"),
        (["info"], "Missing argument"),
        (["pca", "x.zarr", "--maf", "0.01"], "expected  --maf-min"),
        (["convert", "genotypes", "--bfile", "x"], "without an option"),
        (["ldsc", "m.zarr", "--ref-ld-chr", "eur/"], "expected  LD_SCORES, without an option"),
        (["ldsc", "m.zarr", "l.zarr", "--samp-prev", "0.5"], "expected  --sample-prev"),
        (["convert", "munge", "x", "--merge-alleles", "y"], "expected  --reference"),
        (["pca", "x.zarr", "--n-comps", "3"], "expected  --n\n"),
    ],
)
def test_a_command_line_that_is_wrong_ends_with_2_and_says_what_is_right(
    arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert app.invoke(arguments) == 2
    printed = capsys.readouterr()
    assert said in printed.err
    assert "--help" in printed.err
    assert printed.err.endswith("(exit 2; nothing written)\n")
    assert printed.out == ""


def test_an_exception_outside_of_a_run_is_reported_too(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(*args: object, **kwargs: object) -> None:
        raise ZeroDivisionError("oh")

    monkeypatch.setattr(click.Group, "main", fail)
    assert app.invoke(["info", "x"]) == 1
    assert "Error: ZeroDivisionError: oh" in capsys.readouterr().err


def test_what_other_tools_call_an_option_is_answered_with_one_that_exists() -> None:
    known = {"--" + name.replace("_", "-") for name in [*options._COMMON, *options._SELECTION, "n"]}
    for answer in failures.ELSEWHERE.values():
        if answer.startswith("--"):
            assert answer.split()[0] in known
