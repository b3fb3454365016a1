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
