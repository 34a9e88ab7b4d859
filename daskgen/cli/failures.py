"""What is printed when a command fails, and the exit code that goes with it."""

from __future__ import annotations

import os
import shlex
import sys
import traceback
from collections.abc import Sequence

import click

from daskgen.errors import DaskgenError, InterruptedRunError, NotConvergedError
from daskgen.inputs.arguments import our_name

__all__ = ["INTERRUPTED", "describe", "exit_code", "resume_command", "show", "show_usage_error"]

UNEXPECTED, USAGE, INPUT, INTERRUPTED = 1, 2, 3, 5

# What other tools call options that no function has as an argument; `daskgen.inputs.arguments` knows the others.
ELSEWHERE = {
    "--bfile": "the file itself, without an option: daskgen convert genotypes cohort.bed",
    "--pfile": "the file itself, without an option: daskgen convert genotypes cohort.pgen",
    "--memory": "--memory-limit",
    "--output": "--out",
    "--threads": "--cluster threads:N",
}


def exit_code(error: BaseException) -> int:
    """The exit status that belongs to the error."""
    if isinstance(error, DaskgenError):
        return error.exit_code
    if isinstance(error, KeyboardInterrupt):
        return INTERRUPTED
    if isinstance(error, (FileNotFoundError, PermissionError, IsADirectoryError, NotADirectoryError)):
        return INPUT
    return UNEXPECTED


def describe(error: BaseException, *, verbose: bool = False) -> str:
    """The message of an error: what was found, expected and to do; a traceback only if asked for."""
    if isinstance(error, DaskgenError):
        text = f"Error: {error}"
        return f"{text}\n{_traceback(error)}" if verbose else text
    if isinstance(error, OSError) and error.filename is not None and not verbose:
        return f"Error: {error.filename}: {error.strerror}."
    if verbose:
        return f"Error: {type(error).__name__}: {error}\n{_traceback(error)}"
    first = (str(error).splitlines() or [""])[0]
    advice = "-v shows where; this is a fault of daskgen: please report it"
    return f"Error: {type(error).__name__}: {first}\n  do        {advice}"


def _traceback(error: BaseException) -> str:
    return "".join(traceback.format_exception(error)).rstrip()


def resume_command(arguments: Sequence[str]) -> str:
    """The command line that continues the run that `arguments` started."""
    kept = [argument for argument in arguments if argument != "--force"]
    if "--resume" not in kept:
        kept.append("--resume")
    return shlex.join(["daskgen", *kept])


def headline(error: BaseException, text: str) -> str:
    """The text with "Error:" in red where the terminal has colours."""
    if text.startswith("Error:") and not isinstance(error, (InterruptedRunError, NotConvergedError)):
        return click.style("Error:", fg="red", bold=True) + text.removeprefix("Error:")
    return text


def show(error: BaseException, *, verbose: bool = False, note: str | None = None) -> int:
    """Print the error to stderr with its exit code and what became of the result; return the code."""
    code = exit_code(error)
    click.echo(headline(error, describe(error, verbose=verbose)), err=True)
    click.echo(f"(exit {code}{'; ' + note if note else ''})", err=True)
    return code


def show_usage_error(error: click.ClickException) -> int:
    """A command line that click could not understand: the message, and where the help is."""
    context = getattr(error, "ctx", None)
    click.echo(f"{click.style('Error:', fg='red', bold=True)} {error.format_message()}", err=True)
    ours = _our_option(error) if isinstance(error, click.NoSuchOption) else None
    if ours is not None:
        click.echo(f"  expected  {ours}", err=True)
    if context is not None:
        click.echo(f"  do        {context.command_path} --help", err=True)
    click.echo(f"(exit {USAGE}; nothing written)", err=True)
    return USAGE


def _our_option(error: click.NoSuchOption) -> str | None:
    """What the option of another tool is called here."""
    if error.option_name in ELSEWHERE or error.ctx is None:
        return ELSEWHERE.get(error.option_name)
    parameters = {str(parameter.name): parameter for parameter in error.ctx.command.params}
    ours = our_name(error.option_name, parameters)
    if ours is None:
        return None
    parameter = parameters[ours]
    shown = parameter.make_metavar(error.ctx) if isinstance(parameter, click.Argument) else parameter.opts[0]
    return f"{shown}, without an option" if isinstance(parameter, click.Argument) else shown


def close_standard_output() -> None:
    """Keep Python from complaining at exit about a pipe whose reader has gone."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
