"""Files of results: arrays and attributes by path, a kind and a status. Every write is atomic."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

import h5py

from simopt.errors import OtherSchemaError, StorageError, UnfinishedError
from simopt.store import image, layout
from simopt.store.errors import reading_errors
from simopt.store.image import Array, Stored

__all__ = ["Array", "Stored", "attributes", "kind_of", "opened", "read", "text", "unfinished", "write"]

Content = TypeVar("Content")


def write(path: Path, analysis: str, content: Stored, status: str = layout.FINISHED) -> Path:
    """Write a file of an analysis, replacing an older one, and return its path.

    Parameters
    ----------
    path : Path
    analysis : str
        The kind of analysis, for instance ``sensitivity``.
    content : Stored
    status : str
        One of ``layout.STATUSES``.

    Raises
    ------
    StorageError
        The file cannot be written. An older file is left unchanged.
    """
    about = {"schema": layout.SCHEMA, "analysis": analysis, "status": status, **content.attributes}
    image.write(path, replace(content, attributes=about))
    return path


def read(path: Path, analysis: str, take: Callable[[Stored], Content]) -> Content:
    """Read the file of a finished analysis.

    Parameters
    ----------
    path : Path
    analysis : str
        The kind that is expected.
    take : callable
        Makes the result from the content. What it raises on unexpected content becomes a StorageError.

    Raises
    ------
    StorageError
        The file is of another kind or schema version, is not finished, or is damaged.
    """
    with opened(path, analysis) as (file, status):
        if status != layout.FINISHED:
            raise UnfinishedError(f"{path}: {status}, not finished; the command that made it resumes it.")
        return take(image.content(file))


def unfinished(path: Path, analysis: str) -> Stored | None:
    """Return the content of a file from which work can be resumed; None if it holds no checkpoint.

    Raises
    ------
    OtherSchemaError
        A later version of simopt wrote the file.
    StorageError
        The file cannot be read.
    """
    with opened(path, analysis) as (file, _):
        return image.content(file) if layout.RESUME in file else None


def attributes(path: Path) -> dict[str, Any]:
    """Return the attributes of a file of any analysis, sorted by name, without reading its arrays.

    Raises
    ------
    StorageError
        The file cannot be read.
    """
    with reading_errors(path, "file of an analysis"), image.opened(path) as file:
        return image.attributes_of(file)


def kind_of(attributes: Mapping[str, Any]) -> str:
    """Return the kind of result that a file with these attributes holds.

    Raises
    ------
    TypeError
        Its attribute is not a str.
    """
    # A run file has no attribute "analysis"; the file of every other kind has.
    return text(attributes.get("analysis", "run"))


def text(value: object) -> str:
    """Return a value that must be text.

    Raises
    ------
    TypeError
        It is not a str.
    """
    if not isinstance(value, str):
        raise TypeError(f"expected text, found {value!r}")
    return value


@contextlib.contextmanager
def opened(path: Path, analysis: str) -> Iterator[tuple[h5py.File, str]]:
    """Open the file of a result of one kind, ``run`` for a run, and yield it with its status.

    Raises
    ------
    OtherSchemaError
        A later version of simopt wrote the file.
    StorageError
        The file cannot be read, or is of another kind.
    """
    with reading_errors(path, f"{analysis} file"), image.opened(path) as file:
        about = image.attributes_of(file)
        kind = kind_of(about)
        if kind != analysis:
            raise StorageError(f"{path}: holds {kind!r}; expected {analysis!r}.")
        schema = about.get("schema")
        if schema not in layout.SCHEMAS:
            # A file of a later version must not be replaced.
            later = isinstance(schema, int) and schema > layout.SCHEMA
            error = OtherSchemaError if later else StorageError
            reads = f"this version of simopt reads schema {layout.SCHEMA}"
            raise error(f"{path}: {analysis} of schema {schema!r}; {reads}.")
        # Schema 1 had no status: only finished analyses were stored.
        yield file, text(about.get("status", layout.FINISHED))
