"""Datasets by name: ``names`` lists them, ``load`` loads one.

To add a dataset, write one module here and one yaml in ``configs/dataset/``.

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
    """Load a dataset by name.

    Parameters
    ----------
    name, source, **options
        As in :func:`loader`.

    Raises
    ------
    InputError
        No such dataset or option, or data that cannot be used.
    FetchError
        ``source="real"``, and the recording can be neither found nor downloaded.

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
        For the published recordings. ``auto`` takes the real recording if it is in the cache, else its
        surrogate with a :class:`~simopt.errors.SurrogateWarning`; ``real`` downloads the recording if
        necessary.
    **options
        Options of the dataset that replace its defaults, for instance ``path="x.npy"`` for ``file``.

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
    """Return the loader that a configuration node describes: ``_target_``, ``name`` and options."""
    loader: Loader = catalogue.build(node, "dataset", Loader)
    return loader


def recording(name: str) -> Recording:
    """Return the loader of a published recording.

    Raises
    ------
    InputError
        No dataset of this name, or one that is not a recording.
    """
    loaders = map(loader, set(names()) - {"file"})  # which needs a path
    recordings = {built.name: built for built in loaders if isinstance(built, Recording)}
    checks.one_of(name, recordings, "recording")
    return recordings[name]


def describe(name: str) -> dict[str, Any]:
    """Return the facts that are known of a dataset without reading a recording, as plain values.

    Returns
    -------
    dict
        ``name``, ``shape``, ``labels``, ``size`` of the download, ``licence``, ``citation``, and ``source``:
        what ``source=auto`` would take now, ``real`` or ``surrogate``, or ``generated`` for data that imitate
        no recording. Of ``file`` nothing is known but its name.
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
    described = loader(name)
    if isinstance(described, Recording):
        return card | {
            "shape": list(described.shape),
            "labels": [planted.variable for planted in described.planted()],
            "source": described.origin,
            "size": ", ".join(file.size for file in described.files),
            "licence": described.licence,
            "citation": described.citation,
        }
    dataset = described.load()
    return card | {
        "shape": list(dataset.responses.shape),
        "labels": list(dataset.labels),
        "source": "generated",
        "citation": dataset.citation,
    }
