"""A Sphinx directive that shows the help of every command, taken from the commands themselves."""

from __future__ import annotations

from collections.abc import Iterator

import click
from docutils import nodes
from docutils.parsers.rst import Directive
from sphinx.application import Sphinx

from daskgen.cli.app import daskgen


def commands(command: click.Command, context: click.Context) -> Iterator[tuple[str, str]]:
    """(name, help) of the command and all below it."""
    if not isinstance(command, click.Group):
        yield context.command_path, command.get_help(context)
        return
    for name in command.list_commands(context):
        below = command.get_command(context, name)
        assert below is not None
        yield from commands(below, click.Context(below, info_name=name, parent=context, max_content_width=100))


class CommandHelp(Directive):
    """``command-help``: a section per command."""

    def run(self) -> list[nodes.Node]:
        """The sections."""
        context = click.Context(daskgen, info_name="daskgen", terminal_width=100)
        found: list[nodes.Node] = []
        for name, text in commands(daskgen, context):
            section = nodes.section(ids=[nodes.make_id(name)])
            section += nodes.title(text=name)
            section += nodes.literal_block(text, text, language="text")
            self.state.document.note_explicit_target(section)
            found.append(section)
        return found


def setup(app: Sphinx) -> dict[str, bool]:
    """Register the directive."""
    app.add_directive("command-help", CommandHelp)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
