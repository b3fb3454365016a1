"""Datasets: ``load`` one by name, ``names`` lists them.

A new dataset is one file here and one yaml in ``configs/dataset/``.
"""

from __future__ import annotations

from typing import Any

from simopt import catalogue, checks
from simopt.datasets.base import Dataset, Loader, Trials
from simopt.datasets.recording import Recording
from simopt.typing import Node

__all__ = ["Dataset", "Loader", "Recording", "Trials", "build", "describe", "load", "names", "recording"]


def names() -> list[str]:
    """Return the names of all datasets."""
    return catalogue.names("dataset")


def load(name: str, source: str = "auto", **options: Any) -> Dataset:
    """Return a dataset by name.

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
        No such dataset or option, or data that cannot be used.
    """
    node = {**catalogue.read("dataset", name), **options}
    if "source" in node or source != "auto":
        node["source"] = source
    return build(node).load()


def build(node: Node) -> Loader:
    """Return the loader that a configuration node describes."""
    loader: Loader = catalogue.build(node, "dataset", Loader)
    return loader


def recording(name: str) -> Recording:
    """Return the loader of a published recording.

    Raises
    ------
    InputError
        No dataset of this name, or one that is not a recording.
    """
    loader = build(catalogue.read("dataset", name)) if name != "file" else None
    if not isinstance(loader, Recording):
        raise checks.unknown(name, [each for each in names() if _is_recording(each)], "recording")
    return loader


def _is_recording(name: str) -> bool:
    return name != "file" and isinstance(build(catalogue.read("dataset", name)), Recording)


def describe(name: str) -> dict[str, Any]:
    """Return what a dataset says of itself without its data being read, as plain values.

    ``source`` is what ``source=auto`` takes now: ``real``, ``surrogate``, or ``generated`` for data without
    an original.
    """
    if name == "file":
        return {
            "name": name,
            "shape": None,
            "labels": [],
            "source": "real",
            "size": "",
            "licence": "",
            "citation": "your own recording",
        }
    loader = build(catalogue.read("dataset", name))
    if isinstance(loader, Recording):
        return {
            "name": name,
            "shape": list(loader.shape),
            "labels": [planted.variable for planted in loader.planted()],
            "source": "real" if loader.available else "surrogate",
            "size": ", ".join(file.size for file in loader.files),
            "licence": loader.licence,
            "citation": loader.citation,
        }
    dataset = loader.load()
    return {
        "name": name,
        "shape": list(dataset.responses.shape),
        "labels": list(dataset.labels),
        "source": "generated",
        "size": "",
        "licence": "",
        "citation": dataset.citation,
    }
