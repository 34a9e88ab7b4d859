"""The commands and code blocks of the documentation are run, and what they print is compared with what is printed.

A fenced block of a page is run where the line before it says so:

    <!-- run -->          a `console` block: each line after "$ " is run by bash, the lines below it are its output;
                          a `python` block: executed, all blocks of a page in one namespace
    <!-- output -->       a `text` block: what the python block before it prints
    <!-- needs: PATH -->  the files of this folder of shared data lie in the working directory; without them the
                          page is skipped

A page's blocks run in order, in one temporary directory. A line "..." stands for any lines. Times, sizes, thread
counts and ids differ from machine to machine and are not compared; all other numbers are, to three decimals.
"""

from __future__ import annotations

import contextlib
import io
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from daskgen import limits
from daskgen.kernels.warming import warm
from tests.shared_data import CHECKOUT, shared

pytestmark = pytest.mark.timeout(600)


class Block(NamedTuple):
    """A fenced block that is run or compared."""

    kind: str  # "run" or "output"
    language: str
    text: str
    line: int


_FENCE = re.compile(
    r"^<!-- (?P<kind>run|output) -->\n+(?P<fence>`{3,})(?P<language>\w+)[^\n]*\n(?P<text>.*?)^(?P=fence)$", re.M | re.S
)
_NEEDS = re.compile(r"^<!-- needs: (.+?) -->$", re.M)
_VARIES = [
    (re.compile(r"[0-9a-f]{8,}"), "ID"),
    (re.compile(r"\d+ min \d+ s"), "TIME"),
    (re.compile(r"\b[\d.,]+ (?:bytes|kB|MB|GB|TB)(?:/s)?"), "SIZE"),
    (re.compile(r"\b[\d.]+ s\b"), "TIME"),
    (re.compile(r"\b\d+ threads?\b"), "THREADS"),
    (re.compile(r"\b\d+\.\d+\.\d+(?:\.dev\d+)?\b"), "VERSION"),
    (re.compile(r"\b\d+ files\b"), "FILES"),
    (re.compile(r"(\d\.\d{3})\d+(?:e-?\d+)?"), r"\1"),  # the last digits depend on the processor
    (re.compile(r"\s+"), " "),
]


def pages() -> list[Path]:
    found = [CHECKOUT / "README.md", *sorted((CHECKOUT / "docs").rglob("*.md"))]
    return [page for page in found if blocks_of(page.read_text(encoding="utf-8"))]


def blocks_of(page: str) -> list[Block]:
    return [
        Block(match["kind"], match["language"], match["text"], page[: match.start()].count("\n") + 1)
        for match in _FENCE.finditer(page)
    ]


def masked(line: str) -> str:
    """The line without what differs from machine to machine."""
    for pattern, stands_for in _VARIES:
        line = pattern.sub(stands_for, line)
    return line.strip()


def agrees(printed: str, expected: str) -> bool:
    """Whether the lines printed are those expected, where "..." stands for any number of lines."""
    pattern = "\n".join(
        r"(?:.*\n)*?.*" if line.strip() == "..." else re.escape(masked(line)) for line in expected.rstrip().splitlines()
    )
    pattern = pattern.replace(r"(?:.*\n)*?.*" + "\n", r"(?:.*\n)*?")
    text = "\n".join(masked(line) for line in printed.rstrip().splitlines())
    return re.fullmatch(pattern, text) is not None


def commands_of(text: str) -> Iterator[tuple[str, str]]:
    """(command, expected output) of a console block; a command ends where a line does not end in a backslash."""
    command, output, open_command = "", "", False
    for line in text.splitlines():
        if line.startswith("$ "):
            if command:
                yield command, output
            command, output, open_command = line[2:], "", line.endswith("\\")
        elif open_command:
            command += "\n" + line.removeprefix("> ")
            open_command = line.endswith("\\")
        else:
            output += line + "\n"
    if command:
        yield command, output


def run_console(text: str, folder: Path) -> None:
    environment = {
        **os.environ,
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "COLUMNS": "120",
    }
    for command, expected in commands_of(text):
        done = subprocess.run(
            ["bash", "-c", command], cwd=folder, env=environment, capture_output=True, text=True, check=False
        )
        # Errors are part of what the pages show; then the exit code says so itself: "(exit 3; nothing written)".
        printed = (done.stdout + (done.stderr if done.returncode else "")).replace(f"{folder}/", "")
        if f"(exit {done.returncode}" not in expected:
            assert done.returncode == 0, f"$ {command}\n{done.stdout}{done.stderr}"
        if expected.strip():
            assert agrees(printed, expected), f"$ {command}\nprinted:\n{printed}\nthe page says:\n{expected}"


def run_python(text: str, folder: Path, namespace: dict[str, Any], name: str) -> str:
    printed = io.StringIO()
    with contextlib.chdir(folder), contextlib.redirect_stdout(printed):
        exec(compile(text, name, "exec"), namespace)
    return printed.getvalue()


@pytest.fixture(scope="module", autouse=True)
def _compiled_kernels() -> None:
    """The pages show runs that need not compile first, and would otherwise say that they did."""
    warm(limits.cores())


@pytest.mark.parametrize("page", pages(), ids=lambda page: page.relative_to(CHECKOUT).as_posix())
def test_what_a_page_shows_is_what_happens(page: Path, tmp_path: Path) -> None:
    text = page.read_text(encoding="utf-8")
    for needed in _NEEDS.findall(text):
        for source in shared(needed).iterdir():
            (tmp_path / source.name).symlink_to(source)
    namespace: dict[str, Any] = {"__name__": "__main__"}
    printed = ""
    for block in blocks_of(text):
        where = f"{page.relative_to(CHECKOUT)}:{block.line}"
        if block.kind == "output":
            assert agrees(printed, block.text), f"{where}\nprinted:\n{printed}\nthe page says:\n{block.text}"
        elif block.language == "console":
            run_console(block.text, tmp_path)
        elif block.language == "python":
            printed = run_python(block.text, tmp_path, namespace, where)
        else:
            pytest.fail(f"{where}: a {block.language} block cannot be run")


@pytest.mark.parametrize(
    ("printed", "expected", "same"),
    [
        ("a 1\nb 2\n", "a 1\nb 2\n", True),
        ("a 1\nb 2\n", "a 1\nb 3\n", False),
        ("a 1\nb 2\nc 3\n", "a 1\n...\nc 3\n", True),
        ("a 1\nc 3\n", "a 1\n...\nc 3\n", True),
        ("a 1\nb 2\nc 3\n", "...\n", True),
        ("a 1\nb 2\n", "a 1\n", False),
        ("done in 3.1 s, 12 MB", "done in 40 s, 980 kB", True),
        ("Samples  1,814", "Samples    1,814", True),
        ("Samples  1,814", "Samples    1,815", False),
        ("0.123456", "0.123987", True),
        ("0.123456", "0.124456", False),
    ],
)
def test_only_what_may_vary_is_not_compared(printed: str, expected: str, same: bool) -> None:
    assert agrees(printed, expected) is same


def test_a_console_block_is_its_commands_with_their_output() -> None:
    assert list(commands_of("$ a \\\n    --b\nx\ny\n$ c\n")) == [("a \\\n    --b", "x\ny\n"), ("c", "")]


def test_the_documentation_names_no_path_of_one_machine() -> None:
    texts = {
        page: page.read_text(encoding="utf-8") for page in [CHECKOUT / "README.md", *(CHECKOUT / "docs").rglob("*.md")]
    }
    found = [page for page, text in texts.items() if re.search(r"/(?:home|root|Users|work)/", text)]
    assert not found
