"""Datasets: ``load`` one by name, ``names`` lists them.

A new dataset is one file here and one yaml in ``configs/dataset/``.

>>> from simopt import datasets
>>> "ultrametric" in datasets.names()
True
"""

from __future__ import annotations

from typing import Any

from simopt import catalogue, checks
from simopt.datasets.base import Dataset, Loader, Trials
from simopt.datasets.recording import Recording
from simopt.typing import Node

__all__ = [
    "Dataset",
    "Loader",
    "Recording",
    "Trials",
    "build",
    "describe",
    "load",
    "loader",
    "names",
    "recording",
]


def names() -> list[str]:
    """Return the names of all datasets."""
    return catalogue.names("dataset")


def load(name: str, source: str = "auto", **options: Any) -> Dataset:
    """Return a dataset by name: what :func:`loader` loads.

    Examples
    --------
    >>> import simopt
    >>> data = simopt.load_dataset("gaussian", samples=30, units=4)
    >>> data.responses.shape
    (30, 4)
    """
    return loader(name, source, **options).load()


def loader(name: str, source: str = "auto", **options: Any) -> Loader:
    """Return the loader of a dataset by name.

    Parameters
    ----------
    name : str
        One of :func:`names`.
    source : {"auto", "real", "surrogate"}
        For the published recordings: ``auto``, the default, takes the real one where it is at hand, else
        the surrogate with a :class:`~simopt.errors.SurrogateWarning`.
    **options
        Over the dataset's defaults, for instance ``path="x.npy"`` for ``file``.

    Raises
    ------
    InputError
        No such dataset or option.
    """
    node = {**catalogue.read("dataset", name), **options}
    if "source" in node or source != "auto":
        node["source"] = source
    return build(node)


def build(node: Node) -> Loader:
    """Return the loader that a configuration node describes."""
    built: Loader = catalogue.build(node, "dataset", Loader)
    return built


def recording(name: str) -> Recording:
    """Return the loader of a published recording.

    Raises
    ------
    InputError
        No dataset of this name, or one that is not a recording.
    """
    built = {each: loader(each) for each in names() if each != "file"}
    recordings = {each: found for each, found in built.items() if isinstance(found, Recording)}
    checks.one_of(name, recordings, "recording")
    return recordings[name]


def describe(name: str) -> dict[str, Any]:
    """Return what a dataset says of itself without its data being read, as plain values.

    ``source`` is what ``source=auto`` takes now: ``real``, ``surrogate``, or ``generated`` for data without
    an original.
    """
    card: dict[str, Any] = {
        "name": name,
        "shape": None,
        "labels": [],
        "source": "real",
        "size": "",
        "licence": "",
        "citation": "your own recording",
    }
    if name == "file":
        return card
    found = loader(name)
    if isinstance(found, Recording):
        return card | {
            "shape": list(found.shape),
            "labels": [planted.variable for planted in found.planted()],
            "source": found.origin,
            "size": ", ".join(file.size for file in found.files),
            "licence": found.licence,
            "citation": found.citation,
        }
    dataset = found.load()
    return card | {
        "shape": list(dataset.responses.shape),
        "labels": list(dataset.labels),
        "source": "generated",
        "citation": dataset.citation,
    }
