"""The data that a request is about: described now, loaded when they are needed."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from simopt import catalogue, checks, datasets
from simopt.datasets import Dataset, Loader
from simopt.errors import InputError
from simopt.store.hashes import FileHashes
from simopt.typing import ArrayLike

_KEPT_BYTES = 2**30
_kept: dict[str, Dataset] = {}
"""Datasets that this process has loaded, by what they are: jobs on the same data load them once."""


@dataclass(frozen=True)
class Data:
    """A dataset, as a configuration names it or as a caller holds it.

    Attributes
    ----------
    node : dict
        Of the configuration; empty for data that are given.
    given : Dataset or None
    label : str or None
        What tables and figures call the data; None: their own name.
    """

    node: Mapping[str, Any]
    given: Dataset | None = field(default=None, repr=False)
    label: str | None = None

    @classmethod
    def of(cls, data: Data | Dataset | Mapping[str, Any] | ArrayLike, name: str = "X") -> Data:
        """Return data as they come: a dataset, the node of one, or an array (samples, units) or 3-D.

        Raises
        ------
        InputError
            An unknown option, or an array that no measure can use.
        """
        if isinstance(data, Data):
            return data
        if isinstance(data, Dataset):
            return cls({}, data)
        if isinstance(data, Mapping):
            return cls(catalogue.node("dataset", data))
        if isinstance(data, str | Path):
            raise InputError(
                f"{name} is {str(data)!r}; give an array or a Dataset, as simopt.load_dataset returns it."
            )
        return cls({}, Dataset(name, checks.responses(data, name)))

    @classmethod
    def named(cls, reference: str, ids: str | None = None, **options: Any) -> Data:
        """Return a dataset of the catalogue, or of a file, with options over its defaults.

        Parameters
        ----------
        reference : str
            A name of ``simopt datasets``, or a path.
        ids : str, optional
            The label that names the rows of a file.
        **options
            Of the dataset. A file keeps its constant units unless they say otherwise.

        Raises
        ------
        InputError
            Neither a dataset nor a file, or an unknown option.
        """
        path = checks.expanded(reference, "the recording")
        if path.exists():
            usual: dict[str, Any] = {"path": str(path.resolve()), "constant_units": "keep"}
            if ids is not None:
                usual["labels"] = [ids]
            return cls(catalogue.node("dataset", "file", **{**usual, **options}))
        if reference in datasets.names() and reference != "file":
            return cls(catalogue.node("dataset", reference, **options))
        if path.suffix:
            raise InputError(f"{reference}: there is no such file.")
        raise checks.unknown(reference, datasets.names(), "dataset, and no file,")

    @cached_property
    def loader(self) -> Loader:
        """What loads the dataset; its options are checked when it is built."""
        return datasets.build(self.node)

    @property
    def name(self) -> str:
        """The name that the dataset has."""
        return self.loader.title if self.given is None else self.given.name

    @property
    def origin(self) -> str:
        """``real`` or ``surrogate``."""
        return self.loader.origin if self.given is None else self.given.source

    @property
    def shown(self) -> str:
        """What tables and figures call the data."""
        return self.name if self.label is None else self.label

    @cached_property
    def dataset(self) -> Dataset:
        """The dataset itself, loaded once in a process (of those loaded, the latest gigabyte is kept)."""
        if self.given is not None:
            return self.given
        key = json.dumps(self.loader.identity(FileHashes()), sort_keys=True) + self.name
        dataset = _kept.pop(key) if key in _kept else self.loader.load()
        _kept[key] = dataset
        while len(_kept) > 1 and sum(each.responses.nbytes for each in _kept.values()) > _KEPT_BYTES:
            del _kept[next(iter(_kept))]
        return dataset

    def identity(self, hash_of: Callable[[Path], str]) -> dict[str, Any]:
        """Return what the data are, as plain values, without loading them.

        Parameters
        ----------
        hash_of : callable
            Returns the hash of a file's content.
        """
        if self.given is not None:
            trials = self.given.trials
            single = {} if trials is None else {"trials": trials.data_hash()}
            return {"data_hash": self.given.data_hash(), **single}
        return self.loader.identity(hash_of)
