"""What a random direction changes: w overlaps with the other PCs, the less the more samples there are.

A random unit vector w that is centered and orthogonal to u_i lives in m = n - 2 dimensions. The squares of
its overlaps with the other PCs, (u_k'w)^2, have mean 1/m, and (as parts of a Dirichlet(1/2) vector) the
covariance 2 (delta_kl - 1/m) / (m (m + 2)). The score at the mean overlaps is the corrected value, its
gradient there gives the standard deviation over draws, to first order: of a weak PC under CKA, where that
all but cancels, it is too small by up to a factor of two, at 1e-8.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from simopt import checks
from simopt.errors import InputError
from simopt.theory.closed_forms import ClosedForm
from simopt.theory.pairs import Tilted
from simopt.theory.perturbations import Kind, mixture


@dataclass(frozen=True)
class Expected:
    """The score of a PC's perturbation by a random direction, for each PC.

    Attributes
    ----------
    score : Tensor, (K,)
        At the mean overlaps.
    deviation : Tensor, (K,)
        The standard deviation over draws.
    """

    score: Tensor
    deviation: Tensor


def expected(
    form: ClosedForm, variances: Tensor, kind: Kind, strength: float, *, units: int, samples: int
) -> Expected:
    """Return the score to be expected of one PC's perturbation by a random direction.

    Parameters
    ----------
    form : ClosedForm
    variances : Tensor of float64, (K,)
        lambda, positive.
    kind : {"rotation", "scaling", "noise"}
    strength : float
        Degrees, amplitude or level.
    units, samples : int

    Returns
    -------
    Expected

    Raises
    ------
    InputError
        Fewer than 3 samples, or than K + 1.
    """
    checks.whole(samples, checks.MIN_SAMPLES, "samples")
    if samples < len(variances) + 1:
        raise InputError(
            f"{len(variances)} PCs cannot come from {samples} samples; there is at least one more."
        )
    m = samples - 2
    along, across = mixture(kind, strength)
    others = 1 - torch.eye(len(variances), dtype=variances.dtype)
    overlap = (others / m).requires_grad_()
    pair = Tilted(variances, along, across, overlap, units, samples)
    score = form(pair)
    if across == 0:  # no w at all; and an angle or a distance of 0 has no slope
        return Expected(score.detach(), torch.zeros_like(variances))
    # Row i of the overlaps enters the score of PC i alone.
    (slope,) = torch.autograd.grad(score.sum(), overlap)
    slope = slope * others
    spread = slope.square().sum(dim=-1) - slope.sum(dim=-1).square() / m
    return Expected(score.detach(), (2 / (m * (m + 2)) * spread.clamp(min=0)).sqrt())
