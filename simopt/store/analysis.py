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
    """Write the file of an analysis, replacing an older file at this path, and return the path.

    Parameters
    ----------
    path : Path
    analysis : str
        The kind of analysis, for instance ``sensitivity``.
    content : Stored
        The arrays and attributes to write.
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
        The kind of analysis that the file must hold.
    take : callable
        Takes the content of the file and returns the result. Errors that it raises are turned into
        StorageErrors.

    Raises
    ------
    StorageError
        The file holds another kind of result, has another schema version, is damaged, or its analysis is not
        finished.
    """
    with opened(path, analysis) as (file, status):
        if status != layout.FINISHED:
            raise UnfinishedError(f"{path}: not finished (status {status}); repeat the command to resume it.")
        return take(image.content(file))


def unfinished(path: Path, analysis: str) -> Stored | None:
    """Return the content of a file from which an unfinished analysis can be resumed.

    If the file holds no checkpoint, return None.

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
    """Return the kind of result that a file with these attributes holds; ``run`` for a run file.

    Raises
    ------
    TypeError
        The attribute ``analysis`` is not a str.
    """
    # A run file has no attribute "analysis"; the file of every other kind has.
    return text(attributes.get("analysis", "run"))


def text(value: object) -> str:
    """Return a value unchanged after checking that it is text.

    Raises
    ------
    TypeError
        The value is not a str.
    """
    if not isinstance(value, str):
        raise TypeError(f"expected text, found {value!r}")
    return value


@contextlib.contextmanager
def opened(path: Path, analysis: str) -> Iterator[tuple[h5py.File, str]]:
    """Open the file of a result, and yield the open file with the status of the result.

    Parameters
    ----------
    path : Path
    analysis : str
        The kind of result that the file must hold; ``run`` for a run file.

    Raises
    ------
    OtherSchemaError
        A later version of simopt wrote the file.
    StorageError
        The file cannot be read, or holds another kind of result.
    """
    with reading_errors(path, f"{analysis} file"), image.opened(path) as file:
        about = image.attributes_of(file)
        kind = kind_of(about)
        if kind != analysis:
            raise StorageError(f"{path}: the file holds a result of kind {kind!r}, not {analysis!r}.")
        schema = about.get("schema")
        if schema not in layout.SCHEMAS:
            # A file of a later version must not be replaced.
            later = isinstance(schema, int) and schema > layout.SCHEMA
            error = OtherSchemaError if later else StorageError
            reads = f"this version of simopt reads schemas 1 to {layout.SCHEMA} only"
            raise error(f"{path}: the {analysis} file has schema {schema!r}; {reads}.")
        # Schema 1 had no status: only finished analyses were stored.
        yield file, text(about.get("status", layout.FINISHED))
