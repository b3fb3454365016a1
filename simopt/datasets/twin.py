"""Generate surrogates: Gaussian data with a given PC spectrum and shape, and planted labels.

The surrogate of a recording, X = U diag(s) V', has exactly the published explained variance ratios
p_i = s_i^2 / sum s^2. The scores along the PCs are random: U is Gaussian, made orthonormal, and V is a random
orthonormal basis. The labels are synthetic. They can be decoded because they are planted: U has prescribed
overlaps with the class contrasts of each task variable. The surrogate has no other property of the recording:
no dependence between samples, no tuning of single units, and no noise correlations.

The overlaps (``planted`` of each recording) and the scale of the responses (``scale``) were found by trial
and error. They reproduce the published accuracy of the decoder on each recording, and for majaj and mante
also its accuracy on Y along the runs of ``cka`` and ``procrustes_angular``. Overlaps and scale have separate
effects:

- The overlaps set how accuracy grows with the score. Optimization captures the PCs of X roughly in the order
  of their variance, so a variable planted in the first PCs can be decoded at a lower score than a variable
  planted in later PCs.
- The scale only matters if the decoder does not standardize its input. The published decoder penalizes the
  squared weights. Smaller responses need larger weights, so the penalty is stronger if the scale is smaller.

``tests/analysis/test_twin_decoding.py`` compares the surrogates with the published numbers: within 0.03 in
accuracy on the recordings, and within 0.06 (median) along runs.

References
----------
Cloos et al. 2025, Differentiable Optimization of Similarity Scores Between Models and Brains,
arXiv:2407.07059: the published spectra, decoder and decoding results.
"""

from __future__ import annotations

import csv
import reprlib
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import resources
from importlib.resources.abc import Traversable

import numpy as np

from simopt.errors import InputError
from simopt.typing import FloatArray, LabelArray


@dataclass(frozen=True)
class Planted:
    """A task variable of a surrogate, and how its variance is spread over the PCs.

    A variable of k classes is represented by k - 1 orthonormal class contrasts. Variables are planted one
    after the other. ``strength`` applies to the part of the contrasts that is orthogonal to the contrasts of
    earlier variables.

    Attributes
    ----------
    variable : str
        Name of the variable.
    labels : array, (conditions,)
    strength : float, 0 to 1
        The R2 with which all PCs together predict a contrast: the share of its variance that lies in the PCs.
    center, width : float
        The R2 with which PC i alone predicts a contrast is proportional to
        exp(-(ln i - ln center)^2 / (2 width^2)), times the share of PC i that earlier variables left free.
        ``center`` is a PC's number, counted from 1, and need not be whole. ``width`` is in units of ln i.
    decay : float, 0 to 1
        The strength falls linearly over the contrasts, from ``strength`` to ``strength (1 - decay)``.
    """

    variable: str
    labels: LabelArray
    strength: float
    center: float
    width: float
    decay: float = 0.0

    def contrasts(self) -> FloatArray:
        """Return the contrasts: an orthonormal basis of the centered class indicators.

        Its shape is (conditions, classes - 1).
        """
        # One column for each class, 1 on its conditions. The centered columns add up to zero, so any k - 1 of
        # them span the contrasts; the last one is left out.
        classes = np.unique(self.labels)
        indicators = (self.labels[:, None] == classes).astype(np.float64)
        basis, _ = np.linalg.qr((indicators - indicators.mean(axis=0))[:, :-1])
        return basis

    def overlaps(self, contrasts: int, free: FloatArray) -> FloatArray:
        """Return the correlation of each contrast with each of the K PCs, (contrasts, K).

        Parameters
        ----------
        contrasts : int
            Number of contrasts.
        free : array, (K,)
            For each PC the share of its variance that earlier variables left free, 0 to 1.
        """
        pcs = len(free)
        weights = free * np.exp(-((np.log(np.arange(1, pcs + 1) / self.center) / self.width) ** 2) / 2)
        out = np.zeros((contrasts, pcs))
        for k in range(contrasts):
            # PCs k, k + contrasts, k + 2 contrasts, ... carry contrast k: no PC carries two contrasts of a
            # variable. The squares of a row add up to the R2 of its contrast from all PCs.
            share = weights[k::contrasts]
            strength = self.strength * (1 - self.decay * k / max(contrasts - 1, 1))
            out[k, k::contrasts] = np.sqrt(strength * share / share.sum())
        return out


def spectrum_file(name: str) -> Traversable:
    """Return the csv file that holds the published spectrum of a recording."""
    return resources.files("simopt.datasets") / "spectra" / f"{name}.csv"


def published_spectrum(name: str) -> FloatArray:
    """Return the published explained variance ratios of a recording's K PCs, (K,), descending, with sum 1."""
    lines = spectrum_file(name).read_text(encoding="utf-8").splitlines()
    rows = csv.DictReader(line for line in lines if not line.startswith("#"))
    return normalized([float(row["explained_variance_ratio"]) for row in rows], name)


