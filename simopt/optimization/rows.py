"""Fewer rows, exactly: a run carried out in the span of X and Y0.

The gradient of a score that is blind to rotations of the centred samples (QX, QY give what X, Y give) lies in
the span of the columns of X and Y. An optimiser that commutes with such rotations, as SGD with or without
momentum does, therefore never leaves the span of X and Y0, of at most rank X + units dimensions, however many
samples there are.
"""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor

from simopt import linalg
from simopt.measures import Measure, Reference
from simopt.optimization.optimizers import probe
from simopt.typing import OptimizerFactory


class Rows:
    """Orthonormal coordinates of the span of X and each Y0.

    Column means are no matter of the score and stay what they are in Y0; they are kept apart. The coordinates
    are rotated once more, into the complement of the constant vector, so that what centres samples leaves
    them as they are.

    Parameters
    ----------
    reference : Reference
        Of X, (n, p), with K PCs.
    Y0 : Tensor, (R, n, q)

    Attributes
    ----------
    reference : Reference
        Of X in these coordinates, (K + q + 1, p).
    """

    def __init__(self, reference: Reference, Y0: Tensor) -> None:
        like = reference.scores
        scores = like.double()
        pcs = scores / torch.linalg.vector_norm(scores, dim=0)  # (n, K)
        Y0 = Y0.to(device=like.device, dtype=torch.float64)
        self.mean = Y0.mean(dim=-2, keepdim=True)
        centred = linalg.centre(Y0)
        rest = centred - pcs @ (pcs.mT @ centred)
        own = torch.linalg.qr(rest)[0]  # (R, n, q)
        self.basis = torch.cat([pcs.expand(len(own), -1, -1), own], dim=-1)
        self.rotation = without_mean(self.basis.shape[-1]).to(self.basis)
        along = pcs.mT @ linalg.centre(reference.responses.double())
        self.reference = Reference.of(
            self.rotation[:, : len(along)] @ along, dtype=like.dtype, device=like.device
        )
        self.dtype = like.dtype

    def reduce(self, Y: Tensor) -> Tensor:
        """Return Y (R, n, q), of the span, in its coordinates, (R, K + q + 1, q)."""
        centred = Y.to(self.basis) - self.mean
        return (self.rotation @ (self.basis.mT @ centred)).to(self.dtype)

    def expand(self, coordinates: Tensor) -> Tensor:
        """Return Y (R, n, q) of its coordinates."""
        return (self.basis @ (self.rotation.mT @ coordinates.to(self.basis)) + self.mean).to(self.dtype)


def fewer(reference: Reference, Y0: Tensor, measures: Iterable[Measure], optimizer: OptimizerFactory) -> bool:
    """Whether a run needs fewer rows than samples, and nothing in it tells the difference.

    That holds for scores blind to rotations of the samples and for gradient descent with or without momentum,
    which commutes with them. L-BFGS would too, but torch's scales its first step by the sum of the absolute
    entries of the gradient, which a rotation changes; weight decay would shrink the column means.
    """
    rows = len(reference.variance_ratio) + Y0.shape[-1] + 1
    if rows >= reference.samples or not all(measure.facts.sample_rotations for measure in measures):
        return False
    if reference.scores.device.type == "mps":  # has no float64, in which the rows are made
        return False
    trial = probe(optimizer)
    return isinstance(trial, torch.optim.SGD) and not any(
        group["weight_decay"] for group in trial.param_groups
    )


def without_mean(size: int) -> Tensor:
    """Return Helmert's orthonormal columns of sum zero, (size + 1, size), in float64."""
    k = torch.arange(1, size + 1, dtype=torch.float64)
    columns = torch.ones(size + 1, size, dtype=torch.float64).triu()
    columns[torch.arange(1, size + 1), torch.arange(size)] = -k
    return columns / (k * (k + 1)).sqrt()
