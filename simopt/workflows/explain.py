"""What a user's scores mean: read off runs on the recording, between a null and a ceiling."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import torch

from simopt import catalogue, checks, measures
from simopt.analysis import defects, run_decoding
from simopt.analysis.advice import advise, judge
from simopt.analysis.explanation import Explained, Explanation, Own
from simopt.analysis.good_score import good_scores
from simopt.analysis.reading import read_at
from simopt.analysis.standing import Standing
from simopt.components import principal_components
from simopt.errors import InputError
from simopt.measures import Measure, Moments, Reference
from simopt.optimization.captured import captured_variance
from simopt.optimization.state import State
from simopt.optimization.trajectory import StopReason
from simopt.store import shelf
from simopt.store.reader import Run
from simopt.workflows import compare, run
from simopt.workflows.compare import DRAWS, CompareRequest, same_rows
from simopt.workflows.data import Data
from simopt.workflows.request import distinct_names, measure_nodes, name_of, never
from simopt.workflows.result import Result
from simopt.workflows.run_request import RunRequest, stored_runs

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from simopt.typing import ArrayLike

    Watch = Callable[[RunRequest], AbstractContextManager[Callable[[State], None]]]

DEFAULT = ("cka", "nbs", "procrustes_angular", "linreg")
"""The measures that are explained unless others are named."""
SEEDS = (0, 1, 2)
"""The replicates of runs that are made to be read."""
_TRIALS = "dataset.repetitions=keep keeps them where there are any, --snr gives a bound without."


@dataclass(frozen=True, kw_only=True)
class ExplainRequest:
    """What is to be explained.

    Attributes
    ----------
    X, Y : Data
        The recording, and the user's data.
    runs : tuple of RunRequest
        One a measure, on the recording: a stored run that has what is needed is taken in its place.
    draws : int
        Unrelated data of each kind to score.
    snr : float or None
        Signal-to-noise ratio of the recording, for a ceiling in place of single trials.
    ids : str or None
        The label that names rows.
    """

    kind: ClassVar[str] = "explanation"

    X: Data
    Y: Data
    runs: tuple[RunRequest, ...]
    draws: int = DRAWS
    snr: float | None = None
    ids: str | None = None

    def __post_init__(self) -> None:
        checks.whole(self.draws, 1, "draws")
        distinct_names([each.measure for each in self.runs])

    @classmethod
    def of(
        cls,
        X: Data,
        Y: Data,
        usual: RunRequest,
        chosen: Sequence[Mapping[str, Any]],
        *,
        decoded: bool,
        **options: Any,
    ) -> ExplainRequest:
        """Return the request of some measures; the runs are like a usual one.

        Where the recording has labels, they are decoded as is standard, unless the decoder was chosen:
        ``decoded``.
        """
        ids = options.get("ids")
        runs = tuple(replace(usual, measure=node, dataset=X) for node in chosen)
        if not decoded:
            # ids are names of rows, one of a kind
            decodable = [label for label in X.dataset.labels if label != ids]
            variables = {} if ids is None else {"variables": decodable}
            decoder = catalogue.node("decoder", "standard", **variables) if decodable else None
            runs = tuple(replace(each, decoder=decoder) for each in runs)
        return cls(X=X, Y=Y, runs=runs, **options)

    def fits(self, request: RunRequest) -> Callable[[Run], bool]:
        """Return the question whether a finished run goes as far as is needed, decoded if need be."""

        def fits(found: Run) -> bool:
            at_target = found.attributes["stop_reason"] == StopReason.TARGET.value
            steps = shelf.parsed(found.attributes["identity"]).get("max_steps", 0)
            return request.same(found, "target", "init") and (at_target or steps >= request.max_steps)

        return fits


@dataclass(frozen=True, kw_only=True)
class ExplainResult(Result, Explanation):
    """What scores mean.

    Attributes
    ----------
    name : str
        Of Y.
    path : None
        The runs that were read are stored, each by itself.
    """

    kind: ClassVar[str] = "explanation"

    name: str

    @property
    def title(self) -> str:
        """What was scored against what."""
        return f"{self.name} against {self.dataset} ({self.source})"

    def sentences(self) -> list[str]:
        """Return in words what each score means, and what Y itself has of the recording."""
        from simopt.report.explanation import own_sentence, sentences

        return [*sentences(self), own_sentence(self)]

    def table(self) -> list[dict[str, Any]]:
        """Return a row for each measure."""
        return [
            {
                "measure": each.standing.measure,
                "score": each.standing.score,
                "percentile": each.standing.percentile,
                "steps": each.reading.steps,
                "pcs": int(each.reading.half.sum()),
                "verdict": each.verdict.kind,
                "reason": each.verdict.reason,
            }
            for each in self.explained
        ]

    def plot(self, ax: Axes | None = None) -> Axes:
        """Draw each score with its null and its ceiling, and return the axes."""
        from simopt.report.standing import draw_standings

        return draw_standings([each.standing for each in self.explained], ax, self.title)


def missing(request: ExplainRequest) -> list[RunRequest]:
    """Return the runs that are not stored, nor others that fit."""
    return [
        one
        for one in request.runs
        if one.force or shelf.find(one, request.fits(one), stored_runs(one)) is None
    ]


def carry_out(
    request: ExplainRequest,
    watch: Watch = lambda one: nullcontext(lambda state: None),
    *,
    should_stop: Callable[[], bool] = never,
) -> ExplainResult:
    """Find or make the runs, and read the scores off them.

    Parameters
    ----------
    request : ExplainRequest
    watch : callable
        Gives a context with an observer for each run.
    should_stop : callable
        Asked before each step of a run.

    Raises
    ------
    InputError
        Data, a name or an option that cannot be used.
    InterruptedRunError
        It was told to stop; the same request resumes the run.
    """
    X, Y = request.X.dataset, request.Y.dataset
    same_rows(X, Y, request.ids)
    chosen = {name_of(one.measure): measures.build(one.measure) for one in request.runs}
    for measure in chosen.values():
        if not measure.differentiable:
            raise InputError(f"{measure.name} has no gradient: no run shows what its scores mean.")
    # In float64, for scores; runs take it in their own precision: X is decomposed once.
    reference = Reference.of(X.samples().astype(np.float64))
    runs: dict[str, Run] = {}
    for one in request.runs:
        with watch(one) as observe:
            runs[name_of(one.measure)], _ = run.find_or_make(
                one,
                observe,
                should_stop=should_stop,
                reference=reference,
                fits=request.fits(one),
                among=stored_runs(one),
            )
    standings = compare.carry_out(
        CompareRequest(
            dataset=request.X,
            Y=(request.Y,),
            measures=[one.measure for one in request.runs],
            draws=request.draws,
            snr=request.snr,
            ids=request.ids,
            log=request.runs[0].log.dir,
            force=request.runs[0].force,
        ),
        should_stop=should_stop,
        reference=reference,
    ).standings
    own = _own(request, reference)
    explained = [_explained(request, each, chosen[each.measure], runs[each.measure]) for each in standings]
    limited = any(each.ceiling is not None for each in standings)
    decoded = next((each.reference_decoding for each in runs.values() if each.reference_decoding), {})
    ratio = reference.variance_ratio.numpy()
    y = Y.samples().astype(np.float64)
    found = defects.find(
        ratio,
        own.captured,
        samples=len(y),
        units=y.shape[1],
        percentiles={each.measure: each.percentile for each in standings},
        dimensions=float(1 / np.sum(principal_components(y).values ** 4)),
        decoding={
            variable: (own.decoding[variable], float(facts["accuracy"]), float(facts["chance"]))
            for variable, facts in decoded.items()
            if variable in own.decoding
        },
    )
    return ExplainResult(
        name=request.Y.shown,
        dataset=X.name,
        source=X.source,
        shape=tuple(X.responses.shape),
        units=y.shape[1],
        variance_ratio=ratio,
        reference=decoded,
        own=own,
        explained=explained,
        no_ceiling="" if limited else f"{X.name} has no single trials; {_TRIALS}",
        defects=found,
        advice=advise([each.verdict for each in explained]),
    )


def _own(request: ExplainRequest, reference: Reference) -> Own:
    X, Y = request.X.dataset, request.Y.dataset
    y = torch.from_numpy(Y.samples().astype(np.float64))
    captured = captured_variance(Moments(reference, y)).numpy()
    mask = defects.is_captured(captured, *y.shape)
    node = request.runs[0].decoder
    decoding = {}
    if node:
        responses = Y.samples().reshape(*X.responses.shape[:-1], -1)
        found = run_decoding.build(node, X).decode(responses)
        decoding = {variable: each.accuracy for variable, each in found.items()}
    return Own(captured, mask, decoding)


def _explained(request: ExplainRequest, standing: Standing, measure: Measure, found: Run) -> Explained:
    facts, good = measure.facts, good_scores(found)
    best, worst = (facts.high, facts.low) if facts.larger_is_closer else (facts.low, facts.high)
    weakness = measure.degenerate(*request.Y.dataset.samples().shape)
    target = float(found.score[-1].mean())
    ceiling = None if standing.ceiling is None else standing.ceiling.value
    verdict = judge(standing.measure, standing.end, best, worst, good, target, weakness, ceiling)
    units = request.runs[0].init.get("units") or request.X.dataset.responses.shape[-1]
    reading = read_at(found, standing.score, measure.sign)
    return Explained(standing, units, reading, good, found.path, verdict)


def explain(
    X: ArrayLike | Data,
    Y: ArrayLike | Data,
    measures: str | Sequence[str | Measure] = DEFAULT,
    *,
    draws: int = DRAWS,
    snr: float | None = None,
    ids: str | None = None,
    seeds: Sequence[int] = SEEDS,
    target: float = 0.99,
    max_steps: int = 1000,
    decoder: str | None = None,
    store: str | Path | None = None,
    force: bool = False,
    **options: Any,
) -> ExplainResult:
    """Interpret the scores of Y: what an optimized dataset has captured of X at the same scores.

    Parameters
    ----------
    X : array, tensor or Dataset, (samples, units) or (time, condition, unit)
        The recording; a Dataset may have labels, which are decoded.
    Y : the same
        The same samples in the same order.
    measures : sequence of str or Measure
        With a gradient.
    draws : int
        Unrelated data of each kind to score.
    snr : float or None
        Signal-to-noise ratio of X, for a ceiling where there are no single trials.
    ids : str or None
        A label that names the rows of both.
    seeds, target, max_steps, decoder
        Of the runs, as :func:`simopt.optimize` has them; decoder None: ``standard`` where there are labels.
    store : path or None
        A folder: runs that are stored there are read, others made and stored. None: nothing is written.
    force : bool
        Make the runs anew.
    **options
        Of the measures, for instance ``form="angular"``.

    Returns
    -------
    ExplainResult

    Raises
    ------
    InputError
        Data, a name or an option that cannot be used.

    Examples
    --------
    >>> import numpy as np, simopt
    >>> rng = np.random.default_rng(0)
    >>> X = rng.standard_normal((50, 6)) * [6, 5, 4, 3, 2, 1]
    >>> result = simopt.explain(X, X[:, :2], measures=("cka",), draws=20, seeds=(0,), max_steps=100)
    >>> result.table()[0]["measure"]
    'cka'
    """
    usual = RunRequest(
        dataset=X, seeds=seeds, target=target, max_steps=max_steps, decoder=decoder, force=force, log=store
    )
    nodes = measure_nodes(measures, **options)
    return carry_out(
        ExplainRequest.of(
            usual.dataset,
            Data.of(Y, "Y"),
            usual,
            nodes,
            decoded=decoder is not None,
            draws=draws,
            snr=snr,
            ids=ids,
        )
    )
