"""The comparison of stored runs and analyses with the numbers of the paper (arXiv 2407.07059)."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from simopt.analysis.good_score import GoodScore
from simopt.optimization.trajectory import steps_to
from simopt.report.pools import mean_reached, pool
from simopt.report.published import comparable, numbers
from simopt.report.published.comparison import GOOD, LARGEST, MEDIAN, NEVER, STEPS, Comparison
from simopt.report.published.numbers import TARGET, Number
from simopt.typing import FloatArray

if TYPE_CHECKING:
    from simopt.analysis.sensitivity import Sensitivities
    from simopt.ranges.result import JointRange
    from simopt.report import Collected

__all__ = ["Comparison", "compare"]

_RUN = {"first_score": "first score", "steps": STEPS, "never_captured": NEVER}
_ROTATION, _ANGLE = "rotation", 90.0
_FIRST, _LEVEL, _OTHER = "cka", 0.9, "procrustes_angular"


def compare(collected: Collected) -> tuple[list[Comparison], list[str]]:
    """Compare stored runs and analyses with the numbers of the paper.

    A run is compared if it was made in the same way as the published runs
    (:func:`simopt.report.published.comparable.unlike`). Runs that differ only in their seeds are compared
    together. Half captures are compared on the first PCs, which hold 80 % of the variance. The paper gives no
    good scores as numbers: they are computed from the published curves as for stored runs. This needs the
    accuracy of decoding from the recording, which is published for one task variable of each recording.

    Parameters
    ----------
    collected : Collected

    Returns
    -------
    rows : list of Comparison
        One row for each number.
    left_out : list of str
        Lines that say which results are not compared, and why.

    Raises
    ------
    StorageError
        The file of a thinned run could not be read again.
    """
    runs, left_out = [], Counter[tuple[str, str]]()
    for run in collected.runs:
        reason = comparable.unlike(run)
        if reason:
            left_out["runs", reason] += 1
        else:
            runs.append(run)
    good_scores = {
        id(run): summary.good_scores for run, summary in zip(collected.runs, collected.summaries, strict=True)
    }
    rows = _of_runs(replace(collected, runs=runs), good_scores)
    unpublished = {
        "sensitivities": "no score of PC 1 under this perturbation is published",
        "joint ranges": "no number for this pair of measures and mode is published",
    }
    analyses: list[tuple[str, Sensitivities | JointRange, Iterator[Comparison]]]
    analyses = [("sensitivities", result, _of_sensitivity(result)) for result in collected.sensitivities]
    analyses += [("joint ranges", result, _of_joint(result)) for result in collected.joints]
    for kind, result, comparisons in analyses:
        reason = comparable.unlike_analysis(result)
        more = [] if reason else list(comparisons)
        if not more:
            left_out[kind, reason or unpublished[kind]] += 1
        rows += more
    order = list(dict.fromkeys(row["dataset"] for row in numbers.table("runs")))
    rows.sort(key=lambda row: (order.index(row.dataset), row.source))
    return rows, [f"not compared ({kind}: {n}): {reason}" for (kind, reason), n in left_out.items()]


def _row(
    about: Comparison,
    what: str,
    published: Number,
    here: float,
    note: str = "",
    replicates: Sequence[float] | FloatArray = (),
) -> Comparison:
    """Return a comparison of one number, with dataset, source, measure and note taken from ``about``."""
    words = {(True, False): "never in the paper", (False, True): "never here", (True, True): "both never"}
    never = math.isnan(published.value), math.isnan(here)
    notes = about.note, words.get(never, ""), published.note, note
    return replace(
        about, what=what, published=published.value, here=here, difference=here - published.value,
        origin=published.origin, replicates=tuple(map(float, replicates)), note=_joined(*notes),
    )  # fmt: skip


def _joined(*notes: str) -> str:
    return "; ".join(filter(None, notes))


def _of_runs(collected: Collected, good_scores: Mapping[int, Mapping[str, GoodScore]]) -> list[Comparison]:
    # From all logged states: collected runs may be thinned, and then lack the step that reached the target.
    steps = {run.path: steps_to(run.step, run.score, TARGET) for run in collected.whole()}
    rows: list[Comparison] = []
    accuracies: dict[tuple[str, ...], Comparison] = {}
    for curve in pool(collected.runs):
        dataset, label = curve.name, "" if curve.label == curve.measure else curve.label
        about = Comparison(dataset, curve.source, curve.measure, note=label)
        here = {
            "first_score": [run.score[0, column] for run, column in curve.places],
            "steps": [steps[run.path][column] for run, column in curve.places],
            "never_captured": np.isnan(curve.half_capture).sum(axis=1),
        }
        for key, value in numbers.runs(dataset)[curve.measure].items():
            mean = float(np.mean(here[key]))
            rows.append(_row(about, _RUN[key], Number(value, "data"), mean, "", here[key]))
        rows += _of_halves(about, curve.half_capture)
        decoder = comparable.decoder_note(curve.runs[0].attributes)
        for variable in curve.variables:
            published = numbers.good_score(dataset, curve.measure, variable)
            if published is not None:
                good = curve.good_score(variable, good_scores)
                score, per_seed = (math.nan, ()) if good is None else (good.score, good.per_seed)
                rows.append(_row(about, f"{GOOD}, {variable}", published, score, decoder, per_seed))
            reference, accuracy = curve.reference(variable), numbers.figure(dataset, "accuracy", variable)
            if reference is not None and accuracy is not None:
                of_recording = replace(about, measure="", note="")
                what = f"accuracy of the recording, {variable}"
                row = _row(of_recording, what, accuracy, reference[0], decoder)
                # Every pool of a recording has this row; it is shown once.
                accuracies.setdefault((dataset, curve.source, curve.data_hash, variable, decoder), row)
    return [*rows, *accuracies.values()]


def _of_halves(about: Comparison, halves: FloatArray) -> Iterator[Comparison]:
    """Yield the median and the largest difference of half captures, means over replicates that have one."""
    published = numbers.half_capture(about.dataset, about.measure)[: halves.shape[1]]
    if not len(published):
        return
    here = mean_reached(halves[:, : len(published)])
    both = np.flatnonzero(~np.isnan(here) & ~np.isnan(published))
    one = int((np.isnan(here) != np.isnan(published)).sum())
    counted = f"{len(both)} of {len(published)} PCs half captured here and in the paper, {one} in one only"
    difference = np.abs(here - published)[both]
    median = float(np.median(difference)) if len(both) else None
    yield replace(about, what=MEDIAN, difference=median, note=_joined(about.note, counted))
    if len(both):
        k = int(both[difference.argmax()])
        largest = Number(float(published[k]), "data")
        yield _row(about, LARGEST, largest, float(here[k]), f"PC {k + 1}", halves[:, k])


def _of_sensitivity(result: Sensitivities) -> Iterator[Comparison]:
    if result.perturbation != _ROTATION or _ANGLE not in result.strengths or not len(result.variance_ratio):
        return
    at = result.strengths.index(_ANGLE)
    for curve in result.curves:
        published = numbers.figure(result.dataset, "sensitivity", curve.measure)
        if published is None:
            continue
        about = Comparison(result.dataset, result.source, curve.measure)
        theory = math.nan if curve.theory is None else float(curve.theory[at, 0])
        note = "" if math.isnan(theory) else f"theory {theory:.3f}"
        drawn = np.ravel([] if curve.experiment is None else curve.experiment[at, 0])
        here = float(drawn.mean()) if len(drawn) and np.isfinite(drawn).all() else theory
        yield _row(about, f"sensitivity, PC 1 at {_ANGLE:g} degrees", published, here, note, drawn)


def _of_joint(result: JointRange) -> Iterator[Comparison]:
    published = numbers.figure(result.dataset, "lowest", _OTHER)
    for line in result.implied:
        if published is not None and (line.given, line.threshold, line.implied) == (_FIRST, _LEVEL, _OTHER):
            about = Comparison(result.dataset, result.source, _OTHER)
            yield _row(about, f"joint, lowest along {_FIRST} = {_LEVEL:g}", published, line.low)
