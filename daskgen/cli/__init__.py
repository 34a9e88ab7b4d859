"""The command `daskgen`. Each command is one file: it parses, calls the Python interface, prints. No statistics."""

from __future__ import annotations

__all__ = ["main"]


def main() -> None:
    """Entry point of the command; ends the process with the exit code of the page "Commands"."""
    import sys

    from daskgen.cli.app import invoke

    sys.exit(invoke(sys.argv[1:]))
