"""What a dataset is: responses, labels, and where both come from."""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from simopt import catalogue, checks
from simopt.errors import InputError
from simopt.typing import FloatArray, LabelArray, Source

REPETITIONS = ("average", "keep")
"""What becomes of single trials: averaged, or kept beside their average."""

_HASHED_AT_ONCE = 2**24


def condition_sums(
    values: LabelArray, condition: LabelArray, dtype: npt.DTypeLike = np.float64
) -> LabelArray:
    """Return the sum over the trials of each condition that occurs, ascending, (..., condition, unit).

    Parameters
    ----------
    values : array, (..., trial, unit)
    condition : array of int from 0, (trial,)
    dtype : dtype
        Of the sums.
    """
    order = np.argsort(condition, kind="stable")
    ordered = condition[order]
    if not np.array_equal(ordered, condition):
        values = values[..., order, :]
    starts = np.flatnonzero(np.diff(ordered, prepend=-1))
    sums: LabelArray = np.add.reduceat(values, starts, axis=-2, dtype=dtype)
    return sums


def condition_means(values: FloatArray, condition: LabelArray) -> tuple[FloatArray, LabelArray]:
    """Return the mean over the trials of each condition, NaN left out, and of how many trials it is.

    Parameters
    ----------
    values : array, (..., trial, unit)
    condition : array of int from 0, (trial,)
        Each condition at least once.
    """
    present = ~np.isnan(values)
    if present.all():
        counts: LabelArray = np.bincount(condition)[:, None]
    else:
        counts = condition_sums(present, condition, np.intp)
        values = np.where(present, values, 0)
    with np.errstate(invalid="ignore"):  # nothing was there, or infinite values of both signs
        return condition_sums(values, condition) / counts, counts


def check_length(values: LabelArray, size: int, what: str, counted: str = "conditions") -> None:
    """Refuse values that are not one for each of the ``size`` conditions, or of what else is counted."""
    if values.shape != (size,):
        raise InputError(
            f"{what} has shape {values.shape}; expected one value for each of the {size} {counted}."
        )


def check_labels(labels: Mapping[str, LabelArray], conditions: int, name: str) -> None:
    """Refuse labels that have not one value for each condition; ``name`` says whose they are."""
    for variable, values in labels.items():
        check_length(values, conditions, f"{name}: label {variable!r}")


