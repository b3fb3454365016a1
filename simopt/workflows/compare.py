"""The scores of Y against a recording, each with its null and its noise ceiling."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch

from simopt import checks, measures
from simopt.analysis import ceilings
from simopt.analysis.ceilings import Ceiling
from simopt.analysis.nulls import INNOVATIONS, UNRELATED, WITHOUT_COURSE, Null, nulls
from simopt.analysis.remarks import above_ceiling, no_null, of_nulls, reasons_without
from simopt.analysis.standing import Standing
from simopt.datasets import Dataset
from simopt.datasets.trials import Trials
from simopt.errors import DegenerateWarning, InputError, SimoptError, warn
from simopt.measures import Measure, Reference
from simopt.measures.extent import Extent
from simopt.rows import Order
from simopt.sides import aligned
from simopt.store import analysis, shelf
from simopt.store.image import Stored
from simopt.typing import LabelArray, Node, OnStep
from simopt.workflows import result
from simopt.workflows.data import Data, DataLike, found_rows, paired, structured
from simopt.workflows.request import (
    Request,
    ShouldStop,
    measure_nodes,
    name_of,
    never,
    no_influence,
    quiet,
    steps,
)
from simopt.workflows.result import Axes, Result, Rows
from simopt.workflows.run_request import CEILINGS, NULLS

DRAWS = 100
NO_TRIALS = (
    "{name} has no single trials; if its file has trials, add dataset.repetitions=keep; otherwise "
    "--snr VALUE (snr= in Python) gives a ceiling"
)


@dataclass(frozen=True, kw_only=True)
class CompareRequest(Request[Standing]):
    """The request of the scores of Y against the recording X.

    Attributes
    ----------
    Y : tuple of Data
        The data to score, as a tuple of exactly one dataset.
    measures : tuple of dict
        The configuration node of each measure: a dict with ``_target_`` and options.
    draws : int
        The number of unrelated datasets to score.
    seed : int
        The seed of the null datasets.
    snr : float or None
        The signal-to-noise ratio of X, which gives a noise ceiling if X has no single trials.
    ids : str or None
        A label that identifies the samples. X and Y must both have it, with the same value in every sample.
    keep_going : bool
        Whether a measure that cannot be applied is skipped, with the reason, instead of raising an error.
    """

    kind: ClassVar[str] = "score"

    Y: Sequence[Any]
    measures: Sequence[Any] = ("cka",)
    draws: int = no_influence(DRAWS)
    seed: int = 0
    snr: float | None = None
    ids: str | None = None
    keep_going: bool = no_influence(False)

    def __post_init__(self) -> None:
        super().__post_init__()
        if len(self.Y) != 1:
            raise InputError(f"Y holds {len(self.Y)} datasets; give exactly one to compare with X.")
        self._set("Y", tuple(Data.of(data, "Y") for data in self.Y))
        self._set("measures", measure_nodes(self.measures))
        if not self.measures:
            raise InputError("measures is empty; name one, for instance cka.")
        checks.whole(self.draws, 0, "draws")
        checks.whole(self.seed, 0, "seed")
        if self.snr is not None:
            checks.at_least(self.snr, 0, "snr", strict=True)

    def pair(self) -> tuple[Dataset, Dataset]:
        """Return X and Y, after a check that ``ids`` and every other label of both agree in each sample.

        Raises
        ------
        InputError
            X and Y differ in their number of samples or in a label, or one of them lacks the label ``ids``.
        """
        for dataset in (self.dataset.dataset, self.Y[0].dataset):
            if self.ids is not None and self.ids not in dataset.labels:
                # A label inside a group of an h5 has the name after the last slash.
                checks.one_of(self.ids.rpartition("/")[2], dataset.labels, f"label of {dataset.name}")
        return paired(self.dataset, self.Y[0])

    def revises(self) -> list[str]:
        """Return the dotted names of the code that computes scores, nulls and ceilings."""
        targets = [str(node["_target_"]) for node in self.measures]
        return [*targets, NULLS, CEILINGS if self.snr is None else "simopt.analysis.ceilings.from_snr"]

    def read(self, path: Path) -> Standing:
        """Return the score that a file stores: that of one Y with one measure."""
        standing: Standing = result.read(path, self.kind, Standing)
        return standing

    def fits(self, standing: Standing) -> bool:
        """Return whether a stored score was ranked among at least ``draws`` draws of each of its nulls."""
        nulls = standing.null.values()
        enough = [null.complete or not len(null.scores) or null.asked >= self.draws for null in nulls]
        return all(enough) if nulls else not self.draws


@dataclass(frozen=True, kw_only=True, repr=False)
class CompareResult(Result):
    """The scores of Y, each with its null scores and its noise ceiling.

    Attributes
    ----------
    name : str
        The name of Y.
    dataset, source : str
        The name of the recording, and its source: ``real`` or ``surrogate``.
    standings : list of Standing
        The score of each measure, with its nulls and its noise ceiling.
    skipped : dict of str
        The reason for each measure, by name, that was skipped.
    paths : dict of Path
        The file of the score of each measure, by name; empty if nothing is stored.
    path : Path or None
        The file of the score if exactly one score is stored, otherwise None.
    how : str
        ``found`` if all scores were stored before, otherwise ``done``.
    """

    kind: ClassVar[str] = "comparison"

    name: str
    dataset: str
    source: str
    standings: list[Standing]
    skipped: dict[str, str] = field(default_factory=dict)
    paths: dict[str, Path] = field(default_factory=dict)

    @property
    def title(self) -> str:
        """The names of Y and of the recording, in one line."""
        return f"{self.name} against {self.dataset} ({self.source})"

    def caveats(self) -> list[str]:
        """Return a line for each remark on a score, and for each skipped measure."""
        return [*self.remarks(), *(f"{name}: {reason}" for name, reason in self.skipped.items())]

    def remarks(self) -> list[str]:
        """Return lines on meaningless scores, on scores above their ceiling, and on the nulls."""
        lines = [f"{each.measure}: {each.degenerate}" for each in self.standings if each.degenerate]
        lines += filter(None, map(above_ceiling, self.standings))
        lines += [f"no ceiling of {reason}" for reason in reasons_without(self.standings)]
        if all(standing.ceiling is None for standing in self.standings):
            lines.append(f"no ceiling: {NO_TRIALS.format(name=self.dataset)}")
        return [*lines, *of_nulls(self.standings)]

    def values(self) -> Mapping[str, Any]:
        """Return the scores by measure, and the reason for each skipped measure."""
        measures = {standing.measure: standing.as_json() for standing in self.standings}
        return {"measures": measures, "skipped": self.skipped}

    def table(self) -> Rows:
        """Return a row for each measure."""
        return [
            {
                "measure": standing.measure,
                "score": standing.score,
                "null_mean": finite(standing.null[UNRELATED].mean) if standing.null else None,
                "null_95": finite(standing.end),
                "percentile": finite(standing.percentile),
                "innovations": finite((standing.of(INNOVATIONS) or (0, math.nan))[1]),
                "without_course": finite((standing.of(WITHOUT_COURSE) or (0, math.nan))[1]),
                "ceiling": standing.limit,
            }
            for standing in self.standings
        ]

    def main_numbers(self) -> list[str]:
        """Return a line for each score, with the reason if it has no percentile."""
        return [
            line + (f"; {no_null(standing)}" if standing.null and math.isnan(standing.percentile) else "")
            for line, standing in zip(super().main_numbers(), self.standings, strict=True)
        ]

    def plot(self, ax: Axes | None = None) -> Axes:
        """Draw each score with its null and noise ceiling, and return the axes."""
        from simopt.report.standing import draw_standings

        return draw_standings(self.standings, ax, self.title)

    @classmethod
    def load(cls, path: Path) -> CompareResult:
        """Return the comparison in a file of :meth:`save`, or the single score in a file of ``store=``."""
        attributes = analysis.attributes(path)
        if analysis.kind_of(attributes) != CompareRequest.kind:
            return super().load(path)
        standing: Standing = result.read(path, CompareRequest.kind, Standing)
        return cls(
            name=str(attributes["y"]),
            dataset=str(attributes["dataset"]),
            source=str(attributes["source"]),
            standings=[standing],
            paths={standing.measure: path},
            path=path,
            how="found",
        )


def carry_out(
    request: CompareRequest, *, should_stop: ShouldStop = never, reference: Reference | None = None
) -> CompareResult:
    """Return the scores with nulls and ceilings; stored scores are read, missing ones are computed.

    Raises
    ------
    InputError
        The data do not fit, or a name or an option is unknown or out of its range.
    StorageError
        A score cannot be stored.
    """
    # Each score has its own file, so that any set of measures finds what another set has stored. The missing
    # ones are computed together: all measures score the same null draws, which are made only once.
    requests = {name_of(node): replace(request, measures=(node,)) for node in request.measures}
    missing = [
        one.measures[0] for one in requests.values() if request.force or shelf.find(one, one.fits) is None
    ]
    observe = steps(request.Y[0].shown, quiet, should_stop)
    computed, skipped = _compute(request, missing, reference, observe) if missing else ({}, {})
    scored = {
        name: _found_or_stored(one, computed.get(name))
        for name, one in requests.items()
        if name not in skipped
    }
    paths = {name: path for name in scored if (path := requests[name].path) is not None}
    return CompareResult(
        name=request.Y[0].shown,
        dataset=request.dataset.name,
        source=request.dataset.origin,
        # Two names of the same formula share one file, which has the name that was scored first.
        standings=[
            replace(_first(standing, request.draws), measure=name) for name, (standing, _) in scored.items()
        ],
        skipped=skipped,
        paths=paths,
        path=next(iter(paths.values())) if len(paths) == 1 else None,
        how="found" if {how for _, how in scored.values()} == {"found"} else "done",
    )


def _found_or_stored(request: CompareRequest, computed: Standing | None) -> tuple[Standing, str]:
    def keep(before: Stored | None) -> Standing:
        # A score found above may have been replaced since, by another process that drew fewer nulls: then
        # `computed` is None, and it is computed here.
        (node,) = request.measures
        standing = computed or _compute(request, [node], None, lambda done, total: None)[0][name_of(node)]
        request.write(result.packed(standing, y=request.Y[0].shown))
        return standing

    return shelf.find_or_make(request, lambda: keep, request.fits)


def _first(standing: Standing, draws: int) -> Standing:
    """Return a score with the first ``draws`` scores of its nulls: draw i does not depend on their number."""
    nulls = standing.null.items() if draws else ()
    return replace(standing, null={kind: null.first(draws) for kind, null in nulls})


def _compute(
    request: CompareRequest, nodes: Sequence[Node], reference: Reference | None, observe: OnStep
) -> tuple[dict[str, Standing], dict[str, str]]:
    """Return the scores of measures by name, and the reason for each measure that does not apply."""
    X, Y = request.pair()
    if request.snr is not None and X.trials is not None:
        raise InputError(f"{X.name} has single trials, which give its noise ceilings; leave snr out.")
    x, y = checks.in_float64(X.samples()), checks.in_float64(Y.samples())
    checks.varying(x, "X")
    checks.varying(y, "Y")
    rows, notes = found_rows(X, Y)
    reference = Reference.of(x if reference is None else reference, rows=rows)
    scored: dict[str, tuple[float, Measure]] = {}
    skipped: dict[str, str] = {}
    for done, node in enumerate(nodes):
        observe(done, len(nodes))
        name = name_of(node)
        try:
            measure = measures.build(node)
            score = float(measure.bind(reference)(y))
        except SimoptError as error:
            if not request.keep_going:
                raise
            skipped[name] = str(error)
            continue
        if math.isfinite(score):
            scored[name] = score, measure
        else:
            skipped[name] = f"undefined for these data ({score})"
    usable = [measure for _, measure in scored.values()]
    null: dict[str, dict[str, Null]] = {}
    if request.draws and usable:
        conditions = next((side.responses.shape[1] for side in (X, Y) if side.responses.ndim == 3), None)
        options: dict[str, Any] = {"draws": request.draws, "seed": request.seed, "conditions": conditions}
        null = nulls(reference, y, usable, rows=rows, **options, observe=observe)
    limits: dict[str, Ceiling] = {}
    trials_note = []
    if request.snr is not None:
        limits = ceilings.from_snr(x, request.snr, usable, rows=rows)
    elif X.trials is not None and usable:
        limits = ceilings.from_trials(X.trials, usable, rows=rows)
        trials_note = _trials_note(X, X.trials)
    standings = {}
    extent = Extent(reference, y)  # decomposes Y at most once for all measures
    for name, (score, measure) in scored.items():
        of_measure = null.get(measure.name, {}), limits.get(measure.name), measure.weakness(extent)
        remarks = measure.remarks(reference, torch.from_numpy(y))
        about = (*notes, *_group_notes(measure, X, rows.groups), *trials_note, *remarks)
        standings[name] = Standing(name, score, *of_measure, about, measure.facts.larger_is_closer)
    return standings, skipped


def _group_notes(measure: Measure, X: Dataset, groups: LabelArray | None) -> list[str]:
    """Return lines on a measure whose folds split conditions of X, or that has groups of its own."""
    own = measure.groups_of(len(X.samples()))
    if own is not None and groups is not None and not np.array_equal(own, groups):
        return [
            f"{measure.name}: its option repeats or conditions makes other groups than those declared or "
            "found, and replaces them; check the order of the samples"
        ]
    if measure.cross_validated and own is None and groups is None and X.responses.ndim == 3:
        return [
            f"{measure.name}: its folds split conditions, so time bins of one are in training and test; "
            'dataset.groups=condition (groups="condition" in Python) makes folds of whole conditions'
        ]
    return []


def _trials_note(X: Dataset, trials: Trials) -> list[str]:
    """Return a line if X is not the average of its trials, which their ceiling is about."""
    average = checks.flatten(trials.average())
    x = X.samples()
    if average.shape == x.shape and np.allclose(average, x, rtol=0, atol=1e-3 * float(np.std(x))):
        return []
    return [
        f"the ceilings are those of the average of the trials, from which the responses of {X.name} differ"
    ]


def finite(value: float) -> float | None:
    """Return a number, or None for NaN."""
    return None if math.isnan(value) else value


def labeled(X: DataLike, Y: Any) -> list[Data]:
    """Return Y, aligned with X, as a list of Data; the keys of a mapping are the names that tables show."""
    if isinstance(Y, Mapping):
        return [replace(Data.of(aligned(X, data), str(name)), label=str(name)) for name, data in Y.items()]
    return [Data.of(aligned(X, Y), "Y")]


def compare(
    X: DataLike,
    Y: DataLike | Mapping[str, DataLike],
    measures: str | Sequence[str | Measure] = ("cka",),
    *,
    draws: int = DRAWS,
    seed: int = 0,
    snr: float | None = None,
    ids: str | None = None,
    groups: Any = None,
    blocks: Any = None,
    rows: Order | None = None,
    store: str | Path | None = None,
    force: bool = False,
    **options: Any,
) -> CompareResult:
    """Score Y against the recording X in float64, and give each score its null and its noise ceiling.

    The command ``simopt score`` prints this result.

    Parameters
    ----------
    X : array, tensor or Dataset
        The recording, of shape (samples, units) or (time, condition, unit). If it is a Dataset with
        single trials (``trials``), each score gets a noise ceiling.
    Y : array, tensor or Dataset, or dict with a single entry
        The data to score: the samples of X in the same order, with any number of units. The key of a dict is
        the name that tables show.
    measures : str, Measure, or sequence of them
        The measures, by name or as Measures.
    draws : int, default 100
        The number of unrelated datasets to score; 0 leaves out the nulls.
    seed : int
        The seed of the null datasets.
    snr : float or None
        The signal-to-noise ratio of X, greater than 0. It gives a noise ceiling if X has no single trials.
    ids : str or None
        A label that identifies the samples. X and Y must both have it, with the same value in every sample.
    groups, blocks, rows
        Which samples belong together, and whether they depend on each other; :class:`simopt.Dataset` explains
        them. None: what a Dataset says.
    store : path or None
        The folder of stored results. Scores that it holds are read, and the others are computed and stored.
        None: nothing is stored.
    force : bool
        Whether to compute scores again although they are stored.
    **options
        Options that override the defaults of every measure, for instance ``form="angular"``.

    Returns
    -------
    CompareResult

    Raises
    ------
    InputError
        The data do not fit, or a name or an option is unknown or out of its range.
    StorageError
        A score cannot be stored.

    Warns
    -----
    DegenerateWarning
        The shapes of X and Y alone decide the score of a measure.

    Examples
    --------
    >>> import numpy as np, simopt
    >>> X = np.random.default_rng(0).standard_normal((60, 10))
    >>> result = simopt.compare(X, X[:, :5], measures=("cka", "nbs"), draws=20)
    >>> [row["measure"] for row in result.table()]
    ['cka', 'nbs']
    >>> result.standings[0].percentile > 95
    True
    """
    request = CompareRequest(
        dataset=structured(X, groups, blocks, rows),
        Y=labeled(X, Y),
        measures=measure_nodes(measures, **options),
        draws=draws,
        seed=seed,
        snr=snr,
        ids=ids,
        log=store,
        force=force,
    )
    result = carry_out(request)
    for standing in result.standings:
        if standing.degenerate is not None:
            warn(f"{standing.measure}: {standing.degenerate}", DegenerateWarning)
    return result
