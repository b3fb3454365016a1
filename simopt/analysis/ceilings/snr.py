"""Noise ceilings that a given signal-to-noise ratio implies."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from simopt import checks
from simopt.analysis.ceilings.ceiling import Ceiling
from simopt.analysis.ceilings.simulation import scores, without_score
from simopt.analysis.nulls import stream
from simopt.measures import Measure, Reference
from simopt.rows import Rows
from simopt.typing import ArrayLike

_QUANTILES = (0.025, 0.975)


def from_snr(
    X: ArrayLike, snr: float, measures: Sequence[Measure], *, draws: int = 20, rows: Rows | None = None
) -> dict[str, Ceiling]:
    """Return the noise ceilings that a signal-to-noise ratio implies, for recordings without single trials.

    X is taken as the signal. Recordings are simulated as X + noise, with independent Gaussian noise of
    variance var(x_u) / snr in unit u, where x_u are the responses of this unit. Since X already contains
    noise, its spectrum is flatter than that of the true signal. The result is therefore the ceiling for a
    signal like X, not an estimate of the ceiling of X.

    Parameters
    ----------
    X : array or tensor, (samples, units) or (time, condition, unit)
    snr : float, > 0
        Variance of the signal divided by the variance of the noise in the recording. If the recording is an
        average over trials, the noise is that of the average.
    measures : sequence of Measure
        Measures with different names.
    draws : int, >= 1
        Number of simulated recordings.
    rows : Rows, optional
        Which samples belong together: folds of cross-validated measures keep groups together.

    Returns
    -------
    dict of Ceiling, by name of the measure
        There is one for every measure. If a measure cannot score X, its ceiling has a reason and no value.

    Raises
    ------
    InputError
        X is invalid.
    """
    signal = checks.flatten(checks.responses(X, "X")).astype(np.float64)
    refused = without_score(Reference.of(signal, rows=rows), measures)
    usable = [measure for measure in measures if measure.name not in refused]
    scale = signal.std(axis=0) / np.sqrt(snr)  # of the noise in each unit, (units,)
    rng = stream(0, 0)
    simulated = []
    for _ in range(draws):
        first, second = (signal + scale * rng.standard_normal(signal.shape) for _ in range(2))
        simulated.append([scores(usable, first, other, rows) for other in (signal, second)])
    found = {name: Ceiling.none(name, reason) for name, reason in refused.items()}
    for i, measure in enumerate(usable):
        of_signal, of_replicate = np.array(simulated)[:, :, i].T
        low, high = np.quantile(of_signal, _QUANTILES)
        found[measure.name] = Ceiling(
            measure=measure.name,
            value=float(of_signal.mean()),
            replicate=float(of_replicate.mean()),
            halves=np.empty(0),
            expected_halves=math.nan,
            interval=(float(low), float(high)),
            correction="given SNR",
            share=snr / (1 + snr),
        )
    return {measure.name: found[measure.name] for measure in measures}
