"""Fewer rows, exactly: Y in coordinates of the span of X and of directions outside of it.

A score that is blind to rotations of the centered samples (QX, QY score what X, Y score) knows Y by X'Y and
Y'Y alone. Any such pair of matrices occurs in the span of X's K PCs and of as many further directions as Y
has units, so K + q + 1 rows hold all that Y can be, however many samples there are.

The gradient of such a score lies in the span of the columns of X and Y. An optimizer that commutes with
rotations, as SGD with or without momentum does, therefore never leaves the span of X and Y0.
"""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor

from simopt import linalg
from simopt.measures import Measure, Reference
from simopt.optimization.optimizers import probe
from simopt.typing import OptimizerFactory

_SEED = 20240707
_BATCHED_UP_TO = 100_000
"""Entries of one Y from which on a CPU takes the Y of a batch one by one, each within its caches."""


class Span:
    """Orthonormal coordinates of the span of X and Y0, and the rows in which Y is kept.

    With B (n, K + m) an orthonormal basis of the span, and H (K + m + 1, K + m) orthonormal columns of sum
    zero, Y is kept as H B'Y. Column sums are zero in both, so that what centers samples leaves rows as they
    are. H is turned at random: an optimizer that treats entries one by one then meets entries of one size, as
    it does among samples.

    Parameters
    ----------
    reference : Reference
        Of X, (n, p), with K PCs.
    Y0 : Tensor, (..., n, q)
        Its part outside of X spans the other directions. Its column means, of no matter to the scores, are
        kept apart.
    fewer : bool
        False keeps Y in its n samples; X's PCs and the other directions are known all the same.

    Attributes
    ----------
    reference : Reference
        Of X in the rows that are used, (K + m + 1, p) or (n, p).
    fewer : bool
    amplitude : Tensor, (K,)
        Singular values of the centered X.
    outside : int
        Directions outside of X, m = min(q, n - 1 - K).
    """

    def __init__(self, reference: Reference, Y0: Tensor, fewer: bool = True) -> None:
        scores = reference.scores.double()
        length = torch.linalg.vector_norm(scores, dim=0)
        pcs = scores / length  # (n, K)
        samples, count = pcs.shape
        Y0 = Y0.to(pcs)
        self.reference, self.fewer = reference, fewer
        self.amplitude = length * reference.norm
        self.outside = min(Y0.shape[-1], samples - 1 - count)
        self._mean = Y0.mean(dim=-2, keepdim=True)
        rest = Y0[..., : self.outside]
        # Where X all but holds Y0, the first pass leaves rounding errors; the second makes them orthogonal.
        for _ in range(2):
            rest = linalg.center(rest)
            rest = torch.linalg.qr(rest - pcs @ (pcs.mT @ rest))[0]
        self._basis = torch.cat([pcs.expand(*rest.shape[:-2], -1, -1), rest], dim=-1)  # (..., n, K + m)
        self._rows = self._basis
        if fewer:
            self._rows = _random_rows(count + self.outside).to(pcs)
            X = self._rows[:, :count] @ (pcs.mT @ linalg.center(reference.responses.double()))
            self.reference = Reference.of(X, dtype=reference.scores.dtype, device=pcs.device)

    def place(self, coordinates: Tensor) -> Tensor:
        """Return Y (..., rows, q) of its coordinates (..., K + m, q) along the PCs and outside."""
        return (self._rows @ coordinates.to(self._rows)).to(self.reference.scores.dtype)

    def reduce(self, Y: Tensor) -> Tensor:
        """Return Y (..., n, q) in the rows that are used; what it has outside of the span is lost."""
        if not self.fewer:
            return Y.to(self.reference.scores)
        return self.place(self._basis.mT @ linalg.center(Y.to(self._basis)))

    def expand(self, Y: Tensor) -> Tensor:
        """Return Y (..., n, q) with all samples, its column means those of Y0."""
        if not self.fewer:
            return Y
        return (self._basis @ (self._rows.mT @ Y.to(self._basis)) + self._mean).to(Y.dtype)


def rows_suffice(reference: Reference, units: int, measures: Iterable[Measure]) -> bool:
    """Whether the rows of a span are fewer than the samples, and no measure tells the difference."""
    rows = len(reference.variance_ratio) + units + 1
    has_float64 = reference.scores.device.type != "mps"
    blind = all(measure.facts.sample_rotations for measure in measures)
    return rows < reference.samples and has_float64 and blind


def fewer(reference: Reference, Y0: Tensor, measures: Iterable[Measure], optimizer: OptimizerFactory) -> bool:
    """Whether a run needs fewer rows than samples, and nothing in it tells the difference.

    That holds for scores blind to rotations of the samples and for gradient descent with or without momentum,
    which commutes with them. L-BFGS would too, but torch's scales its first step by the sum of the absolute
    entries of the gradient, which a rotation changes; weight decay would shrink the column means.
    """
    if not rows_suffice(reference, Y0.shape[-1], measures):
        return False
    trial = probe(optimizer)
    return isinstance(trial, torch.optim.SGD) and not any(
        group["weight_decay"] for group in trial.param_groups
    )


def parts(Y: Tensor) -> list[slice]:
    """Return the slices of a batch (R, n, q) that are evaluated together."""
    if Y.device.type == "cpu" and Y.shape[-2] * Y.shape[-1] >= _BATCHED_UP_TO:
        return [slice(r, r + 1) for r in range(len(Y))]
    return [slice(0, len(Y))]


def _random_rows(size: int) -> Tensor:
    """Return orthonormal columns of sum zero, (size + 1, size), turned at random, in float64."""
    generator = torch.Generator().manual_seed(_SEED)
    draw = torch.randn(size + 1, size, dtype=torch.float64, generator=generator)
    return linalg.center(torch.linalg.qr(linalg.center(draw))[0])
