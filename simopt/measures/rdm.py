"""Representational dissimilarity matrices (RDMs): how unlike each two samples of one dataset are.

All kinds are squared Euclidean distances of embedded samples Z, or their roots: correlation and cosine those
of rows of unit norm, Mahalanobis that of whitened units, crossnobis a difference of two. So an RDM D is known
from Z alone, and so is its kernel -H D H / 2 = Z Z', H = I - 11'/n.
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
from simopt.typing import FloatArray

RDM = Literal["sqeuclidean", "euclidean", "correlation", "cosine", "mahalanobis", "crossnobis"]

DIRECTIONAL = frozenset({"correlation", "cosine"})
"""The kinds that see of a sample only its direction; their dissimilarities lie in [0, 2]."""

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
    """Samples Z, centered, that stand for an RDM: d_ij = sum_k s_k (z_ik - z_jk)^2.

    For ``euclidean`` d_ij is the root of that.

    Attributes
    ----------
    kind : RDM
    points : Tensor, (..., n, k), Z
    negative : int
        How many coordinates, the last ones, have s_k = -1; the others have 1.
    """

    kind: RDM
    points: Tensor
    negative: int = 0

    def kernel(self) -> Tensor:
        """Return -H D H / 2, (..., n, n); positive semidefinite where no coordinate is negative."""
        if self.kind == "euclidean":
            return -linalg.double_center(pairwise.distances(self.points)) / 2
        positive, negative = self._parts()
        kernel = linalg.gram(positive.mT)
        return kernel - linalg.gram(negative.mT) if self.negative else kernel

    def dissimilarities(self) -> Tensor:
        """Return d_ij for i < j, (..., n (n - 1) / 2), row by row."""
        n = self.points.shape[-2]
        i, j = torch.triu_indices(n, n, offset=1, device=self.points.device)
        if self.kind == "euclidean":
            return pairwise.distances(self.points)[..., i, j]
        positive, negative = self._parts()
        squared = pairwise.squared_distances(positive)
        if self.negative:
            squared = squared - pairwise.squared_distances(negative)
        return squared[..., i, j]

    @cached_property
    def levels(self) -> npt.NDArray[np.int64]:
        """The places of the dissimilarities among their distinct values, (n (n - 1) / 2,), from 0.

        Two values belong to one level where they differ by rounding only, so that ties of the definition are
        ties here. Squares and roots have the same order, so where nothing is negative the distances of Z,
        of one dataset in float64, stand for every kind.
        """
        from scipy.spatial import distance

        points = self.points.detach().cpu()
        values: FloatArray
        if self.negative:
            values = self.dissimilarities().detach().cpu().numpy()
            scale = 4 * float(points.square().sum(dim=-1).max())
        else:
            values = distance.pdist(points.numpy())
            scale = max(values.max(), 1.0 if self.kind in DIRECTIONAL else 0.0)
        tolerance = (16 + points.shape[-1]) * np.finfo(np.float64).eps * scale
        order = np.argsort(values, kind="stable")
        steps = np.diff(values[order]) > tolerance
        places = np.empty(len(values), dtype=np.int64)
        places[order] = np.concatenate([[0], np.cumsum(steps)])
        return places

    def _parts(self) -> tuple[Tensor, Tensor]:
        kept = self.points.shape[-1] - self.negative
        return self.points[..., :kept], self.points[..., kept:]


def embed(kind: RDM, responses: Tensor, what: str, *, center_units: bool = False) -> Embedding:
    """Return the embedded samples of every kind but ``crossnobis``, which has a room of its own.

    Parameters
    ----------
    kind : {"sqeuclidean", "euclidean", "correlation", "cosine", "mahalanobis"}
    responses : Tensor, (..., n, q)
        Not centered.
    what : str
        How errors call the responses.
    center_units : bool
        Subtract the mean of each unit first, which only the directional kinds can tell.

    Returns
    -------
    Embedding of Z (..., n, q), or (..., n, q + n) where a sample has no direction

    Raises
    ------
    InputError
        A correlation over a single unit, or a covariance that has no inverse.
    """
    q = responses.shape[-1]
    if kind in DIRECTIONAL:
        points = linalg.center(_directions(kind, responses, what, center_units))
        # All samples of one direction (two units suffice for that) leave the rounding of their norms.
        spread = points.detach().abs().amax(dim=(-2, -1), keepdim=True)
        return Embedding(kind, torch.where(spread <= 64 * torch.finfo(points.dtype).eps, 0.0, points))
    if kind == "mahalanobis":
        return Embedding(kind, _whitened(responses, what))
    centered = linalg.center(responses)
    return Embedding(kind, centered if kind == "euclidean" else centered / math.sqrt(q))


def _directions(kind: RDM, responses: Tensor, what: str, center_units: bool) -> Tensor:
    """Rows of norm 1/sqrt 2, so that ||z_i - z_j||^2 = 1 - cosine.

    A row without a direction (zero, or constant under a correlation) has cosine 0 with every other: it gets
    an axis of its own.
    """
    q = responses.shape[-1]
    if kind == "correlation" and q == 1:
        raise InputError(
            f"{what} has 1 unit; a correlation across units needs at least 2: take the euclidean RDM."
        )
    rows = linalg.center(responses) if center_units else responses
    if kind == "correlation":
        rows = rows - rows.mean(dim=-1, keepdim=True)
    norms = torch.linalg.vector_norm(rows, dim=-1)
    # What centering leaves of a constant row is the rounding of its mean.
    rounding = 8 * torch.finfo(rows.dtype).eps * torch.linalg.vector_norm(responses.detach(), dim=-1)
    silent = norms.detach() <= rounding
    units = rows / torch.where(silent, 1.0, norms)[..., None]
    if bool(silent.any()):
        own = torch.diag_embed(silent.to(rows.dtype))
        units = torch.cat([torch.where(silent[..., None], 0.0, units), own], dim=-1)
    return units / math.sqrt(2)


def _whitened(responses: Tensor, what: str) -> Tensor:
    """Return Q sqrt((n - 1) / q) of the centered Y = Q R: then Z Z' = Y S^-1 Y' / q, S = Y'Y / (n - 1)."""
    n, q = responses.shape[-2:]
    if q >= n - 1:
        raise InputError(
            f"{what} has {q} units in {n} samples: a Mahalanobis RDM needs fewer than {n - 1} units, as "
            "beyond that the covariance is singular or puts all samples equally far apart. Take fewer units "
            "or principal components, or another RDM (sqeuclidean, correlation)."
        )
    basis, triangle = torch.linalg.qr(linalg.center(responses))
    unit = dependent_unit(triangle, responses)
    if unit is not None:
        raise InputError(
            f"{what}: unit {unit} is constant or a linear combination of the units before it, so the sample "
            "covariance of the Mahalanobis RDM is singular. Remove such units, or take another RDM "
            "(sqeuclidean, correlation)."
        )
    return basis * math.sqrt((n - 1) / q)


def dependent_unit(triangle: Tensor, responses: Tensor) -> int | None:
    """Return a unit that is, to rounding, a combination of the units before it, or None.

    Parameters
    ----------
    triangle : Tensor, (..., q, q)
        R of the QR decomposition of what was made of the responses. Its k-th diagonal entry is what unit k
        adds to the units before it.
    responses : Tensor, (..., n, q)
        As they came: centering and projecting round to the norm of a unit here.
    """
    added = torch.diagonal(triangle.detach(), dim1=-2, dim2=-1).abs()
    size = torch.linalg.vector_norm(responses.detach(), dim=-2)
    dependent = added <= responses.shape[-2] * torch.finfo(added.dtype).eps * size
    return int(torch.nonzero(dependent)[0, -1]) if bool(dependent.any()) else None
