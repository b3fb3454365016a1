"""The scores of a user's data, with null and ceiling."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from simopt import checks, measures
from simopt.analysis import ceilings
from simopt.analysis.ceilings import Ceiling
from simopt.analysis.nulls import nulls
from simopt.analysis.standing import Standing
from simopt.app import inputs
from simopt.datasets import Dataset
from simopt.errors import InputError
from simopt.measures import Measure

DRAWS = 100


def stand(
    recording: str,
    path: Path,
    overrides: Sequence[str],
    *,
    draws: int | None = None,
    snr: float | None = None,
    ids: str | None = None,
) -> tuple[Dataset, list[Standing], dict[str, str]]:
    """Score the file against the recording; return the latter, the scores, and why others are not there.

    Parameters
    ----------
    recording : str
        A dataset of the catalogue, or a file.
    path : Path
    overrides : sequence of str
        ``measure=...`` and options of the recording.
    draws : int, optional
        Unrelated data of each kind; None: 100, or none where all measures are asked for.
    snr : float, optional
        Of the recording, for a ceiling in place of single trials.
    ids : str, optional
        The label that names rows.

    Raises
    ------
    InputError
        Data, a name or an option that cannot be used.
    """
    names, others = inputs.measures_among(overrides, ["cka"])
    for override in others:
        if not override.lstrip("+~").startswith("dataset."):
            raise InputError(
                f"{override!r}: `simopt score X Y` takes measure=NAME, measure=NAME,NAME, measure=all, and "
                "dataset.OPTION=VALUE."
            )
    every = names == ["all"]
    draws = (0 if every else DRAWS) if draws is None else draws
    checks.whole(draws, 0, "--draws")
    if snr is not None:
        checks.at_least(snr, 0, "--snr", strict=True)
    data = inputs.as_overrides(recording, ids)
    kept = ["dataset.constant_units=keep"] if data[0] == "dataset=file" else []
    X = inputs.recording([*data, *kept, *others])
    Y = inputs.file(path, ids)
    inputs.same_rows(X, Y, ids)
    scores, skipped = measures.score_all(
        X.responses, Y.responses, measures.distinct() if every else names, keep_going=every
    )
    chosen = [measures.get(name) for name in scores]
    conditions = X.responses.shape[1] if X.responses.ndim == 3 else None
    x, y = X.samples(), Y.samples()
    chance = nulls(x, y, chosen, draws=draws, conditions=conditions) if draws else {}
    limits = ceilings_of(X, chosen, snr)
    standings = [
        Standing(name, value, chance.get(measure.name, {}), limits.get(measure.name))
        for (name, value), measure in zip(scores.items(), chosen, strict=True)
    ]
    return X, standings, skipped


def ceilings_of(X: Dataset, chosen: Sequence[Measure], snr: float | None) -> dict[str, Ceiling]:
    """Return the ceilings that are known: from a signal-to-noise ratio, or from single trials."""
    if snr is not None:
        return ceilings.from_snr(X.samples().astype(np.float64), snr, chosen)
    return {} if X.trials is None else ceilings.from_trials(X.trials, chosen)
