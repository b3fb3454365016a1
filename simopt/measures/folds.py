"""Folds of the samples: contiguous, or contiguous conditions with all their time bins."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from simopt.errors import InputError


@dataclass(frozen=True)
class Folds:
    """How samples are divided into test folds; one fold of all samples means no cross-validation.

    Attributes
    ----------
    sizes : tuple of int, (f,)
    order : Tensor of int, (n,), or None
        Samples fold by fold; None where they are so already.
    test_sizes, train_sizes : Tensor, (f,)
    """

    sizes: tuple[int, ...]
    order: Tensor | None
    test_sizes: Tensor
    train_sizes: Tensor

    @classmethod
    def of(cls, samples: int, folds: int | None, conditions: int | None, name: str, like: Tensor) -> Folds:
        """Divide samples; ``like`` gives the dtype and device of the sizes.

        Raises
        ------
        InputError
            More folds than samples or conditions, or samples that are no multiple of the conditions.
        """
        if folds is None:
            everything = torch.tensor([samples], dtype=like.dtype, device=like.device)
            return cls((samples,), None, everything, everything)
        members = samples if conditions is None else conditions
        if folds > members:
            what = "samples" if conditions is None else "conditions"
            raise InputError(
                f"{name}: {folds} folds of {members} {what}; there can be at most as many as {what}."
            )
        counts = [members // folds + (k < members % folds) for k in range(folds)]
        order = None
        if conditions is not None:
            if samples % conditions:
                raise InputError(f"{name}: {samples} samples are no multiple of {conditions} conditions.")
            bins = samples // conditions
            fold_of = torch.repeat_interleave(torch.arange(folds), torch.tensor(counts)).repeat(bins)
            order = torch.argsort(fold_of, stable=True).to(like.device)
            counts = [count * bins for count in counts]
        test = torch.tensor(counts, dtype=like.dtype, device=like.device)
        return cls(tuple(counts), order, test, samples - test)

    @property
    def whole(self) -> bool:
        """Whether all samples are fitted and scored."""
        return len(self.sizes) == 1

    @property
    def smallest_train(self) -> int:
        """The least number of samples that a fit sees."""
        return sum(self.sizes) if self.whole else sum(self.sizes) - max(self.sizes)

    def parts(self, samples: Tensor) -> tuple[Tensor, ...]:
        """Return the samples (..., n, q) of each fold, f times (..., n_f, q)."""
        ordered = samples if self.order is None else samples.index_select(-2, self.order)
        return torch.split(ordered, list(self.sizes), dim=-2)

    def train(self, parts: tuple[Tensor, ...], fold: int) -> Tensor:
        """Return the samples that the fit of a fold sees, (..., n_train, q)."""
        if self.whole:
            return parts[0]
        return torch.cat([part for k, part in enumerate(parts) if k != fold], dim=-2)

    def train_sum(self, sums: Tensor) -> Tensor:
        """Return the sums (..., f, q) over the train samples from those over the test samples."""
        return sums if self.whole else sums.sum(dim=-2, keepdim=True) - sums
