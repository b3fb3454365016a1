"""Runs in fewer rows than samples, without approximation: Y in coordinates of the span of X and Y0.

Some scores do not change when the centered samples of both datasets are rotated: s(QX, QY) = s(X, Y) for
every orthogonal Q. Such a score depends on Y (n, q) only through X'Y and Y'Y. All values of these two
matrices already occur in a space of K + q dimensions, the K PCs of X and q directions orthogonal to them.
With one more row for the mean, K + q + 1 rows are enough for every n.

The gradient of such a score lies in the span of the columns of X and Y. SGD with or without momentum adds up
gradients, so Y never leaves the span of X and Y0.
"""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor

from simopt import linalg
from simopt.measures import Measure, Reference
from simopt.norms import vector_norm
from simopt.optimization.optimizers import probe
from simopt.typing import OptimizerFactory

_SEED = 20240707
"""Seed of the random rotation of the rows. Another seed changes results only by rounding."""
_BATCHED_UP_TO = 100_000
"""On a CPU, replicates with at least this many entries of Y (400 kB in float32) are evaluated one by one, so
that the matrices of a replicate stay in its caches. Smaller replicates are evaluated as a batch, which saves
calls."""


class Span:
    """Orthonormal coordinates of the span of X and Y0, and the conversion of Y to fewer rows and back.

    B (n, K + m) is an orthonormal basis of the span: the K PCs of X and m directions orthogonal to them, all
    orthogonal to the constant vector. H (K + m + 1, K + m) has orthonormal columns that sum to zero. The
    reduced Y is Z = H B'Y, (K + m + 1, q). As H'H = I, Z'Z = Y'Y of the centered Y. The columns of Z sum to
    zero, so that centering does not change Z.

    Parameters
    ----------
    reference : Reference
        The recording X (n, p), with K PCs.
    Y0 : Tensor, (..., n, q)
        The part of Y0 that is orthogonal to X spans the m other directions. The column means of Y0 do not
        change the scores. They are stored, and :meth:`expand` adds them again.
    fewer : bool
        True: Y has K + m + 1 rows. False: Y keeps its n samples, and only the basis B is computed.

    Attributes
    ----------
    reference : Reference
        The recording with as many rows as Y: X is (K + m + 1, p), or (n, p) if ``fewer`` is False.
    amplitude : Tensor, (K,)
        Singular values of the centered X.
    outside : int
        Number m of directions orthogonal to X, min(q, n - 1 - K).
    """

    def __init__(self, reference: Reference, Y0: Tensor, fewer: bool = True) -> None:
        scores = reference.scores.double()
        length = vector_norm(scores, dim=0)
        pcs = scores / length  # (n, K)
        samples, count = pcs.shape
        Y0 = Y0.to(pcs)
        self.reference, self.fewer = reference, fewer
        self.amplitude = length * reference.norm
        self.outside = min(Y0.shape[-1], samples - 1 - count)
        self._mean = Y0.mean(dim=-2, keepdim=True)
        rest = Y0[..., : self.outside]
        # Gram-Schmidt against the PCs, twice: if Y0 lies almost in the span of X, the first remainder is
        # rounding error that is not orthogonal to the PCs. After the second pass it is.
        for _ in range(2):
            rest = linalg.center(rest)
            rest = torch.linalg.qr(rest - pcs @ (pcs.mT @ rest))[0]
        self._basis = torch.cat([pcs.expand(*rest.shape[:-2], -1, -1), rest], dim=-1)  # (..., n, K + m)
        self._rows = self._basis
        if fewer:
            # Rows are rotated at random: in an axis-aligned basis the entries of one row would all be large
            # or all small, and an optimizer that scales each entry separately would behave differently than
            # on samples.
            self._rows = _random_rows(count + self.outside).to(pcs)
            X = self._rows[:, :count] @ (pcs.mT @ linalg.center(reference.responses.double()))
            self.reference = Reference.of(X, dtype=reference.scores.dtype, device=pcs.device)

    def place(self, coordinates: Tensor) -> Tensor:
        """Return the rows of Y, (..., rows, q), from its coordinates (..., K + m, q) in the basis B."""
        return (self._rows @ coordinates.to(self._rows)).to(self.reference.scores.dtype)

    def reduce(self, Y: Tensor) -> Tensor:
        """Return the rows of Y, H B'Y (..., rows, q), from all samples of Y (..., n, q).

        The part of Y outside of the span is lost.
        """
        if not self.fewer:
            return Y.to(self.reference.scores)
        return self.place(self._basis.mT @ linalg.center(Y.to(self._basis)))

    def expand(self, Y: Tensor) -> Tensor:
        """Return all samples of Y, B H'Z + column means of Y0 (..., n, q), from its rows Z (..., rows, q)."""
        if not self.fewer:
            return Y
        return (self._basis @ (self._rows.mT @ Y.to(self._basis)) + self._mean).to(Y.dtype)


def rows_suffice(reference: Reference, units: int, measures: Iterable[Measure]) -> bool:
    """Return whether a :class:`Span` has fewer rows than samples and leaves the scores unchanged."""
    rows = len(reference.variance_ratio) + units + 1
    has_float64 = reference.scores.device.type != "mps"  # Span computes its basis in float64
    blind = all(measure.facts.sample_rotations for measure in measures)
    return rows < reference.samples and has_float64 and blind


def fewer(reference: Reference, Y0: Tensor, measures: Iterable[Measure], optimizer: OptimizerFactory) -> bool:
    """Return whether a run can use fewer rows than samples and give the same numbers.

    All measures must be invariant to rotations of the samples, and the optimizer must commute with rotations.
    SGD with or without momentum commutes. Adam does not, since it scales each entry separately. L-BFGS in
    torch does not, since it scales its first step by the sum of |gradient|, which a rotation changes. SGD
    with weight decay does not either: it shrinks the column means of Y, which a Y of fewer rows lacks.
    """
    if not rows_suffice(reference, Y0.shape[-1], measures):
        return False
    trial = probe(optimizer)
    return isinstance(trial, torch.optim.SGD) and not any(
        group["weight_decay"] for group in trial.param_groups
    )


def parts(Y: Tensor) -> list[slice]:
    """Return slices of the R replicates of Y (R, n, q); the replicates of a slice are evaluated together."""
    if Y.device.type == "cpu" and Y.shape[-2] * Y.shape[-1] >= _BATCHED_UP_TO:
        return [slice(r, r + 1) for r in range(len(Y))]
    return [slice(0, len(Y))]


def _random_rows(size: int) -> Tensor:
    """Return a random matrix with orthonormal columns that sum to zero, (size + 1, size), in float64."""
    generator = torch.Generator().manual_seed(_SEED)
    draw = torch.randn(size + 1, size, dtype=torch.float64, generator=generator)
    # The Q of a centered matrix is centered up to rounding; centering it once more removes the rounding.
    return linalg.center(torch.linalg.qr(linalg.center(draw))[0])
