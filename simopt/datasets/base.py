"""The classes ``Dataset`` (responses, labels and single trials) and ``Loader`` (base class)."""

from __future__ import annotations

import html
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any, ClassVar, Literal, get_args

import numpy as np

from simopt import catalogue, checks, sides
from simopt.datasets.trials import Trials, sha256
from simopt.errors import InputError
from simopt.rows import Order, Rows, are_none, codes, of_samples
from simopt.typing import FloatArray, LabelArray, Source

Repetitions = Literal["average", "keep"]
"""``average``: a reader returns only averages over trials. ``keep``: it also returns the single trials."""

_LABELS_SHOWN = 6  # labels that are printed; more would not fit one line


@contextmanager
def readable(what: Path | str, kind: str) -> Iterator[None]:
    """Turn every error of a parser in the ``with`` block into an InputError with the file's name and kind."""
    try:
        yield
    except InputError:
        raise
    except FileNotFoundError as error:
        raise InputError(f"{what}: there is no such file.") from error
    # Broken bytes lead parsers to exceptions of every kind: UnicodeDecodeError, KeyError, struct.error ...
    except Exception as error:
        reason = str(error).splitlines()[0][:120] if str(error) else type(error).__name__
        if isinstance(error, MemoryError):
            reason = "by its header it holds more than fits in memory"
        elif any(word in str(error).lower() for word in ("pickle", "python object")):
            # numpy refuses to unpickle objects, and takes a file of another format for a pickle.
            reason = "it holds no array, or an array of Python objects, which simopt never loads"
        raise InputError(f"{what}: not a readable {kind} file ({reason}).") from error


def in_this_file(item: Any, path: Path | str) -> Any:
    """Return ``item``, an h5py.Dataset, unless its numbers are in other files or were never written."""
    if item.external or item.is_virtual:
        raise InputError(f"{path}: {item.name} is stored in other files; copy its numbers into this file.")
    # A dataset may have any shape without being written: reading it would fill the memory with zeros.
    checks.unpacked(item.nbytes, item.id.get_storage_size(), f"{path}: {item.name}")
    return item


def check_length(values: LabelArray, size: int, what: str, counted: str = "conditions") -> None:
    """Refuse ``values`` whose shape is not (size,).

    ``what`` is the name of the values in the error, and ``counted`` the name of the things that have them.
    """
    if values.shape != (size,):
        raise InputError(
            f"{what} has shape {values.shape}; expected one value for each of the {size} {counted}."
        )


def check_labels(labels: Mapping[str, LabelArray], conditions: int, name: str) -> None:
    """Refuse labels that do not have exactly one value for each condition.

    ``name`` is the file or dataset of the labels, for error messages.
    """
    for variable, values in labels.items():
        check_length(values, conditions, f"{name}: label {variable!r}")


