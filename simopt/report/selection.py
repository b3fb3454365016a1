"""What a report is about: files by folder, file or pattern, and of those what filters leave."""

from __future__ import annotations

import glob
import os
import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path

from simopt import checks
from simopt.errors import InputError, SimoptError
from simopt.report.pools import Pool, by_rank, pool
from simopt.store import image, layout
from simopt.store.errors import UNREADABLE
from simopt.store.reader import Run

KEYS = ("dataset", "measure", "source", "status", "run")
"""What can be filtered by."""

ANALYSES = ("sensitivity", "joint")
"""The analyses a report shows; each is stored in files of its name."""

Facts = Mapping[str, Sequence[str]]
"""Names by key: of a file what it holds, of filters what is wanted."""


@dataclass(frozen=True)
class Selection:
    """Where to look, and what to keep of what is there; filters hold patterns by key."""

    places: list[Path]
    filters: dict[str, list[str]] = field(default_factory=dict)


def parse(arguments: Sequence[str], default: Path = Path("outputs")) -> Selection:
    """Tell folders, files and patterns of them from filters ``KEY=VALUE``.

    A path that reads as a filter is written with its folder: ``./measure=cka``.

    Parameters
    ----------
    arguments : sequence of str
        Patterns are those of :mod:`glob`, ``**`` among them. The value of a filter is a name, a pattern as
        ``ridge*``, or several: ``cka,nbs`` or ``[cka,nbs]``.
    default : Path
        Where to look if no place is given.

    Raises
    ------
    InputError
        An unknown key, a filter without a value, a path that is not there, or a pattern that fits nothing.
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
    path = checks.expanded(argument, "the place")
    if path.exists() or not glob.has_magic(argument):
        return [path]
    found = sorted(glob.glob(str(path), recursive=True))  # noqa: PTH207, Path.glob takes no absolute pattern
    if not found:
        raise InputError(
            f"No file or folder fits {argument!r}; write patterns in quotes, as 'outputs/*/cka'."
        )
    return [Path(each) for each in found]


def find(places: Sequence[Path]) -> dict[str, list[Path]]:
    """Return the files at and below some places by what they hold, ``run`` or an analysis, each once.

    Raises
    ------
    InputError
        A place does not exist.
    """
    named = {layout.RUN_FILE: "run", **{f"{analysis}.h5": analysis for analysis in ANALYSES}}
    found: dict[str, dict[Path, Path]] = {kind: {} for kind in named.values()}
    for place in places:
        if not place.exists():
            raise InputError(f"{place}: there is no such file or folder.")
        if place.is_file():
            found[_kind(place)].setdefault(place.resolve(), place)
            continue
        # os.walk leaves out what vanishes meanwhile or cannot be looked at.
        for folder, _, names in sorted(os.walk(place)):
            for name in named.keys() & names:
                path = Path(folder, name)
                found[named[name]].setdefault(path.resolve(), path)
    return {kind: sorted(paths.values()) for kind, paths in found.items()}


def _kind(path: Path) -> str:
    """Return what a file says it holds; one that cannot be asked is read, and refused, as a run."""
    try:
        with image.opened(path) as file:
            analysis = image.attributes_of(file).get("analysis")
    except (*UNREADABLE, SimoptError):
        return path.stem if path.stem in ANALYSES else "run"
    return analysis if isinstance(analysis, str) and analysis in ANALYSES else "run"


def keeps(filters: Facts, facts: Facts) -> bool:
    """Return whether what a file holds passes all filters: one of its names fits one of those wanted."""
    return all(
        any(fits(key, wanted, name) for wanted in names for name in facts[key])
        for key, names in filters.items()
    )


def fits(key: str, wanted: str, name: str) -> bool:
    """Return whether a name is, or has the pattern, that is wanted; a run is also told by its hash."""
    if key == "run" and name.rpartition("-")[2].startswith(wanted):
        return True
    return fnmatchcase(name, wanted)


def nothing_left(filters: Facts, seen: Iterable[Facts]) -> InputError:
    """Word the error for filters that leave nothing: the name that is nowhere, or that they never meet."""
    files = list(seen)
    for key, names in filters.items():
        there = {name for facts in files for name in facts[key]}
        for wanted in names:
            if not any(fits(key, wanted, name) for name in there):
                return checks.unknown(wanted, there, key)
    asked = " ".join(f"{key}={','.join(names)}" for key, names in filters.items())
    return InputError(f"No stored run or analysis fits {asked}, though each name occurs; drop a filter.")


def drawn(runs: Sequence[Run], most: int) -> tuple[list[Run], list[str]]:
    """Return the runs that figures can show, of each dataset so many curves, and a line where some are out.

    Runs that differ in their seeds alone are one curve. The first curve of every measure comes first, then
    the second of every measure.
    """
    shown: list[Run] = []
    left_out: list[str] = []
    by_dataset: defaultdict[str, list[Pool]] = defaultdict(list)
    for curve in pool(runs):
        by_dataset[curve.dataset].append(curve)
    for dataset, curves in by_dataset.items():
        ranked = sorted(by_rank(curves).items(), key=lambda entry: entry[0][0])
        kept = [run for _, curve in ranked[:most] for run in curve.runs]
        shown += kept
        if len(ranked) > most:
            count = sum(len(curve.runs) for curve in curves)
            left_out.append(
                f"figures show {len(kept)} of {count} runs of {dataset}; filter them, as measure=cka."
            )
    return shown, left_out
