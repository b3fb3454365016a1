"""The data of a request. A request only describes its data; they are loaded when they are needed."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields, replace
from functools import cached_property
from pathlib import Path
from typing import Any, TypeAlias

from simopt import catalogue, checks, datasets
from simopt.datasets import Dataset, Loader
from simopt.datasets.base import same_rows
from simopt.errors import InputError, RowsWarning, warn
from simopt.rows import Order, Rows, found
from simopt.store.hashes import FileHashes
from simopt.typing import ArrayLike, Node

DataLike: TypeAlias = "Data | Dataset | ArrayLike"
"""What public functions accept as X and Y: a Dataset, an array, a tensor, or a pandas or xarray object."""

_CACHE_BYTES = 2**30
_cache: dict[str, Dataset] = {}
"""Datasets that this process has loaded, by identity and name; jobs on the same data load them once."""


@dataclass(frozen=True)
class Data:
    """A dataset that a configuration names, or that the caller passed in.

    Attributes
    ----------
    node : dict
        The configuration node, a dict with ``_target_`` and options; empty if the caller passed the data in.
    given : Dataset or None
        The data that the caller passed in; None if a configuration names them.
    label : str or None
        The name that tables and figures show. None: the name of the dataset.
    called : str
        The first name of the settings of these data in error messages, as in ``dataset.key=NAME``.
    """

    node: Node
    given: Dataset | None = field(default=None, repr=False)
    label: str | None = None
    called: str = "dataset"
    _hash_of: Callable[[Path], str] = field(default_factory=FileHashes, init=False, repr=False, compare=False)

    @classmethod
    def of(cls, data: Data | Dataset | Loader | Mapping[str, Any] | ArrayLike, name: str = "X") -> Data:
        """Return the description of data that are a Dataset, a loader, a configuration node, or an array.

        Raises
        ------
        InputError
            An option of the node is unknown, or :func:`simopt.checks.responses` refuses the array.
        """
        if isinstance(data, Data):
            return data
        if isinstance(data, Dataset):
            return cls({}, data)
        if isinstance(data, Mapping):
            return cls(catalogue.node("dataset", data))
        if isinstance(data, str | Path):
            raise InputError(
                f"{name} is a name or path, {str(data)!r}; give an array, or use simopt.load_dataset."
            )
        if isinstance(data, Loader):
            return cls({}, data.structured())
        return cls({}, Dataset(name, data))  # type: ignore[arg-type]

    @classmethod
    def named(cls, reference: str, ids: str | None = None, **options: Any) -> Data:
        """Return the description of a dataset that is named in the catalogue or stored in a file.

        Parameters
        ----------
        reference : str
            A name that ``simopt datasets`` lists, or the path of a file.
        ids : str, optional
            The label that identifies the samples of a file.
        **options
            Options that override the defaults of the dataset.

        Raises
        ------
        InputError
            ``reference`` is neither a dataset nor a file, or an option is unknown.
        """
        labels = {}
        if ids is not None and datasets.is_file(reference):
            # Of the labels of the file only those that are asked for are read.
            named = [options.get(key) or [] for key in ("groups", "blocks")]
            lists = [[names] if isinstance(names, str) else names for names in named]
            names = dict.fromkeys([ids, *lists[0], *lists[1]])
            labels["labels"] = [name for name in names if name not in ("none", "condition")]
        return cls(datasets.node(reference, **{**labels, **options}))

    @cached_property
    def loader(self) -> Loader:
        """The loader of the dataset, which checks the options when it is built."""
        return datasets.build(self.node)

    @property
    def name(self) -> str:
        """The name of the dataset."""
        return self.loader.title if self.given is None else self.given.name

    @property
    def origin(self) -> str:
        """The source of the data: ``real`` or ``surrogate``."""
        return self.loader.origin if self.given is None else self.given.source

    @property
    def shown(self) -> str:
        """The name that tables and figures show."""
        return self.name if self.label is None else self.label

    @property
    def averaged(self) -> list[str]:
        """The labels over which a file is averaged; empty if it is not, or for data that were passed in."""
        average = None if self.given is not None else getattr(self.loader, "average", None)
        return [average] if isinstance(average, str) else list(average or ())

    @cached_property
    def dataset(self) -> Dataset:
        """The dataset. A process keeps the datasets used last, up to 1 GiB, and loads them only once."""
        if self.given is not None:
            return self.given
        key = json.dumps(self.identity(self._hash_of), sort_keys=True) + self.name
        # Taking it out and putting it back moves it to the end: the first one is the least recently used.
        dataset = _cache.pop(key) if key in _cache else self._loaded()
        _cache[key] = dataset
        while len(_cache) > 1 and sum(data.responses.nbytes for data in _cache.values()) > _CACHE_BYTES:
            del _cache[next(iter(_cache))]
        return dataset

    def _loaded(self) -> Dataset:
        try:
            return self.loader.structured()
        except InputError as error:
            # Readers name the settings of X; those of Y have another first name.
            text = re.sub(r"\bdataset\.(?=\w+=)", f"{self.called}.", str(error))
            raise InputError(text) from error

    def identity(self, hash_of: Callable[[Path], str]) -> dict[str, Any]:
        """Return plain values that identify the data, without loading a file or generating a surrogate.

        Parameters
        ----------
        hash_of : callable
            A function that takes the path of a file and returns the hash of its content.
        """
        # `dataset` asks for the same hashes: a FileHashes remembers those of unchanged files, so that a
        # recording of gigabytes is hashed once and not twice.
        object.__setattr__(self, "_hash_of", hash_of)
        if self.given is not None:
            trials = self.given.trials
            single_trials = {} if trials is None else {"trials": trials.data_hash()}
            return {"data_hash": self.given.data_hash(), **single_trials, **_declared(self.given)}
        return {**self.loader.identity(hash_of), **_declared(self.loader)}


def _declared(data: Dataset | Loader) -> dict[str, Any]:
    """Return the groups, blocks and rows that are declared, as plain values: names, or the values."""
    # What a loader declares of its own is part of its name.
    declared = {}
    for option in fields(data):
        value = getattr(data, option.name)
        usual = value is option.default or (isinstance(value, str) and value == option.default)
        if option.name in ("groups", "blocks", "rows") and not usual:
            declared[option.name] = checks.as_plain(value)
    return declared


def structured(data: DataLike, groups: Any, blocks: Any, rows: Order | None) -> Data:
    """Return the description of data. ``groups``, ``blocks`` and ``rows`` replace those of the data if set.

    Raises
    ------
    InputError
        ``groups`` or ``blocks`` name no label, or do not have one value for each sample.
    """
    described = Data.of(data)
    declared = {"groups": groups, "blocks": blocks, "rows": rows}
    given = {name: value for name, value in declared.items() if value is not None}
    return replace(described, node={}, given=replace(described.dataset, **given)) if given else described


def paired(X: Data, Y: Data) -> tuple[Dataset, Dataset]:
    """Return the datasets of X and Y, whose samples are the same as far as their shapes and names say.

    Raises
    ------
    InputError
        X and Y differ in their axes, their number of samples, or a label that both have.

    Warns
    -----
    RowsWarning
        Only one side is averaged over labels, and the other has none of them, so that nothing says whether
        its samples are in the order of the averages.
    """
    sides = X.dataset, Y.dataset
    same_rows(*sides)
    averages = X.averaged, Y.averaged
    for names, here, there in zip(averages, sides, reversed(sides), strict=True):
        if names and not all(averages) and not set(names) & {*there.labels, *there.names}:
            shown = ", ".join(map(str, here.labels[names[0]][:3]))
            warn(
                f"{here.name} is averaged over {', '.join(names)}, in the order {shown}, ...; {there.name} "
                f"has no label {names[0]}, so its samples are taken to be in this order",
                RowsWarning,
            )
    return sides


def found_rows(X: Dataset, Y: Dataset | None = None) -> tuple[Rows, tuple[str, ...]]:
    """Return which samples of X and Y belong together, and lines on repeats found in the data.

    The declarations of X and Y are used. If neither declares groups, :func:`simopt.rows.found` looks for
    equal samples.

    Raises
    ------
    InputError
        X and Y declare different groups, blocks or rows.
    """
    sides = (X,) if Y is None else (X, Y)
    rows = X.structure().joined(Y, X.looks_for_nothing)
    if any(side.looks_for_nothing for side in sides):
        return rows, ()
    names = [side.name for side in sides]
    if len(set(names)) < len(names):  # two files of one name are two sides
        names = ["X", "Y"]
    return found(rows, {name: side.samples() for name, side in zip(names, sides, strict=True)})


def told_rows(X: Dataset, Y: Dataset | None = None) -> Rows:
    """Return which samples of X and Y belong together, and warn about repeats found in the data."""
    rows, notes = found_rows(X, Y)
    for note in notes:
        warn(note, RowsWarning)
    return rows
