"""What every result can do besides holding its fields, and reading any stored result."""

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
"""A table, as pandas.DataFrame takes it: a dict of plain values for each row."""
SCHEMA = 1
"""The version of the keys of JSON: keys are added, never renamed."""
_HTML_ROWS = 30
_REPR_NUMBERS = 3
"""Lines of numbers in ``repr``; with the title above and the path below it has five lines at most."""
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
        The file that stores it; None if it is not stored.
    how : str
        ``done`` (computed now), ``resumed`` (continued from a checkpoint) or ``found`` (it was stored).
    """

    kind: ClassVar[str]
    """The kind of result that its file declares."""

    path: Path | None = None
    how: str = "done"

    @classmethod
    def of(cls, content: Any, **more: Any) -> Self:
        """Return the result that has the fields of the dataclass ``content``, and more."""
        return cls(**{field.name: getattr(content, field.name) for field in fields(content)}, **more)

    @property
    @abstractmethod
    def title(self) -> str:
        """The question, the measures and the dataset with its source, in one line."""

    def main_numbers(self) -> list[str]:
        """Return the main numbers, most important first, one line each; by default the rows of the table."""
        return [
            ", ".join(f"{key} {_cell(value)}" for key, value in row.items() if value is not None)
            for row in self.table()
        ]

    def caveats(self) -> list[str]:
        """Return what has to be known before the numbers are used, one sentence each; empty if nothing."""
        return []

    def values(self) -> Mapping[str, Any]:
        """Return the values of :meth:`as_json` without ``schema``; by default those of the fields' class."""
        plain: Mapping[str, Any] = super().as_json()  # type: ignore[misc]
        return plain

    def as_json(self) -> dict[str, Any]:
        """Return plain values and ``schema``, the version of their keys; NaN and infinity become None."""
        plain: dict[str, Any] = as_plain({"schema": SCHEMA, **self.values()})
        return plain

    @abstractmethod
    def table(self) -> Rows:
        """Return the result as rows, one dict of plain values each, for pandas.DataFrame or xarray."""

    def plot(self, ax: Axes | None = None) -> Axes:
        """Draw the figure that the command saves, and return the axes.

        Raises
        ------
        InputError
            The result has no figure: bounds, derivations and learning order have none.
        """
        raise InputError(f"{type(self).__name__} has no figure; table() has its rows.")

    @classmethod
    def load(cls, path: Path) -> Self:
        """Return the result in a file that :meth:`save` wrote.

        Raises
        ------
        StorageError
            The file is broken, unfinished, or holds another kind of result.
        """
        result: Self = read(path, cls.kind, cls)
        return result

    def content(self) -> Stored:
        """Return the content of the result's file: by default all its fields."""
        return packed(self)

    def save(self, path: str | Path) -> Path:
        """Write the result to an HDF5 file, which :func:`simopt.load_result` reads, and return its path.

        Raises
        ------
        InputError
            The result has no file format: bounds, derivations and learning order have none.
        StorageError
            The file cannot be written; an older file at this path stays as it was.
        """
        if not hasattr(self, "kind"):
            raise InputError(f"{type(self).__name__} cannot be saved; as_json() has its values.")
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
    """Return the file of a dataclass: one array for each array in its fields, all other values as JSON."""
    structure, arrays = pack(content, _FIELDS)
    return Stored({**attributes, _FIELDS: structure}, arrays)


def read(path: Path, kind: str, fields_of: type[Any]) -> Any:
    """Return the dataclass in a file of :func:`packed`.

    Parameters
    ----------
    path : Path
    kind : str
        The kind that the file has to declare.
    fields_of : type
        The class of the dataclass.

    Raises
    ------
    StorageError
        The file is broken, unfinished, or of another kind.
    """

    def take(stored: Stored) -> Any:
        return build(fields_of, unpack(analysis.text(stored.attributes[_FIELDS]), stored.arrays))

    return analysis.read(path, kind, take)


def load_result(path: str | Path) -> Result:
    """Return a stored result: written by a command, by ``store=``, or by ``save``.

    Parameters
    ----------
    path : path
        An HDF5 file: run.h5, sensitivity.h5, joint.h5, attribution.h5, score.h5, or one that ``save`` wrote.

    Returns
    -------
    RunResult, SensitivityResult, JointResult, AttributeResult, CompareResult, ExplainResult or CardResult

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
            raise StorageError(f"{file}: its kind is {kind!r}; simopt reads {', '.join(_CLASSES)}.")
        result: Result = pkgutil.resolve_name(f"simopt.workflows.{_CLASSES[kind]}").load(file)
        return result
