"""Which samples (rows of data) belong together: groups share a signal, and blocks share a nuisance."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np

from simopt.errors import InputError
from simopt.typing import ArrayLike, FloatArray, LabelArray

Order = Literal["time", "independent"]
"""``time``: a sample may depend on the samples before it. ``independent``: it does not."""

_LEAST_DIFFERENT, _SHARE = 20, 0.9
"""Equal rows are repeats if there are at least 20 different rows, nine tenths of which occur twice or more.
Fewer different rows are classes, as in a one-hot code."""


def are_none(groups: Any) -> bool:
    """Return whether ``groups`` is the text ``none``: no groups, not even those that equal rows suggest."""
    return isinstance(groups, str) and groups == "none"


@dataclass(frozen=True, eq=False)
class Rows:
    """The groups and the blocks of n samples.

    Attributes
    ----------
    groups : array of int, (n,), or None
        The group of each sample, counted from 0 in the order of first appearance. Samples of one group share
        a signal, for instance repeats of a stimulus or time bins of a trial. Folds keep a group together;
        nulls exchange it and attributions leave it out as a whole. None: every sample is a group.
    blocks : array of int, (n,), or None
        The block of each sample, counted in the same way. Samples of one block share a nuisance, for instance
        those of a session: nulls exchange samples only within a block. None: all samples are one block.
    order : {"time", "independent"} or None
        ``time``: samples (or groups) may depend on those before. ``independent``: not. None: tests decide.
    """

    groups: LabelArray | None = None
    blocks: LabelArray | None = None
    order: Order | None = None

    @classmethod
    def of(cls, samples: int, groups: ArrayLike | None = None, blocks: ArrayLike | None = None) -> Rows:
        """Return the rows of n = ``samples`` samples, given their values of ``groups`` and ``blocks``, (n,).

        Raises
        ------
        InputError
            ``groups`` or ``blocks`` does not have one value for each sample, or has missing values.
        """
        return cls(
            None if groups is None else codes(groups, samples, "groups"),
            None if blocks is None else codes(blocks, samples, "blocks"),
        )

    def joined(self, Y: Any, none: bool = False) -> Rows:
        """Return the rows of X, completed by what Y declares if Y is a Dataset and X does not declare it.

        Parameters
        ----------
        Y : Dataset, array or tensor
        none : bool
            Whether the groups of X are ``none``; the groups of Y are then ignored.

        Raises
        ------
        InputError
            X and Y declare different groups, blocks or rows.
        """
        declared: Rows = Y.structure() if hasattr(Y, "structure") else Rows()
        both = dict(vars(self))
        for name, value in vars(replace(declared, groups=None) if none else declared).items():
            if both[name] is None:
                both[name] = value
            elif value is not None and not np.array_equal(both[name], value):
                raise InputError(
                    f"X and Y declare different {'rows' if name == 'order' else name}, but have the same "
                    "samples; declare them for one of the two."
                )
        return Rows(**both)

    def take(self, chosen: LabelArray) -> Rows:
        """Return the rows of the ``chosen`` samples, given by their indices or a mask."""
        kept = (None if part is None else part[chosen] for part in (self.groups, self.blocks))
        groups, blocks = (None if part is None else codes(part, len(part), "rows") for part in kept)
        return Rows(groups, blocks, self.order)


def codes(values: ArrayLike, samples: int, name: str) -> LabelArray:
    """Return the number of each value (n,), counted from 0 in the order of first appearance, as int64 (n,).

    Raises
    ------
    InputError
        ``values`` does not have one value for each of ``samples`` samples, or a value is missing (NaN, None).
    """
    try:
        # Of a list as objects: numpy would turn the NaN of a list of texts into a text.
        array: Any = np.ma.asarray(values, dtype=object if isinstance(values, list | tuple) else None)
        masked = np.ma.getmaskarray(array)
        items = array.data.tolist()
    except (TypeError, ValueError) as error:
        raise InputError(f"{name} is no array; give one value for each of the {samples} samples.") from error
    if array.shape != (samples,):
        raise InputError(f"{name} has shape {array.shape}; give one value for each of the {samples} samples.")
    missing = [row for row, value in enumerate(items) if masked[row] or _is_missing(value)]
    if missing:
        raise InputError(f"{name} has no value for sample {missing[0]}; give each sample a value.")
    if array.dtype == object:
        try:
            numbers = {value: number for number, value in enumerate(dict.fromkeys(items))}
        except TypeError as error:
            raise InputError(f"{name} has values such as {items[0]!r}; give numbers or texts.") from error
        return np.array([numbers[value] for value in items], np.int64)
    _, first, inverse = np.unique(array.data, return_index=True, return_inverse=True)
    rank = np.empty(len(first), np.int64)
    rank[np.argsort(first, kind="stable")] = np.arange(len(first))
    numbered: LabelArray = rank[inverse]
    return numbered


def _is_missing(value: Any) -> bool:
    try:
        return value is None or bool(value != value)
    except (TypeError, ValueError):  # pandas.NA has no truth value
        return True


def condition_of(samples: int, conditions: int) -> LabelArray:
    """Return the condition of each sample, (samples,), of time x condition samples with time outermost."""
    return np.tile(np.arange(conditions), samples // conditions)


def of_samples(values: Any, shape: tuple[int, ...]) -> Any:
    """Return one value a sample of responses with this ``shape``, from one value a sample or condition.

    ``condition`` stands for the index of the condition. Without a time axis values are returned as they are.
    """
    if len(shape) != 3:
        return values
    time, conditions, _ = shape
    if isinstance(values, str) and values == "condition":
        values = np.arange(conditions)
    return np.tile(values, time) if np.shape(values) == (conditions,) else values


@dataclass(frozen=True)
class Equal:
    """What equal rows of X or Y are: repeats or classes.

    Attributes
    ----------
    groups : array of int, (n,), or None
        The group of each sample, if equal rows are repeats; None if they are classes.
    different : int
        The number of different rows. Rows of zeros count as one class, and not as repeats.
    """

    groups: LabelArray | None
    different: int


def equal_rows(samples: FloatArray) -> Equal | None:
    """Return what equal rows of samples (n, q) are, repeats or classes; None if few rows equal another row.

    Rows of zeros do not count, because samples without any response are not repeats.
    """
    # As bytes, so that rows are compared as a whole; adding 0 turns -0.0 into 0.0.
    packed = np.ascontiguousarray(samples + 0.0)
    as_bytes = packed.view(np.dtype((np.void, packed.dtype.itemsize * packed.shape[1]))).reshape(-1)
    _, number, counts = np.unique(as_bytes, return_inverse=True, return_counts=True)
    silent = ~samples.any(axis=1)
    counted = counts[np.unique(number[~silent])]
    if not len(counted) or (counted >= 2).mean() < _SHARE:
        return None
    if len(counted) < _LEAST_DIFFERENT:
        return Equal(None, len(counted) + bool(silent.any()))
    alone = number.copy()
    alone[silent] = len(counts) + np.arange(silent.sum())
    return Equal(codes(alone, len(alone), "rows"), len(counted))


def found(rows: Rows, sides: Mapping[str, FloatArray]) -> tuple[Rows, tuple[str, ...]]:
    """Return rows whose groups are the equal samples of X or Y, and lines on what was found.

    Equal samples are taken for repeats if there are many different samples, and for classes if there are few.
    Rows that have groups already are returned unchanged.

    Parameters
    ----------
    rows : Rows
    sides : mapping of str to array, (n, q)
        The samples of X and of Y by their names, X first.
    """
    if rows.groups is not None:
        return rows, ()
    equal = {name: equal_rows(samples) for name, samples in sides.items()}
    for name, of_side in equal.items():
        if of_side is not None and of_side.groups is not None:
            return replace(rows, groups=of_side.groups), (
                f"equal samples of {name} are taken for repeats of {of_side.different} different samples and "
                'kept together; dataset.groups=none (groups="none" in Python) turns this off',
            )
    return rows, tuple(
        f"{name} has only {of_side.different} different samples, which are taken for classes and not for "
        "repeats; a class that is in no training fold cannot be predicted"
        for name, of_side in equal.items()
        if of_side is not None
    )
