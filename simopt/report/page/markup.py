"""The pieces of the page in HTML. Text goes in through :func:`text`, and nothing else is trusted."""

from __future__ import annotations

import html
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Link:
    """Text that leads to an element of the page."""

    text: str
    target: str


Cell = str | Link | tuple[str, float | None]
"""Text, or text with the number to sort by; None: beyond all."""


def text(value: object) -> str:
    """Return text that is no markup."""
    return html.escape(str(value))


def data(values: Any) -> str:
    """Return JSON that cannot end the script element it stands in."""
    return json.dumps(values, allow_nan=False, separators=(",", ":")).replace("<", "\\u003c")


def marked(heading: str, sources: Iterable[str]) -> str:
    """Return a heading that says where surrogates are below it."""
    found = set(sources)
    if "surrogate" not in found:
        return heading
    return f"{heading} ({'surrogate' if len(found) == 1 else 'surrogate and real'})"


def table(name: str, caption: str, note: str, heads: Sequence[str], rows: Sequence[Sequence[Cell]]) -> str:
    """Return a table that sorts by each of its columns; those with numbers in them stand to the right."""
    numeric = [any(isinstance(row[at], tuple) for row in rows) for at in range(len(heads))]
    head = "".join(
        f'<th scope="col" aria-sort="none"{" class=n" if number else ""}>'
        f'<button type="button">{text(each)}</button></th>'
        for each, number in zip(heads, numeric, strict=True)
    )
    body = "\n".join(f"<tr>{''.join(map(_cell, row))}</tr>" for row in rows)
    return (
        f'<div class="scroll" tabindex="0" role="region" aria-labelledby="{name}-caption">'
        f'<table class="sortable" id="{name}"><caption id="{name}-caption">{text(caption)}'
        f"<small>{text(note)}</small></caption>"
        f"<thead><tr>{head}</tr></thead>\n<tbody>{body}</tbody></table></div>"
        f'<p class="unseen" role="status" id="{name}-sorted"></p>'
    )


def facts(caption: str, pairs: Iterable[tuple[str, object]]) -> str:
    """Return a table of names and values."""
    rows = "".join(f'<tr><th scope="row">{text(key)}</th><td>{text(value)}</td></tr>' for key, value in pairs)
    return f'<table class="facts"><caption>{text(caption)}</caption><tbody>{rows}</tbody></table>'


def details(summary: str, content: str) -> str:
    """Return content that is shown on request."""
    return f"<details><summary>{text(summary)}</summary>{content}</details>"


def figure(number: int, title: str, sentence: str, level: int = 3) -> str:
    """Return the place of a plot, with its sentence; the script of the page fills plot and data."""
    return (
        f'<figure id="figure-{number}"><h{level} class="unseen" id="title-{number}">{text(title)}</h{level}>'
        f'<div class="plot" id="plot-{number}" role="group" aria-labelledby="title-{number}" '
        f'aria-describedby="said-{number}"></div>'
        f'<figcaption id="said-{number}">{text(sentence)}</figcaption>'
        f'<details class="data" id="data-{number}"><summary>Data of this plot<span class="unseen">: '
        f"{text(title)}</span></summary></details></figure>"
    )


def link(shown: str, target: str) -> str:
    """Return text that leads to an element of the page."""
    return f'<a href="#{target}">{text(shown)}</a>'


def _cell(cell: Cell) -> str:
    if isinstance(cell, str):
        return f"<td>{text(cell)}</td>"
    if isinstance(cell, Link):
        return f"<td>{link(cell.text, cell.target)}</td>"
    shown, value = cell
    key = "" if value is None else f' data-value="{value!r}"'
    return f"<td class=n{key}>{text(shown)}</td>"
