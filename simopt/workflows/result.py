"""The base class of all results, and a function that reads any stored result."""

from __future__ import annotations

import html
import pkgutil
import textwrap
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Self

from simopt.checks import as_plain
from simopt.errors import InputError, StorageError
from simopt.store import analysis
from simopt.store.errors import reading_errors
from simopt.store.image import Stored
from simopt.store.state import build, pack, unpack

if TYPE_CHECKING:
    from matplotlib.axes import Axes as Axes
else:
    Axes = "matplotlib.axes.Axes"  # importing it takes long, and only drawing needs it

Rows = list[dict[str, Any]]
"""A table that pandas.DataFrame takes: a list with a dict of plain values for each row."""
SCHEMA = 1
"""The version of the keys in JSON. Later versions add keys and rename none."""
_HTML_ROWS = 30
_REPR_NUMBERS = 3
"""Number of lines with numbers in ``repr``. With the title and the path it has at most five lines."""
_REPR_WIDTH = 110
_FIELDS = "fields"
_CLASSES = {
    "run": "run:RunResult",
    "sensitivity": "sensitivity:SensitivityResult",
    "joint": "joint:JointResult",
    "attribution": "attribute:AttributeResult",
    "comparison": "compare:CompareResult",
    "score": "compare:CompareResult",
    "explanation": "explain:ExplainResult",
    "card": "card:CardResult",
}
"""The module and class for each kind of file; imported only when such a file is read."""


@dataclass(frozen=True, kw_only=True)
class Result(ABC):
    """A result of a workflow: it can be saved, shown as a table, drawn, or converted to plain values.

    Subclasses are dataclasses with ``repr=False``: the generated ``__repr__`` would print whole arrays.

    Attributes
    ----------
    path : Path or None
        The file that stores the result; None if the result is not stored.
    how : str
        Where the result comes from: ``done`` (computed now), ``resumed`` (continued from a checkpoint) or
        ``found`` (read from a file).
    """

    kind: ClassVar[str]
    """The kind of result, as its file states it."""

    path: Path | None = None
    how: str = "done"

    @classmethod
    def of(cls, content: Any, **more: Any) -> Self:
        """Return a result with the fields of the dataclass ``content``; ``more`` sets further fields."""
        return cls(**{field.name: getattr(content, field.name) for field in fields(content)}, **more)

    @property
    @abstractmethod
    def title(self) -> str:
        """One line that names the question, the measures, and the dataset with its source."""

    def main_numbers(self) -> list[str]:
        """Return a line for each main number, most important first; by default, a line for each table row."""
        return [
            ", ".join(f"{key} {_cell(value)}" for key, value in row.items() if value is not None)
            for row in self.table()
        ]

    def caveats(self) -> list[str]:
        """Return a sentence for each fact that one must know before using the numbers."""
        return []

    def values(self) -> Mapping[str, Any]:
        """Return the values of :meth:`as_json`, without ``schema``; by default, those of the base class."""
        plain: Mapping[str, Any] = super().as_json()  # type: ignore[misc]
        return plain

    def as_json(self) -> dict[str, Any]:
        """Return plain values with ``schema``, the version of their keys; NaN and infinity become None."""
        plain: dict[str, Any] = as_plain({"schema": SCHEMA, **self.values()})
        return plain

    @abstractmethod
    def table(self) -> Rows:
        """Return the rows of the result, each a dict of plain values, for pandas.DataFrame or xarray."""

    def plot(self, ax: Axes | None = None) -> Axes:
        """Draw the figure that the command saves, and return the axes.

        Raises
        ------
        InputError
            The result has no figure: it holds bounds, derivations or the learning order.
        """
        raise InputError(f"{type(self).__name__} has no figure; table() returns its rows.")

    @classmethod
    def load(cls, path: Path) -> Self:
        """Return the result in a file that :meth:`save` wrote.

        Raises
        ------
        StorageError
            The file is broken or unfinished, or it holds another kind of result.
        """
        result: Self = read(path, cls.kind, cls)
        return result

    def content(self) -> Stored:
        """Return what the file of the result holds: by default all fields of the result."""
        return packed(self)

    def save(self, path: str | Path) -> Path:
        """Write the result to an HDF5 file, which :func:`simopt.load_result` reads, and return its path.

        Raises
        ------
        InputError
            The result has no file format: it holds bounds, derivations or the learning order.
        StorageError
            The file cannot be written; an older file at this path is left unchanged.
        """
        if not hasattr(self, "kind"):
            raise InputError(f"{type(self).__name__} cannot be saved; as_json() returns its values.")
        return analysis.write(Path(path), self.kind, self.content())

    def __repr__(self) -> str:
        """Return at most five lines: the title, the main numbers, and the file."""
        numbers = self.main_numbers()
        if len(numbers) > _REPR_NUMBERS:
            numbers = [*numbers[: _REPR_NUMBERS - 1], f"... {len(numbers) - _REPR_NUMBERS + 1} more"]
        lines = [f"{type(self).__name__}: {self.title}", *numbers]
        # shorten() also replaces line breaks, which names from files may contain.
        lines = [textwrap.shorten(line, _REPR_WIDTH, placeholder=" ...") for line in lines]
        if self.path is not None:
            lines.append(f"{self.how}: {self.path}")
        return "\n  ".join(lines)

    def _repr_html_(self) -> str:
        """Return what a notebook shows: the title, the first rows of the table, and the caveats."""
        rows, caveats = self.table(), self.caveats()
        if len(rows) > _HTML_ROWS:
            caveats = [f"{len(rows) - _HTML_ROWS} more rows in table()", *caveats]
        heads = _tagged("th", rows[0] if rows else ())
        body = "".join(f"<tr>{_tagged('td', row.values())}</tr>" for row in rows[:_HTML_ROWS])
        table = f"<table><thead><tr>{heads}</tr></thead><tbody>{body}</tbody></table>"
        return f"<div>{_tagged('h4', [self.title])}{table}{_tagged('p', caveats)}</div>"


