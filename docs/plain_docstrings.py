"""Docstrings that are not reStructuredText are shown as they are written.

Docstrings here are written to be read in the code. Those that happen to be valid reStructuredText are rendered as such;
the others (argument lists with hanging indents, aligned formulas) keep their lines and spaces.
"""

from __future__ import annotations

import io
import re
from typing import Any

from docutils.core import publish_doctree
from sphinx.application import Sphinx

# Roles and directives that Sphinx knows and docutils alone does not; they are no fault of the docstring.
_KNOWN_TO_SPHINX = re.compile(r"Unknown (interpreted text role|directive type)|No (role|directive) entry for|Trying")


def renders(text: str) -> bool:
    """Whether docutils reads the text without a complaint about its form."""
    complaints = io.StringIO()
    publish_doctree(text, settings_overrides={"warning_stream": complaints, "report_level": 2, "halt_level": 5})
    lines = [line for line in complaints.getvalue().splitlines() if re.match(r"<string>:\d+: \(", line)]
    return all(_KNOWN_TO_SPHINX.search(line) for line in lines)


def keep_as_written(app: Sphinx, what: str, name: str, obj: Any, options: Any, lines: list[str]) -> None:
    """Turn a docstring that does not render into a literal block."""
    if lines and not renders("\n".join(lines)):
        lines[:] = [".. code-block:: text", "", *(f"   {line}" for line in lines), ""]


def setup(app: Sphinx) -> dict[str, bool]:
    """Register the hook, after those that translate other docstring styles."""
    app.setup_extension("sphinx.ext.autodoc")
    app.connect("autodoc-process-docstring", keep_as_written, priority=900)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
