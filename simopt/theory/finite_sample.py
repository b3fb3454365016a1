"""The finite-sample correction: the fewer samples, the more a random direction overlaps with the other PCs.

PC i is perturbed by a random unit vector w that is centered and orthogonal to its u_i, as defined in
:mod:`simopt.theory.perturbations`. So w lies in a space of m = n - 2 dimensions. Its m squared coordinates,
among them (u_k'w)^2 for each k != i, have a Dirichlet(1/2, ..., 1/2) distribution, so that

    mean of (u_k'w)^2               1 / m
    covariance of k and l           2 (delta_kl - 1/m) / (m (m + 2))

The corrected score is the score at the mean squared overlaps. Let g be the gradient of the score with respect
to the squared overlaps, at their mean. The standard deviation of the score over draws is sqrt(g' Cov g) to
first order. For CKA and a weak PC the first order nearly cancels: the standard deviation is about 1e-8, and
too small by up to a factor of two.
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
    """The expected score after one PC is perturbed by a random direction, for each PC.

    Attributes
    ----------
    score : Tensor, (K,)
        The score at the mean squared overlaps.
    deviation : Tensor, (K,)
        Standard deviation of the score over draws of the direction.
    """

    score: Tensor
    deviation: Tensor


def expected(
    form: ClosedForm, variances: Tensor, kind: Kind, strength: float, *, units: int, samples: int
) -> Expected:
    """Return, for each PC, the expected score after that PC alone is perturbed in a random direction.

    Parameters
    ----------
    form : ClosedForm
        The closed form of the measure.
    variances : Tensor of float64, (K,)
        The variances lambda of the PCs, all positive; K < samples.
    kind : {"rotation", "scaling", "noise"}
    strength : float
        Angle in degrees, amplitude, or noise level (:mod:`simopt.theory.perturbations`).
    units, samples : int
        Number of units and of samples of X.

    Returns
    -------
    Expected

    Raises
    ------
    InputError
        There are fewer than 3 samples.
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
