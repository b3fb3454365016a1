"""What the scores of Y mean, judged by what optimized datasets have captured of X at the same scores."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch

from simopt import catalogue, checks, measures
from simopt.analysis import defects, run_decoding
from simopt.analysis.advice import advise, judge
from simopt.analysis.decoding import Decoder
from simopt.analysis.explanation import Explained, Explanation, Own
from simopt.analysis.good_score import above_chance, decoding_words, good_scores
from simopt.analysis.reading import read_at
from simopt.analysis.remarks import no_null, of_nulls, reasons_without
from simopt.analysis.residual import residual
from simopt.analysis.standing import Standing
from simopt.components import principal_components
from simopt.datasets import Dataset
from simopt.errors import InputError
from simopt.measures import Measure, Moments, Reference
from simopt.measures.extent import Extent
from simopt.optimization.captured import captured_variance
from simopt.optimization.state import State
from simopt.optimization.trajectory import StopReason
from simopt.rows import Order
from simopt.sides import aligned
from simopt.store import shelf
from simopt.store.reader import Run
from simopt.typing import FloatArray, Node
from simopt.workflows import compare, run
from simopt.workflows.compare import DRAWS, CompareRequest
from simopt.workflows.data import Data, DataLike, found_rows, structured
from simopt.workflows.request import ShouldStop, measure_nodes, name_of, never
from simopt.workflows.result import Axes, Result, Rows
from simopt.workflows.run_request import RunRequest

Watch = Callable[[RunRequest], AbstractContextManager[Callable[[State], None]]]

DEFAULT = ("cka", "nbs", "procrustes_angular", "linreg")
"""The default measures."""
SEEDS = (0, 1, 2)
"""The default seeds of the runs: three replicates each."""


@dataclass(frozen=True, kw_only=True)
class ExplainRequest:
    """The scores to explain, and the runs to explain them with.

    Attributes
    ----------
    scores : CompareRequest
        The request of the scores. It has at least one measure and at least one draw.
    runs : tuple of RunRequest
        The run of each measure on the recording. A stored run that goes at least as far is used in its place.
    """

    scores: CompareRequest
    runs: tuple[RunRequest, ...]

    def __post_init__(self) -> None:
        checks.whole(self.scores.draws, 1, "draws")

    @classmethod
    def of(
        cls, X: Data, Y: Data, template: RunRequest, nodes: Sequence[Node], *, decoded: bool, **options: Any
    ) -> ExplainRequest:
        """Return the request to explain the scores of several measures.

        ``nodes`` are the configuration nodes of the measures: dicts with ``_target_`` and options. The run of
        each measure has the other settings of ``template``. If ``decoded`` is False, the caller chose no
        decoder, and the standard one decodes the labels of X.
        """
        ids = options.get("ids")
        if not decoded:
            # The label `ids` has another value for each sample: there is nothing to decode.
            left_out = {ids, *template.built_decoder().left_out(X.dataset)}
            decodable = [label for label in X.dataset.labels if label not in left_out]
            variables = {} if ids is None else {"variables": decodable}
            decoder = catalogue.node("decoder", "standard", **variables) if decodable else None
            template = replace(template, decoder=decoder)
        where = {"log": template.log.dir, "force": template.force}
        return cls(
            scores=CompareRequest(dataset=X, Y=(Y,), measures=nodes, **where, **options),
            runs=tuple(replace(template, measure=node, dataset=X) for node in nodes),
        )


@dataclass(frozen=True, kw_only=True, repr=False)
class ExplainResult(Result, Explanation):
    """What the scores of Y mean.

    Attributes
    ----------
    name : str
        The name of Y.
    path : None
        An explanation has no file of its own; its runs and scores have files.
    """

    kind: ClassVar[str] = "explanation"

    name: str

    @property
    def title(self) -> str:
        """The names of Y and of the recording, in one line."""
        return f"{self.name} against {self.dataset} ({self.source})"

    def caveats(self) -> list[str]:
        """Return the advice on the measures, and lines on what their nulls exchange and why."""
        return [*self.advice, *self.nulls]

    def sentences(self) -> list[str]:
        """Return sentences on each score and its null, on what Y captures, and on unused labels."""
        from simopt.report.explanation import label_sentences, own_sentence, sentences

        return [*sentences(self), *self.nulls, own_sentence(self), *label_sentences(self)]

    def table(self) -> Rows:
        """Return a row for each measure."""
        return [
            {
                "measure": explained.standing.measure,
                "score": explained.standing.score,
                "percentile": explained.standing.percentile,
                "steps": explained.reading.steps,
                "pcs": int(explained.reading.half.sum()),
                "verdict": explained.verdict.kind,
                "reason": explained.verdict.reason,
            }
            for explained in self.explained
        ]

    def plot(self, ax: Axes | None = None) -> Axes:
        """Draw each score with its null and noise ceiling, and return the axes."""
        from simopt.report.standing import draw_standings

        return draw_standings([explained.standing for explained in self.explained], ax, self.title)


def fits(request: RunRequest, stored: Run) -> bool:
    """Return whether a finished run can replace the requested one.

    It can if it has the same target, init and decoder, and either reached the target or has at least the
    requested ``max_steps``. The optimizer and the seeds may differ, because an explanation uses only what the
    run captured at each score.
    """
    at_target = stored.attributes["stop_reason"] == StopReason.TARGET.value
    steps = shelf.parsed(stored.attributes["identity"]).get("max_steps", 0)
    return request.same(stored, "target", "init") and (at_target or steps >= request.max_steps)


def carry_out(
    request: ExplainRequest,
    watch: Watch = lambda one: nullcontext(lambda state: None),
    *,
    should_stop: ShouldStop = never,
) -> ExplainResult:
    """Find or make one run for each measure, and interpret the scores of Y by these runs.

    Parameters
    ----------
    request : ExplainRequest
    watch : callable
        A function that takes the request of a run and returns a context manager. Its value is a function that
        is called with each logged state of the run.
    should_stop : callable
        Called before each step of a run; True stops the run.

    Raises
    ------
    InputError
        The data do not fit, a name or an option is unknown or out of its range, or a measure has no gradient.
    InterruptedRunError
        ``should_stop`` returned True; the same request resumes the run.
    """
    scores = request.scores
    X, Y = scores.pair()
    chosen = {name_of(one.measure): measures.build(one.measure) for one in request.runs}
    for measure in chosen.values():
        if not measure.differentiable:
            raise InputError(
                f"{measure.name} has no gradient, so no run can explain its scores; leave {measure.name} out."
            )
    # X is decomposed once, in float64, which scores need; each run converts it to its own precision.
    x = checks.in_float64(X.samples())
    reference = Reference.of(x, rows=found_rows(X)[0])
    # A run has the numbers of `simopt run` to the last bit, which keeps rounding errors.
    of_runs = reference if np.array_equal(x, X.samples()) else None
    runs: dict[str, Run] = {}
    for one in request.runs:
        with watch(one) as observe:
            runs[name_of(one.measure)], _ = run.find_or_make(
                one, observe, should_stop=should_stop, reference=of_runs, fits=partial(fits, one)
            )
    standings = compare.carry_out(scores, should_stop=should_stop, reference=reference).standings
    y = checks.in_float64(Y.samples())
    own = _own(X, Y, y, reference, request.runs[0].decoder)
    extent = Extent(reference, y)
    explained = [
        _explained(request, one, chosen[one.measure], runs[one.measure], extent) for one in standings
    ]
    decoded = {name: facts for made in runs.values() for name, facts in made.reference_decoding.items()}
    unused = _unused_labels(X, decoded, request.runs[0].built_decoder(), scores.ids)
    ratio = reference.variance_ratio.numpy()
    lacking = defects.find(
        ratio,
        own.captured,
        samples=len(y),
        units=y.shape[1],
        percentiles={one.measure: one.percentile for one in standings if not np.isnan(one.end)},
        # The participation ratio of Y, (sum lambda)^2 / sum lambda^2: the squares of these values, lambda_i,
        # sum to 1.
        dimensions=float(1 / np.sum(principal_components(y).values ** 4)),
        decoding={
            variable: (own.decoding[variable], float(facts["accuracy"]), float(facts["chance"]))
            for variable, facts in decoded.items()
            if variable in own.decoding and variable not in unused
        },
        residual=residual(reference.scores.numpy(), y),
    )
    return ExplainResult(
        name=scores.Y[0].shown,
        dataset=X.name,
        source=X.source,
        shape=tuple(X.responses.shape),
        units=y.shape[1],
        variance_ratio=ratio,
        reference=decoded,
        own=own,
        explained=explained,
        unused_labels=unused,
        no_ceiling=_no_ceiling(standings, X.name),
        nulls=of_nulls(standings),
        defects=lacking,
        advice=advise([one.verdict for one in explained]),
    )


def _unused_labels(
    X: Dataset, decoded: Mapping[str, Mapping[str, Any]], decoder: Decoder, ids: str | None
) -> dict[str, str]:
    """Return for each label that judges nothing the reason; ``decoded`` says how well X decodes each."""
    reasons = {}
    for label, facts in decoded.items():
        if not above_chance(facts):
            reasons[label] = f"the recording does not decode it above chance ({decoding_words(facts)})"
    left_out = decoder.left_out(X).items()
    return reasons | {label: why for label, why in left_out if label not in decoded and label != ids}


def _no_ceiling(standings: Sequence[Standing], name: str) -> str:
    """Return why some of the scores have no ceiling; empty if all have one."""
    if all(standing.ceiling is None for standing in standings):
        return f"{compare.NO_TRIALS.format(name=name)}."
    return "; ".join(reasons_without(standings))


def _own(X: Dataset, Y: Dataset, y: FloatArray, reference: Reference, decoder: Node | None) -> Own:
    captured = captured_variance(Moments(reference, torch.from_numpy(y))).numpy()
    decoding = {}
    if decoder:
        responses = Y.samples().reshape(*X.responses.shape[:-1], -1)
        decoded = run_decoding.build(decoder, X).decode(responses)
        decoding = {variable: outcome.accuracy for variable, outcome in decoded.items()}
    return Own(captured, defects.is_captured(captured, *y.shape), decoding)


def _explained(
    request: ExplainRequest, standing: Standing, measure: Measure, made: Run, extent: Extent
) -> Explained:
    facts, good = measure.facts, good_scores(made)
    best, worst = (facts.high, facts.low) if facts.larger_is_closer else (facts.low, facts.high)
    # Not that of `standing`: an older file of a score does not hold it.
    weakness = measure.weakness(extent)
    target = float(made.score[-1].mean())
    missing = no_null(standing)
    verdict = judge(
        standing.measure, standing.end, best, worst, good, target, weakness, standing.limit, missing
    )
    units = request.runs[0].init.get("units") or request.scores.dataset.dataset.responses.shape[-1]
    reading = read_at(made, standing.score, measure.sign)
    return Explained(standing, units, reading, good, made.path, verdict)


def explain(
    X: DataLike,
    Y: DataLike,
    measures: str | Sequence[str | Measure] = DEFAULT,
    *,
    draws: int = DRAWS,
    snr: float | None = None,
    ids: str | None = None,
    seeds: Sequence[int] = SEEDS,
    target: float = 0.99,
    max_steps: int = 1000,
    decoder: str | None = None,
    groups: Any = None,
    blocks: Any = None,
    rows: Order | None = None,
    store: str | Path | None = None,
    force: bool = False,
    **options: Any,
) -> ExplainResult:
    """Interpret the scores of Y by what optimized datasets have captured of X at the same scores.

    Parameters
    ----------
    X : array, tensor or Dataset
        The recording, of shape (samples, units) or (time, condition, unit). The labels of a Dataset are
        decoded.
    Y : array, tensor or Dataset
        The data to score: the samples of X in the same order, with any number of units.
    measures : str, Measure, or sequence of them
        The measures. Each must be differentiable, because a run follows its gradient.
    draws : int, default 100
        The number of unrelated datasets to score, at least 1.
    snr : float or None
        The signal-to-noise ratio of X, greater than 0. It gives a noise ceiling if X has no single trials.
    ids : str or None
        A label that identifies the samples. X and Y must both have it, with the same value in every sample.
    seeds, target, max_steps
        Settings of the runs; :func:`simopt.optimize` explains them.
    decoder : {"standard", "published"} or None
        The decoder of the labels of X. None stands for ``standard`` if X has labels.
    groups, blocks, rows
        Which samples belong together, and whether they depend on each other; :class:`simopt.Dataset` explains
        them. None: what a Dataset says.
    store : path or None
        The folder of stored results. Runs that it holds are read, and the others are made and stored.
        None: nothing is stored.
    force : bool
        Whether to make the runs again although they are stored.
    **options
        Options that override the defaults of every measure, for instance ``form="angular"``.

    Returns
    -------
    ExplainResult

    Raises
    ------
    InputError
        The data do not fit, a name or an option is unknown or out of its range, or a measure has no gradient.
    RunFailedError
        The score of a run became NaN or infinite, or memory ran out.
    StorageError
        A run cannot be stored.

    Examples
    --------
    >>> import numpy as np, simopt
    >>> rng = np.random.default_rng(0)
    >>> X = rng.standard_normal((50, 6)) * [6, 5, 4, 3, 2, 1]
    >>> result = simopt.explain(X, X[:, :2], measures=("cka",), draws=20, seeds=(0,), max_steps=100)
    >>> result.table()[0]["measure"]
    'cka'
    """
    template = RunRequest(
        dataset=structured(X, groups, blocks, rows),
        seeds=seeds,
        target=target,
        max_steps=max_steps,
        decoder=decoder,
        force=force,
        log=store,
    )
    nodes = measure_nodes(measures, **options)
    return carry_out(
        ExplainRequest.of(
            template.dataset,
            Data.of(aligned(X, Y), "Y"),
            template,
            nodes,
            decoded=decoder is not None,
            draws=draws,
            snr=snr,
            ids=ids,
        )
    )
