"""Surrogates: Gaussian data with a given PC spectrum and shape, and planted labels.

The surrogate of a recording has its published spectrum exactly. What lies along the principal components is
drawn anew: all columns of U are Gaussian, made orthonormal after centring, and some carry a share of a task
variable. Nothing else of the recording is in it.
"""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import resources

import numpy as np

from simopt.errors import InputError
from simopt.typing import FloatArray, LabelArray


@dataclass(frozen=True)
class Planted:
    """A task variable and where it is planted.

    Attributes
    ----------
    variable : str
    labels : array of int, (conditions,)
    first_pc : int, from 1
        A variable of k classes takes the k - 1 PCs from this one on, one class contrast each.
    share : float, 0 to 1
        Which part of the variance of these PCs the contrasts make up.
    """

    variable: str
    labels: LabelArray
    first_pc: int
    share: float


def published_spectrum(name: str) -> FloatArray:
    """Return the published explained variance ratios of a recording, (K,), descending, of sum 1."""
    text = (resources.files("simopt.datasets") / "spectra" / f"{name}.csv").read_text(encoding="utf-8")
    rows = csv.DictReader(line for line in text.splitlines() if not line.startswith("#"))
    return normalised([float(row["explained_variance_ratio"]) for row in rows], name)


def normalised(spectrum: Sequence[float], name: str) -> FloatArray:
    """Return a spectrum as explained variance ratios, (K,), descending, of sum 1.

    Raises
    ------
    InputError
        Empty, or a value that is not finite and positive.
    """
    values = np.asarray(spectrum, dtype=np.float64)
    if values.ndim != 1 or values.size == 0 or not (np.isfinite(values) & (values > 0)).all():
        raise InputError(f"spectrum of {name}: expected a list of finite, positive variances.")
    values = np.sort(values)[::-1]
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
        More PCs than the shape can hold.
    """
    *leading, units = shape
    samples = int(np.prod(leading))
    count = len(spectrum)
    if count > min(units, samples - 1):
        raise InputError(
            f"A spectrum of {count} PCs needs at least {count} units and {count + 1} samples; "
            f"the shape is {samples} samples x {units} units."
        )
    left = rng.standard_normal((samples, count)) / np.sqrt(samples)
    for variable in planted:
        contrasts = np.tile(_contrasts(variable.labels), (samples // len(variable.labels), 1))
        contrasts /= np.linalg.norm(contrasts, axis=0)
        columns = slice(variable.first_pc - 1, variable.first_pc - 1 + contrasts.shape[1])
        left[:, columns] = (
            np.sqrt(variable.share) * contrasts + np.sqrt(1 - variable.share) * left[:, columns]
        )
    left, _ = np.linalg.qr(left - left.mean(axis=0))
    right, _ = np.linalg.qr(rng.standard_normal((units, count)))
    responses: FloatArray = (left * np.sqrt(spectrum * samples * units)) @ right.T
    return responses.reshape(shape)


def _contrasts(labels: LabelArray) -> FloatArray:
    """Return an orthonormal basis of the centred class indicators, (conditions, classes - 1)."""
    classes = np.unique(labels)
    indicators = (labels[:, None] == classes).astype(np.float64)
    centred = indicators - indicators.mean(axis=0)
    basis, _ = np.linalg.qr(centred[:, :-1])
    return basis
