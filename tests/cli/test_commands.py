"""The tree of commands and the help of each."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from collections.abc import Iterator

import click
import pytest

from daskgen import __version__
from daskgen.cli import app


def leaves(group: click.Command, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    if not isinstance(group, click.Group):
        yield path, group
        return
    context = click.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        assert command is not None
        yield from leaves(command, (*path, name))


COMMANDS = dict(leaves(app.daskgen))


@pytest.mark.parametrize("path", COMMANDS, ids=" ".join)
def test_help_ends_with_an_example_whose_options_exist(
    path: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    assert app.invoke([*path, "--help"]) == 0
    last = capsys.readouterr().out.rstrip().splitlines()[-1].strip()
    words = shlex.split(last)
    assert words[: 1 + len(path)] == ["daskgen", *path]
    command = COMMANDS[path]
    known = {name for parameter in command.params for name in parameter.opts}
    assert {word for word in words if re.match(r"-", word)} <= known
    # It parses: every required option and argument is there.
    command.make_context("daskgen", words[1 + len(path) :])


@pytest.mark.parametrize("path", COMMANDS, ids=" ".join)
def test_every_option_says_what_it_is(path: tuple[str, ...]) -> None:
    for parameter in COMMANDS[path].params:
        if isinstance(parameter, click.Option):
            assert parameter.help, parameter.name


@pytest.mark.parametrize("path", COMMANDS, ids=" ".join)
def test_option_names_are_argument_names_with_hyphens(path: tuple[str, ...]) -> None:
    for parameter in COMMANDS[path].params:
        if isinstance(parameter, click.Option):
            assert all("_" not in name for name in parameter.opts)


def test_the_top_level_help_lists_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    assert app.invoke(["--help"]) == 0
    printed = capsys.readouterr().out
    assert all(re.search(rf"^  {name}\s+\S", printed, re.M) for name in app.COMMANDS)


def test_without_arguments_the_help_is_shown(capsys: pytest.CaptureFixture[str]) -> None:
    assert app.invoke([]) == 0
    assert "Usage: daskgen" in capsys.readouterr().out


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert app.invoke(["--version"]) == 0
    assert capsys.readouterr().out == f"daskgen {__version__}\n"


def test_help_imports_nothing_heavy() -> None:
    code = (
        "import sys\nfrom daskgen.cli.app import invoke\ninvoke(['--help'])\n"
        "print(sorted({'numpy', 'dask', 'zarr', 'numba', 'pandas', 'xarray'} & set(sys.modules)))"
    )
    printed = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert printed.splitlines()[-1] == "[]"


def test_the_installed_command_ends_with_its_exit_code() -> None:
    done = subprocess.run([sys.executable, "-c", "from daskgen.cli import main; main()", "nonsense"], check=False)
    assert done.returncode == 2
