"""Single trials: their averages over conditions, and the averages of parts of their repeats."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from simopt import checks
from simopt.errors import InputError
from simopt.rows import codes
from simopt.typing import FloatArray, LabelArray

_HASH_BLOCK = 2**24  # bytes copied at a time while hashing, so that a large recording is never copied whole


def condition_sums(values: LabelArray, condition: LabelArray) -> FloatArray:
    """Return the sum over the trials of each condition.

    Parameters
    ----------
    values : array, (..., trial, unit)
    condition : array of int, (trial,)
        The index of each trial's condition, counted from 0. The trials may be in any order.

    Returns
    -------
    array of float64, (..., condition, unit)
        The conditions are in ascending order. Conditions without a trial are left out.
    """
    # reduceat adds up runs of adjacent trials: sort by condition, then start a run wherever it changes.
    # The stable sort keeps the order of trials within a condition, and so the last bits of the sum.
    order = np.argsort(condition, kind="stable")
    ordered = condition[order]
    if not np.array_equal(ordered, condition):  # do not copy trials that are already sorted
        values = values[..., order, :]
    starts = np.flatnonzero(np.diff(ordered, prepend=-1))
    if np.ptp(np.diff(starts, append=len(ordered))) == 0:  # several times as fast as reduceat
        *outer, trials, units = values.shape
        runs = values.reshape(*outer, len(starts), trials // len(starts), units)
        sums: FloatArray = np.add.reduce(runs, axis=-2, dtype=np.float64)
        return sums
    return np.add.reduceat(values, starts, axis=-2, dtype=np.float64)


def condition_means(values: LabelArray, condition: LabelArray) -> tuple[FloatArray, LabelArray]:
    """Return the mean over the trials of each condition, and how many values each mean averages.

    NaN are left out of the means.

    Parameters
    ----------
    values : array, (..., trial, unit)
    condition : array of int, (trial,)
        The index of each trial's condition, counted from 0. Every index up to the largest must occur.

    Returns
    -------
    means : array of float64, (..., condition, unit)
        NaN where every trial of a condition is NaN.
    counts : array
        The number of values in each mean. The shape is (condition, 1) if ``values`` holds no NaN, else it is
        the shape of ``means``.
    """
    present = ~np.isnan(values)
    if present.all():
        counts: LabelArray = np.bincount(condition)[:, None]
    else:
        counts = condition_sums(present, condition)
        values = np.where(present, values, 0)
    with np.errstate(invalid="ignore"):  # 0 / 0 where every trial is NaN; inf - inf; callers refuse both
        return condition_sums(values, condition) / counts, counts


@dataclass(frozen=True)
class Trials:
    """The single trials whose averages are the responses of a dataset.

    Attributes
    ----------
    responses : array, (trial, unit) or (time, trial, unit)
        NaN where a unit has no value in a trial.
    condition : array of int, (trial,)
        The index of each trial's condition in the dataset, counted from 0.
    repeat : array, (trial,), or None
        The repeat, run or session of each trial, as numbers or names. Noise ceilings subtract a constant of
        each repeat, and split trials by repeat. None: the k-th trial of each condition belongs to repeat k.
    """

    responses: FloatArray
    condition: LabelArray
    repeat: LabelArray | None = None

    def __post_init__(self) -> None:
        if np.ma.isMaskedArray(self.responses):  # a masked entry is a missing one, whatever it hides
            filled = np.ma.filled(np.ma.asarray(self.responses, dtype=np.float64), np.nan)
            object.__setattr__(self, "responses", filled)
        trials = checks.as_array(self.responses, "responses of trials").shape[-2:-1]
        given = checks.as_array(self.condition, "condition of trials").shape
        if given != trials:
            raise InputError(
                f"condition of trials has shape {given}; give one value for each of the {trials} trials."
            )

    def data_hash(self) -> str:
        """Return the SHA-256, in hexadecimal, of the responses as little-endian float64, and of labels."""
        labels = {} if self.repeat is None else {"repeat": np.asarray(self.repeat)}
        return sha256(self.responses, {"condition": self.condition, **labels})

    @property
    def repeats(self) -> LabelArray:
        """The number of each trial's repeat, (trial,), counted from 0."""
        if self.repeat is not None:
            return codes(self.repeat, len(self.condition), "repeat of trials")
        order = np.argsort(self.condition, kind="stable")
        counts = np.bincount(self.condition)
        numbers = np.empty(len(order), dtype=np.int64)
        # Within the sorted trials, the place of a trial in the run of its condition.
        numbers[order] = np.arange(len(order)) - np.repeat(np.cumsum(counts) - counts, counts)
        return numbers

    def average(self, chosen: LabelArray | None = None) -> FloatArray:
        """Return the mean over the trials of each condition, (..., condition, unit); NaN are left out.

        Parameters
        ----------
        chosen : array of int, optional
            Indices of the trials to average. None averages all trials.

        Raises
        ------
        InputError
            ``chosen`` includes no trial of a condition.
        """
        values, condition = self.responses, self.condition
        if chosen is not None:
            values, condition = values[..., chosen, :], condition[chosen]
        counts = np.bincount(condition, minlength=int(self.condition.max()) + 1)
        if not counts.all():
            raise InputError(f"no trial to average belongs to condition {int(np.argmin(counts))}; add one.")
        mean = condition_means(values, condition)[0]
        # Sums are float64; return the trials' own precision, but at least float32 (trials may be integers).
        return mean.astype(np.result_type(values, np.float32), copy=False)

    def parts(self, count: int, places: LabelArray, *, even: bool = False) -> list[FloatArray]:
        """Return the averages of ``count`` parts of the trials of each condition, split by repeat.

        The trials of a condition are sorted by the places of their repeats, and cut into adjacent parts. If
        every condition has every repeat, a repeat is therefore in the same part in all conditions.

        Parameters
        ----------
        count : int
            The number of parts.
        places : array, (repeats,)
            The place of each repeat, as :attr:`repeats` numbers them.
        even : bool
            Whether all parts of a condition have the same number of trials; trials in the last places may
            then be left out. If false, the numbers differ by one at most.

        Returns
        -------
        list of array, (condition, unit) or (time, condition, unit)
            NaN if a unit has fewer values in a condition than there are parts.
        """
        order = np.lexsort((places[self.repeats], self.condition))
        condition = self.condition[order]
        if not np.isnan(self.responses).any():
            ones = np.ones((len(order), 1), dtype=np.int64)
            part = _part(ones, condition, count, even=even)[:, 0]
            chosen = [order[part == number] for number in range(count)]
            return [condition_means(self.responses[..., i, :], self.condition[i])[0] for i in chosen]
        # Each unit lacks other trials: rank the values that it has.
        values = self.responses[..., order, :]
        part = _part(~np.isnan(values), condition, count, even=even)
        return [condition_means(np.where(part == j, values, np.nan), condition)[0] for j in range(count)]

    def halves(self, seed: int) -> tuple[FloatArray, FloatArray]:
        """Return the averages of two random halves of the repeats of each condition.

        The halves are split by repeat, see :meth:`parts`. If a condition has an odd number of trials, one
        random trial is left out, so that both halves are equally noisy.

        Parameters
        ----------
        seed : int
            Seed of the random division. The same seed gives the same halves.

        Returns
        -------
        pair of array, (condition, unit) or (time, condition, unit)

        Raises
        ------
        InputError
            A condition has fewer than 2 trials.
        """
        counts = np.bincount(self.condition)
        if counts.min() < 2:
            raise InputError(
                f"condition {int(counts.argmin())} has {int(counts.min())} trial(s); two halves need at "
                "least 2 trials of every condition."
            )
        places = np.random.default_rng(seed).permutation(int(self.repeats.max()) + 1)
        first, second = self.parts(2, places, even=True)
        return first, second


