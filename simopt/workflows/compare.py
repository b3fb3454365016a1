"""The scores of data against a recording, each between its null and its ceiling."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from simopt import checks, measures
from simopt.analysis import ceilings
from simopt.analysis.ceilings import Ceiling
from simopt.analysis.nulls import nulls
from simopt.analysis.standing import Standing
from simopt.datasets import base
from simopt.errors import InputError, SimoptError
from simopt.measures import Measure, Reference
from simopt.store import analysis, shelf
from simopt.store.image import Stored
from simopt.workflows import result
from simopt.workflows.data import Data
from simopt.workflows.request import Request, measure_nodes, name_of, never, no_influence, quiet, steps
from simopt.workflows.result import Result
from simopt.workflows.run_request import CEILINGS, NULLS

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from simopt.typing import ArrayLike

DRAWS = 100
_KIND = "score"


@dataclass(frozen=True, kw_only=True)
class CompareRequest(Request[Standing]):
    """The scores of Y against the recording.

    Attributes
    ----------
    Y : tuple of Data
        One for now, each with its label.
    measures : tuple of nodes
    draws : int
        Unrelated data of each kind to score.
    seed : int
        Of these.
    snr : float or None
        Signal-to-noise ratio of the recording, for a ceiling in place of single trials.
    ids : str or None
        The label that names rows.
    keep_going : bool
        Whether a measure that does not apply is left out, with the reason.
    """

    kind: ClassVar[str] = _KIND

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
            raise InputError(f"{len(self.Y)} datasets are given to compare; give one Y.")
        self._set("Y", tuple(Data.of(data, "Y") for data in self.Y))
        self._set("measures", measure_nodes(self.measures))
        if not self.measures:
            raise InputError("measures is empty; name one, for instance cka.")
        checks.whole(self.draws, 0, "draws")
        checks.whole(self.seed, 0, "seed")
        if self.snr is not None:
            checks.at_least(self.snr, 0, "snr", strict=True)

    def revises(self) -> list[str]:
        """Return the dotted names of what computes scores, nulls and ceilings."""
        used = [str(node["_target_"]) for node in self.measures]
        return [*used, NULLS, CEILINGS if self.snr is None else "simopt.analysis.ceilings.from_snr"]

    def read(self, path: Path) -> Standing:
        """Return the stored score of one pair and one measure."""
        standing: Standing = result.read(path, _KIND, Standing)
        return standing

    def fits(self, standing: Standing) -> bool:
        """Return whether a stored score has as many draws of its null as are asked for."""
        return min((len(null.scores) for null in standing.null.values()), default=0) >= self.draws


@dataclass(frozen=True, kw_only=True)
class CompareResult(Result):
    """Scores, with null and ceiling.

    Attributes
    ----------
    name : str
        Of Y.
    dataset, source : str
        Of the recording.
    standings : list of Standing
        One a measure.
    skipped : dict of str
        The reason for each measure that was left out.
    path : Path or None
        The folder of the stored scores; None where nothing is stored.
    how : str
        ``found`` where all were stored.
    """

    kind: ClassVar[str] = "comparison"

    name: str
    dataset: str
    source: str
    standings: list[Standing]
    skipped: dict[str, str] = field(default_factory=dict)

    @property
    def title(self) -> str:
        """What was scored against what."""
        return f"{self.name} against {self.dataset} ({self.source})"

    def values(self) -> Mapping[str, Any]:
        """Return scores by measure, and why others are not there."""
        return {
            "measures": {each.measure: each.as_json() for each in self.standings},
            "skipped": self.skipped,
        }

    def table(self) -> list[dict[str, Any]]:
        """Return a row for each measure."""
        return [
            {
                "measure": each.measure,
                "score": each.score,
                "null_mean": each.null["unrelated"].mean if each.null else None,
                "null_95": each.end if each.null else None,
                "percentile": each.percentile if each.null else None,
                "ceiling": None if each.ceiling is None else each.ceiling.value,
            }
            for each in self.standings
        ]

    def plot(self, ax: Axes | None = None) -> Axes:
        """Draw each score with its null and its ceiling, and return the axes."""
        from simopt.report.standing import draw_standings

        return draw_standings(self.standings, ax, self.title)


class ScoreFile:
    """The file of one pair and one measure."""

    @staticmethod
    def load(path: Path) -> CompareResult:
        """Return the score of a file as a comparison of one measure."""
        about = analysis.attributes(path)
        return CompareResult(
            name=str(about["y"]),
            dataset=str(about["dataset"]),
            source=str(about["source"]),
            standings=[result.read(path, _KIND, Standing)],
            path=path,
            how="found",
        )


def carry_out(
    request: CompareRequest,
    *,
    should_stop: Callable[[], bool] = never,
    wait: bool = False,
    reference: Reference | None = None,
) -> CompareResult:
    """Find the scores that are stored, compute the others, and return them with null and ceiling.

    Raises
    ------
    InputError
        Data, a name or an option that cannot be used.
    StorageError
        A score cannot be stored.
    """
    # Each measure is stored and found by itself; those that are missing are computed together, as all score
    # the same draws.
    requests = {name_of(node): replace(request, measures=(node,)) for node in request.measures}
    missing = [
        each.measures[0] for each in requests.values() if request.force or shelf.find(each, each.fits) is None
    ]
    told = steps(request.Y[0].shown, quiet, should_stop)
    computed, skipped = _compute(request, missing, reference, told) if missing else ({}, {})
    found = {
        name: _found_or_stored(each, computed.get(name), should_stop if wait else None)
        for name, each in requests.items()
        if name not in skipped
    }
    path = next(iter(requests.values())).path
    return CompareResult(
        name=request.Y[0].shown,
        dataset=request.dataset.name,
        source=request.dataset.origin,
        # Measures of one formula are stored once, under the name of whichever came first.
        standings=[replace(_first(one, request.draws), measure=name) for name, (one, _) in found.items()],
        skipped=skipped,
        path=None if path is None else path.parent,
        how="found" if {how for _, how in found.values()} == {"found"} else "done",
    )


def _found_or_stored(
    request: CompareRequest, computed: Standing | None, wait: Callable[[], bool] | None
) -> tuple[Standing, str]:
    def keep(before: Stored | None) -> Standing:
        # What was stored a moment ago may have been replaced by a score with fewer draws.
        (node,) = request.measures
        standing = computed or _compute(request, [node], None, lambda done, total: None)[0][name_of(node)]
        request.write(result.packed(standing, y=request.Y[0].shown))
        return standing

    return shelf.find_or_make(request, lambda: keep, request.fits, wait=wait)


def _first(standing: Standing, draws: int) -> Standing:
    """Return a score with the first draws of its null: those of a smaller number are the same."""
    null = standing.null.items() if draws else ()
    return replace(standing, null={kind: replace(each, scores=each.scores[:draws]) for kind, each in null})


def _compute(
    request: CompareRequest,
    nodes: Sequence[Mapping[str, Any]],
    reference: Reference | None,
    observe: Callable[[int, int], None],
) -> tuple[dict[str, Standing], dict[str, str]]:
    """Return the scores of some measures by name, and the reason for each that does not apply."""
    X, Y = request.dataset.dataset, request.Y[0].dataset
    same_rows(X, Y, request.ids)
    x, y = X.samples().astype("float64"), Y.samples().astype("float64")
    checks.varying(x, "X")
    checks.varying(y, "Y")
    reference = Reference.of(x) if reference is None else reference
    scores: dict[str, float] = {}
    chosen: dict[str, Measure] = {}
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
            scores[name], chosen[name] = score, measure
        else:
            skipped[name] = f"undefined for these data ({score})"
    conditions = X.responses.shape[1] if X.responses.ndim == 3 else None
    held = list(chosen.values())
    null = {}
    if request.draws and held:
        options: dict[str, Any] = {"draws": request.draws, "seed": request.seed, "conditions": conditions}
        null = nulls(reference, y, held, **options, observe=observe)
    limits: dict[str, Ceiling] = {}
    if request.snr is not None:
        limits = ceilings.from_snr(x, request.snr, held)
    elif X.trials is not None and held:
        limits = ceilings.from_trials(X.trials, held)
    return {
        name: Standing(name, scores[name], null.get(measure.name, {}), limits.get(measure.name))
        for name, measure in chosen.items()
    }, skipped


def same_rows(X: Any, Y: Any, ids: str | None) -> None:
    """Refuse data whose rows are not those of the recording, by ``ids`` and all labels that both have.

    Raises
    ------
    InputError
        Other rows, or one side has no label ``ids``.
    """
    for dataset in (X, Y):
        if ids is not None:
            checks.one_of(ids, dataset.labels, f"label of {dataset.name}")
    base.same_rows(X, Y)


def labeled(Y: Any) -> list[Data]:
    """Return data with their labels: of a mapping its keys, of anything else their own name."""
    if isinstance(Y, Mapping):
        return [replace(Data.of(data, str(name)), label=str(name)) for name, data in Y.items()]
    return [Data.of(Y, "Y")]


def compare(
    X: ArrayLike | Data,
    Y: ArrayLike | Data | Mapping[str, Any],
    measures: str | Sequence[str | Measure] = ("cka",),
    *,
    draws: int = DRAWS,
    seed: int = 0,
    snr: float | None = None,
    ids: str | None = None,
    store: str | Path | None = None,
    force: bool = False,
    **options: Any,
) -> CompareResult:
    """Score Y against the recording X, in float64, with null and ceiling: what ``simopt score`` prints.

    Parameters
    ----------
    X : array, tensor or Dataset, (samples, units) or (time, condition, unit)
        The recording.
    Y : the same, or a mapping of one by its name
        The same samples in the same order; any number of units.
    measures : sequence of str or Measure
    draws : int
        Unrelated data of each kind to score; 0: none.
    seed : int
        Of these.
    snr : float or None
        Signal-to-noise ratio of X, for a ceiling where there are no single trials.
    ids : str or None
        A label that names the rows of both.
    store : path or None
        A folder: scores that are stored there are found, others stored. None: nothing is written.
    force : bool
        Compute anew what is stored.
    **options
        Of the measures, for instance ``form="angular"``.

    Returns
    -------
    CompareResult

    Raises
    ------
    InputError
        Data, a name or an option that cannot be used.

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
        dataset=X,
        Y=labeled(Y),
        measures=measure_nodes(measures, **options),
        draws=draws,
        seed=seed,
        snr=snr,
        ids=ids,
        log=store,
        force=force,
    )
    return carry_out(request)
