"""A recording with repeats: its average without the constants of the repeats, and the noise in it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from simopt.datasets.trials import Trials, condition_means, condition_sums
from simopt.errors import InputError
from simopt.rows import Rows
from simopt.typing import FloatArray, LabelArray

MIN_CONDITIONS = 20
"""Smallest number of conditions. With fewer, intervals missed the truth in simulations."""
_LARGEST = 1e30
"""Largest absolute value of trials, and its inverse the smallest: fourth powers are finite and not 0."""


class NoCeilingError(InputError):
    """A noise ceiling cannot be estimated from the recording; the message says why."""


@dataclass(frozen=True)
class Recording:
    """The repeats of C conditions at T times, without the constant that each repeat adds to each unit.

    Attributes
    ----------
    trials : Trials
        The trials after the constants were subtracted, (T, trials, units).
    average : array, (T, C, units)
        Their average A, with mean 0 over samples in each unit.
    deviations : array, (T, trials, units)
        The deviation of each trial from the mean of its condition. It is scaled: the outer products, summed
        over the trials of a condition, estimate the covariance of the noise in A.
    counts : array, (C,)
        The number of repeats of each condition: the mean over units if units have missing values.
    freedom : float
        The degrees of freedom of the deviations: (M - 1)(C - 1) for M repeats of each of C conditions.
    rows : Rows or None
        Which samples of the average belong together: folds of cross-validated measures keep groups together.
    """

    trials: Trials
    average: FloatArray
    deviations: FloatArray
    counts: FloatArray
    freedom: float
    rows: Rows | None = None

    @classmethod
    def of(cls, trials: Trials, rows: Rows | None = None) -> Recording:
        """Estimate the constants of repeats and remove them.

        The constants b_ku of repeat k in unit u are those of the least-squares fit of a_tcu + b_ku to the
        trials. If every condition has every repeat, they are the means of the repeats.

        Raises
        ------
        NoCeilingError
            There are too few conditions or repeats of a condition, or values are too large or too small.
        """
        values = np.asarray(trials.responses, dtype=np.float64)
        largest = float(np.nanmax(np.abs(values), initial=0.0))
        if largest and not 1 / _LARGEST < largest < _LARGEST:
            raise NoCeilingError(f"the largest value of the trials is {largest:g}; scale them to about 1")
        values = values.reshape(-1, *values.shape[-2:])  # (T, trial, unit)
        condition, repeats = trials.condition, trials.repeats
        means, counts = condition_means(values, condition)  # counts (C, 1) or (T, C, unit)
        _refuse(counts)
        constants, estimated = _constants(values - means[:, condition], condition, repeats)
        values = values - constants[repeats]
        means, _ = condition_means(values, condition)
        residuals = values - means[:, condition]
        cells = values.shape[0] * means.shape[1]
        observed = (~np.isnan(residuals)).sum(axis=(0, 1)) - cells  # residuals of a unit less fitted means
        residuals = np.nan_to_num(residuals, copy=False)
        if (observed <= estimated).any():
            raise NoCeilingError(
                "no two conditions share a repeat, so the noise of a repeat is not told from its constant"
            )
        # A deviation from the mean of m trials has (m - 1) / m of the variance of the noise, and each
        # constant takes away one more degree of freedom. The mean has 1 / m of the variance.
        scale = np.sqrt(observed / (observed - estimated) / (counts * (counts - 1)))
        per_condition = counts.reshape(-1, *counts.shape[-2:]).mean(axis=(0, 2))
        return cls(
            trials=Trials(values, condition, trials.repeat),
            average=means - means.mean(axis=(0, 1)),
            deviations=residuals * scale[..., condition, :],
            counts=per_condition,
            freedom=float((per_condition - 1).sum() - estimated.mean()),
            rows=rows,
        )

    @property
    def fewest(self) -> int:
        """The smallest number of repeats over conditions and units."""
        return int(condition_means(self.trials.responses, self.trials.condition)[1].min())

    def parts(
        self, count: int, splits: int, rng: np.random.Generator, *, even: bool = False
    ) -> list[list[FloatArray]]:
        """Split the repeats ``splits`` times into ``count`` parts; return the parts' averages, (T, C, units).

        Each part has mean 0 over samples. ``even`` is that of :meth:`Trials.parts`.
        """
        number = int(self.trials.repeats.max()) + 1
        start = rng.permutation(number)
        drawn = []
        for split in range(splits):
            # Three repeats have three splits: each of them alone against the two others.
            places = np.roll(start, split) if number <= 3 else rng.permutation(number)
            parts = self.trials.parts(count, places, even=even)
            drawn.append([part - part.mean(axis=(0, 1)) for part in parts])
        return drawn

    def grams(self) -> FloatArray:
        """Return the estimated covariances of the noise over times, summed over units, (C, T, T)."""
        by_trial = self.deviations.swapaxes(0, 1)  # (trial, T, units)
        products = np.matmul(by_trial, by_trial.swapaxes(1, 2)).reshape(len(by_trial), -1)
        summed = condition_sums(products, self.trials.condition)
        return summed.reshape(len(summed), len(self.average), -1)


def _refuse(counts: LabelArray) -> None:
    """Refuse numbers of values (C, 1) or (T, C, units) that give no ceiling."""
    conditions = counts.shape[-2]
    if conditions < MIN_CONDITIONS:
        raise NoCeilingError(f"{conditions} conditions; at least {MIN_CONDITIONS} are needed")
    if counts.min() < 2:
        *_, condition, unit = (int(index) for index in np.argwhere(counts < 2)[0])
        where = f" in unit {unit}" if counts.shape[-1] > 1 else ""
        raise NoCeilingError(
            f"condition {condition} has {int(counts.min())} repeat{where}; at least 2 of each are needed"
        )


def _constants(
    residuals: FloatArray, condition: LabelArray, repeats: LabelArray
) -> tuple[FloatArray, FloatArray]:
    """Return the constants of repeats (K, units), and how many were estimated in each unit, (units,).

    ``residuals`` (T, trial, units) are the deviations of trials from the means of their conditions.
    With N_kc the number of values of repeat k and condition c, n_k and m_c its sums, and r_k the sum over
    repeat k of the deviations of values from the means of their conditions, b solves
    (diag(n) - N diag(1 / m) N') b = r. The solution of least norm leaves the mean over repeats as it is.
    """
    times, _, units = residuals.shape
    number, conditions = int(repeats.max()) + 1, int(condition.max()) + 1
    onto = (repeats == np.arange(number)[:, None]).astype(np.float64)  # (K, trial)
    sums = onto @ np.nan_to_num(residuals).sum(axis=0)
    present = ~np.isnan(residuals)
    if present.all():
        patterns, of_unit = present[None, ..., 0], np.zeros(units, dtype=np.int64)
    else:  # units that lack the same values are solved for together
        packed = np.packbits(present.reshape(-1, units), axis=0).T
        _, first, of_unit = np.unique(packed, axis=0, return_index=True, return_inverse=True)
        patterns, of_unit = np.moveaxis(present[..., first], -1, 0), of_unit.reshape(-1)
    constants, estimated = np.empty((number, units)), np.empty(units)
    for index, pattern in enumerate(patterns):
        matrix = np.zeros((number, number))
        for time in range(times):
            there = pattern[time]
            cell = repeats[there] * conditions + condition[there]
            N = np.bincount(cell, minlength=number * conditions).reshape(number, conditions)
            matrix += np.diag(N.sum(axis=1)) - (N / np.maximum(N.sum(axis=0), 1)) @ N.T
        chosen = of_unit == index
        eigenvalues, axes = np.linalg.eigh(matrix)
        # One eigenvalue is 0, and one more for each set of repeats that share no condition with the others.
        kept = eigenvalues > 1e-10 * max(eigenvalues.max(), 1.0)
        axes = axes[:, kept]
        constants[:, chosen] = axes @ ((axes.T @ sums[:, chosen]) / eigenvalues[kept, None])
        estimated[chosen] = kept.sum()
    return constants, estimated
