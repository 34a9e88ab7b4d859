"""A page of HTML that needs nothing else: sections of facts, tables and figures, with style and pictures inside."""

from __future__ import annotations

import base64
import html
import io
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

__all__ = ["Section", "escaped", "facts", "figure", "note", "page", "paragraph", "preformatted", "table"]

_DIGITS = 5
_STYLE = """
:root { color-scheme: light; }
body { font: 15px/1.45 system-ui, sans-serif; color: #1b1b1b; max-width: 62rem; margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.5rem; margin-bottom: .2rem; } h2 { font-size: 1.15rem; margin: 2rem 0 .5rem; }
h3 { font-size: 1rem; margin: 1.2rem 0 .4rem; }
p.sub { color: #555; margin-top: 0; } p.note { background: #fff4d6; padding: .4rem .7rem; border-radius: 4px; }
table { border-collapse: collapse; font-size: 13px; margin: .4rem 0; display: block; overflow-x: auto; }
th, td { text-align: right; padding: .18rem .6rem; border-bottom: 1px solid #e3e3e3; white-space: nowrap; }
th { border-bottom: 1px solid #888; font-weight: 600; } td.text, th.text { text-align: left; }
table.facts th { text-align: left; border-bottom: 1px solid #e3e3e3; color: #555; font-weight: 400; }
table.facts td { text-align: left; white-space: normal; }
img, svg { max-width: 100%; height: auto; } pre { background: #f5f5f5; padding: .5rem .8rem; overflow-x: auto; }
nav a { margin-right: 1rem; } footer { color: #777; font-size: 13px; margin-top: 3rem; }
"""


@dataclass
class Section:
    """A titled part of the page; `body` are pieces of HTML."""

    title: str
    body: list[str] = field(default_factory=list)
    parts: list[Section] = field(default_factory=list)


def escaped(value: Any) -> str:
    """A value as text of a page: numbers to five digits, nothing where there is none."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, float):
        return "" if value != value else f"{value:.{_DIGITS}g}"
    return html.escape(str(value))


def paragraph(text: str) -> str:
    """A sentence or two."""
    return f"<p>{html.escape(text)}</p>"


def note(text: str) -> str:
    """What a reader must not miss."""
    return f'<p class="note">{html.escape(text)}</p>'


def preformatted(text: str) -> str:
    """Text whose lines stay as they are, such as a model."""
    return f"<pre>{html.escape(text)}</pre>"


def facts(values: Mapping[str, Any]) -> str:
    """Names and values, one below the other; what is None is left out."""
    rows = "".join(
        f"<tr><th>{html.escape(name)}</th><td>{escaped(value)}</td></tr>"
        for name, value in values.items()
        if value is not None
    )
    return f'<table class="facts">{rows}</table>'


def table(frame: pd.DataFrame, *, most: int = 50) -> str:
    """The first `most` rows of a table; how many there are in all is said where that is more."""
    text = [not _is_number(frame[name].dtype) for name in frame.columns]
    head = "".join(_cell("th", str(name), left) for name, left in zip(frame.columns, text, strict=True))
    rows = []
    for row in frame.head(most).itertuples(index=False, name=None):
        cells = (_cell("td", _plain(value), left) for value, left in zip(row, text, strict=True))
        rows.append(f"<tr>{''.join(cells)}</tr>")
    rest = paragraph(f"{most} of {len(frame):,} rows") if len(frame) > most else ""
    return f"<table><thead><tr>{head}</tr></thead><tbody>{''.join(rows)}</tbody></table>{rest}"


def _is_number(dtype: Any) -> bool:
    return getattr(dtype, "kind", "O") in "iuf"


def _plain(value: Any) -> Any:
    return value.item() if hasattr(value, "item") else value


def _cell(tag: str, value: Any, left: bool) -> str:
    return f'<{tag} class="text">{escaped(value)}</{tag}>' if left else f"<{tag}>{escaped(value)}</{tag}>"


def figure(drawn: Figure, alternative: str) -> str:
    """A figure as a picture inside the page; `alternative` says what it shows to those who do not see it."""
    from daskgen.plotting.style import styled

    buffer = io.BytesIO()
    with styled():
        drawn.savefig(buffer, format="png", dpi=130, metadata={})
    data = base64.b64encode(buffer.getvalue()).decode()
    return f'<img alt="{html.escape(alternative)}" src="data:image/png;base64,{data}">'


def page(title: str, subtitle: str, sections: Iterable[Section], footer: str) -> str:
    """The whole page. With more than three sections it begins with links to them."""
    sections = list(sections)
    links = ""
    if len(sections) > 3:
        entries = (f'<a href="#s{i}">{html.escape(s.title)}</a>' for i, s in enumerate(sections))
        links = f"<nav>{''.join(entries)}</nav>"
    body = "".join(_section(section, 2, f' id="s{i}"') for i, section in enumerate(sections))
    return (
        f'<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8"><title>{html.escape(title)}</title>'
        f'<meta name="viewport" content="width=device-width, initial-scale=1"><style>{_STYLE}</style></head><body>'
        f'<h1>{html.escape(title)}</h1><p class="sub">{html.escape(subtitle)}</p>{links}{body}'
        f"<footer>{html.escape(footer)}</footer></body></html>\n"
    )


def _section(section: Section, level: int, attribute: str = "") -> str:
    inner = "".join(section.body) + "".join(_section(part, min(level + 1, 4)) for part in section.parts)
    return f"<section{attribute}><h{level}>{html.escape(section.title)}</h{level}>{inner}</section>"
