"""Whether a stored run or analysis was made as the published ones: its configuration, read as data."""

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

_UNREADABLE = "its configuration cannot be read"
_LONGEST = 40
_LARGEST = 10**15
_MISSING = "not set"
_LR = 0.1
_FREE = {
    "dataset": {"source", "seed"},
    "optimizer": {"fused"},
    "decoder": {"seed", "variables", "score_step"},
}
"""Of each node of a configuration what may be other than published."""


def unlike(run: Run) -> str:
    """Return in what a run is not as published, in words; empty if in nothing.

    The paper: its recordings as preprocessed there, Adam of learning rate 0.1, a standard normal start of
    X's shape, up to a score of 0.99.
    """
    dataset = str(run.attributes["dataset"])
    if dataset not in numbers.datasets():
        return f"{dataset} is no recording of the paper"
    if (dataset, run.measure) not in numbers.runs():
        known = ", ".join(measure for name, measure in numbers.runs() if name == dataset)
        return f"of {dataset} the published runs at hand are {known}"
    stored = _config(run.attributes)
    if stored is None:
        return _UNREADABLE
    expected = {"dataset": dataset, "measure": run.measure, "optimizer": "adam", "init": "gaussian"}
    told = [text for node, name in expected.items() for text in _unlike(stored, node, name)]
    if told:
        return told[0]
    if stored.get("target") != numbers.TARGET:
        return _told("target", stored.get("target"), numbers.TARGET)
    if run.status != layout.FINISHED:
        return f"its status is {run.status}"
    if not len(run.score) or not (run.score[-1] >= numbers.TARGET).all():
        return f"it did not reach {numbers.TARGET}"
    return ""


def unlike_analysis(found: Sensitivities | JointRange) -> str:
    """Return why the data of a stored analysis are not those of the paper, in words; empty if they are."""
    name = found.dataset
    if name not in numbers.datasets():
        return f"{name} is no recording of the paper"
    if found.path is None:
        return ""
    try:
        stored = _config(analysis.attributes(found.path))
    except StorageError:
        stored = None
    if stored is None:
        return _UNREADABLE
    return next(_unlike(stored, "dataset", name), "")


def differences(stored: Config, node: str, name: str) -> dict[str, tuple[Any, Any]]:
    """Return the options of a node that are other than published: what is stored, and what is published.

    Parameters
    ----------
    stored : mapping
        A whole configuration.
    node : {"dataset", "measure", "optimizer", "init", "decoder"}
    name : str
        Of the catalogue's entry that is as published.
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
    """Return in what the decoder of a run was not the published one; empty if in nothing."""
    stored = _config(attributes) or {}
    told = [f"{key} {_plain(here)}" for key, (here, _) in differences(stored, "decoder", "published").items()]
    return f"decoder here: {', '.join(told)}" if told else ""


def _config(attributes: Mapping[str, Any]) -> Config | None:
    return parsed(str(attributes.get("config", "")))


def _unlike(stored: Config, node: str, name: str) -> Iterator[str]:
    for key, (here, there) in differences(stored, node, name).items():
        yield _told(f"{node}.{key}" if key else node, here, there)


def _told(what: str, here: object, there: object) -> str:
    return f"{what} is {_plain(here)}, published {_plain(there)}"


def _plain(value: object) -> str:
    """Return a stored value as a few printable characters."""
    large = isinstance(value, int | float) and abs(value) > _LARGEST
    if large or not isinstance(value, str | bool | int | float | None):
        return "something else"
    shown = repr(value)
    return shown if len(shown) <= _LONGEST else f"{shown[:_LONGEST]}..."
