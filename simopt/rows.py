"""Which rows of data belong together: groups, which share a signal, and blocks, which share a nuisance."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np

from simopt.errors import InputError
from simopt.typing import ArrayLike, FloatArray, LabelArray

Order = Literal["time", "independent"]
"""Whether a sample depends on the one before."""

_LEAST_DIFFERENT, _SHARE = 20, 0.9
"""Equal rows are repeats if there are at least 20 different ones, nine tenths of which occur twice or more.
Fewer different rows are classes, as in a one-hot code: their samples are not repeats of one measurement."""


def are_none(groups: Any) -> bool:
    """Return whether ``groups`` are ``none``: there are none, and equal rows are not looked for."""
    return isinstance(groups, str) and groups == "none"


@dataclass(frozen=True, eq=False)
class Rows:
    """The groups and the blocks of n samples.

    Attributes
    ----------
    groups : array of int, (n,), or None
        The group of each sample, counted from 0 in the order of first appearance. Samples of one group share
        a signal, as the repeats of a stimulus or the time bins of a trial do: folds keep them together, nulls
        exchange them whole, and leave-outs take them out whole. None: every sample is a group of its own.
    blocks : array of int, (n,), or None
        The block of each sample, counted in the same way. Samples of one block share a nuisance, as those of
        a session do: nulls exchange samples only within a block. None: all samples are one block.
    order : {"time", "independent"} or None
        Whether what is exchanged depends on what stands before it. None: tests decide.
    """

    groups: LabelArray | None = None
    blocks: LabelArray | None = None
    order: Order | None = None

    @classmethod
    def of(cls, samples: int, groups: ArrayLike | None = None, blocks: ArrayLike | None = None) -> Rows:
        """Return the rows of ``samples`` samples by their values of ``groups`` and ``blocks``, each (n,).

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
        """Return these rows of X, with what only Y declares about the same samples if Y is a Dataset.

        Parameters
        ----------
        Y : Dataset, array or tensor
        none : bool
            Whether the groups of X are ``none``, which holds for Y too.

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
        """Return the rows of some of the samples, by their indices or a mask."""
        kept = (None if part is None else part[chosen] for part in (self.groups, self.blocks))
        groups, blocks = (None if part is None else codes(part, len(part), "rows") for part in kept)
        return Rows(groups, blocks, self.order)


def codes(values: ArrayLike, samples: int, name: str) -> LabelArray:
    """Number the different values of (n,) from 0 in the order of first appearance, as an array of int64 (n,).

    Raises
    ------
    InputError
        ``values`` are not one value for each of ``samples`` samples, or a value is missing (NaN, None).
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
            raise InputError(
                f"{name} has values that are no numbers or texts, such as {items[0]!r}."
            ) from error
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


@dataclass(frozen=True)
class Equal:
    """The equal rows of a side.

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
    """Return what equal rows of samples (n, q) are: repeats, or classes; None if few rows have equals.

    Rows of zeros do not count: a sample without a response is not a repeat of another one.
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
    """Return rows with the groups that equal samples of a side are, and a line on what was found.

    Many different samples that have equals are repeats of measurements and belong together; few are classes.
    Rows that have groups already are returned as they are.

    Parameters
    ----------
    rows : Rows
    sides : mapping of str to array, (n, q)
        The data of each side by its name, X first.
    """
    if rows.groups is not None:
        return rows, ()
    equal = {name: equal_rows(samples) for name, samples in sides.items()}
    for name, of_side in equal.items():
        if of_side is not None and of_side.groups is not None:
            return replace(rows, groups=of_side.groups), (
                f"equal samples of {name} are taken for repeats of {of_side.different} different ones and "
                'kept together; dataset.groups=none (groups="none" in Python) turns this off',
            )
    return rows, tuple(
        f"{name} has only {of_side.different} different samples, which are taken for classes and not for "
        "repeats; a class that is in no training fold cannot be predicted"
        for name, of_side in equal.items()
        if of_side is not None
    )
