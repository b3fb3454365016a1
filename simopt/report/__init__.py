"""Reports: tables and figures from stored runs, and from nothing else."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from simopt.errors import InputError, StorageError
from simopt.store import reader
from simopt.store.reader import Run


@dataclass(frozen=True)
class Collected:
    """The runs that could be read, and a line for each that could not."""

    runs: list[Run]
    broken: list[str]


def collect(paths: Sequence[Path]) -> Collected:
    """Read every run file at and below some paths.

    Raises
    ------
    InputError
        A path does not exist, or there is no run file at all.
    """
    for path in paths:
        if not path.exists():
            raise InputError(f"{path}: there is no such file or folder.")
    found = reader.find(paths)
    if not found:
        places = ", ".join(map(str, paths))
        raise InputError(f"No run files in {places}; make one with `simopt run measure=cka dataset=majaj`.")
    collected = Collected([], [])
    for path in found:
        try:
            collected.runs.append(reader.read(path))
        except StorageError as error:
            collected.broken.append(str(error))
    return collected


def figures_folder(paths: Sequence[Path]) -> Path:
    """Return where figures go unless told otherwise: ``figures`` in the first folder."""
    first = paths[0]
    return (first.parent if first.is_file() else first) / "figures"
