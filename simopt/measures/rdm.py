"""Representational dissimilarity matrices (RDMs): the dissimilarity of every two samples of one dataset.

An RDM D, (n, n), of any kind holds Euclidean or squared Euclidean distances between embedded samples Z (n,
k). For ``correlation`` and ``cosine`` the rows of Z have equal norms before centering. For ``mahalanobis``
the units are whitened. ``crossnobis`` is a difference of two squared distances. So D can be computed from Z.
For squared distances Z also gives the kernel -H D H / 2 = Z Z', where H = I - 11'/n and Z is centered.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from simopt import linalg, pairwise
from simopt.errors import InputError
from simopt.norms import vector_norm
from simopt.typing import FloatArray

RDM = Literal["sqeuclidean", "euclidean", "correlation", "cosine", "mahalanobis", "crossnobis"]

DIRECTIONAL = frozenset({"correlation", "cosine"})
"""RDMs that depend only on the directions of samples. Their entries lie in [0, 2]."""

FORMULAS: dict[RDM, str] = {
    "sqeuclidean": "d_ij = ||x_i - x_j||^2 / p",
    "euclidean": "d_ij = ||x_i - x_j||",
    "correlation": "d_ij = 1 - r(x_i, x_j)",
    "cosine": "d_ij = 1 - x_i'x_j / (||x_i|| ||x_j||)",
    "mahalanobis": "d_ij = (x_i - x_j)' S^-1 (x_i - x_j) / p, S the sample covariance",
    "crossnobis": "d_ij = mean over repeats A != B of (x_i^A - x_j^A)' S^-1 (x_i^B - x_j^B) / p",
}


@dataclass(frozen=True)
class Embedding:
    """Centered samples Z that represent an RDM: d_ij = sum_k s_k (z_ik - z_jk)^2.

    For ``euclidean`` d_ij is the square root of this sum.

    Attributes
    ----------
    kind : RDM
        The name of the dissimilarity.
    points : Tensor, (..., n, k), Z
    negative : int
        The number of coordinates with s_k = -1, which come last. The others have s_k = 1.
    """

    kind: RDM
    points: Tensor
    negative: int = 0

    def kernel(self) -> Tensor:
        """Return the kernel -H D H / 2, (..., n, n); it is positive semidefinite if ``negative`` is 0."""
        # Of squared distances it is Z Z' itself, as Z is centered; their roots need the matrix D.
        if self.kind == "euclidean":
            return -linalg.double_center(pairwise.distances(self.points)) / 2
        positive, negative = self._parts()
        kernel = linalg.gram(positive.mT)
        return kernel - linalg.gram(negative.mT) if self.negative else kernel

    def dissimilarities(self) -> Tensor:
        """Return the upper triangle of the RDM, row by row: d_ij for i < j, (..., n (n - 1) / 2)."""
        n = self.points.shape[-2]
        i, j = torch.triu_indices(n, n, offset=1, device=self.points.device)  # row by row, as scipy's pdist
        if self.kind == "euclidean":
            return pairwise.distances(self.points)[..., i, j]
        positive, negative = self._parts()
        squared = pairwise.squared_distances(positive)
        if self.negative:
            squared = squared - pairwise.squared_distances(negative)
        return squared[..., i, j]

    @cached_property
    def levels(self) -> npt.NDArray[np.int64]:
        """The rank of each dissimilarity among the distinct values, (n (n - 1) / 2,), numbered from 0.

        Dissimilarities that differ only by rounding errors get the same rank. Z must be a single dataset
        (n, k) in float64.
        """
        from scipy.spatial import distance

        points = self.points.detach().cpu()
        values: FloatArray
        if self.negative:
            values = self.dissimilarities().detach().cpu().numpy()
            # d_ij is a difference of squared distances, each up to 4 max ||z_i||^2, which sets its rounding.
            scale = 4 * float(points.square().sum(dim=-1).max())
        else:
            values = distance.pdist(points.numpy())
            scale = max(values.max(), 1.0 if self.kind in DIRECTIONAL else 0.0)
        # A sum of k squares is off by up to about k eps of its size; the 16 leaves room for the rounding of
        # Z.
        tolerance = (16 + points.shape[-1]) * np.finfo(np.float64).eps * scale
        order = np.argsort(values, kind="stable")
        steps = np.diff(values[order]) > tolerance  # where the sorted values move to the next level
        levels = np.empty(len(values), dtype=np.int64)
        levels[order] = np.concatenate([[0], np.cumsum(steps)])
        return levels

    def _parts(self) -> tuple[Tensor, Tensor]:
        """Return the coordinates that add to the dissimilarities and those that subtract."""
        kept = self.points.shape[-1] - self.negative
        return self.points[..., :kept], self.points[..., kept:]


def embed(kind: RDM, responses: Tensor, what: str, *, center_units: bool = False) -> Embedding:
    """Return the embedded samples of an RDM. For ``crossnobis`` use :func:`crossnobis.embed` instead.

    Parameters
    ----------
    kind : {"sqeuclidean", "euclidean", "correlation", "cosine", "mahalanobis"}
        The dissimilarity, see :data:`FORMULAS`.
    responses : Tensor, (..., n, q)
        The responses before centering.
    what : str
        The name of the responses in error messages.
    center_units : bool
        Whether the mean of each unit is subtracted first. It changes ``correlation`` and ``cosine`` only.

    Returns
    -------
    Embedding
        Its points Z are (..., n, q), or (..., n, q + n) if a sample has no direction.

    Raises
    ------
    InputError
        ``kind`` is ``correlation`` and there is a single unit, or ``kind`` is ``mahalanobis`` and the
        covariance is singular.
    """
    q = responses.shape[-1]
    if kind in DIRECTIONAL:
        points = linalg.center(_directions(kind, responses, what, center_units))
        # If all samples have one direction, Z is the rounding of their norms, and scores would be noise. The
        # entries of Z are at most 1; 64 eps is above what scaling and centering leave.
        spread = points.detach().abs().amax(dim=(-2, -1), keepdim=True)
        return Embedding(kind, torch.where(spread <= 64 * torch.finfo(points.dtype).eps, 0.0, points))
    if kind == "mahalanobis":
        return Embedding(kind, _whitened(responses, what))
    centered = linalg.center(responses)
    # Squared distances are divided by the number of units.
    return Embedding(kind, centered if kind == "euclidean" else centered / math.sqrt(q))


def _directions(kind: RDM, responses: Tensor, what: str, center_units: bool) -> Tensor:
    """Return the samples scaled to norm 1 / sqrt 2, so that ||z_i - z_j||^2 = 1 - cosine.

    A sample without a direction (zero, or for a correlation the same in all units) shall have cosine 0 with
    every other. It gets an additional coordinate in which all others are 0.
    """
    q = responses.shape[-1]
    if kind == "correlation" and q == 1:
        raise InputError(
            f"{what} has 1 unit, but a correlation RDM needs at least 2 units. Choose rdm=euclidean."
        )
    rows = linalg.center(responses) if center_units else responses
    if kind == "correlation":
        rows = rows - rows.mean(dim=-1, keepdim=True)
    norms = vector_norm(rows, dim=-1)
    # What centering leaves of a constant row is the rounding of its mean.
    rounding = 8 * torch.finfo(rows.dtype).eps * vector_norm(responses.detach(), dim=-1)
    silent = norms.detach() <= rounding
    units = rows / torch.where(silent, 1.0, norms)[..., None]
    if bool(silent.any()):
        extra = torch.diag_embed(silent.to(rows.dtype))  # (..., n, n)
        units = torch.cat([torch.where(silent[..., None], 0.0, units), extra], dim=-1)
    return units / math.sqrt(2)


def _whitened(responses: Tensor, what: str) -> Tensor:
    """Return Z = Q sqrt((n - 1) / q) of the centered Y = Q R, (..., n, q).

    With S = Y'Y / (n - 1) = R'R / (n - 1), Z Z' = Y R^-1 R^-1' Y' (n - 1) / q = Y S^-1 Y' / q.
    """
    n, q = responses.shape[-2:]
    if q >= n - 1:
        raise InputError(
            f"{what} has {q} units in {n} samples, but a Mahalanobis RDM needs fewer than {n - 1}: with "
            "more, its covariance is singular or its entries are all equal. Use fewer units, or their first "
            "PCs, or choose rdm=sqeuclidean."
        )
    basis, triangle = torch.linalg.qr(linalg.center(responses))
    unit = dependent_unit(triangle, responses)
    if unit is not None:
        raise InputError(
            f"{what}: unit {unit} is constant or a linear combination of the units before it, so the sample "
            "covariance of the Mahalanobis RDM is singular. Remove such units, or choose another RDM "
            "(rdm=sqeuclidean or rdm=correlation)."
        )
    return basis * math.sqrt((n - 1) / q)


def dependent_unit(triangle: Tensor, responses: Tensor) -> int | None:
    """Return the index of a unit that is a linear combination of the units before it up to rounding, or None.

    Parameters
    ----------
    triangle : Tensor, (..., q, q)
        The factor R of the QR decomposition of the responses after centering or other projections. |R_kk| is
        the norm of the part of unit k that is orthogonal to the units before it.
    responses : Tensor, (..., n, q)
        The responses before these projections. The norm of a unit sets the size of its rounding errors.
    """
    added = torch.diagonal(triangle.detach(), dim1=-2, dim2=-1).abs()
    size = vector_norm(responses.detach(), dim=-2)
    dependent = added <= responses.shape[-2] * torch.finfo(added.dtype).eps * size
    return int(torch.nonzero(dependent)[0, -1]) if bool(dependent.any()) else None
