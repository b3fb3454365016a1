"""Captured variance and decoding of the datasets at the ends of a joint range."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

import numpy as np
import torch
from torch import Tensor

from simopt.analysis.decoding import Decoder, Plan
from simopt.measures import Moments, Reference
from simopt.optimization.captured import captured_variance
from simopt.typing import FloatArray


@dataclass(frozen=True)
class Extremes:
    """Captured variance and decoding of the datasets with extreme scores at L levels of another score.

    The second axis of each array has two entries: the dataset of minimal and the dataset of maximal score.

    Attributes
    ----------
    captured : array, (L, 2, K)
        Captured variance of each PC of X; NaN where no dataset was found.
    decoding : dict of array, (L, 2)
        For each label the accuracy of decoding it (R2 if it is continuous). Empty if no labels were given.
    """

    captured: FloatArray
    decoding: dict[str, FloatArray] = field(default_factory=dict)

    def half_captured(self, spectrum: FloatArray) -> FloatArray:
        """Return the share of the variance of X in PCs whose captured variance is at least 1/2, (L, 2).

        Parameters
        ----------
        spectrum : array, (K,)
            Variances of the PCs of X, in any unit.
        """
        share: FloatArray = (np.nan_to_num(self.captured) >= 0.5) @ (spectrum / spectrum.sum())
        return np.where(np.isnan(self.captured[..., 0]), np.nan, share)


def inspect(Y: Tensor, X: FloatArray, plans: Mapping[str, Plan] = MappingProxyType({})) -> Extremes:
    """Return the captured variance of extreme Y, and the accuracy with which labels are decoded from them.

    Parameters
    ----------
    Y : Tensor, (L, 2, n, q)
        For each of L levels the dataset of minimal score and the dataset of maximal score. All entries of a
        dataset that was not found are NaN.
    X : array, (n, p) or (time, condition, unit)
        The recording.
    plans : mapping of Plan
        For each label, the folds in which it is decoded from X and from Y.
    """
    *time, conditions, units = X.shape
    # Float64, whatever dtype the search used.
    reference = Reference.of(X.reshape(-1, units), dtype=torch.float64, device="cpu")
    Y = Y.detach().cpu().double()
    captured = np.full((*Y.shape[:2], len(reference.variance_ratio)), np.nan)
    decoding: dict[str, FloatArray] = {label: np.full(Y.shape[:2], np.nan) for label in plans}
    for place in np.ndindex(*Y.shape[:2]):
        one = Y[place]
        if not bool(torch.isfinite(one).all()):
            continue
        captured[place] = captured_variance(Moments(reference, one)).numpy()
        for label, plan in plans.items():
            responses = one.reshape(*time, conditions, -1).numpy()
            decoding[label][place] = Decoder().carry_out(plan, responses).accuracy
    return Extremes(captured, decoding)