def _part(present: LabelArray, condition: LabelArray, count: int, *, even: bool) -> LabelArray:
    """Return the part of each value that is present, of trials (..., trial, unit) sorted by condition.

    What is in no part has the number -1.
    """
    before = np.cumsum(present, axis=-2) - present  # values of the unit before this one, in all conditions
    starts = np.flatnonzero(np.diff(condition, prepend=-1))
    number = np.cumsum(np.diff(condition, prepend=condition[0]) > 0)  # which run of equal conditions
    sizes = np.add.reduceat(present, starts, axis=-2, dtype=np.int64)[..., number, :]
    rank = before - before[..., starts, :][..., number, :]
    sizes = np.maximum(sizes, 1)  # where all values are missing
    part = rank // np.maximum(sizes // count, 1) if even else rank * count // sizes
    return np.where((present != 0) & (part < count), part, -1)


def sha256(responses: FloatArray, labels: Mapping[str, LabelArray]) -> str:
    """Return the SHA-256, in hexadecimal, of responses (as little-endian float64) and of labels."""
    digest = hashlib.sha256(repr(responses.shape).encode())
    samples = checks.flatten(responses)
    # float32 and float64 copies of the same numbers get the same hash, on machines of either byte order.
    for block in np.array_split(samples, max(1, samples.nbytes // _HASH_BLOCK)):
        digest.update(np.ascontiguousarray(block, dtype="<f8").tobytes())
    for variable in sorted(labels):
        digest.update(repr((variable, labels[variable].tolist())).encode())
    return digest.hexdigest()
