"""Which principal components, samples or units a score depends on."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from simopt import checks, measures
from simopt.analysis import attribution
from simopt.analysis.attribution import Attribution, named
from simopt.datasets import Dataset
from simopt.datasets.base import same_rows
from simopt.measures import Measure
from simopt.store import shelf
from simopt.store.image import Stored
from simopt.workflows.data import Data, DataLike
from simopt.workflows.request import (
    OnProgress,
    Request,
    ShouldStop,
    measure_node,
    name_of,
    never,
    quiet,
    steps,
)
from simopt.workflows.result import Axes, Result, Rows
from simopt.workflows.run_request import LEFT_OUT

PARTS = (*LEFT_OUT, "x-units")


@dataclass(frozen=True, kw_only=True)
class AttributeRequest(Request["AttributeResult"]):
    """How the score of Y changes without each part.

    Attributes
    ----------
    Y : Data
    measure : node
    by : {"pcs", "samples", "units", "x-units"}
        The parts to leave out: PCs of X, samples, units of Y, or units of X.
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
        """The name of the function of :mod:`simopt.analysis.attribution` that leaves out each part."""
        return LEFT_OUT["units" if self.by == "x-units" else self.by]

    def revises(self) -> list[str]:
        """Return the dotted names of the code that computes the changes."""
        return [f"simopt.analysis.attribution.{self.function}", str(self.measure["_target_"])]

    def read(self, path: Path) -> AttributeResult:
        """Return the attribution that a file stores."""
        return AttributeResult.load(path)


@dataclass(frozen=True, kw_only=True, repr=False)
class AttributeResult(Result, Attribution):
    """How a score changes without each part of the data.

    Attributes
    ----------
    name : str
        The name of Y.
    dataset, source : str
        The recording, and ``real`` or ``surrogate``.
    about : dict of list
        For ``by="samples"``: the labels of each sample, and its time bin and condition if X has time. Else
        empty.
    """

    kind: ClassVar[str] = "attribution"

    name: str
    dataset: str
    source: str
    about: dict[str, list[Any]] = field(default_factory=dict)

    @property
    def title(self) -> str:
        """Y, the recording, the measure and the score."""
        return f"{self.name} against {self.dataset} ({self.source}): {self.measure} {self.score:.6f}"

    def caveats(self) -> list[str]:
        """Return why the changes could not be computed as usual, if so."""
        return [self.reason] if self.reason else []

    def values(self) -> Mapping[str, Any]:
        """Return the fields, and the ranking of the parts by the size of their change."""
        fields = {key: value for key, value in vars(self).items() if key not in ("name", "path", "how")}
        return {**fields, "ranking": self.ranking()}

    def table(self) -> Rows:
        """Return a row for each part, largest change first."""
        first = {} if self.first_order is None else {"first_order": self.first_order}
        changes = {"share": self.share, "change": self.change, **first}
        columns = {**{key: values.tolist() for key, values in changes.items()}, **self.about}
        return [
            {"part": named(self.part, i), **{key: values[i] for key, values in columns.items()}}
            for i in self.ranking().tolist()
        ]

    def plot(self, ax: Axes | None = None) -> Axes:
        """Draw the changes of all parts, and return the axes."""
        from simopt.report.attribution import draw_attribution

        return draw_attribution(self, ax, self.title)


def carry_out(
    request: AttributeRequest, observe: OnProgress = quiet, *, should_stop: ShouldStop = never
) -> AttributeResult:
    """Return the stored attribution, or compute and store it.

    Raises
    ------
    InputError
        Data, a measure or an option cannot be used.
    InterruptedRunError
        ``should_stop`` returned True; nothing is kept.
    StorageError
        The result cannot be stored.
    """

    def make() -> Callable[[Stored | None], AttributeResult]:
        X, Y = request.dataset.dataset, request.Y.dataset
        measure = measures.build(request.measure)
        same_rows(X, Y)
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

    result, how = shelf.find_or_make(request, make)
    # A stored result may have been made under other names of the same measure and the same Y.
    return replace(result, how=how, path=request.path, name=request.Y.shown, measure=name_of(request.measure))


def about_samples(dataset: Dataset) -> dict[str, list[Any]]:
    """Return the labels of each sample, and its time bin and condition if the data have time.

    Samples are numbered as :meth:`simopt.datasets.Dataset.samples` flattens them: sample = time bin *
    conditions + condition. So conditions and labels repeat in each time bin.
    """
    *leading, conditions, _ = dataset.responses.shape
    bins = leading[0] if leading else 1
    columns: dict[str, list[Any]] = {}
    if leading:
        columns["time bin"] = np.repeat(np.arange(bins), conditions).tolist()
        columns["condition"] = np.tile(np.arange(conditions), bins).tolist()
    for variable, labels in dataset.labels.items():
        columns[variable] = np.tile(labels, bins).tolist()
    return columns


def attribute(
    X: DataLike,
    Y: DataLike,
    measure: str | Measure = "cka",
    *,
    by: str = "pcs",
    store: str | Path | None = None,
    force: bool = False,
    **options: Any,
) -> AttributeResult:
    """Return how the score of Y against X changes without each PC, sample or unit: ``simopt attribute``.

    change_i = score without part i - score of all parts. Linear measures have closed forms; other measures
    are scored again without each part.

    Parameters
    ----------
    X : array, tensor or Dataset, (samples, units) or (time, condition, unit)
        The recording.
    Y : array, tensor or Dataset
        The same samples in the same order; any number of units.
    measure : str or Measure
    by : {"pcs", "samples", "units", "x-units"}
        The parts to leave out, one at a time: PCs of X, samples, units of Y, or units of X.
    store : path or None
        A folder. An attribution stored there is read, else computed and stored. None: nothing is written.
    force : bool
        Compute again what is stored.
    **options
        Options of the measure, for instance ``form="angular"``.

    Returns
    -------
    AttributeResult

    Raises
    ------
    InputError
        Data, a measure or an option cannot be used.
    StorageError
        The result cannot be stored.

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
