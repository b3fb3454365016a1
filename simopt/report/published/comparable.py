"""Checks whether a stored run or analysis was made like the published ones, by its stored configuration."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from simopt import catalogue
from simopt.errors import StorageError
from simopt.report.published import numbers
from simopt.report.stored_config import parsed
from simopt.store import analysis, layout

if TYPE_CHECKING:
    from simopt.analysis.sensitivity import Sensitivities
    from simopt.ranges.result import JointRange
    from simopt.store.reader import Run

Config = Mapping[str, Any]

_UNREADABLE = "the stored configuration cannot be read"
# A stored value may be anything. A note shows at most 40 characters of it, and no number above 10**15: the
# digits of a long integer could fill the screen, and Python refuses to print more than 4300 of them.
_LONGEST = 40
_LARGEST = 10**15
_MISSING = "not set"
# The learning rate of the published runs, whatever the catalogue's default is.
_LR = 0.1
_FREE = {
    "dataset": {"source", "seed"},
    "optimizer": {"fused"},
    "decoder": {"seed", "variables", "score_step"},
}
"""For each section of a configuration, the options that may differ from the published ones."""


def unlike(run: Run) -> str:
    """Return the first difference between a run and the published runs as text; empty if there is none.

    The published runs use the recordings with the preprocessing of the paper. They start from standard normal
    noise of the shape of X, which Adam with learning rate 0.1 optimizes up to a score of 0.99.
    """
    return next(_reasons(run), "")


def _reasons(run: Run) -> Iterator[str]:
    dataset = str(run.attributes["dataset"])
    if dataset not in numbers.datasets():
        yield f"{dataset} is not a recording of the paper"
    published = numbers.runs(dataset)
    if run.measure not in published:
        yield f"the published runs on {dataset} are those of {', '.join(published)}"
    stored = _config(run.attributes)
    if stored is None:
        yield _UNREADABLE
        return
    expected = {"dataset": dataset, "measure": run.measure, "optimizer": "adam", "init": "gaussian"}
    for node, name in expected.items():
        yield from _unlike(stored, node, name)
    if stored.get("target") != numbers.TARGET:
        yield _words("target", stored.get("target"), numbers.TARGET)
    if run.status != layout.FINISHED:
        yield f"the status of the run is {run.status}"
    if not len(run.score) or not (run.score[-1] >= numbers.TARGET).all():
        yield f"the score did not reach {numbers.TARGET}"


def unlike_analysis(result: Sensitivities | JointRange) -> str:
    """Return the reason why the data of a stored analysis are not those of the paper; empty if they are."""
    name = result.dataset
    if name not in numbers.datasets():
        return f"{name} is not a recording of the paper"
    if result.path is None:
        return ""
    try:
        stored = _config(analysis.attributes(result.path))
    except StorageError:
        return _UNREADABLE
    return _UNREADABLE if stored is None else next(_unlike(stored, "dataset", name), "")


def differences(stored: Config, node: str, name: str) -> dict[str, tuple[Any, Any]]:
    """Return the options in one section of a configuration that differ from the published ones.

    Parameters
    ----------
    stored : mapping
        A whole configuration.
    node : {"dataset", "measure", "optimizer", "init", "decoder"}
        The section.
    name : str
        The name of the published choice for the section, as in the catalogue.

    Returns
    -------
    dict
        The pair (stored value, published value) of each option that differs. The key is empty if the section
        as a whole cannot be read.
    """
    here = stored.get(node)
    if not isinstance(here, dict):
        return {"": (here, name)}
    there = catalogue.read(node, name) | ({"lr": _LR} if node == "optimizer" else {})
    free = _FREE.get(node, set()) | {"name", "aliases"}
    return {
        key if isinstance(key, str) and key.isidentifier() else _plain(key): (value, there.get(key, _MISSING))
        for key, value in here.items()
        if key not in free and value != there.get(key, _MISSING)
    }


def decoder_note(attributes: Mapping[str, Any]) -> str:
    """Return a note on how a run's decoder differs from the published decoder; empty if it is equal."""
    stored = _config(attributes) or {}
    options = differences(stored, "decoder", "published")
    words = [f"{key} {_plain(here)}" for key, (here, _) in options.items()]
    return f"decoder here: {', '.join(words)}" if words else ""


def _config(attributes: Mapping[str, Any]) -> Config | None:
    return parsed(str(attributes.get("config", "")))


def _unlike(stored: Config, node: str, name: str) -> Iterator[str]:
    for key, (here, there) in differences(stored, node, name).items():
        yield _words(f"{node}.{key}" if key else node, here, there)


def _words(what: str, here: object, there: object) -> str:
    return f"{what} is {_plain(here)}, published {_plain(there)}"


def _plain(value: object) -> str:
    """Return a stored value as at most _LONGEST printable characters, followed by dots if it is longer."""
    large = isinstance(value, int | float) and abs(value) > _LARGEST
    if large or not isinstance(value, str | bool | int | float | None):
        return "something else"
    shown = repr(value)
    return shown if len(shown) <= _LONGEST else f"{shown[:_LONGEST]}..."
