"""The selection of a report: the files and folders to read, and filters on the results in the files."""

from __future__ import annotations

import glob
import os
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path

from simopt import checks
from simopt.errors import InputError, SimoptError
from simopt.report.pools import by_dataset, by_rank, pool
from simopt.store import image, layout
from simopt.store.errors import UNREADABLE
from simopt.store.reader import Run

KEYS = ("dataset", "measure", "source", "status", "run")
"""The keys of filters."""

ANALYSES = ("sensitivity", "joint")
"""The analyses that a report shows; an analysis is stored as ``NAME.h5``."""

Facts = Mapping[str, Sequence[str]]
"""Lists of strings by a key of KEYS: names that occur in a file, or patterns of a filter."""


@dataclass(frozen=True)
class Selection:
    """A selection: ``places`` are files and folders to read, ``filters`` are patterns by key."""

    places: list[Path]
    filters: dict[str, list[str]] = field(default_factory=dict)


def parse(arguments: Sequence[str], default: Path = Path("outputs")) -> Selection:
    """Sort arguments into paths, patterns of paths, and filters ``KEY=VALUE``.

    A path that looks like a filter must be written with its folder: ``./measure=cka``.

    Parameters
    ----------
    arguments : sequence of str
        The patterns of paths are those of :mod:`glob`, including ``**``. The value of a filter is a name, a
        pattern such as ``ridge*``, or a list of names and patterns: ``cka,nbs`` or ``[cka,nbs]``.
    default : Path
        The folder that is read if the arguments contain no path.

    Raises
    ------
    InputError
        The key of a filter is unknown, the value of a filter is empty, or a pattern matches no path.
    """
    places: list[Path] = []
    filters: dict[str, list[str]] = {}
    for argument in arguments:
        key, equals, value = argument.partition("=")
        if not equals or not re.fullmatch(r"\w+", key):
            places += _places(argument)
            continue
        checks.one_of(key, KEYS, "filter")
        names = [name.strip() for name in value.strip().removeprefix("[").removesuffix("]").split(",")]
        if not all(names):
            raise InputError(f"{argument}: a name is empty; write {key}=NAME or {key}=NAME,NAME.")
        filters.setdefault(key, []).extend(names)
    return Selection(places or [default], filters)


def _places(argument: str) -> list[Path]:
    path = checks.expanded(argument, "the file or folder to report")
    # A path that exists is taken as it is, even if it contains characters of patterns.
    if path.exists() or not glob.has_magic(argument):
        return [path]
    matches = sorted(glob.glob(str(path), recursive=True))  # noqa: PTH207, Path.glob takes no absolute pattern
    if not matches:
        raise InputError(
            f"No file or folder fits the pattern {argument!r}; an example of a pattern is 'outputs/*/cka'."
        )
    return [Path(match) for match in matches]


def find(places: Sequence[Path]) -> dict[str, list[Path]]:
    """Return the stored results in some files and folders, as lists of paths by kind, without duplicates.

    The kinds are ``run`` and the names in :data:`ANALYSES`. Folders are searched with all folders inside.

    Raises
    ------
    InputError
        A file or folder does not exist.
    """
    named = {layout.RUN_FILE: "run", **{f"{analysis}.h5": analysis for analysis in ANALYSES}}
    # By resolved path, so that a file that is reached through a link as well counts once.
    files: dict[str, dict[Path, Path]] = {kind: {} for kind in named.values()}
    for place in places:
        if not place.exists():
            raise InputError(f"{place}: there is no such file or folder.")
        if place.is_file():
            files[_kind(place)].setdefault(place.resolve(), place)
            continue
        # os.walk skips folders that are deleted meanwhile or may not be read, where Path.rglob would raise.
        for folder, _, names in sorted(os.walk(place)):
            for name in named.keys() & names:
                path = Path(folder, name)
                files[named[name]].setdefault(path.resolve(), path)
    return {kind: sorted(paths.values()) for kind, paths in files.items()}


def _kind(path: Path) -> str:
    """Return the kind of a file; a damaged file counts as a run, and the reader of runs then refuses it."""
    try:
        with image.opened(path) as file:
            analysis = image.attributes_of(file).get("analysis")
    except (*UNREADABLE, SimoptError):
        return path.stem if path.stem in ANALYSES else "run"
    return analysis if isinstance(analysis, str) and analysis in ANALYSES else "run"


def keeps(filters: Facts, facts: Facts) -> bool:
    """Return whether a file passes all filters: for each key, a name in the file matches a pattern."""
    return all(
        any(fits(key, pattern, name) for pattern in patterns for name in facts[key])
        for key, patterns in filters.items()
    )


def fits(key: str, pattern: str, name: str) -> bool:
    """Return whether a name matches a pattern; for the name of a run, the beginning of its hash is enough."""
    if key == "run" and name.rpartition("-")[2].startswith(pattern):
        return True
    return fnmatchcase(name, pattern)


def nothing_left(filters: Facts, seen: Iterable[Facts]) -> InputError:
    """Return the error for filters that match nothing. It quotes a pattern that no name matches, if any."""
    files = list(seen)
    for key, patterns in filters.items():
        names = {name for facts in files for name in facts[key]}
        for pattern in patterns:
            if not any(fits(key, pattern, name) for name in names):
                return checks.unknown(pattern, names, key)
    text = " ".join(f"{key}={','.join(patterns)}" for key, patterns in filters.items())
    return InputError(
        f"No stored run or analysis fits {text} together, though each filter alone fits some; drop a filter."
    )


def drawn(runs: Sequence[Run], most: int) -> tuple[list[Run], list[str]]:
    """Choose the runs that figures show.

    Runs that differ only in their seeds form one curve. The first curve of every measure is chosen before the
    second curve of any measure.

    Parameters
    ----------
    runs : sequence of Run
    most : int
        The largest number of curves of a dataset.

    Returns
    -------
    shown : list of Run
    left_out : list of str
        A line for each dataset that has runs which are not shown.
    """
    shown: list[Run] = []
    left_out: list[str] = []
    for dataset, curves in by_dataset(pool(runs)):
        ranked = sorted(by_rank(curves).items(), key=lambda entry: entry[0][0])
        kept = [run for _, curve in ranked[:most] for run in curve.runs]
        shown += kept
        if len(ranked) > most:
            count = sum(len(curve.runs) for curve in curves)
            left_out.append(
                f"figures show {len(kept)} of {count} runs of {dataset}; choose by a filter like measure=cka."
            )
    return shown, left_out
