"""Principal components of a recording, computed in float64 for data of any dtype."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch

from simopt.typing import FloatArray

_WHOLE_UP_TO = 2**24
"""A recording of up to this many numbers is copied to float64 (128 MiB) and decomposed as a whole."""
_BLOCK = 2**22
"""A larger recording is read in blocks of this many numbers (32 MiB)."""


@dataclass(frozen=True)
class Components:
    """The principal components of nonzero variance of responses (n, p).

    Attributes
    ----------
    scores : array, (n, K)
        U S / ``norm``, where X = U S V' are the centered responses. PCs are in descending order of variance.
    values : array of float64, (K,)
        The norms of the columns of ``scores``: sqrt(lambda_i / sum lambda), lambda_i = s_i^2.
    norm : float
        The Frobenius norm of the centered responses, sqrt(sum lambda).
    """

    scores: FloatArray
    values: npt.NDArray[np.float64]
    norm: float


def principal_components(array: FloatArray, dtype: npt.DTypeLike = np.float64) -> Components:
    """Return the principal components of responses (n, p).

    A large recording is never copied as a whole. It is read in blocks, and each block updates the triangular
    factor R of the QR decomposition.

    Parameters
    ----------
    array : array of float32 or float64, (n, p)
        Responses that are not constant.
    dtype : dtype
        The dtype of the scores that are returned.

    Returns
    -------
    Components
        The components with a singular value s_i above eps max(n, p) s_1, where eps is the machine precision
        of the dtype of ``array``. For a large recording with n > p the scores of PC i are orthogonal to all
        others only up to the error eps s_1 / s_i, with the eps of float64.
    """
    # Dividing by the largest entry keeps squares from overflowing or underflowing.
    scale = max(float(array.max()), -float(array.min()))
    mean = array.mean(axis=0, dtype=np.float64) / scale
    axes = None
    if array.size <= _WHOLE_UP_TO:
        left, values, _ = _svd(array.astype(np.float64) / scale - mean)
    elif array.shape[0] <= array.shape[1]:
        # n <= p: with X' = Q R, X = R' Q' has the left singular vectors and the singular values of R', (n,
        # n).
        blocks = (
            (array[:, part].astype(np.float64) / scale - mean[part]).T for part in _parts(*array.T.shape)
        )
        left, values, _ = _svd(_triangle(blocks).T)
    else:
        # n > p: X = Q R has the right singular vectors V and the singular values of R, (p, p).
        blocks = (array[part].astype(np.float64) / scale - mean for part in _parts(*array.shape))
        left, values, axes = _svd(_triangle(blocks))
    keep = values > np.finfo(array.dtype).eps * max(array.shape) * values[0]
    total = float(np.linalg.norm(values[keep]))
    unit = values[keep] / total
    if axes is None:
        return Components((left[:, keep] * unit).astype(dtype, copy=False), unit, scale * total)
    # U S = X V, again block by block: U itself was never formed.
    scores = np.empty((len(array), len(unit)), dtype)
    for part in _parts(*array.shape):
        scores[part] = (array[part].astype(np.float64) / scale - mean) @ (axes[:, keep] / total)
    return Components(scores, unit, scale * total)


def _svd(matrix: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
    left, values, right = torch.linalg.svd(torch.from_numpy(matrix), full_matrices=False)
    return left.numpy(), values.numpy(), right.mT.numpy()


def _parts(rows: int, columns: int) -> Iterator[slice]:
    # At least ``columns`` rows: each QR includes the (columns, columns) triangle, which should not dominate.
    step = max(columns, _BLOCK // columns)
    return (slice(start, start + step) for start in range(0, rows, step))


def _triangle(blocks: Iterator[FloatArray]) -> FloatArray:
    """Return R, (p, p), of the QR decomposition of all blocks (m, p) below each other.

    R of [A; B] is R of [R_A; B], as [A; B] = diag(Q_A, I) [R_A; B].
    """
    triangle = torch.from_numpy(next(blocks).copy())
    for block in blocks:
        triangle = torch.linalg.qr(torch.cat([triangle, torch.from_numpy(block)]), mode="r")[1]
    return triangle.numpy()
