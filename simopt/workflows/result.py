"""What every result can do beside holding its fields."""

from __future__ import annotations

import html
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Self

from simopt.checks import as_plain
from simopt.errors import InputError
from simopt.store import analysis
from simopt.store.image import Stored
from simopt.store.state import build, pack, unpack

if TYPE_CHECKING:
    from matplotlib.axes import Axes

SCHEMA = 1
"""The version of the keys of JSON: keys are added, never renamed."""
_MOST_ROWS = 30
_FIELDS = "fields"


@dataclass(frozen=True, kw_only=True)
class Result(ABC):
    """A result of a workflow: saved, shown as a table, drawn, or handed on as plain values.

    Attributes
    ----------
    path : Path or None
        Where it is stored; None where it is not.
    how : str
        ``done``, ``resumed``, or ``found``: it was stored.
    """

    kind: ClassVar[str]
    """What its file says it holds."""

    path: Path | None = None
    how: str = "done"

    @classmethod
    def of(cls, found: Any, **more: Any) -> Self:
        """Return the result that has the fields of a dataclass, and more."""
        return cls(**{each.name: getattr(found, each.name) for each in fields(found)}, **more)

    def values(self) -> Mapping[str, Any]:
        """Return what :meth:`as_json` gives, but for the version; by default of the class of the fields."""
        found: Mapping[str, Any] = super().as_json()  # type: ignore[misc]
        return found

    def as_json(self) -> dict[str, Any]:
        """Return plain values with the version of their keys, ``schema``; what is not finite is None."""
        told: dict[str, Any] = as_plain({"schema": SCHEMA, **self.values()})
        return told

    @abstractmethod
    def table(self) -> list[dict[str, Any]]:
        """Return plain rows, a dict each, as pandas.DataFrame and xarray take them."""

    def plot(self, ax: Axes | None = None) -> Axes:
        """Draw what the figure of the command shows, and return the axes.

        Raises
        ------
        InputError
            A result of theory other than curves, which has no figure.
        """
        raise InputError(f"{type(self).__name__} has no figure; table() has its rows.")

    @classmethod
    def load(cls, path: Path) -> Self:
        """Return the result that a file of :meth:`save` holds.

        Raises
        ------
        StorageError
            It holds none.
        """
        found: Self = read(path, cls.kind, cls)
        return found

    def content(self) -> Stored:
        """Return what a file of the result holds: by default its fields, one by one."""
        return packed(self)

    def save(self, path: str | Path) -> Path:
        """Write the result into an HDF5 file, that :func:`simopt.load_result` reads; return its path.

        Raises
        ------
        InputError
            A result of theory, which has no file.
        StorageError
            It cannot be written; an older file stays as it was.
        """
        if not hasattr(self, "kind"):
            raise InputError(
                f"{type(self).__name__} is of theory: it is not stored; as_json() has its values."
            )
        return analysis.write(Path(path), self.kind, self.content())

    def _repr_html_(self) -> str:
        rows = self.table()
        if not rows:
            return f"<p>{html.escape(type(self).__name__)}: empty</p>"
        heads = "".join(f"<th>{html.escape(str(key))}</th>" for key in rows[0])
        body = "".join(
            f"<tr>{''.join(f'<td>{html.escape(_shown(cell))}</td>' for cell in row.values())}</tr>"
            for row in rows[:_MOST_ROWS]
        )
        more = f"<caption>{len(rows) - _MOST_ROWS} more rows</caption>" if len(rows) > _MOST_ROWS else ""
        return f"<table>{more}<thead><tr>{heads}</tr></thead><tbody>{body}</tbody></table>"


def _shown(value: Any) -> str:
    return f"{value:.6g}" if isinstance(value, float) else "" if value is None else str(value)


def packed(found: Any, **attributes: Any) -> Stored:
    """Return a file of a dataclass: arrays by the names of its fields, the rest as JSON."""
    structure, arrays = pack(found, _FIELDS)
    return Stored({**attributes, _FIELDS: structure}, arrays)


def read(path: Path, kind: str, fields_of: type[Any]) -> Any:
    """Return the dataclass that a file of :func:`packed` holds.

    Parameters
    ----------
    path : Path
    kind : str
        What the file says it holds.
    fields_of : type
        The class.

    Raises
    ------
    StorageError
        It holds something else.
    """

    def take(stored: Stored) -> Any:
        return build(fields_of, unpack(analysis.text(stored.attributes[_FIELDS]), stored.arrays))

    return analysis.read(path, kind, take)
