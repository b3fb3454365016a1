"""Captured variance and decoding of the datasets at the ends of a joint range."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

import numpy as np
import torch
from torch import Tensor

from simopt.analysis.decoding import Decoder, standard_plan
from simopt.measures import Moments, Reference
from simopt.optimization.captured import captured_variance
from simopt.typing import FloatArray, LabelArray


@dataclass(frozen=True)
class Extremes:
    """Captured variance and decoding of extreme Y; the second axis is (minimum, maximum).

    Attributes
    ----------
    captured : array, (L, 2, K)
        R2 of each PC of X predicted from Y; NaN if there is no Y.
    decoding : dict of array, (L, 2)
        Accuracy of each label, R2 of continuous ones; empty if no labels were requested.
    """

    captured: FloatArray
    decoding: dict[str, FloatArray] = field(default_factory=dict)

    def half_captured(self, spectrum: FloatArray) -> FloatArray:
        """Return the share of X's variance in PCs with captured variance of at least 1/2, (L, 2).

        Parameters
        ----------
        spectrum : array, (K,)
            Variances of X's PCs, in any unit.
        """
        share: FloatArray = (np.nan_to_num(self.captured) >= 0.5) @ (spectrum / spectrum.sum())
        return np.where(np.isnan(self.captured[..., 0]), np.nan, share)


def inspect(Y: Tensor, X: FloatArray, labels: Mapping[str, LabelArray] = MappingProxyType({})) -> Extremes:
    """Return the captured variance of extreme Y, and the accuracy with which labels are decoded from them.

    Parameters
    ----------
    Y : Tensor, (L, 2, n, q)
        At L levels the datasets of minimal and of maximal score; NaN if there is none.
    X : array, (n, p) or (time, condition, unit)
    labels : mapping of array over conditions
        Decoded with :func:`simopt.analysis.decoding.standard_plan`, as those of the recording are.

    Raises
    ------
    InputError
        Labels that cannot be decoded.
    """
    *time, conditions, units = X.shape
    # Float64, whatever dtype the search used.
    reference = Reference.of(X.reshape(-1, units), dtype=torch.float64, device="cpu")
    Y = Y.detach().cpu().double()
    plans = {label: standard_plan(values, conditions) for label, values in labels.items()}
    captured = np.full((*Y.shape[:2], len(reference.variance_ratio)), np.nan)
    decoding: dict[str, FloatArray] = {label: np.full(Y.shape[:2], np.nan) for label in labels}
    for place in np.ndindex(*Y.shape[:2]):
        one = Y[place]
        if not bool(torch.isfinite(one).all()):
            continue
        captured[place] = captured_variance(Moments(reference, one)).numpy()
        for label, plan in plans.items():
            responses = one.reshape(*time, conditions, -1).numpy()
            decoding[label][place] = Decoder().carry_out(plan, responses).accuracy
    return Extremes(captured, decoding)
