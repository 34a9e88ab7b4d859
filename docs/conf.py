"""Sphinx configuration."""

from __future__ import annotations

import sys
from pathlib import Path

import daskgen

sys.path.insert(0, str(Path(__file__).parent))

project = "daskgen"
author = "the daskgen developers"
copyright = f"2026, {author}"
version = release = daskgen.__version__

extensions = [
    "command_help",
    "plain_docstrings",
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.mathjax",
    "sphinx.ext.napoleon",
    "sphinx.ext.viewcode",
]
exclude_patterns = ["_build"]
suppress_warnings = ["myst.header"]

myst_enable_extensions = ["colon_fence", "deflist", "dollarmath"]
myst_heading_anchors = 3

autodoc_typehints = "none"  # the signature has them; the text says what they mean
autodoc_member_order = "bysource"
autodoc_default_options = {"members": True, "show-inheritance": True}
# Packages of extras, which a machine that builds the documentation need not have.
autodoc_mock_imports = ["cupy", "pgenlib", "anndata"]

html_theme = "furo"
html_title = f"daskgen {release}"
html_static_path = ["_static"]
html_show_sourcelink = False
