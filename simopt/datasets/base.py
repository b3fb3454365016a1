"""What a dataset is: responses, labels, and where both come from."""

from __future__ import annotations

import hashlib
import html
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np

from simopt import catalogue, checks
from simopt.errors import InputError
from simopt.typing import FloatArray, LabelArray, Source

Repetitions = Literal["average", "keep"]
"""What a reader does with single trials: ``average`` them, or ``keep`` them beside their average."""

_LABELS_SHOWN = 6  # labels that are printed; more would not fit one line
_HASH_BLOCK = 2**24  # bytes copied at a time while hashing, so that a large recording is never copied whole


@contextmanager
def readable(what: Path | str, kind: str) -> Iterator[None]:
    """Turn every error of a parser in the ``with`` block into one that names the file and its kind."""
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
            reason = "it claims to hold more than fits in memory"
        elif any(word in str(error).lower() for word in ("pickle", "python object")):
            # numpy refuses to unpickle objects, and takes a file of another format for a pickle.
            reason = "it holds Python objects, which are never loaded, or no array at all"
        raise InputError(f"{what}: not a readable {kind} file ({reason}).") from error


def in_this_file(item: Any, path: Path | str) -> Any:
    """Return an h5py.Dataset; refuse one whose numbers are in other files, or were hardly ever written."""
    if item.external or item.is_virtual:
        raise InputError(f"{path}: {item.name} keeps its numbers in other files; copy them into this one.")
    # A dataset may have any shape without being written: reading it would fill the memory with zeros.
    checks.unpacked(item.nbytes, item.id.get_storage_size(), f"{path}: {item.name}")
    return item


def condition_sums(values: LabelArray, condition: LabelArray) -> FloatArray:
    """Return the sum over the trials of each condition, in float64, (..., condition, unit), ascending.

    Conditions without a trial have no row in the result.

    Parameters
    ----------
    values : array, (..., trial, unit)
    condition : array of int from 0, (trial,)
        The condition of each trial, in any order.
    """
    # reduceat adds up runs of adjacent trials: sort by condition, then start a run wherever it changes.
    # The stable sort keeps the order of trials within a condition, and so the last bits of the sum.
    order = np.argsort(condition, kind="stable")
    ordered = condition[order]
    if not np.array_equal(ordered, condition):  # do not copy trials that are already sorted
        values = values[..., order, :]
    starts = np.flatnonzero(np.diff(ordered, prepend=-1))
    return np.add.reduceat(values, starts, axis=-2, dtype=np.float64)


def condition_means(values: FloatArray, condition: LabelArray) -> tuple[FloatArray, LabelArray]:
    """Return the mean over the trials of each condition without the NaN, and the number of values averaged.

    Parameters
    ----------
    values : array, (..., trial, unit)
    condition : array of int from 0, (trial,)
        The condition of each trial. Every number up to the largest must occur.

    Returns
    -------
    means : array of float64, (..., condition, unit)
        NaN where every trial of a condition is NaN.
    counts : array, (condition, 1) where nothing is NaN, else the shape of ``means``
    """
    present = ~np.isnan(values)
    if present.all():
        counts: LabelArray = np.bincount(condition)[:, None]
    else:
        counts = condition_sums(present, condition)
        values = np.where(present, values, 0)
    with np.errstate(invalid="ignore"):  # 0 / 0 where every trial is NaN; inf - inf; callers refuse both
        return condition_sums(values, condition) / counts, counts


def check_length(values: LabelArray, size: int, what: str, counted: str = "conditions") -> None:
    """Refuse ``values`` unless there is one for each of the ``size`` conditions (or what is ``counted``)."""
    if values.shape != (size,):
        raise InputError(
            f"{what} has shape {values.shape}; expected one value for each of the {size} {counted}."
        )


def check_labels(labels: Mapping[str, LabelArray], conditions: int, name: str) -> None:
    """Refuse labels without exactly one value for each condition; ``name`` says where they come from."""
    for variable, values in labels.items():
        check_length(values, conditions, f"{name}: label {variable!r}")


