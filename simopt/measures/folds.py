"""Folds for cross-validation: of samples, or of groups of samples that stay together."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from simopt.errors import InputError
from simopt.typing import LabelArray

Split = tuple[LabelArray, LabelArray]
"""The indices of the train samples and the indices of the test samples."""

FEWEST = 3
"""The samples of the smallest test set that is scored by itself: a correlation of two samples is 1 or -1, and
R2 of two has a variance that is not finite. Predictions for smaller test sets are pooled, or refused."""
_CONSTANT = 64
"""A unit is constant if it ranges over at most this many eps times its largest value. A constant that was
scaled or averaged has errors of a few eps; noise of 1e-15 of it ranges over 32 eps in 1,400 samples."""
_NAMED = 5
"""How many units a warning names."""


def constant(samples: Tensor, whole: Tensor) -> Tensor:
    """Return whether each unit is constant up to rounding, (..., q).

    Such a unit has no correlation and no R2. It is left out of the fold where it is constant.

    Parameters
    ----------
    samples : Tensor, (..., n_k, q)
        For instance the samples of a test set.
    whole : Tensor, (..., n, q)
        All samples; their largest value sets the scale of rounding errors.
    """
    rounding = _CONSTANT * torch.finfo(whole.dtype).eps * whole.abs().amax(dim=-2)
    return samples.amax(dim=-2) - samples.amin(dim=-2) <= rounding


def left_out(name: str, side: str, units: LabelArray) -> list[str]:
    """Return the line that names the units that a score leaves out, or no line if there are none.

    Parameters
    ----------
    name : str
        The name of the measure.
    side : str
        The dataset, X or Y.
    units : array of bool, (f, q)
        Whether each unit is left out of each of f test sets; f is 1 without folds.
    """
    of_unit = units.sum(axis=0)
    found = np.flatnonzero(of_unit)
    if not len(found):
        return []
    more = f" and {len(found) - _NAMED} more" if len(found) > _NAMED else ""
    shown = ", ".join(map(str, found[:_NAMED])) + more
    least, most = of_unit[found].min(), of_unit[found].max()
    times = f"{least}" if least == most else f"{least} to {most}"
    which = "" if len(units) == 1 else f" of {times} of {len(units)} test sets"
    units_of = f"unit{'s' if len(found) > 1 else ''} {shown} of {side}"
    return [f"{name}: {units_of} left out{which}, being constant{' there' if which else ''}"]


def pools(name: str, smallest: int) -> list[str]:
    """Return the line that says that test sets are pooled, or no line if ``smallest`` is large enough."""
    if smallest >= FEWEST:
        return []
    return [
        f"{name}: the smallest test set has {smallest} samples, fewer than {FEWEST}; the predictions for all "
        "test sets are scored together, less the means of their train samples"
    ]


def rounding_power(samples: Tensor) -> Tensor:
    """Return the sum of squares, (...), up to which deviations of samples (..., n, q) count as rounding."""
    size = _CONSTANT * torch.finfo(samples.dtype).eps * samples.abs().amax(dim=-2)
    return samples.shape[-2] * size.square().sum(dim=-1)


def refuse_small(name: str, smallest: int, samples: int, groups: LabelArray | None) -> None:
    """Raise an error if a test set is too small, for a score whose test sets cannot be pooled."""
    if smallest >= FEWEST:
        return
    most = samples // FEWEST
    if groups is not None:
        remedy = "choose fewer folds, or other groups"
    elif most < 2:
        remedy = f"two folds need {2 * FEWEST} samples"
    else:
        remedy = f"choose at most {most} folds"
    size = "one sample" if smallest == 1 else f"{smallest} samples"
    raise InputError(f"{name}: a fold of {size} has too few for a score (at least {FEWEST}); {remedy}.")


@dataclass(frozen=True)
class Folds:
    """The division of n samples into f test folds; a single fold of all samples means no cross-validation.

    Attributes
    ----------
    sizes : tuple of int, (f,)
        The number of test samples of each fold.
    order : Tensor of int, (n,), or None
        The indices of the samples, fold by fold; None if the samples are in this order already.
    """

    sizes: tuple[int, ...]
    order: Tensor | None = None

    @classmethod
    def of(
        cls,
        samples: int,
        folds: int | None,
        groups: LabelArray | None,
        name: str,
        device: torch.device,
        *,
        what: str = "groups",
    ) -> Folds:
        """Divide samples into folds of contiguous samples, or of contiguous groups.

        Parameters
        ----------
        samples : int
            The number of samples, n.
        folds : int or None
            The number of folds. If it is None, the fit and the score both use all samples.
        groups : array of int, (n,), or None
            The group of each sample, numbered from 0 in the order of first appearance (see
            :class:`simopt.rows.Rows`). No group is split between folds. If it is None, the folds are
            contiguous samples.
        name : str
            The name of the measure in error messages.
        device : torch.device
            The device of the samples.
        what : str
            The word for groups in error messages.

        Raises
        ------
        InputError
            There are more folds than samples or groups.
        """
        if folds is None:
            return cls((samples,))
        total = parts_to_divide(samples, folds, groups, name, what)
        # As in scikit-learn's KFold: the numbers of groups differ by one at most, the larger ones first.
        counts = [total // folds + (k < total % folds) for k in range(folds)]
        fold_of = np.repeat(np.arange(folds), counts)
        order = None
        if groups is not None:
            fold_of = fold_of[groups]
            # A stable sort, so that samples keep their order within a fold.
            order = torch.from_numpy(np.argsort(fold_of, kind="stable")).to(device)
        return cls(tuple(np.bincount(fold_of).tolist()), order)

    @property
    def whole(self) -> bool:
        """Whether the fit and the score use all samples, without cross-validation."""
        return len(self.sizes) == 1

    @property
    def pooled(self) -> bool:
        """Whether a test set is too small for a score of its own, so that all are scored together."""
        return not self.whole and min(self.sizes) < FEWEST

    @property
    def train_sizes(self) -> list[int]:
        """The number of train samples of each fold."""
        return [sum(self.sizes) - (0 if self.whole else size) for size in self.sizes]

    def parts(self, samples: Tensor) -> tuple[Tensor, ...]:
        """Split samples (..., n, q) into the test samples of each fold: f tensors (..., n_k, q)."""
        ordered = samples if self.order is None else samples.index_select(-2, self.order)
        return torch.split(ordered, list(self.sizes), dim=-2)

    def train(self, parts: tuple[Tensor, ...], fold: int) -> Tensor:
        """Return the train samples, (..., n - n_k, q), of a fold, given the test samples of all folds."""
        if self.whole:
            return parts[0]
        return torch.cat([part for k, part in enumerate(parts) if k != fold], dim=-2)

    def train_sum(self, sums: Tensor) -> Tensor:
        """Return sums over the train samples of each fold, given sums over its test samples, (..., f, q)."""
        return sums if self.whole else sums.sum(dim=-2, keepdim=True) - sums


def parts_to_divide(
    samples: int, folds: int, groups: LabelArray | None, name: str, what: str = "groups"
) -> int:
    """Return the number of groups, or without groups the number of samples.

    Raises
    ------
    InputError
        This number is less than ``folds``.
    """
    total = samples if groups is None else int(groups.max()) + 1
    if folds > total:
        what, remedy = ("samples", "") if groups is None else (what, f", or other {what}")
        raise InputError(
            f"{name}: {folds} folds of {total} {what} leave folds empty; "
            f"choose at most {total} folds{remedy}."
        )
    return total


def splits(splitter: Any, samples: int, groups: LabelArray | None, name: str) -> list[Split]:
    """Return the train and test samples of each split by a splitter of scikit-learn; groups stay whole.

    Parameters
    ----------
    splitter : KFold or ShuffleSplit
    samples : int
        The number of samples, n.
    groups : array of int, (n,), or None
        The group of each sample, numbered from 0 in the order of first appearance.
    name : str
        The name of the measure in error messages.

    Raises
    ------
    InputError
        There are more folds than samples or groups.
    """
    total = parts_to_divide(samples, splitter.get_n_splits(), groups, name)
    divided = list(splitter.split(np.empty((total, 1))))
    if groups is None:
        return divided
    members = np.split(np.argsort(groups, kind="stable"), np.cumsum(np.bincount(groups))[:-1])
    train_test = [[np.concatenate([members[group] for group in part]) for part in split] for split in divided]
    return [(train, test) for train, test in train_test]
