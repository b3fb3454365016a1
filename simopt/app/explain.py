"""What a user's score means: read off runs on the recording, between a null and a ceiling."""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from simopt.analysis import defects
from simopt.analysis.advice import advise, judge
from simopt.analysis.explanation import Explained, Explanation, Own
from simopt.analysis.good_score import good_scores
from simopt.analysis.nulls import nulls
from simopt.analysis.reading import read_at
from simopt.analysis.standing import Standing
from simopt.app import decode, inputs, stored
from simopt.app.build import as_node, build
from simopt.app.compose import Composed, compose
from simopt.app.job import execute
from simopt.app.memory import from_memory
from simopt.app.score import DRAWS, ceilings_of
from simopt.components import principal_components
from simopt.datasets import Dataset
from simopt.errors import DegenerateWarning, InputError
from simopt.measures import Measure, Moments, Reference
from simopt.measures import build as build_measure
from simopt.optimization import State, StopReason, captured_variance
from simopt.store import reader
from simopt.store.reader import Run

DEFAULT = ("cka", "nbs", "procrustes_angular", "linreg")
SEEDS = "seeds=[0,1,2]"
_PROBED_STEPS = 3
_TRIALS = "dataset.repetitions=keep keeps them where there are any, --snr gives a bound without."


@dataclass(frozen=True)
class Request:
    """What is to be explained: the recording, the data, and the run of each measure, found or to be made."""

    X: Dataset
    Y: Dataset
    runs: dict[str, Composed]
    stored: dict[str, Path]

    @property
    def missing(self) -> list[str]:
        """The measures whose run is to be made."""
        return [name for name in self.runs if name not in self.stored]


def request(
    recording: str,
    path: Path,
    overrides: Sequence[str],
    ids: str | None = None,
    config_dir: Path | None = None,
) -> Request:
    """Load both sides, check that they belong together, and look for stored runs.

    Raises
    ------
    InputError
        Data, a name or an option that cannot be used.
    """
    names, others = inputs.measures_among(overrides, DEFAULT)
    given = {override.lstrip("+~").partition("=")[0] for override in others}
    if "dataset" in given:
        raise InputError(
            f"The recording is {recording}; give options of it, dataset.KEY=VALUE, and no dataset=."
        )
    data = inputs.as_overrides(recording, ids)
    X = inputs.recording([*data, *others], config_dir)
    Y = inputs.file(path, ids)
    inputs.same_rows(X, Y, ids)
    usual = [] if "seeds" in given else [SEEDS]
    decodable = [label for label in X.labels if label != ids]
    if decodable and "decoder" not in given:
        usual.append("decoder=standard")
        if ids is not None:  # names of rows, one of a kind
            usual.append(f"decoder.variables=[{','.join(decodable)}]")
    runs = {
        name: from_memory(compose([*data, *usual, *others, f"measure={name}"], config_dir)) for name in names
    }
    for composed in runs.values():
        measure = build_measure(as_node(composed.config.measure, "measure"))
        if not measure.differentiable:
            raise InputError(f"{measure.name} has no gradient: no run shows what its scores mean.")
    data_hash = X.data_hash()
    found = ((name, _stored(composed, X.name, data_hash)) for name, composed in runs.items())
    return Request(X, Y, runs, {name: path for name, path in found if path is not None})


def _stored(composed: Composed, dataset: str, data_hash: str) -> Path | None:
    """Return a finished run on these data with this measure, of the most seeds; None where there is none."""
    config = composed.config
    if config.force:
        return None

    def fits(run: Run, made_with: stored.Config) -> bool:
        same = made_with["target"] == config.target and made_with["init"] == config.init
        at_target = run.attributes["stop_reason"] == StopReason.TARGET.value
        far_enough = at_target or made_with["max_steps"] >= config.max_steps
        return same and far_enough and (not config.decoder or bool(run.decoding))

    node = as_node(config.measure, "measure")
    folder = Path(config.log.dir).expanduser() / dataset / build_measure(node).name
    found = stored.best(folder, data_hash, node, fits)
    return None if found is None else found.path


