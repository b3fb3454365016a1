"""Surrogates: Gaussian data with a given PC spectrum and shape, and planted labels.

The surrogate of a recording has its published spectrum exactly. What lies along the principal components is
drawn anew: U is Gaussian, made orthonormal, with prescribed overlaps with the class contrasts of the task
variables. Nothing else of the recording is in it, and its labels are synthetic.

The overlaps and the scale, in ``planted`` and ``scale`` of each recording, are calibrated on what is
published of decoding: the accuracy of the published decoder on the recording itself and, for majaj and mante,
on Y along the runs of cka and procrustes_angular. The overlaps decide how accuracy grows with the score. The
scale matters to a decoder that does not standardize only: the smaller, the stronger its penalty.
``tests/analysis/test_twin_decoding.py`` holds both against the published numbers.
"""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import resources
from importlib.resources.abc import Traversable

import numpy as np

from simopt.errors import InputError
from simopt.typing import FloatArray, LabelArray


@dataclass(frozen=True)
class Planted:
    """A task variable and where it is planted.

    Variables are planted one after the other: what is said of one is said of the part of its class contrasts
    that the variables before it do not explain.

    Attributes
    ----------
    variable : str
    labels : array, (conditions,)
    strength : float, 0 to 1
        How much of the variance of a class contrast lies in the PCs: its R2 when predicted from all of them.
        A variable of k classes has k - 1 contrasts; PCs take them by turns.
    center, width : float
        Of a contrast, the part in PC i is proportional to exp(-(ln i - ln center)^2 / (2 width^2)), times
        what the variables before have left of that PC.
    decay : float, 0 to 1
        By how much the strength of the last contrast is below that of the first, as a share of it.
    """

    variable: str
    labels: LabelArray
    strength: float
    center: float
    width: float
    decay: float = 0.0

    def contrasts(self) -> FloatArray:
        """Return an orthonormal basis of the centered class indicators, (conditions, classes - 1)."""
        classes = np.unique(self.labels)
        indicators = (self.labels[:, None] == classes).astype(np.float64)
        basis, _ = np.linalg.qr((indicators - indicators.mean(axis=0))[:, :-1])
        return basis

    def overlaps(self, contrasts: int, free: FloatArray) -> FloatArray:
        """Return the overlap of each contrast with each PC, (contrasts, K), of which parts (K,) are free."""
        pcs = len(free)
        weights = free * np.exp(-((np.log(np.arange(1, pcs + 1) / self.center) / self.width) ** 2) / 2)
        out = np.zeros((contrasts, pcs))
        for k in range(contrasts):
            own = weights[k::contrasts]
            strength = self.strength * (1 - self.decay * k / max(contrasts - 1, 1))
            out[k, k::contrasts] = np.sqrt(strength * own / own.sum())
        return out


def spectrum_file(name: str) -> Traversable:
    """Return the csv of the published spectrum of a recording."""
    return resources.files("simopt.datasets") / "spectra" / f"{name}.csv"


def published_spectrum(name: str) -> FloatArray:
    """Return the published explained variance ratios of a recording, (K,), descending, of sum 1."""
    lines = spectrum_file(name).read_text(encoding="utf-8").splitlines()
    rows = csv.DictReader(line for line in lines if not line.startswith("#"))
    return normalized([float(row["explained_variance_ratio"]) for row in rows], name)


def normalized(spectrum: Sequence[float], name: str) -> FloatArray:
    """Return a spectrum as explained variance ratios, (K,), descending, of sum 1.

    Raises
    ------
    InputError
        Empty, or a value that is not finite and positive.
    """
    try:
        values = np.asarray(spectrum, dtype=np.float64)
    except (ValueError, TypeError, OverflowError):
        values = np.empty(0)
    if values.ndim != 1 or values.size == 0 or not (np.isfinite(values) & (values > 0)).all():
        raise InputError(f"spectrum of {name}: expected a list of finite, positive variances.")
    values = np.sort(values / values.max())[::-1]
    ratios: FloatArray = values / values.sum()
    return ratios


def gaussian_responses(
    spectrum: FloatArray,
    shape: tuple[int, ...],
    rng: np.random.Generator,
    planted: Sequence[Planted] = (),
) -> FloatArray:
    """Draw responses with a spectrum: X = U diag(s) V', s_i^2 = p_i x (samples x units).

    Parameters
    ----------
    spectrum : array, (K,)
        Explained variance ratios p; K at most units and at most samples - 1.
    shape : (samples, units) or (time, condition, unit)
    rng : Generator
    planted : sequence of Planted
        Over the conditions (samples, where there is no time); constant over time.

    Returns
    -------
    array of float64, ``shape``, column means 0, mean square 1

    Raises
    ------
    InputError
        More PCs than the shape can hold, or variables planted too strongly into the same ones.
    """
    from threadpoolctl import threadpool_limits

    *leading, units = shape
    samples = int(np.prod(leading))
    count = len(spectrum)
    if count > min(units, samples - 1):
        raise InputError(
            f"A spectrum of {count} PCs needs at least {count} units and {count + 1} samples; "
            f"the shape is {samples} samples x {units} units."
        )
    # One thread: with several, the last bits, and with them the hash and the name of a run, vary by machine.
    with threadpool_limits(1):
        left = _left(rng.standard_normal((samples, count)), planted)
        right, _ = np.linalg.qr(rng.standard_normal((units, count)))
        responses: FloatArray = (left * np.sqrt(spectrum * samples * units)) @ right.T
    return responses.reshape(shape)


def _left(drawn: FloatArray, planted: Sequence[Planted]) -> FloatArray:
    """Return centered, orthonormal U (samples, K) whose overlaps A with the contrasts C are those planted.

    C is orthonormal too, and so is G, apart from it: U = C A + G (I - A'A)^1/2 has U'U = I exactly.
    """
    samples, count = drawn.shape
    drawn = drawn - drawn.mean(axis=0)
    if not planted:
        return np.linalg.qr(drawn)[0]
    C = np.zeros((samples, 0))
    A = np.zeros((0, count))
    for variable in planted:
        basis = variable.contrasts()
        repeated = np.tile(basis, (samples // len(basis), 1))
        rest, _ = np.linalg.qr(repeated - C @ (C.T @ repeated))
        # QR leaves the sign of a column open; contrasts keep theirs.
        rest *= np.sign(np.sum(rest * repeated, axis=0))
        free = np.clip(1 - np.sum(A**2, axis=0), 0, 1)
        A = np.vstack([A, variable.overlaps(basis.shape[1], free)])
        C = np.hstack([C, rest])
    values, vectors = np.linalg.eigh(np.eye(count) - A.T @ A)
    if values[0] < -1e-9:
        names = ", ".join(variable.variable for variable in planted)
        raise InputError(f"{names}: planted too strongly into the same PCs.")
    root = (vectors * np.sqrt(np.clip(values, 0, None))) @ vectors.T
    rest, _ = np.linalg.qr(drawn - C @ (C.T @ drawn))
    left: FloatArray = C @ A + rest @ root
    return left
