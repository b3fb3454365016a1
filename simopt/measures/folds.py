"""Folds for cross-validation: contiguous samples, or contiguous conditions with all their time bins."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from simopt.errors import InputError


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
        cls, samples: int, folds: int | None, conditions: int | None, name: str, device: torch.device
    ) -> Folds:
        """Divide samples into folds.

        Parameters
        ----------
        samples : int
            The number of samples, n.
        folds : int or None
            The number of folds. If it is None, the fit and the score both use all samples.
        conditions : int or None
            The number of conditions, if the folds shall keep all time bins of a condition together. If it is
            None, the folds are contiguous samples.
        name : str
            The name of the measure in error messages.
        device : torch.device
            The device of the samples.

        Raises
        ------
        InputError
            There are more folds than samples or conditions, or the number of samples is not a multiple of
            the number of conditions.
        """
        if folds is None:
            return cls((samples,))
        total = samples if conditions is None else conditions
        if folds > total:
            what = "samples" if conditions is None else "conditions"
            raise InputError(
                f"{name}: {folds} folds of {total} {what} leave folds empty; choose at most {total} folds."
            )
        # As in scikit-learn's KFold: sizes differ by one at most, the larger folds first.
        counts = [total // folds + (k < total % folds) for k in range(folds)]
        order = None
        if conditions is not None:
            if samples % conditions:
                raise InputError(f"{name}: {samples} samples are not a multiple of {conditions} conditions.")
            bins = samples // conditions
            # Samples are time x condition with time outermost: the folds of the conditions repeat in each
            # bin.
            fold_of = torch.repeat_interleave(torch.arange(folds), torch.tensor(counts)).repeat(bins)
            order = torch.argsort(fold_of, stable=True).to(device)
            counts = [count * bins for count in counts]
        return cls(tuple(counts), order)

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
        """Return sums over the train samples of each fold, (..., f, q), from sums over the test samples."""
        return sums if self.whole else sums.sum(dim=-2, keepdim=True) - sums
