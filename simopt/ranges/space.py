"""Where Y is looked for: the span of X and of as many directions outside of it as Y has units.

A score that is blind to rotations of the centred samples knows Y by F'Y and Y'Y alone, and any such pair of
matrices occurs in this span: K + q + 1 rows hold all that Y can be, however many samples there are.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from simopt import linalg
from simopt.measures import Measure, Reference

_SEED = 20240707


class Space:
    """The span of X and Y0, and the rows in which Y is kept.

    In fewer rows the span is turned at random: an optimiser that treats entries one by one then meets
    entries of one size, as it does among samples.

    Parameters
    ----------
    reference : Reference
        Of X, (n, p), with K PCs.
    Y0 : Tensor, (n, q)
    measures : sequence of Measure
        Fewer rows are used where all of them are blind to rotations of the samples.

    Attributes
    ----------
    reference : Reference
        Of X in the rows that are used, (rows, p).
    fewer : bool
    outside : int
        Directions outside of X, m = min(q, n - 1 - K).
    """

    def __init__(self, reference: Reference, Y0: Tensor, measures: Sequence[Measure]) -> None:
        like = reference.scores
        scores = like.double()
        self.amplitude = torch.linalg.vector_norm(scores, dim=0) * reference.norm
        pcs = scores / torch.linalg.vector_norm(scores, dim=0)  # (n, K)
        samples, known = pcs.shape
        centred = linalg.centre(Y0.to(device=like.device, dtype=torch.float64))
        self.outside = min(Y0.shape[-1], samples - 1 - known)
        rest = centred[:, : self.outside]
        for _ in range(2):
            rest = rest - pcs @ (pcs.mT @ rest)
        self._basis = torch.cat([pcs, torch.linalg.qr(rest)[0]], dim=-1)  # (n, K + m)
        directions = self._basis.shape[-1]
        self.fewer = (
            directions + 1 < samples
            and self.outside == Y0.shape[-1]
            and all(measure.facts.sample_rotations for measure in measures)
        )
        self.reference = reference
        self._rows = self._basis
        if self.fewer:
            self._rows = _without_mean(directions).to(like.device)
            along = pcs.mT @ linalg.centre(reference.responses.double())
            self.reference = Reference.of(self._rows[:, :known] @ along, dtype=like.dtype, device=like.device)

    def place(self, coordinates: Tensor) -> Tensor:
        """Return Y (..., rows, q) of its coordinates (..., K + m, q) along the PCs and outside."""
        return (self._rows @ coordinates.to(self._rows)).to(self.reference.scores.dtype)

    def reduce(self, Y: Tensor) -> Tensor:
        """Return Y (..., n, q) in the rows that are used; what it has outside of the span is lost."""
        if not self.fewer:
            return Y.to(self.reference.scores)
        return self.place(self._basis.mT @ linalg.centre(Y.to(self._basis)))

    def expand(self, Y: Tensor) -> Tensor:
        """Return Y (..., n, q) with all samples."""
        if not self.fewer:
            return Y
        return (self._basis @ (self._rows.mT @ Y.to(self._basis))).to(Y.dtype)


def _without_mean(size: int) -> Tensor:
    """Return orthonormal columns of sum zero, (size + 1, size), turned at random, in float64."""
    generator = torch.Generator().manual_seed(_SEED)
    draw = torch.randn(size + 1, size, dtype=torch.float64, generator=generator)
    columns: Tensor = torch.linalg.qr(linalg.centre(draw))[0]
    return columns