@dataclass(frozen=True)
class Dataset:
    """Recorded or generated responses, with the task variables of their conditions.

    Attributes
    ----------
    name : str
    responses : array of float32 or float64, (samples, units) or (time, condition, unit)
        Integers and booleans are converted to float64.
    labels : dict of array
        Maps the name of each task variable to its values, an array of shape (conditions,). If the responses
        have no time axis, every sample is a condition.
    source : {"real", "surrogate"}
        ``real`` if the responses were recorded or passed in, ``surrogate`` if simopt generated them.
    citation : str
    trials : Trials or None
        The single trials whose averages are the responses. None unless they were kept
        (``repetitions="keep"``).
    groups, blocks : str, list of str, array, or None
        Which samples share a signal (groups, for instance repeats of a stimulus or time bins of a trial), and
        which share a nuisance (blocks, for instance a session). Given names of labels, samples with equal
        values of all these labels belong together; ``condition`` is the index of the condition unless a label
        has this name. An array has one value for each sample or, if the responses have a time axis, for each
        condition. ``groups="none"``: no groups, even if samples are equal.
    rows : {"time", "independent"} or None
        ``time``: samples (or groups) may depend on those before. ``independent``: not. None: tests decide.
    names : dict of array
        What else names the conditions, (conditions,) by name: the index of a pandas object, coordinates of an
        xarray object or a netCDF file. Like labels they must agree between X and Y, but they are not decoded.

    Raises
    ------
    InputError
        The responses have another shape or dtype, hold NaN or infinite values, or are the same in all
        samples; a label does not have exactly one value for each condition; or groups or blocks name no label
        or have another shape.

    Examples
    --------
    >>> import numpy as np, simopt
    >>> responses = np.random.default_rng(0).standard_normal((3, 10, 4))
    >>> data = simopt.Dataset("mine", responses, labels={"side": np.arange(10) % 2})
    >>> data
    <Dataset 'mine': source real; shape 3 times x 10 conditions x 4 units; labels 'side' (2 classes)>
    >>> data.samples().shape
    (30, 4)
    """

    name: str
    responses: FloatArray
    labels: Mapping[str, LabelArray] = field(default_factory=dict)
    source: Source = "real"
    citation: str = ""
    trials: Trials | None = None
    groups: Any = None
    blocks: Any = None
    rows: Order | None = None
    names: Mapping[str, LabelArray] = field(default_factory=dict)

    def __post_init__(self) -> None:
        object.__setattr__(self, "names", {**self.names, **sides.names(self.responses)})
        object.__setattr__(self, "responses", checks.responses(self.responses, self.name))
        labels = self.labels or {}
        for variable, values in labels.items():
            if np.ma.is_masked(values):
                raise InputError(f"{self.name}: label {variable!r} has masked values; give each one a value.")
        labels = {
            variable: checks.as_array(values, f"{self.name}: label {variable!r}")
            for variable, values in labels.items()
        }
        object.__setattr__(self, "labels", labels)
        checks.varying(self.samples(), self.name)
        check_labels({**self.names, **self.labels}, self.responses.shape[-2], self.name)
        if self.rows is not None:
            checks.one_of(self.rows, get_args(Order), "rows")
        self.structure()
        if self.trials is not None:
            *times, _, units = np.shape(self.trials.responses)
            averaged = (*times, int(np.max(self.trials.condition)) + 1, units)
            if averaged != self.responses.shape:
                raise InputError(
                    f"{self.name} has responses of shape {self.responses.shape}, and trials whose average "
                    f"has shape {averaged}; give the trials of these responses."
                )

    def __repr__(self) -> str:
        """Return the name, source, shape, labels and number of trials in one short line."""
        facts = "; ".join(f"{key} {text}" for key, text in self._facts().items() if text)
        return f"<Dataset {self.name!r}: {facts}>"

    def _repr_html_(self) -> str:
        facts = {"name": self.name, **self._facts(), "citation": self.citation}
        rows = [f"<tr><th>{key}</th><td>{html.escape(text)}</td></tr>" for key, text in facts.items() if text]
        return f"<table><tbody>{''.join(rows)}</tbody></table>"

    def _facts(self) -> dict[str, str]:
        """Return the facts that are printed about a dataset, by name; a fact that it lacks is empty."""
        axes = ("times", "conditions", "units") if self.responses.ndim == 3 else ("samples", "units")
        # Classes are counted as text: a label of objects may hold values that cannot be sorted.
        labels = [f"{name!r} ({len(set(map(str, values)))} classes)" for name, values in self.labels.items()]
        more = [f"{len(labels) - _LABELS_SHOWN} more"] if len(labels) > _LABELS_SHOWN else []
        return {
            "source": self.source,
            "shape": " x ".join(map("{} {}".format, self.responses.shape, axes)),
            "labels": ", ".join(labels[:_LABELS_SHOWN] + more),
            "trials": "" if self.trials is None else str(len(self.trials.condition)),
        }

    def samples(self) -> FloatArray:
        """Return the responses with shape (samples, units).

        If the responses are (time, condition, unit), there are time x condition samples: first all conditions
        of the first time, then those of the second time, and so on.
        """
        return checks.flatten(self.responses)

    def structure(self) -> Rows:
        """Return which of the samples belong together, by ``groups``, ``blocks`` and ``rows``."""
        groups = None if self.looks_for_nothing else self._codes(self.groups, "groups")
        return Rows(groups, self._codes(self.blocks, "blocks"), self.rows)

    @property
    def named_groups(self) -> set[str]:
        """The names of the labels that define the groups."""
        return self._named(self.groups)

    @property
    def named_blocks(self) -> set[str]:
        """The names of the labels that define the blocks."""
        return self._named(self.blocks)

    def _named(self, declared: Any) -> set[str]:
        names = [declared] if isinstance(declared, str) else declared
        return {name for name in names if name in self.labels} if isinstance(names, list | tuple) else set()

    def groups_of_conditions(self) -> LabelArray | None:
        """Return the group of each condition, (conditions,); None if each condition is a group of its own."""
        groups, conditions = self.structure().groups, self.responses.shape[-2]
        if groups is None or len(set(groups[:conditions])) == conditions:
            return None
        return groups[:conditions]

    @property
    def looks_for_nothing(self) -> bool:
        """Whether ``groups`` is ``none``: there are no groups, even if samples are equal."""
        return are_none(self.groups)

    def _codes(self, values: Any, name: str) -> LabelArray | None:
        if values is None:
            return None
        samples, conditions = len(self.samples()), self.responses.shape[-2]
        known = {"condition": np.arange(conditions), **self.labels}
        names = [values] if isinstance(values, str) else values
        texts = isinstance(names, list | tuple) and names and all(isinstance(name, str) for name in names)
        # A text for each sample or condition is a value, unless all of them name labels.
        if texts and (len(names) not in (samples, conditions) or set(names) <= known.keys()):
            for label in names:
                checks.one_of(label, known, f"label of {self.name} for {name}")
            columns = [codes(known[label], conditions, f"label {label}") for label in names]
            values = np.unique(np.stack(columns), axis=1, return_inverse=True)[1].reshape(-1)
        return codes(of_samples(values, self.responses.shape), samples, name)

    def spectrum(self) -> FloatArray:
        """Return the explained variance ratios of the K PCs of nonzero variance, (K,), descending."""
        from simopt.components import principal_components  # which imports torch

        return principal_components(self.samples()).values ** 2

    def participation_ratio(self) -> float:
        """Return the effective number of PCs, (sum lambda)^2 / sum lambda^2; lambda are the PC variances."""
        return float(1 / np.sum(self.spectrum() ** 2))

    def data_hash(self) -> str:
        """Return the SHA-256, in hexadecimal, of the responses (as little-endian float64) and labels."""
        return sha256(self.responses, self.labels)