@dataclass(frozen=True)
class Trials:
    """The single trials behind condition averages.

    Attributes
    ----------
    responses : array, (trial, unit) or (time, trial, unit)
    condition : array of int, (trial,)
        Which condition of the dataset each trial repeats.
    """

    responses: FloatArray
    condition: LabelArray

    def data_hash(self) -> str:
        """Return the SHA-256 of responses (as little-endian float64), shape and conditions."""
        return _hash(self.responses, {"condition": self.condition})

    def average(self, chosen: LabelArray | None = None) -> FloatArray:
        """Return the mean of the trials, or of those with the indices ``chosen``, of each condition in order.

        Raises
        ------
        InputError
            A condition of which no trial was chosen.
        """
        values, of = self.responses, self.condition
        if chosen is not None:
            values, of = values[..., chosen, :], of[chosen]
        counts = np.bincount(of, minlength=int(self.condition.max()) + 1)
        if not counts.all():
            raise InputError(f"condition {int(np.argmin(counts))} has no trial to average.")
        mean: FloatArray = condition_sums(values, of) / counts[:, None]
        return mean.astype(np.result_type(values, np.float32), copy=False)

    def halves(self, seed: int) -> tuple[FloatArray, FloatArray]:
        """Return the averages of two random halves of the trials of each condition.

        Of an odd number of trials one is left out, so that both halves are equally noisy.

        Raises
        ------
        InputError
            A condition has fewer than 2 trials.
        """
        counts = np.bincount(self.condition)
        if counts.min() < 2:
            raise InputError(
                f"condition {int(counts.argmin())} has {int(counts.min())} trial(s); split halves need at "
                "least 2 of each condition."
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
    """A recording, or what stands in for one.

    Attributes
    ----------
    name : str
    responses : array of float32 or float64, (samples, units) or (time, condition, unit)
        Integers and booleans become float64.
    labels : dict of array, (conditions,)
        One value for each condition (each sample where there is no time), by task variable.
    source : {"real", "surrogate"}
        Whether the responses were recorded (or handed in) or generated by simopt.
    citation : str
    trials : Trials or None
        The repetitions that the responses average, where they were asked for.

    Raises
    ------
    InputError
        Responses of another shape or dtype, NaN or infinite ones, or the same in all samples; labels of
        another length.

    Examples
    --------
    >>> import numpy as np, simopt
    >>> responses = np.random.default_rng(0).standard_normal((3, 10, 4))
    >>> data = simopt.Dataset("mine", responses, labels={"side": np.arange(10) % 2})
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
        object.__setattr__(self, "labels", {name: np.asarray(each) for name, each in self.labels.items()})
        checks.varying(self.samples(), self.name)
        check_labels(self.labels, self.responses.shape[-2], self.name)

    def samples(self) -> FloatArray:
        """Return the responses as (samples, units), samples = time x condition, time outermost."""
        return checks.flatten(self.responses)

    def spectrum(self) -> FloatArray:
        """Return the explained variance ratio of each PC of nonzero variance, (K,), descending."""
        from simopt.components import principal_components  # which imports torch

        variance: FloatArray = principal_components(self.samples()).values ** 2
        return variance

    def participation_ratio(self) -> float:
        """Return (sum lambda)^2 / sum lambda^2, the effective number of PCs."""
        return float(1 / np.sum(self.spectrum() ** 2))

    def data_hash(self) -> str:
        """Return the SHA-256 of responses (as little-endian float64), shape, and labels, in hexadecimal."""
        return _hash(self.responses, self.labels)


def _hash(responses: FloatArray, labels: Mapping[str, LabelArray]) -> str:
    digest = hashlib.sha256(repr(responses.shape).encode())
    samples = checks.flatten(responses)
    for block in np.array_split(samples, max(1, samples.nbytes // _HASHED_AT_ONCE)):
        digest.update(np.ascontiguousarray(block, dtype="<f8").tobytes())
    for variable in sorted(labels):
        digest.update(repr((variable, labels[variable].tolist())).encode())
    return digest.hexdigest()


def same_rows(X: Dataset, Y: Dataset) -> None:
    """Refuse two datasets whose rows are not the same samples.

    Labels that both have, by name, must agree row by row: identifiers of stimuli or trials above all.

    Raises
    ------
    InputError
        Other numbers of samples, or a label that differs.
    """
    checks.same_samples(X.samples().shape, Y.samples().shape)
    if X.responses.shape[-2] != Y.responses.shape[-2]:
        return  # one of them is flattened over time
    for name in sorted(X.labels.keys() & Y.labels.keys()):
        ours, theirs = X.labels[name], Y.labels[name]
        if (ours.dtype.kind == "U") != (theirs.dtype.kind == "U"):  # numbers, which one file holds as text
            ours, theirs = ours.astype(str), theirs.astype(str)
        differs = np.flatnonzero(ours != theirs)
        if len(differs):
            row = int(differs[0])
            reordered = sorted(map(str, ours)) == sorted(map(str, theirs))
            raise InputError(
                f"{name} of row {row} is {ours[row]} in {X.name} and {theirs[row]} in {Y.name}"
                + (
                    "; the rows are the same in another order: sort both by it."
                    if reordered
                    else f"; {len(differs)} of {len(ours)} rows differ."
                )
            )


@dataclass(frozen=True, kw_only=True)
class Loader(ABC):
    """What reads or generates a dataset; a yaml in ``configs/dataset/`` names one.

    ``title``, ``origin`` and ``identity`` say of a dataset of this package what it will be without the data
    being read or generated, and without torch. A loader that does not define the last two loads its data.
    """

    name: str

    revision: ClassVar[int] = 1
    """Goes up when the same options come to give other data."""

    @abstractmethod
    def load(self) -> Dataset:
        """Read or generate the dataset."""

    @property
    def title(self) -> str:
        """The name that the dataset will have."""
        return self.name

    @property
    def origin(self) -> Source:
        """The source that the dataset will have; where it depends on the cache, on what is there now."""
        return self.load().source

    def identity(self, hash_of: Callable[[Path], str]) -> dict[str, Any]:
        """Return plain JSON values that say what the data are, whatever they are called.

        Parameters
        ----------
        hash_of : callable
            From the path of a file to a hash of its content.

        Raises
        ------
        InputError
            Options for which there are no data.
        """
        return {"data": self.load().data_hash()}

    def options(self, *excluded: str) -> dict[str, Any]:
        """Return the options by name, less the name of the dataset and those excluded."""
        names = [option.name for option in fields(self) if option.name not in ("name", *excluded)]
        return {name: getattr(self, name) for name in names}

    def recipe(self, **values: Any) -> dict[str, Any]:
        """Return the class, its revision unless it is 1, and those values that are set, as plain JSON values.

        What is None, False or empty is left out: an option that is added later leaves identities as they are.
        """
        recipe = {"recipe": f"{type(self).__module__}.{type(self).__qualname__}"}
        options = {name: checks.as_plain(value) for name, value in values.items()}
        revision = {} if self.revision == 1 else {"revision": self.revision}
        return recipe | revision | {name: value for name, value in options.items() if catalogue.is_set(value)}
