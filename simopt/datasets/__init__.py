"""Find and load datasets by name: ``names`` lists all names, and ``load`` loads the dataset of a name.

To add a dataset, write one module here and one yaml in ``configs/dataset/``.

>>> from simopt import datasets
>>> "ultrametric" in datasets.names()
True
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from simopt import catalogue, checks
from simopt.datasets.base import Dataset, Loader
from simopt.datasets.recording import Recording
from simopt.datasets.trials import Trials
from simopt.errors import InputError
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


def load(name: str | Path, source: str = "auto", **options: Any) -> Dataset:
    """Load a dataset by name, or from a file.

    Parameters
    ----------
    name, source, **options
        The same as the parameters of :func:`loader`.

    Raises
    ------
    InputError
        The dataset or an option is unknown, an option has an invalid value, or the data cannot be used.
    FetchError
        ``source`` is ``real``, but the recording is not in the cache and cannot be downloaded.

    Examples
    --------
    >>> import simopt
    >>> data = simopt.load_dataset("gaussian", samples=30, units=4)
    >>> data.responses.shape
    (30, 4)
    """
    return loader(name, source, **options).structured()


def loader(name: str | Path, source: str = "auto", **options: Any) -> Loader:
    """Return the loader of a dataset by name: an object that describes the dataset and can load it.

    Parameters
    ----------
    name : str or Path
        One of :func:`names`, or the path of a file; then ``**options`` are those of ``file``.
    source : {"auto", "real", "surrogate"}
        Whether to load a published recording or its surrogate (synthetic data with the same PC spectrum).
        ``real`` takes the recording, and downloads it if it is not in the cache. ``auto`` takes the recording
        if it is in the cache; if not, it takes the surrogate and warns with
        :class:`~simopt.errors.SurrogateWarning`.
    **options
        Options of the dataset that replace its defaults, for instance ``path="x.npy"`` for ``file``.

    Raises
    ------
    InputError
        The dataset or an option is unknown, or an option has an invalid value.
    """
    named = catalogue.read("dataset", name) if name == "file" else node(name)
    chosen = {**named, **options}
    if "source" in chosen or source != "auto":
        chosen["source"] = source
    return build(chosen)


def is_file(reference: str | Path) -> bool:
    """Return whether a name of data is an existing path; a dataset goes before a folder of the same name."""
    path = checks.expanded(reference, "the recording")
    named = str(reference) in ("", *names())  # an empty text would be the working directory
    return path.is_file() or (path.exists() and not named)


def node(reference: str | Path, **options: Any) -> dict[str, Any]:
    """Return the configuration node of a dataset of the catalogue or of a file.

    Parameters
    ----------
    reference : str or Path
        One of :func:`names`, or the path of a file.
    **options
        Options that override the defaults of the dataset.

    Raises
    ------
    InputError
        ``reference`` is neither a dataset nor a file, or an option is unknown.
    """
    path, name = checks.expanded(reference, "the recording"), str(reference)
    if is_file(reference):
        if "path" in options:
            raise InputError(f"The recording is {name}; leave path={options['path']} out.")
        return catalogue.node("dataset", "file", **{"path": str(path.resolve()), **options})
    if name in names() and name != "file":
        return catalogue.node("dataset", name, **options)
    if name == "file":
        raise InputError("The dataset 'file' needs a path; give the path of your file in place of 'file'.")
    if path.suffix:
        raise InputError(f"{name}: there is no such file; `simopt datasets` lists the known names.")
    raise checks.unknown(name, names(), "dataset, and no file,")


def build(node: Node) -> Loader:
    """Return the loader that a configuration node describes.

    A configuration node is a dict with ``_target_`` (the import path of the loader's class), ``name`` and the
    options of the dataset.
    """
    loader: Loader = catalogue.build(node, "dataset", Loader)
    return loader


def recording(name: str) -> Recording:
    """Return the loader of a published recording.

    Raises
    ------
    InputError
        There is no dataset of this name, or the dataset is not a published recording.
    """
    loaders = map(loader, set(names()) - {"file"})  # which needs a path
    recordings = {built.name: built for built in loaders if isinstance(built, Recording)}
    checks.one_of(name, recordings, "recording")
    return recordings[name]


def describe(name: str) -> dict[str, Any]:
    """Return what is known about a dataset before any recording is read.

    Returns
    -------
    dict
        ``name``, ``shape``, ``labels``, ``size`` of the download, ``licence``, ``citation`` and ``source``.
        For a recording, ``source`` is ``real`` or ``surrogate``, which ``source=auto`` would load now. For
        other generated data it is ``generated``. For ``file`` only the name is known, and the other values
        are placeholders.
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
