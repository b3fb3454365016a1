"""What a page holds, as plain objects: the template of :mod:`simopt.report.page` says how they look."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Self


class Link(str):
    """Text that leads to an element of the page, ``target``."""

    target: str

    def __new__(cls, text: str, target: str) -> Self:
        """Make text that leads to the element with an id."""
        link = super().__new__(cls, text)
        link.target = target
        return link


class Number(str):
    """A number as text, and its ``value`` to sort by; without one, or with NaN, it sorts last."""

    value: float | None

    def __new__(cls, text: str, value: float | None = None) -> Self:
        """Make text that is sorted by a value."""
        number = super().__new__(cls, text)
        number.value = None if value is None or math.isnan(value) else value
        return number


class Part:
    """What sections are made of; the template looks up how a part of its kind is written."""

    @property
    def kind(self) -> str:
        """The name of the class, as the template has it."""
        return type(self).__name__.lower()


@dataclass(frozen=True)
class Table(Part):
    """A table that can be sorted by each of its columns.

    Attributes
    ----------
    id : str
    caption, note : str
    heads : sequence of str
    rows : sequence of sequence of str
        Some of them are a Link or a Number.
    """

    id: str
    caption: str
    note: str
    heads: Sequence[str]
    rows: Sequence[Sequence[str]]

    @property
    def numeric(self) -> list[bool]:
        """Whether each column holds numbers."""
        return [any(isinstance(row[at], Number) for row in self.rows) for at in range(len(self.heads))]


@dataclass(frozen=True)
class Facts(Part):
    """A table of names and values."""

    caption: str
    pairs: Sequence[tuple[str, object]]


@dataclass(frozen=True)
class Paragraph(Part):
    """A line of text; an alarm stands out."""

    content: str
    alarm: bool = False


@dataclass(frozen=True)
class Code(Part):
    """Text that keeps its lines."""

    text: str


@dataclass(frozen=True)
class Details(Part):
    """Parts that are shown on request; with an id they are a box with a heading, that links lead to."""

    summary: str
    parts: Sequence[Part]
    id: str = ""
    note: str = ""
    opened: bool = False


@dataclass
class Document:
    """Sections of a page, each an id, a heading and its parts, in the order in which they are added."""

    title: str
    sections: list[tuple[str, str, Sequence[Part]]] = field(default_factory=list)

    def add(self, section: str, heading: str, parts: Iterable[Part], sources: Iterable[str] = ()) -> None:
        """Add a section, if it has parts; its heading says where surrogates are below it."""
        content = list(parts)
        if content:
            self.sections.append((section, marked(heading, sources), content))


def marked(heading: str, sources: Iterable[str]) -> str:
    """Return a heading that says whether surrogates are below it."""
    kinds = set(sources)
    if "surrogate" not in kinds:
        return heading
    return f"{heading} ({'surrogate' if len(kinds) == 1 else 'surrogate and real'})"
