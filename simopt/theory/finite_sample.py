"""The finite-sample correction: a random direction w overlaps with the other PCs, the more the fewer samples.

A random unit vector w that is centered and orthogonal to u_i has m = n - 2 free dimensions. The squares of
its m coordinates, among them (u_k'w)^2 for each k != i, are a Dirichlet(1/2, ..., 1/2) vector, so that

    mean of (u_k'w)^2               1 / m
    covariance of k and l           2 (delta_kl - 1/m) / (m (m + 2))

The corrected score is the score at the mean overlaps. With g its gradient by the squared overlaps there, the
standard deviation over draws is sqrt(g' Cov g), to first order. For a weak PC under CKA the first order
nearly cancels: the standard deviation, of the order of 1e-8, is then too small by up to a factor of two.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from simopt import checks
from simopt.theory.closed_forms import ClosedForm
from simopt.theory.pairs import Tilted
from simopt.theory.perturbations import Kind, mixture


class Expected(NamedTuple):
    """The expected score after perturbing one PC by a random direction, for each PC.

    Attributes
    ----------
    score : Tensor, (K,)
        The score at the mean overlaps.
    deviation : Tensor, (K,)
        Standard deviation of the score over draws of the direction.
    """

    score: Tensor
    deviation: Tensor


def expected(
    form: ClosedForm, variances: Tensor, kind: Kind, strength: float, *, units: int, samples: int
) -> Expected:
    """Return the expected score after perturbing one PC by a random direction, for each PC.

    Parameters
    ----------
    form : ClosedForm
    variances : Tensor of float64, (K,)
        lambda, positive; K < samples.
    kind : {"rotation", "scaling", "noise"}
    strength : float
        Degrees, amplitude, or level.
    units, samples : int
        The shape of X.

    Returns
    -------
    Expected

    Raises
    ------
    InputError
        Fewer than 3 samples.
    """
    checks.whole(samples, checks.MIN_SAMPLES, "samples")
    m = samples - 2
    along, across = mixture(kind, strength)
    others = 1 - torch.eye(len(variances), dtype=variances.dtype)
    overlap = (others / m).requires_grad_()  # (K, K), row i for PC i; w does not overlap with u_i
    pair = Tilted(variances, along, across, overlap, units, samples)
    score = form(pair)
    if across == 0:  # no w at all; and an angle or a distance of 0 has no slope
        return Expected(score.detach(), torch.zeros_like(variances))
    # Row i of the overlaps enters the score of PC i alone: the gradient of the sum holds all K gradients.
    (slope,) = torch.autograd.grad(score.sum(), overlap)
    slope = slope * others
    # g' (I - 11'/m) g = sum g^2 - (sum g)^2 / m, for each row.
    spread = slope.square().sum(dim=-1) - slope.sum(dim=-1).square() / m
    return Expected(score.detach(), (2 / (m * (m + 2)) * spread.clamp(min=0)).sqrt())
