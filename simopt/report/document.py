"""The parts of a page as plain objects, drawn by the page template; a terminal draws tables alone."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Self


class Link(str):
    """Text that links to the element of the page whose id is ``target``."""

    target: str

    def __new__(cls, text: str, target: str) -> Self:
        """Return text that links to the element whose id is ``target``."""
        link = super().__new__(cls, text)
        link.target = target
        return link


class Number(str):
    """A number as text, with the ``value`` that a page sorts it by; None and NaN are sorted last."""

    value: float | None

    def __new__(cls, text: str, value: float | None = None) -> Self:
        """Return text that is sorted by ``value``."""
        number = super().__new__(cls, text)
        number.value = None if value is None or math.isnan(value) else value
        return number


class Part:
    """An element of a section; the page template has a macro for each ``kind``."""

    @property
    def kind(self) -> str:
        """The name of the class in lower case, which is the name of its macro."""
        return type(self).__name__.lower()


@dataclass(frozen=True)
class Table(Part):
    """A table; on a page each column can be sorted, in a narrow terminal columns are left out.

    Attributes
    ----------
    id : str
        Of the element of the page.
    caption, note : str
        The title, and what explains the columns.
    heads : sequence of str
        One for each column.
    rows : sequence of sequence of str
        One cell for each column; a cell may be a Link or a Number.
    optional : sequence of str
        Heads of columns that a narrow terminal leaves out, the least important one first. Where that is not
        enough, other columns follow from the right; the first column always stays.
    """

    id: str
    caption: str
    note: str
    heads: Sequence[str]
    rows: Sequence[Sequence[str]]
    optional: Sequence[str] = ()

    @property
    def numeric(self) -> list[bool]:
        """Whether each column holds numbers."""
        return [any(isinstance(row[k], Number) for row in self.rows) for k in range(len(self.heads))]


@dataclass(frozen=True)
class Facts(Part):
    """A table of names and values."""

    caption: str
    pairs: Sequence[tuple[str, object]]


@dataclass(frozen=True)
class Paragraph(Part):
    """A paragraph of text; an ``alarm`` is drawn as a warning."""

    content: str
    alarm: bool = False


@dataclass(frozen=True)
class Code(Part):
    """Text whose line breaks are kept."""

    text: str


@dataclass(frozen=True)
class Details(Part):
    """Parts that are folded until they are opened; with an ``id``, a box with a heading, a link target."""

    summary: str
    parts: Sequence[Part]
    id: str = ""
    note: str = ""
    opened: bool = False


@dataclass
class Document:
    """A page: its title and its sections in order, each an id, a heading and its parts."""

    title: str
    sections: list[tuple[str, str, Sequence[Part]]] = field(default_factory=list)

    def add(self, section: str, heading: str, parts: Iterable[Part], sources: Iterable[str] = ()) -> None:
        """Add a section unless it is empty; the heading is marked by the ``sources`` of its data."""
        content = list(parts)
        if content:
            self.sections.append((section, marked(heading, sources), content))


def marked(heading: str, sources: Iterable[str]) -> str:
    """Return a heading that says whether the data below it, from ``sources``, include surrogates."""
    kinds = set(sources)
    if "surrogate" not in kinds:
        return heading
    return f"{heading} ({'surrogate' if len(kinds) == 1 else 'surrogate and real'})"
