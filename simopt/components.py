"""Principal components of a recording, decomposed in float64 whatever dtype the data came in."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch

from simopt.typing import FloatArray

_WHOLE_UP_TO = 2**24
_BLOCK = 2**22
"""Entries up to which a recording is decomposed as it is, and entries of the blocks of a larger one."""


@dataclass(frozen=True)
class Components:
    """The principal components of nonzero variance of responses (n, p).

    Attributes
    ----------
    scores : array, (n, K)
        U S of the centered responses, descending, scaled to unit total variance.
    values : array of float64, (K,)
        Norms of the scores, sqrt(lambda_i / sum lambda).
    norm : float
        Frobenius norm of the centered responses.
    """

    scores: FloatArray
    values: npt.NDArray[np.float64]
    norm: float


def principal_components(array: FloatArray, dtype: npt.DTypeLike = np.float64) -> Components:
    """Return the principal components of responses (n, p), which vary, with scores in ``dtype``.

    A singular value counts as zero up to eps max(n, p) s_1, eps that of the dtype the data came in. A large
    recording is never copied: its triangular factor is gathered from blocks. Where it has more samples than
    units, its scores are then orthogonal to eps s_1 / s_i only, eps that of float64.
    """
    scale = max(float(array.max()), -float(array.min()))
    mean = array.mean(axis=0, dtype=np.float64) / scale
    axes = None
    if array.size <= _WHOLE_UP_TO:
        left, values, _ = _svd(array.astype(np.float64) / scale - mean)
    elif array.shape[0] <= array.shape[1]:
        # X = L Q has the left singular vectors of L; one block of units after the other.
        blocks = (
            (array[:, some].astype(np.float64) / scale - mean[some]).T for some in _parts(*array.T.shape)
        )
        left, values, _ = _svd(_triangle(blocks).T)
    else:
        blocks = (array[some].astype(np.float64) / scale - mean for some in _parts(*array.shape))
        left, values, axes = _svd(_triangle(blocks))
    keep = values > np.finfo(array.dtype).eps * max(array.shape) * values[0]
    total = float(np.linalg.norm(values[keep]))
    unit = values[keep] / total
    if axes is None:
        return Components((left[:, keep] * unit).astype(dtype, copy=False), unit, scale * total)
    scores = np.empty((len(array), len(unit)), dtype)
    for some in _parts(*array.shape):
        scores[some] = (array[some].astype(np.float64) / scale - mean) @ (axes[:, keep] / total)
    return Components(scores, unit, scale * total)


def _svd(matrix: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
    left, values, right = torch.linalg.svd(torch.from_numpy(matrix), full_matrices=False)
    return left.numpy(), values.numpy(), right.mT.numpy()


def _parts(rows: int, columns: int) -> Iterator[slice]:
    step = max(columns, _BLOCK // columns)
    return (slice(start, start + step) for start in range(0, rows, step))


def _triangle(blocks: Iterator[FloatArray]) -> FloatArray:
    """Return R of the QR decomposition of all rows of all blocks."""
    triangle = torch.from_numpy(next(blocks).copy())
    for block in blocks:
        triangle = torch.linalg.qr(torch.cat([triangle, torch.from_numpy(block)]), mode="r")[1]
    return triangle.numpy()
