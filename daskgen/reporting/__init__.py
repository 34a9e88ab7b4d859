"""One self-contained HTML file about a result, a store, or a folder of stores: `dg.report`."""

from __future__ import annotations

from daskgen.reporting.making import make_report

__all__ = ["make_report"]