def _tagged(tag: str, values: Iterable[Any]) -> str:
    return "".join(f"<{tag}>{html.escape(_cell(value))}</{tag}>" for value in values)


def _cell(value: Any) -> str:
    return f"{value:.6g}" if isinstance(value, float) else "" if value is None else str(value)


def packed(content: Any, **attributes: Any) -> Stored:
    """Return what a file of a dataclass holds: arrays in its fields as arrays, all other values as JSON."""
    structure, arrays = pack(content, _FIELDS)
    return Stored({**attributes, _FIELDS: structure}, arrays)


def read(path: Path, kind: str, fields_of: type[Any]) -> Any:
    """Return the dataclass that :func:`packed` stored in a file.

    Parameters
    ----------
    path : Path
        The file.
    kind : str
        The kind of result that the file must state.
    fields_of : type
        The class of the dataclass.

    Raises
    ------
    StorageError
        The file is broken or unfinished, or it holds another kind of result.
    """

    def take(stored: Stored) -> Any:
        return build(fields_of, unpack(analysis.text(stored.attributes[_FIELDS]), stored.arrays))

    return analysis.read(path, kind, take)


def load_result(path: str | Path) -> Result:
    """Return the result in a file that a command, a function with ``store=``, or ``save`` has written.

    Parameters
    ----------
    path : path
        The HDF5 file: run.h5, sensitivity.h5, joint.h5, attribution.h5 or score.h5, or a file that ``save``
        wrote.

    Returns
    -------
    RunResult, SensitivityResult, JointResult, AttributeResult, CompareResult, ExplainResult or CardResult
        The result; its class follows from the kind that the file states.

    Raises
    ------
    StorageError
        The file cannot be read, or is not a result of simopt.

    Examples
    --------
    >>> import tempfile, pathlib, numpy as np, simopt
    >>> X = np.random.default_rng(0).standard_normal((40, 8))
    >>> folder = pathlib.Path(tempfile.mkdtemp())
    >>> saved = simopt.optimize(X, max_steps=3).save(folder / "run.h5")
    >>> simopt.load_result(saved).step.tolist()
    [0, 1, 2, 3]
    """
    file = Path(path)
    with reading_errors(file, "result of simopt"):
        kind = analysis.kind_of(analysis.attributes(file))
        if kind not in _CLASSES:
            raise StorageError(f"{file} holds a {kind!r}; simopt reads {', '.join(_CLASSES)}.")
        result: Result = pkgutil.resolve_name(f"simopt.workflows.{_CLASSES[kind]}").load(file)
        return result
