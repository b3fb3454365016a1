"""Stored runs that commands take in place of runs of their own."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from simopt.app.paths import bare
from simopt.errors import SimoptError
from simopt.store import layout, reader
from simopt.store.config import parsed
from simopt.store.reader import Run

Config = Mapping[str, Any]


def runs(folder: Path, data_hash: str, node: Config) -> Iterator[tuple[Run, Config]]:
    """Give the readable runs below a folder on these data with this measure, and their configurations.

    Parameters
    ----------
    folder : Path
    data_hash : str
        Of the recording, :meth:`Dataset.data_hash`.
    node : mapping
        Of the measure: a run of the same name with other options is another measure's.
    """
    for path in reader.find([folder]):
        try:
            run = reader.read(path)
        except SimoptError:
            continue
        config = parsed(run.attributes["config"]) or {}
        measure = config.get("measure")
        if not isinstance(measure, Mapping) or run.attributes["data_hash"] != data_hash:
            continue
        if bare(measure) == bare(node):
            yield run, config


def best(
    folder: Path,
    data_hash: str,
    node: Config,
    fits: Callable[[Run, Config], bool] = lambda run, config: True,
) -> Run | None:
    """Return, of those of :func:`runs` that are finished and fit, the one of the most replicates, or None."""
    fitting = (
        run
        for run, config in runs(folder, data_hash, node)
        if run.status == layout.FINISHED and fits(run, config)
    )
    return max(fitting, key=lambda run: run.score.shape[1], default=None)
