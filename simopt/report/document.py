"""The parts of a page as plain objects. The page template draws all parts, a terminal only tables."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Self


class Link(str):
    """A text that links to the element of the page with the id ``target``."""

    target: str

    def __new__(cls, text: str, target: str) -> Self:
        """Return ``text`` as a link to the element of the page with the id ``target``."""
        link = super().__new__(cls, text)
        link.target = target
        return link


class Number(str):
    """The text of a number, with the ``value`` by which a page sorts it; None is sorted last."""

    value: float | None

    def __new__(cls, text: str, value: float | None = None) -> Self:
        """Return ``text`` with the ``value`` by which it is sorted; NaN is stored as None."""
        number = super().__new__(cls, text)
        number.value = None if value is None or math.isnan(value) else value
        return number


class Part:
    """An element of a section of a page. The page template has a macro for each ``kind`` of part."""

    @property
    def kind(self) -> str:
        """The name of the class in lower case; the macro that draws the part has the same name."""
        return type(self).__name__.lower()


@dataclass(frozen=True)
class Table(Part):
    """A table. A page can sort it by any column; a narrow terminal omits columns.

    Attributes
    ----------
    id : str
        The id of the table as an element of the page.
    caption, note : str
        The title, and an explanation of the columns.
    heads : sequence of str
        The head of each column.
    rows : sequence of sequence of str
        A row has one cell for each column; a cell may be a Link or a Number.
    optional : sequence of str
        The heads of the columns that a narrow terminal omits first, beginning with the least important. If
        the table is still too wide, other columns are omitted from the right. The first column always stays.
    """

    id: str
    caption: str
    note: str
    heads: Sequence[str]
    rows: Sequence[Sequence[str]]
    optional: Sequence[str] = ()

    @property
    def numeric(self) -> list[bool]:
        """For each column, whether it contains a Number."""
        return [any(isinstance(row[k], Number) for row in self.rows) for k in range(len(self.heads))]


@dataclass(frozen=True)
class Facts(Part):
    """A table with two columns, the names and values in ``pairs``."""

    caption: str
    pairs: Sequence[tuple[str, object]]


@dataclass(frozen=True)
class Paragraph(Part):
    """A paragraph of text; if ``alarm`` is set, the page shows it as a warning."""

    content: str
    alarm: bool = False


@dataclass(frozen=True)
class Code(Part):
    """A text that is shown with its line breaks."""

    text: str


@dataclass(frozen=True)
class Details(Part):
    """Parts in a box that the reader can unfold.

    Attributes
    ----------
    summary : str
        The text that is visible while the box is folded.
    parts : sequence of Part
    id : str
        If not empty, links can target the box, and ``summary`` is shown as a heading.
    note : str
        Text after the heading; shown only if there is an ``id``.
    opened : bool
        Whether the box is unfolded at first; used only if there is an ``id``.
    """

    summary: str
    parts: Sequence[Part]
    id: str = ""
    note: str = ""
    opened: bool = False


@dataclass
class Document:
    """A page: its title, and its sections in order, each as a tuple of id, heading and parts."""

    title: str
    sections: list[tuple[str, str, Sequence[Part]]] = field(default_factory=list)

    def add(self, section: str, heading: str, parts: Iterable[Part], sources: Iterable[str] = ()) -> None:
        """Add a section, unless it has no parts.

        Parameters
        ----------
        section : str
            The id of the section.
        heading : str
        parts : iterable of Part
        sources : iterable of str
            The sources of the data in the section; :func:`marked` marks the heading if one is ``surrogate``.
        """
        content = list(parts)
        if content:
            self.sections.append((section, marked(heading, sources), content))


def marked(heading: str, sources: Iterable[str]) -> str:
    """Return the heading, with a mark in parentheses if ``surrogate`` is among the sources of the data."""
    kinds = set(sources)
    if "surrogate" not in kinds:
        return heading
    return f"{heading} ({'surrogate' if len(kinds) == 1 else 'surrogate and real'})"
