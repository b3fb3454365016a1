"""Datasets: ``load`` one by name, ``names`` lists them.

A new dataset is one file here and one yaml in ``configs/dataset/``.
"""

from __future__ import annotations

from typing import Any

from simopt import catalogue, checks
from simopt.datasets.base import Dataset, Loader
from simopt.typing import Node

__all__ = ["Dataset", "Loader", "build", "load", "names"]


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
    loader = catalogue.build(node, "dataset")
    if not isinstance(loader, Loader):
        raise checks.unknown(str(node.get("_target_")), names(), "dataset")
    return loader
