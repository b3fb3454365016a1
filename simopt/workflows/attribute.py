"""Which principal components, samples or units a score hangs on."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from simopt import checks, measures
from simopt.analysis import attribution
from simopt.analysis.attribution import Attribution, named
from simopt.datasets import Dataset
from simopt.store import shelf
from simopt.store.image import Stored
from simopt.workflows.compare import same_rows
from simopt.workflows.data import Data
from simopt.workflows.request import OnProgress, Request, measure_node, name_of, never, quiet, steps
from simopt.workflows.result import Result
from simopt.workflows.run_request import LEFT_OUT

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from simopt.measures import Measure
    from simopt.typing import ArrayLike

PARTS = (*LEFT_OUT, "x-units")


@dataclass(frozen=True, kw_only=True)
class AttributeRequest(Request["AttributeResult"]):
    """How the score of Y changes without each part.

    Attributes
    ----------
    Y : Data
    measure : node
    by : {"pcs", "samples", "units", "x-units"}
        PCs of X, samples, units of Y, units of X.
    """

    kind: ClassVar[str] = "attribution"

    Y: Any
    measure: Any = "cka"
    by: str = "pcs"

    def __post_init__(self) -> None:
        super().__post_init__()
        self._set("Y", Data.of(self.Y, "Y"))
        self._set("measure", measure_node(self.measure))
        checks.one_of(self.by, PARTS, "part to leave out")

    @property
    def function(self) -> str:
        """The name of the function that leaves out each part."""
        return LEFT_OUT["units" if self.by == "x-units" else self.by]

    def revises(self) -> list[str]:
        """Return the dotted names of what computes the changes."""
        return [f"simopt.analysis.attribution.{self.function}", str(self.measure["_target_"])]

    def read(self, path: Path) -> AttributeResult:
        """Return the stored attribution of a file."""
        return AttributeResult.load(path)


@dataclass(frozen=True, kw_only=True)
class AttributeResult(Result, Attribution):
    """How a score changes without each part of the data.

    Attributes
    ----------
    name : str
        Of Y.
    dataset, source : str
        Of the recording.
    about : dict of list
        What is known of each sample: its time bin and condition where there is time, and its labels; empty
        for other parts.
    """

    kind: ClassVar[str] = "attribution"

    name: str
    dataset: str
    source: str
    about: dict[str, list[Any]] = field(default_factory=dict)

    @property
    def title(self) -> str:
        """What was scored against what, and the score."""
        source = f"{self.dataset} (surrogate)" if self.source == "surrogate" else self.dataset
        return f"{self.name} against {source}: {self.measure} {self.score:.6f}"

    def values(self) -> Mapping[str, Any]:
        """Return the changes and what they are of."""
        shown = {key: value for key, value in vars(self).items() if key not in ("name", "path", "how")}
        return {**shown, "ranking": self.ranking()}

    def table(self) -> list[dict[str, Any]]:
        """Return a row for each part, the largest change first."""
        first = {} if self.first_order is None else {"first_order": self.first_order}
        columns: dict[str, Any] = {"share": self.share, "change": self.change, **first, **self.about}
        return [
            {"part": named(self.part, i), **{key: _plain(values[i]) for key, values in columns.items()}}
            for i in self.ranking().tolist()
        ]

    def plot(self, ax: Axes | None = None) -> Axes:
        """Draw all changes, and return the axes."""
        from simopt.report.attribution import draw_attribution

        return draw_attribution(self, ax, self.title)


def _plain(value: Any) -> Any:
    return value.item() if isinstance(value, np.generic) else value


def carry_out(
    request: AttributeRequest,
    observe: OnProgress = quiet,
    *,
    should_stop: Callable[[], bool] = never,
    wait: bool = False,
) -> AttributeResult:
    """Find the attribution stored, or make it.

    Raises
    ------
    InputError
        Data, a measure or an option that cannot be used.
    InterruptedRunError
        It was told to stop.
    StorageError
        It cannot be stored.
    """

    def make() -> Callable[[Stored | None], AttributeResult]:
        X, Y = request.dataset.dataset, request.Y.dataset
        measure = measures.build(request.measure)
        same_rows(X, Y, None)
        leave_out: Callable[..., Attribution] = getattr(attribution, request.function)
        options: dict[str, Any] = {"side": "X"} if request.by == "x-units" else {}
        options["observe"] = steps(measure.name, observe, should_stop)

        def work(before: Stored | None) -> AttributeResult:
            result = AttributeResult.of(
                leave_out(X.responses, Y.responses, measure, **options),
                name=request.Y.shown,
                dataset=X.name,
                source=X.source,
                about=about_samples(X) if request.by == "samples" else {},
                path=request.path,
            )
            request.write(result.content())
            return result

        return work

    found, how = shelf.find_or_make(request, make, wait=should_stop if wait else None)
    return replace(found, how=how, path=request.path, name=request.Y.shown, measure=name_of(request.measure))


def about_samples(dataset: Dataset) -> dict[str, list[Any]]:
    """Return what is known of each sample: its time bin and condition where there is time, and its labels."""
    *leading, conditions, _ = dataset.responses.shape
    bins = leading[0] if leading else 1
    known: dict[str, list[Any]] = {}
    if leading:
        known["time bin"] = np.repeat(np.arange(bins), conditions).tolist()
        known["condition"] = np.tile(np.arange(conditions), bins).tolist()
    for variable, labels in dataset.labels.items():
        known[variable] = np.tile(labels, bins).tolist()
    return known


def attribute(
    X: ArrayLike | Data,
    Y: ArrayLike | Data,
    measure: str | Measure = "cka",
    *,
    by: str = "pcs",
    store: str | Path | None = None,
    force: bool = False,
    **options: Any,
) -> AttributeResult:
    """Return how the score of Y against X changes without each PC, sample or unit: ``simopt attribute``.

    change_i = score without part i - full score. Linear measures use closed forms, others are computed again.

    Parameters
    ----------
    X : array, tensor or Dataset, (samples, units) or (time, condition, unit)
        The recording.
    Y : the same
        The same samples in the same order.
    measure : str or Measure
    by : {"pcs", "samples", "units", "x-units"}
        PCs of X, samples, units of Y, units of X.
    store : path or None
        A folder: an attribution that is stored there is found. None: nothing is written.
    force : bool
        Compute anew what is stored.
    **options
        Of the measure, for instance ``form="angular"``.

    Returns
    -------
    AttributeResult

    Raises
    ------
    InputError
        Data, a measure or an option that cannot be used.

    Examples
    --------
    >>> import numpy as np, simopt
    >>> rng = np.random.default_rng(0)
    >>> X = rng.standard_normal((50, 4)) * [8, 4, 2, 1]
    >>> result = simopt.attribute(X, X + rng.standard_normal((50, 4)))
    >>> result.table()[0]["part"]
    'PC 1'
    """
    return carry_out(
        AttributeRequest(
            dataset=X, Y=Y, measure=measure_node(measure, **options), by=by, log=store, force=force
        )
    )