def seconds_per_step(composed: Composed) -> float:
    """Return how long a step takes, captured variance included and decoding not; nothing is written."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DegenerateWarning)  # the run itself says so
        ascent = build(composed.config).ascent
    ends: list[float] = []

    def observe(state: State) -> None:
        captured_variance(state.moments)
        ends.append(time.perf_counter())

    ascent.run(observe, should_stop=lambda: len(ends) > _PROBED_STEPS)
    return float(np.median(np.diff(ends))) if len(ends) > 1 else 0.0


def make_missing(asked: Request, watching: Callable[[str], Any]) -> Request:
    """Make the runs that are missing; ``watching`` gives a context with an observer for each."""
    stored = dict(asked.stored)
    for name in asked.missing:
        with watching(name) as observe:
            stored[name] = execute(asked.runs[name], observe).path
    return Request(asked.X, asked.Y, asked.runs, stored)


def explain(asked: Request, *, draws: int = DRAWS, snr: float | None = None) -> Explanation:
    """Explain the scores of a request whose runs are all there."""
    X, Y = asked.X, asked.Y
    measures = {
        name: build_measure(as_node(composed.config.measure, "measure"))
        for name, composed in asked.runs.items()
    }
    runs = {name: reader.read(asked.stored[name]) for name in measures}
    x, y = X.samples().astype(np.float64), Y.samples().astype(np.float64)
    reference = Reference.of(x)
    scores = {name: float(measure.bind(reference)(torch.from_numpy(y))) for name, measure in measures.items()}
    conditions = X.responses.shape[1] if X.responses.ndim == 3 else None
    chance = nulls(x, y, list(measures.values()), draws=draws, conditions=conditions)
    limits = ceilings_of(X, list(measures.values()), snr)
    no_ceiling = "" if limits else f"{X.name} has no single trials; {_TRIALS}"
    own = _own(X, Y, reference, asked)
    explained = []
    for name, measure in measures.items():
        standing = Standing(name, scores[name], chance[measure.name], limits.get(measure.name))
        units = asked.runs[name].config.init.get("units") or x.shape[1]
        explained.append(_explained(standing, measure, runs[name], y.shape, units))
    decoded = next((run.reference_decoding for run in runs.values() if run.reference_decoding), {})
    pcs = principal_components(y)
    found = defects.find(
        reference.variance_ratio.numpy(),
        own.captured,
        samples=len(y),
        units=y.shape[1],
        percentiles={each.standing.measure: each.standing.percentile for each in explained},
        dimensions=float(1 / np.sum(pcs.values**4)),
        decoding={
            variable: (own.decoding[variable], float(facts["accuracy"]), float(facts["chance"]))
            for variable, facts in decoded.items()
            if variable in own.decoding
        },
    )
    advice = advise([each.verdict for each in explained])
    ratio = reference.variance_ratio.numpy()
    return Explanation(X, y.shape[1], ratio, decoded, own, explained, no_ceiling, found, advice)


def _own(X: Dataset, Y: Dataset, reference: Reference, asked: Request) -> Own:
    y = torch.from_numpy(Y.samples().astype(np.float64))
    captured = captured_variance(Moments(reference, y)).numpy()
    mask = defects.is_captured(captured, *y.shape)
    node = next(iter(asked.runs.values())).config.decoder
    decoding = {}
    if node:
        responses = Y.samples().reshape(*X.responses.shape[:-1], -1)
        found = decode.build(node, X).decode(responses)
        decoding = {variable: each.accuracy for variable, each in found.items()}
    return Own(captured, mask, decoding)


def _explained(
    standing: Standing, measure: Measure, run: Run, shape: tuple[int, ...], units: int
) -> Explained:
    facts = measure.facts
    good = good_scores(run)
    best, worst = (facts.high, facts.low) if facts.larger_is_closer else (facts.low, facts.high)
    weakness = measure.degenerate(shape[0], shape[1])
    target = float(run.score[-1].mean())
    ceiling = None if standing.ceiling is None else standing.ceiling.value
    verdict = judge(standing.measure, standing.end, best, worst, good, target, weakness, ceiling)
    return Explained(standing, units, read_at(run, standing.score, measure.sign), good, run.path, verdict)