def same_rows(X: Dataset, Y: Dataset) -> None:
    """Refuse two datasets whose rows are not the same samples in the same order.

    Both datasets must have the same number of samples, and every label or other name of the conditions that
    both have must agree row by row. A label with the ids of stimuli or trials therefore reveals a different
    order, which a score does not.

    Raises
    ------
    InputError
        The datasets differ in their number of samples, or in a label that both have.
    """
    sides.aligned(X, Y)
    checks.same_samples(X.samples().shape, Y.samples().shape)


@dataclass(frozen=True, kw_only=True)
class Loader(ABC):
    """Base class of all loaders: a loader holds the options of a dataset, and reads or generates its data.

    Each yaml in ``configs/dataset/`` names a loader class and its options. The properties ``title`` and
    ``origin`` and the method ``identity`` describe the dataset before it is loaded. In the loaders of simopt
    they neither read nor generate data, so that stored results are found quickly. In the base class
    ``origin`` and ``identity`` load the data; override them to avoid this.
    """

    name: str
    groups: Any = field(default=None, repr=False)
    blocks: Any = field(default=None, repr=False)
    rows: Order | None = field(default=None, repr=False)

    revision: ClassVar[int] = 1
    """Version of the code of a loader. Increase it when a change makes the same options give other data."""

    def __repr__(self) -> str:
        """Return the name of the class and the options that are not at their defaults; cut long values off.

        Only a dataclass declared with ``repr=False`` inherits this method. The others show every option.
        """
        shown = [
            f"{option.name}={value!r:.200}"
            for option in fields(self)
            if repr(value := getattr(self, option.name)) != repr(option.default)
        ]
        return f"{type(self).__name__}({', '.join(shown)})"

    @abstractmethod
    def load(self) -> Dataset:
        """Read or generate the dataset, ignoring ``groups``, ``blocks`` and ``rows``."""

    def structured(self) -> Dataset:
        """Load the dataset, and return it with its groups and blocks.

        Raises
        ------
        InputError
            The dataset cannot be loaded, or it has no label of the name of a group or block.
        """
        declared = {"groups": self.groups, "blocks": self.blocks, "rows": self.rows}
        return replace(self.load(), **{name: value for name, value in declared.items() if value is not None})

    @property
    def title(self) -> str:
        """The name that the dataset will have."""
        return self.name

    @property
    def origin(self) -> Source:
        """The ``source`` that the dataset would have if it were loaded now: ``real`` or ``surrogate``."""
        return self.load().source

    def identity(self, hash_of: Callable[[Path], str]) -> dict[str, Any]:
        """Return a dict of plain JSON values that identifies the data.

        Two loaders return the same values if and only if they give the same data; name and title do not
        matter. Stored results are found by a hash of these values.

        Parameters
        ----------
        hash_of : callable
            Maps the path of a file to a hash of its content.

        Raises
        ------
        InputError
            No data can be loaded with these options.
        """
        return {"data": self.load().data_hash()}

    def options(self, *excluded: str) -> dict[str, Any]:
        """Return a dict of the options of the data, without those named in ``excluded``.

        ``name``, ``groups``, ``blocks`` and ``rows`` are not options of the data.
        """
        excluded = ("name", "groups", "blocks", "rows", *excluded)
        names = [option.name for option in fields(self) if option.name not in excluded]
        return {name: getattr(self, name) for name in names}

    def recipe(self, **values: Any) -> dict[str, Any]:
        """Return the identity of data that ``values`` determine, as plain JSON values.

        The result holds the loader's class, its ``revision`` unless it is 1, and the ``values`` that are not
        None, False or empty. A new option with such a default therefore does not change the identity of older
        datasets, so that their stored results are still found.
        """
        recipe = {"recipe": f"{type(self).__module__}.{type(self).__qualname__}"}
        options = {
            name: checks.as_plain(value) for name, value in catalogue.in_ids(values, recipe["recipe"]).items()
        }
        revision = {} if self.revision == 1 else {"revision": self.revision}
        return recipe | revision | {name: value for name, value in options.items() if catalogue.is_set(value)}