def normalized(spectrum: Sequence[float], name: str) -> FloatArray:
    """Return the explained variance ratios of K PCs from their variances, (K,), descending, with sum 1.

    Parameters
    ----------
    spectrum : sequence of float
        Variances of the PCs, in any unit and order.
    name : str
        Name of the dataset, for error messages.

    Raises
    ------
    InputError
        ``spectrum`` is empty, or holds a value that is not finite and positive.
    """
    try:
        values = np.asarray(spectrum, dtype=np.float64)
    except (ValueError, TypeError, OverflowError):
        values = np.empty(0)
    if values.ndim != 1 or values.size == 0 or not (np.isfinite(values) & (values > 0)).all():
        raise InputError(
            f"spectrum of {name} is {reprlib.repr(spectrum)}; expected a list of finite, positive variances."
        )
    values = np.sort(values / values.max())[::-1]  # divided first, so that the sum cannot overflow
    ratios: FloatArray = values / values.sum()
    return ratios


def gaussian_responses(
    spectrum: FloatArray,
    shape: tuple[int, ...],
    rng: np.random.Generator,
    planted: Sequence[Planted] = (),
) -> FloatArray:
    """Draw Gaussian responses with a given spectrum and planted task variables.

    The responses are X = U diag(s) V' with s_i^2 = p_i x samples x units; see the module for U and V.

    Parameters
    ----------
    spectrum : array, (K,)
        Explained variance ratios p of the K PCs, with sum 1. K is at most the number of units, and at most
        samples - 1 minus the number of planted contrasts.
    shape : tuple of int
        Shape of the responses: (samples, units) or (time, condition, unit).
    rng : Generator
    planted : sequence of Planted
        Task variables with one label for each condition. Without a time axis, every sample is a condition;
        with a time axis, the same labels are planted at every time.

    Returns
    -------
    array of float64 and of the given shape
        Every unit has mean 0 over samples. The mean square of all values is 1.

    Raises
    ------
    InputError
        The shape is too small for K PCs, or variables are planted too strongly into the same PCs.
    """
    from threadpoolctl import threadpool_limits

    *leading, units = shape
    samples = int(np.prod(leading))
    count = len(spectrum)
    # Centering takes one dimension of the samples, and G below must be orthogonal to every contrast.
    needed = count + 1 + sum(len(np.unique(variable.labels)) - 1 for variable in planted)
    if count > units or needed > samples:
        raise InputError(
            f"A spectrum of {count} PCs needs at least {count} units and {needed} samples; "
            f"the shape is {samples} samples x {units} units."
        )
    # With several threads the order of additions, and so the last bits of the data and their hash, would
    # depend on the machine.
    with threadpool_limits(1):
        left = _left(rng.standard_normal((samples, count)), planted)  # U, (samples, K)
        right, _ = np.linalg.qr(rng.standard_normal((units, count)))  # V, (units, K)
        responses: FloatArray = (left * np.sqrt(spectrum * samples * units)) @ right.T
    return responses.reshape(shape)


def _left(drawn: FloatArray, planted: Sequence[Planted]) -> FloatArray:
    """Return U, (samples, K), centered and orthonormal, with C'U = A: the planted overlaps.

    C, (samples, contrasts), holds the orthonormal class contrasts of all variables, and A, (contrasts, K),
    their overlaps with the PCs. With G, (samples, K), orthonormal and C'G = 0,

        U = C A + G (I - A'A)^1/2    gives    U'U = A'A + (I - A'A) = I    and    C'U = A.

    Parameters
    ----------
    drawn : array, (samples, K)
        Standard normal numbers, from which G is made.
    planted : sequence of Planted
    """
    samples, count = drawn.shape
    drawn = drawn - drawn.mean(axis=0)
    if not planted:
        return np.linalg.qr(drawn)[0]
    C = np.zeros((samples, 0))
    A = np.zeros((0, count))
    for variable in planted:
        basis = variable.contrasts()
        repeated = np.tile(basis, (samples // len(basis), 1))  # the same at every time; time is outermost
        rest, _ = np.linalg.qr(repeated - C @ (C.T @ repeated))  # without what earlier variables explain
        # QR may flip the sign of a column. Undo it: overlaps are positive by construction, and refer to the
        # contrast as it was.
        rest *= np.sign(np.sum(rest * repeated, axis=0))
        free = np.clip(1 - np.sum(A**2, axis=0), 0, 1)  # 1 - R2 of each PC from the contrasts so far, (K,)
        A = np.vstack([A, variable.overlaps(basis.shape[1], free)])
        C = np.hstack([C, rest])
    # No combination of PCs can be predicted from the contrasts with an R2 above 1, so A'A must not exceed I.
    # Variables in the same PCs can add up to more. Rounding alone takes an eigenvalue slightly below 0.
    eigenvalues, eigenvectors = np.linalg.eigh(np.eye(count) - A.T @ A)
    if eigenvalues[0] < -1e-9:
        names = ", ".join(variable.variable for variable in planted)
        raise InputError(
            f"{names} are planted too strongly into the same PCs; lower a strength, or move a center."
        )
    root = (eigenvectors * np.sqrt(np.clip(eigenvalues, 0, None))) @ eigenvectors.T  # (I - A'A)^1/2, (K, K)
    G, _ = np.linalg.qr(drawn - C @ (C.T @ drawn))
    left: FloatArray = C @ A + G @ root
    return left