@dataclass(frozen=True)
class Trials:
    """The single trials behind condition averages.

    Attributes
    ----------
    responses : array, (trial, unit) or (time, trial, unit)
    condition : array of int, (trial,)
        The index of the condition of the dataset that each trial repeats.
    """

    responses: FloatArray
    condition: LabelArray

    def data_hash(self) -> str:
        """Return the SHA-256 of responses (as little-endian float64), shape and conditions."""
        return _hash(self.responses, {"condition": self.condition})

    def average(self, chosen: LabelArray | None = None) -> FloatArray:
        """Return the mean over the trials of each condition, (..., condition, unit).

        Parameters
        ----------
        chosen : array of int, optional
            Indices of the trials to average; None: all.

        Raises
        ------
        InputError
            A condition none of whose trials is chosen.
        """
        values, condition = self.responses, self.condition
        if chosen is not None:
            values, condition = values[..., chosen, :], condition[chosen]
        counts = np.bincount(condition, minlength=int(self.condition.max()) + 1)
        if not counts.all():
            raise InputError(f"condition {int(np.argmin(counts))} has no trial to average; it needs one.")
        mean: FloatArray = condition_sums(values, condition) / counts[:, None]
        # Sums are float64; return the trials' own precision, but at least float32 (trials may be integers).
        return mean.astype(np.result_type(values, np.float32), copy=False)

    def halves(self, seed: int) -> tuple[FloatArray, FloatArray]:
        """Return the averages of two random halves of the trials of each condition.

        If a condition has an odd number of trials, one of them (at random) is left out, so that both halves
        are equally noisy.

        Parameters
        ----------
        seed : int
            The same seed gives the same halves.

        Raises
        ------
        InputError
            A condition has fewer than 2 trials.
        """
        counts = np.bincount(self.condition)
        if counts.min() < 2:
            raise InputError(
                f"condition {int(counts.argmin())} has {int(counts.min())} trial(s); split halves need at "
                "least 2 trials of every condition."
            )
        rng = np.random.default_rng(seed)
        first, second = [], []
        for condition, count in enumerate(counts):
            members = rng.permutation(np.flatnonzero(self.condition == condition))
            first.append(members[: count // 2])
            second.append(members[count // 2 : 2 * (count // 2)])
        return self.average(np.concatenate(first)), self.average(np.concatenate(second))


@dataclass(frozen=True)
class Dataset:
    """Responses of a recording, or of generated data, with the task variables of its conditions.

    Attributes
    ----------
    name : str
    responses : array of float32 or float64, (samples, units) or (time, condition, unit)
        Integers and booleans become float64.
    labels : dict of array, (conditions,)
        By task variable: one value for each condition (for each sample if there is no time axis).
    source : {"real", "surrogate"}
        ``real`` if the responses were recorded or passed in, ``surrogate`` if simopt generated them.
    citation : str
    trials : Trials or None
        The single trials behind the averages, if they were kept (``repetitions="keep"``).

    Raises
    ------
    InputError
        The responses have another shape or dtype, hold NaN or infinite values, or are the same in all
        samples; or a label does not have one value for each condition.

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

    def __post_init__(self) -> None:
        object.__setattr__(self, "responses", checks.responses(self.responses, self.name))
        labels = {variable: np.asarray(values) for variable, values in self.labels.items()}
        object.__setattr__(self, "labels", labels)
        checks.varying(self.samples(), self.name)
        check_labels(self.labels, self.responses.shape[-2], self.name)

    def __repr__(self) -> str:
        """Return name, source, shape, labels and trials in one short line."""
        facts = "; ".join(f"{key} {text}" for key, text in self._facts().items() if text)
        return f"<Dataset {self.name!r}: {facts}>"

    def _repr_html_(self) -> str:
        facts = {"name": self.name, **self._facts(), "citation": self.citation}
        rows = [f"<tr><th>{key}</th><td>{html.escape(text)}</td></tr>" for key, text in facts.items() if text]
        return f"<table><tbody>{''.join(rows)}</tbody></table>"

    def _facts(self) -> dict[str, str]:
        """Return what is printed of a dataset; empty where it has nothing to print."""
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
        """Return the responses as (samples, units), samples = time x condition, time outermost."""
        return checks.flatten(self.responses)

    def spectrum(self) -> FloatArray:
        """Return the explained variance ratios of the PCs of nonzero variance, (K,), descending."""
        from simopt.components import principal_components  # which imports torch

        return principal_components(self.samples()).values ** 2

    def participation_ratio(self) -> float:
        """Return (sum lambda)^2 / sum lambda^2, the effective number of PCs; lambda are their variances."""
        return float(1 / np.sum(self.spectrum() ** 2))

    def data_hash(self) -> str:
        """Return the SHA-256 of responses (as little-endian float64), shape and labels, in hexadecimal."""
        return _hash(self.responses, self.labels)


def _hash(responses: FloatArray, labels: Mapping[str, LabelArray]) -> str:
    digest = hashlib.sha256(repr(responses.shape).encode())
    samples = checks.flatten(responses)
    # float32 and float64 copies of the same numbers get the same hash, on machines of either byte order.
    for block in np.array_split(samples, max(1, samples.nbytes // _HASH_BLOCK)):
        digest.update(np.ascontiguousarray(block, dtype="<f8").tobytes())
    for variable in sorted(labels):
        digest.update(repr((variable, labels[variable].tolist())).encode())
    return digest.hexdigest()


def same_rows(X: Dataset, Y: Dataset) -> None:
    """Refuse two datasets unless their rows are the same samples.

    The numbers of samples must agree, and so must every label that both datasets have, row by row. A label
    with the ids of the stimuli or trials thus detects rows in another order, which no score would show.

    Raises
    ------
    InputError
        The numbers of samples or a label differ.
    """
    checks.same_samples(X.samples().shape, Y.samples().shape)
    if X.responses.shape[-2] != Y.responses.shape[-2]:
        return  # one of them is flattened over time, so its labels cannot be matched with the other's
    for name in sorted(X.labels.keys() & Y.labels.keys()):
        labels_x, labels_y = X.labels[name], Y.labels[name]
        if (labels_x.dtype.kind == "U") != (labels_y.dtype.kind == "U"):  # one file holds the numbers as text
            labels_x, labels_y = labels_x.astype(str), labels_y.astype(str)
        differs = np.flatnonzero(labels_x != labels_y)
        if len(differs):
            row = int(differs[0])
            reordered = sorted(map(str, labels_x)) == sorted(map(str, labels_y))
            raise InputError(
                f"{name} of row {row} is {labels_x[row]} in {X.name} and {labels_y[row]} in {Y.name}; "
                + (
                    f"the rows are the same in another order: sort both datasets by {name}."
                    if reordered
                    else f"{len(differs)} of {len(labels_x)} rows differ, and must be the same samples."
                )
            )


@dataclass(frozen=True, kw_only=True)
class Loader(ABC):
    """A recipe that reads or generates a dataset; each yaml in ``configs/dataset/`` names one.

    ``title``, ``origin`` and ``identity`` describe the dataset before it is loaded. The loaders of this
    package do so without reading or generating data and without importing torch, so that a stored result is
    found quickly. A loader that does not override ``origin`` and ``identity`` loads its data for them.
    """

    name: str

    revision: ClassVar[int] = 1
    """Increase it whenever a change of the code makes the same options give other data."""

    def __repr__(self) -> str:
        """Return the class and the options that are not at their defaults, long values cut off.

        Only a dataclass declared with ``repr=False`` inherits it; any other has one that shows every option.
        """
        shown = [
            f"{option.name}={value!r:.200}"
            for option in fields(self)
            if repr(value := getattr(self, option.name)) != repr(option.default)
        ]
        return f"{type(self).__name__}({', '.join(shown)})"

    @abstractmethod
    def load(self) -> Dataset:
        """Read or generate the dataset."""

    @property
    def title(self) -> str:
        """The name that the dataset will have."""
        return self.name

    @property
    def origin(self) -> Source:
        """The source that the dataset will have, given the recordings that are in the cache now."""
        return self.load().source

    def identity(self, hash_of: Callable[[Path], str]) -> dict[str, Any]:
        """Return plain JSON values that differ exactly when the data do; names and titles do not enter.

        Stored results are found by a hash of these values.

        Parameters
        ----------
        hash_of : callable
            Maps the path of a file to a hash of its content.

        Raises
        ------
        InputError
            There are no data for these options.
        """
        return {"data": self.load().data_hash()}

    def options(self, *excluded: str) -> dict[str, Any]:
        """Return the options by name, without the name of the dataset and those ``excluded``."""
        names = [option.name for option in fields(self) if option.name not in ("name", *excluded)]
        return {name: getattr(self, name) for name in names}

    def recipe(self, **values: Any) -> dict[str, Any]:
        """Return the class, its revision unless it is 1, and the ``values`` that are set, as plain JSON.

        Values that are None, False or empty are left out. So an option that a later version adds does not
        change the identity of older datasets, and their stored results are still found.
        """
        recipe = {"recipe": f"{type(self).__module__}.{type(self).__qualname__}"}
        options = {
            name: checks.as_plain(value) for name, value in catalogue.in_ids(values, recipe["recipe"]).items()
        }
        revision = {} if self.revision == 1 else {"revision": self.revision}
        return recipe | revision | {name: value for name, value in options.items() if catalogue.is_set(value)}
