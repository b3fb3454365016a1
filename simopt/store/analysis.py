"""Files of analyses: arrays by path, attributes, a status; whole or not there."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

import h5py

from simopt.errors import StorageError, UnfinishedError
from simopt.store import image, layout
from simopt.store.errors import reading_errors
from simopt.store.image import Array, Stored

__all__ = ["Array", "Stored", "attributes", "read", "text", "unfinished", "write"]

Content = TypeVar("Content")


def write(path: Path, analysis: str, content: Stored, status: str = layout.FINISHED) -> Path:
    """Write a file of an analysis in the place of any old one.

    Raises
    ------
    StorageError
        It cannot be written; nothing is left of it, and an older one stays as it was.
    """
    about = {"schema": layout.SCHEMA, "analysis": analysis, "status": status, **content.attributes}
    image.write(path, Stored(about, content.arrays, content.groups))
    return path


def read(path: Path, analysis: str, take: Callable[[Stored], Content]) -> Content:
    """Read a finished file of an analysis, and return what is taken from it.

    Parameters
    ----------
    path : Path
    analysis : str
        Which.
    take : callable
        Makes a result of what the file holds, whatever that is.

    Raises
    ------
    StorageError
        Another kind of file, of another schema version, not finished, or broken.
    """
    with _opened(path, analysis) as (file, status):
        if status != layout.FINISHED:
            raise UnfinishedError(f"{path}: {status}, not finished; the command that made it resumes it.")
        return take(image.content(file))


def unfinished(path: Path, analysis: str) -> Stored | None:
    """Return what a file of an analysis holds that is not finished; None where there is none.

    Raises
    ------
    OtherSchemaError
        Another version reads the file.
    StorageError
        It cannot be read.
    """
    if not path.exists():
        return None
    with _opened(path, analysis) as (file, status):
        return None if status == layout.FINISHED else image.content(file)


def attributes(path: Path) -> dict[str, Any]:
    """Return the attributes of a file of any analysis, sorted by name, and read nothing else of it.

    Raises
    ------
    StorageError
        It cannot be read.
    """
    with reading_errors(path, "file of an analysis"), image.opened(path) as file:
        return image.attributes_of(file)


def text(value: object) -> str:
    """Return what has to be text.

    Raises
    ------
    TypeError
        It is none.
    """
    if not isinstance(value, str):
        raise TypeError(f"{value!r} stands where text should")
    return value


@contextlib.contextmanager
def _opened(path: Path, analysis: str) -> Iterator[tuple[h5py.File, str]]:
    """Open a file of an analysis, and give it with its status."""
    with reading_errors(path, f"file of {analysis}"), image.opened(path) as file:
        about = image.attributes_of(file)
        kind, schema = about.get("analysis"), about.get("schema")
        if kind != analysis:
            raise StorageError(f"{path}: holds {kind!r}; expected {analysis!r}.")
        layout.check_schema(path, analysis, schema)
        # Those of schema 1 are all finished.
        yield file, text(about.get("status", layout.FINISHED))
